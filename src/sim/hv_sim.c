/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lever.h"
#include "own.h"

#define KIB 1024ULL
#define SEC 1000000ULL
#define MSEC 1000ULL

/* While a command is followed the levers are looked at this often, for this long; virtio-mem that has not moved for a
 * moment is not waited for; smaller steps are not worth refining. All as the QMP driver has it. */
#define LOOK_USEC (50 * MSEC)
#define MOVING_USEC (5500 * MSEC)
#define PATIENCE_USEC (300 * MSEC)
#define REFINE_KIB 1024ULL

/* As the QMP driver's. */
#define DEADLINE_USEC (2 * SEC)

#define ANSWER_LEVERS 0
#define ANSWER_VIEW 1
#define ANSWER_HOST 2

struct hv_sim {
    struct hv hv; /* first */
    struct hv_sim_host host;
    struct hv_listener listener;
    bool listening;
    struct hv_sim_watch watch;
    uint64_t seed;
    uint64_t now_usec;
    uint64_t wall_usec; /* the wall clock's offset within its second */
    size_t n, n_max;
    struct hv_sim_vm *vms;
};

static struct hv_sim *sim_of(struct hv *hv)
{
    return (struct hv_sim *)hv;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static bool is_mute(const struct hv_sim_vm *v, uint64_t now_usec)
{
    return v->model.config.kind == MODEL_MUTE && now_usec >= v->model.config.happens_usec;
}

/* Ends all calls of a guest that were replaced, and (all) the one under way. */
static void end_calls(struct hv_sim_vm *v, bool all, int code, const char *why)
{
    struct hv_sim_call calls[HV_SIM_REPLACED_MAX + 1];
    size_t n = v->n_replaced;
    struct err e = {0};

    memcpy(calls, v->replaced, n * sizeof(*calls));
    v->n_replaced = 0;
    if (all && v->call.done) {
        calls[n++] = v->call;
        v->call.done = NULL;
    }
    (void)err_set(&e, code, "guest '%s': %s", v->vm.name, why);
    for (size_t i = 0; i < n; i++)
        calls[i].done(calls[i].user, &e);
}

static void sim_close(struct hv *hv)
{
    struct hv_sim *s = sim_of(hv);

    for (size_t i = 0; i < s->n; i++)
        end_calls(&s->vms[i], /* all= */ true, ECANCELED, "the driver is closed");
    free(s->vms);
    free(s);
}

static int sim_sample(struct hv *hv, struct hv_vm *vm, uint32_t what, struct err *e)
{
    struct hv_sim *s = sim_of(hv);
    struct hv_sim_vm *v = (struct hv_sim_vm *)vm;

    if (v->model.gone)
        return err_set(e, ENODEV, "guest '%s' is gone", vm->name);
    for (int i = 0; i < 3; i++)
        if ((what & (1U << i)) && !v->answer_usec[i])
            v->answer_usec[i] = s->now_usec + MODEL_STEP_USEC;
    return 0;
}

static int sim_set_target(struct hv *hv, struct hv_vm *vm, uint64_t target_bytes, hv_done_fn *done, void *user,
                          struct err *e)
{
    struct hv_sim *s = sim_of(hv);
    struct hv_sim_vm *v = (struct hv_sim_vm *)vm;

