/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "hv.h"
#include "model.h"
#include "sim_agent.h"

/* A driver behind hv.h whose guests are models (model.h). Virtual time only: hv_sim_advance() runs the models to a moment
 * and delivers through the listener what is due there. Deterministic.
 *
 * Answers take one step (MODEL_STEP_USEC), commands reach a guest in the step after they were taken. Balloon statistics
 * are taken by the guest once a second, each guest at its own moment, and carry whole seconds of the host's wall clock;
 * their time is told as the middle of that second. Events (a size that changed by itself) come once a second at most. */

/* Commands that were replaced before the guest saw them, and whose caller was not told yet. */
#define HV_SIM_REPLACED_MAX 8

struct hv_sim_call {
    hv_done_fn *done;
    void *user;
};

struct hv_sim_vm {
    struct hv_vm vm;       /* first */
    struct model model;
    struct sim_agent agent;
    struct obs_guest_view statistics; /* as the guest took them last; time_usec 0: never */
    uint64_t statistics_due_usec;
    uint64_t answer_usec[3];   /* levers, view, host: 0: not asked */
    uint64_t line_usec;        /* an agent's line is under way: arrives then */
    struct obs_guest_view line;
    uint64_t event_usec;       /* last event about its size */
    uint64_t told_kib;         /* size in the last levers told */
    struct obs_levers told;    /* the last levers told */
    uint64_t target_kib;       /* last command; 0: none */
    uint64_t command_usec;     /* arrives then; 0: none under way */
    uint64_t deadline_usec;    /* for the hypervisor's answer, as the other drivers have one */
    bool moving;               /* the balloon's target is refined while virtio-mem moves (lever.h) */
    uint64_t plug_kib;         /* of the last command: virtio-mem's part */
    uint64_t plugged_kib;      /* plugged at the last look, and when that changed */
    uint64_t plugged_usec;
    uint64_t look_usec;        /* next look while moving, and the last one */
    uint64_t moving_until_usec;
    struct hv_sim_call call;
    struct hv_sim_call replaced[HV_SIM_REPLACED_MAX];
    size_t n_replaced;
    uint32_t resets_told;
    uint64_t commands;
    uint64_t order;            /* of adding: seeds and hashes */
    bool announced, left;
};

/* The host under the guests. */
struct hv_sim_host {
    uint64_t total_kib;
    uint64_t other_kib; /* used by everything that is no guest */
};

/* The log of what the engine asked for. Optional. */
struct hv_sim_watch {
    /* A command was taken; before the guest sees it. */
    void (*commanded)(void *user, struct hv_sim_vm *vm, uint64_t target_kib, uint64_t now_usec);
    void *user;
};

int hv_sim_new(const struct hv_sim_host *host, uint64_t seed, size_t vms_max, struct hv **ret, struct err *e);

/* Adds a guest that appears in the next step. name must be new and valid. */
int hv_sim_add(struct hv *hv, const char *name, const struct model_config *config, uint64_t now_usec,
               struct hv_sim_vm **ret, struct err *e);

/* Announces all guests (again) to this listener in the next step; NULL: to nobody (the daemon is away). */
void hv_sim_listen(struct hv *hv, const struct hv_listener *listener);
void hv_sim_watch(struct hv *hv, const struct hv_sim_watch *watch);

/* Runs everything to now_usec, in steps, and delivers what is due. */
void hv_sim_advance(struct hv *hv, uint64_t now_usec);

/* When something happens next: models never rest, so this is one step on. */
uint64_t hv_sim_next(const struct hv *hv);

size_t hv_sim_count(const struct hv *hv);
struct hv_sim_vm *hv_sim_at(struct hv *hv, size_t i);

/* The host as /proc/meminfo of a real one would show it now. */
void hv_sim_read_host(const struct hv *hv, struct obs_host *ret);

/* The host itself; a scenario may change it. */
struct hv_sim_host *hv_sim_host_of(struct hv *hv);
