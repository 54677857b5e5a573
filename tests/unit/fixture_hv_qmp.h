/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "fake_qmp.h"
#include "hv_qmp.h"

/* The QEMU driver on a stage: played QEMUs in a directory of their own, and a listener that counts what it is told. */

#define MIB (1ULL << 20)

struct world;

/* A played guest: obeys at once, but for what its flags say. */
struct guest {
    struct world *w;
    struct fake_qmp *fake;
    char path[80];
    uint64_t boot, actual, plugged, requested, most;
    uint64_t total_base; /* MemTotal without plugged memory */
    uint64_t last_update;
    uint64_t faults; /* minor faults; counters of a new boot begin anew */
    bool paused;
    bool no_balloon, offline, stubborn_plug, silent, foolish, refuses;
    const char *device, *object; /* types: one more device, an object; NULL: none */
    bool knows_facts;            /* answers what newer QEMUs do */
    unsigned balloons, plugs, kicks; /* commands */
    uint64_t balloon_asked;
    /* Answers a command before the others get to; false: it is none of its own. NULL: there is none. */
    bool (*extra)(struct guest *g, const char *command, const char *line, unsigned long long id);
    void *extra_user;
};

struct world {
    char directory[32];
    sd_event *loop;
    struct hv *hv;
    struct guest guests[3];
    struct hv_vm *vms[3];
    unsigned appeared, vanished, levers, views, hosts, troubles, dones;
    unsigned happened[HV_HAPPENED_COUNT];
    struct obs_levers seen;
    struct obs_guest_view view;
    struct obs_host_view host;
    char trouble[ERR_TEXT_SIZE], reason[128];
    int trouble_code, done_code;
};

/* cmocka's setup and teardown: *state is the world. */
int setup_world(void **state);
int teardown_world(void **state);

/* Guest 'a' + i, with its socket; fields that are set before stay. */
struct guest *start_guest(struct world *w, size_t i);

/* The listener, for those that open the driver themselves. */
struct hv_listener listener_of(struct world *w);
void open_driver(struct world *w);
void open_shared(struct world *w); /* the monitors of the directory are for others, too */

/* The done() of orders that a test sends itself: counts in w->dones; user is the world. */
void count_done(void *user, const struct err *e);

/* Runs the loop until *what is at least n. A test that waits for ever is ended by its timeout. */
void run_until(struct world *w, const unsigned *what, unsigned n);

/* Asks for a sample and waits for one more *answer. */
void look(struct world *w, size_t i, uint32_t what, const unsigned *answer);

/* Orders a target and waits for done(), which must not come from inside the call. */
void order(struct world *w, size_t i, uint64_t target_mib);

/* Waits for the driver's own polling to bring a value. */
void settle(struct world *w, const uint64_t *what, uint64_t value);