    if (v->model.gone)
        return err_set(e, ENODEV, "guest '%s' is gone", vm->name);
    if (v->call.done) {
        if (v->n_replaced == HV_SIM_REPLACED_MAX)
            return err_set(e, EBUSY, "guest '%s' has %d commands under way", vm->name, HV_SIM_REPLACED_MAX);
        v->replaced[v->n_replaced++] = v->call;
    }
    v->target_kib = target_bytes / KIB;
    v->command_usec = s->now_usec + MODEL_STEP_USEC;
    v->deadline_usec = s->now_usec + DEADLINE_USEC;
    v->call = (struct hv_sim_call){done, user};
    v->commands++;
    if (s->watch.commanded)
        s->watch.commanded(s->watch.user, v, v->target_kib, s->now_usec);
    return 0;
}

static const struct hv_ops sim_ops = {
    .name = "sim",
    .close = sim_close,
    .sample = sim_sample,
    .set_target = sim_set_target,
};

int hv_sim_new(const struct hv_sim_host *host, uint64_t seed, size_t vms_max, struct hv **ret, struct err *e)
{
    struct hv_sim *s = calloc(1, sizeof(*s));
    struct chance chance;

    if (!s || !(s->vms = calloc(vms_max, sizeof(*s->vms)))) {
        free(s);
        return err_set(e, ENOMEM, "no memory for %zu model guests", vms_max);
    }
    chance_seed(&chance, seed);
    s->hv.ops = &sim_ops;
    s->host = *host;
    s->seed = seed;
    s->n_max = vms_max;
    s->wall_usec = chance_between(&chance, 0, SEC - 1);
    *ret = &s->hv;
    return 0;
}

int hv_sim_add(struct hv *hv, const char *name, const struct model_config *config, uint64_t now_usec,
               struct hv_sim_vm **ret, struct err *e)
{
    struct hv_sim *s = sim_of(hv);
    struct hv_sim_vm *v;

    if (s->n == s->n_max)
        return err_set(e, ENOSPC, "no room for model guest '%s': there are %zu already", name, s->n);
    if (!hv_name_is_valid(name))
        return err_set(e, EINVAL, "'%s' is no name for a guest", name);
    v = &s->vms[s->n];
    *v = (struct hv_sim_vm){.order = s->n};
    v->vm.hv = hv;
    memcpy(v->vm.name, name, strlen(name) + 1);
    v->vm.pid = (pid_t)(1000 + s->n);
    v->vm.start_ticks = now_usec / MSEC + 1;
    v->vm.caps = HV_CAP_HOST_VIEW;
    if (!config->no_balloon)
        v->vm.caps |= HV_CAP_BALLOON | HV_CAP_STATISTICS;
    if (config->block_kib)
        v->vm.caps |= HV_CAP_PLUG;
    if (config->agent)
        v->vm.caps |= HV_CAP_AGENT;
    model_init(&v->model, config, s->seed + s->n * 1000003ULL, now_usec);
    v->statistics_due_usec = now_usec + chance_between(&v->model.chance, 0, SEC - 1);
    s->n++;
    *ret = v;
    return 0;
}

void hv_sim_listen(struct hv *hv, const struct hv_listener *listener)
{
    struct hv_sim *s = sim_of(hv);

    for (size_t i = 0; i < s->n; i++) {
        struct hv_sim_vm *v = &s->vms[i];
        end_calls(v, /* all= */ true, ECANCELED, "the listener went away");
        v->announced = false;
        v->vm.user = NULL;
        memset(v->answer_usec, 0, sizeof(v->answer_usec));
    }
    s->listening = listener != NULL;
    if (listener)
        s->listener = *listener;
}

void hv_sim_watch(struct hv *hv, const struct hv_sim_watch *watch)
{
    sim_of(hv)->watch = *watch;
}

static struct lever_state levers_of(const struct model *m)
{
    return (struct lever_state){
        .boot_bytes = m->config.boot_kib * KIB,
        .balloon_actual_bytes = m->actual_kib * KIB,
        .plugged_bytes = m->plugged_kib * KIB,
        .online_bytes = m->online_kib * KIB,
        .pluggable_bytes = m->config.pluggable_kib * KIB,
        .block_bytes = m->config.block_kib * KIB,
        .has_balloon = !m->config.no_balloon,
    };
}

/* The command arrives: split over the levers, as the QMP driver does. */
static void split(struct hv_sim_vm *v, uint64_t now_usec)
{
    struct lever_state s = levers_of(&v->model);
    struct lever_order o;

    lever_split(&s, v->target_kib * KIB, &o);
    model_set_requested(&v->model, o.plug_bytes / KIB);
    model_set_balloon(&v->model, o.balloon_bytes / KIB);
    v->plug_kib = v->model.requested_kib;
    v->plugged_kib = v->model.plugged_kib;
    v->moving = true;
    v->plugged_usec = now_usec;
    v->look_usec = now_usec + LOOK_USEC;
    v->moving_until_usec = now_usec + MOVING_USEC;
}

/* What virtio-mem could not let go is taken by the balloon, and given back when virtio-mem succeeds after all. */
static void refine(struct hv_sim_vm *v, uint64_t now_usec)
{
    struct model *m = &v->model;
    struct lever_state s = levers_of(m);
    uint64_t balloon;

    if (!v->moving || now_usec < v->look_usec)
        return;
    v->look_usec = now_usec + LOOK_USEC;
    if (v->plugged_kib != m->plugged_kib)
        v->plugged_usec = now_usec;
    v->plugged_kib = m->plugged_kib;
    balloon = lever_refine(&s, v->target_kib * KIB, v->plug_kib * KIB, now_usec - v->plugged_usec >= PATIENCE_USEC) / KIB;
    if (balloon > m->balloon_target_kib + REFINE_KIB || balloon + REFINE_KIB < m->balloon_target_kib)
        model_set_balloon(m, balloon);
    if (now_usec >= v->moving_until_usec ||
        (m->plugged_kib == m->requested_kib && m->actual_kib == m->balloon_target_kib && m->online_kib == m->plugged_kib))
        v->moving = false;
}

static void run_commands(struct hv_sim_vm *v, uint64_t now_usec)
{
    end_calls(v, /* all= */ false, ECANCELED, "replaced by a newer command");
    if (is_mute(v, now_usec)) {
        if (v->call.done && now_usec >= v->deadline_usec)
            end_calls(v, /* all= */ true, ETIMEDOUT, "its monitor did not answer within 2 s");
        return;
    }
    if (v->command_usec && now_usec >= v->command_usec) {
        struct hv_sim_call call = v->call;
        v->command_usec = 0;
        v->call.done = NULL;
        split(v, now_usec);
        if (call.done)
            call.done(call.user, NULL);
    }
    refine(v, now_usec);
}

static void take_statistics(struct hv_sim *s, struct hv_sim_vm *v)
{
    uint64_t now = s->now_usec, second;

    if (now < v->statistics_due_usec)
        return;
    v->statistics_due_usec += SEC;
    if (!model_view(&v->model, &v->statistics))
        return;
    /* last-update has whole seconds */
    second = (now + s->wall_usec) / SEC * SEC;
    second = less(second + SEC / 2, s->wall_usec);
    v->statistics.time_usec = second < now ? second : now;
    if (v->statistics.time_usec == 0)
        v->statistics.time_usec = 1;
}

static void tell_levers(struct hv_sim *s, struct hv_sim_vm *v)
{
    model_levers(&v->model, &v->told);
    v->told_kib = v->model.actual_kib + v->model.online_kib;
    v->answer_usec[ANSWER_LEVERS] = 0;
    s->listener.levers(s->listener.user, &v->vm, &v->told);
}

static void run_agent(struct hv_sim *s, struct hv_sim_vm *v)
{
    uint64_t now = s->now_usec;

    if (!v->model.config.agent)
        return;
    if (v->line_usec && now >= v->line_usec) {
        v->line_usec = 0;
        v->line.heard_usec = now;
        if (s->listening)
            s->listener.view(s->listener.user, &v->vm, &v->line);
    }
    if (sim_agent_speaks(&v->agent, &v->model, now) && model_view(&v->model, &v->line))
        v->line_usec = now + MODEL_STEP_USEC;
}

static void answer(struct hv_sim *s, struct hv_sim_vm *v)
{
    uint64_t now = s->now_usec;
    struct obs_host_view host;

    if (v->answer_usec[ANSWER_LEVERS] && now >= v->answer_usec[ANSWER_LEVERS])
        tell_levers(s, v);
    if (v->answer_usec[ANSWER_HOST] && now >= v->answer_usec[ANSWER_HOST]) {
        v->answer_usec[ANSWER_HOST] = 0;
        model_host_view(&v->model, &host);
        s->listener.host_view(s->listener.user, &v->vm, &host);
    }
    if (v->answer_usec[ANSWER_VIEW] && now >= v->answer_usec[ANSWER_VIEW]) {
        v->answer_usec[ANSWER_VIEW] = 0;
        if (!v->model.config.agent && v->statistics.time_usec) {
            v->statistics.heard_usec = now;
            s->listener.view(s->listener.user, &v->vm, &v->statistics);
        }
    }
    if (v->told_kib && v->told_kib != v->model.actual_kib + v->model.online_kib && now - v->event_usec >= SEC) {
        v->event_usec = now;
        tell_levers(s, v);
    }
}

static void deliver(struct hv_sim *s, struct hv_sim_vm *v)
{
    uint64_t now = s->now_usec;

    if (v->model.gone) {
        v->left = true;
        if (s->listening && v->announced) {
            end_calls(v, /* all= */ true, ECANCELED, "it is gone");
            s->listener.vanished(s->listener.user, &v->vm, "its process ended", now);
        }
        return;
    }
    if (s->listening && !v->announced && !is_mute(v, now)) { /* no greeting, no guest */
        v->announced = true;
        v->resets_told = v->model.resets;
        s->listener.appeared(s->listener.user, &v->vm, now);
    }
    run_commands(v, now);
    if (is_mute(v, now))
        return;
    take_statistics(s, v);
    run_agent(s, v);
    if (!s->listening)
        return;
    if (v->resets_told != v->model.resets) {
        v->resets_told = v->model.resets;
        s->listener.happened(s->listener.user, &v->vm, HV_HAPPENED_RESET, now);
    }
    answer(s, v);
}

void hv_sim_advance(struct hv *hv, uint64_t now_usec)
{
    struct hv_sim *s = sim_of(hv);

    while (s->now_usec < now_usec) {
        uint64_t next = s->now_usec + MODEL_STEP_USEC;
        s->now_usec = next < now_usec ? next : now_usec;
        for (size_t i = 0; i < s->n; i++) {
            struct hv_sim_vm *v = &s->vms[i];
            if (v->left)
                continue;
            model_run(&v->model, s->now_usec);
            deliver(s, v);
        }
    }
}

uint64_t hv_sim_next(const struct hv *hv)
{
    return ((const struct hv_sim *)hv)->now_usec + MODEL_STEP_USEC;
}

size_t hv_sim_count(const struct hv *hv)
{
    return ((const struct hv_sim *)hv)->n;
}

struct hv_sim_vm *hv_sim_at(struct hv *hv, size_t i)
{
    struct hv_sim *s = sim_of(hv);

    return i < s->n ? &s->vms[i] : NULL;
}

void hv_sim_read_host(const struct hv *hv, struct obs_host *ret)
{
    const struct hv_sim *s = (const struct hv_sim *)hv;
    uint64_t used = s->host.other_kib;

    for (size_t i = 0; i < s->n; i++)
        if (!s->vms[i].model.gone)
            used += s->vms[i].model.touched_kib + s->vms[i].model.config.overhead_kib;
    *ret = (struct obs_host){
        .time_usec = s->now_usec,
        .total_bytes = s->host.total_kib * KIB,
        .available_bytes = less(s->host.total_kib, used) * KIB,
        .psi_some_usec = OBS_UNSET,
    };
}

struct hv_sim_host *hv_sim_host_of(struct hv *hv)
{
    return &sim_of(hv)->host;
}
