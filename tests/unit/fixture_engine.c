/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture_engine.h"

#include "testing.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine.h"
#include "judge.h"

char journal[16384];

void note(const char *format, ...)
{
    size_t used = strlen(journal);
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(journal + used, sizeof(journal) - used, format, ap);
    va_end(ap);
}

/* ---- core without policy ---- */

struct order_plan plan[PLANS_MAX];
struct hv_vm *vms[PLANS_MAX];

static const char *core_name(const struct guest *g)
{
    for (size_t i = 0; i < PLANS_MAX; i++)
        if (vms[i] && vms[i]->user && &((const struct engine_guest *)vms[i]->user)->core == g)
            return vms[i]->name;
    return "?";
}

void host_init(struct host *h, const struct host_config *config)
{
    *h = (struct host){.config = *config};
}

size_t decide(struct host *h, struct guest *const *guests, size_t n, enum decide_why why, uint64_t now_usec,
              const struct decide_scratch *scratch)
{
    size_t orders = 0;

    (void)now_usec;
    assert_non_null(scratch->order);
    h->decisions++;
    note("%s", why == DECIDE_TICK ? "tick" : "event");
    for (size_t i = 0; i < n; i++)
        note(" %s", core_name(guests[i]));
    note(";");
    for (size_t i = 0; i < n; i++) {
        guests[i]->verdict.order = GUEST_ORDER_NONE;
        for (size_t j = 0; j < PLANS_MAX && plan[j].vm; j++) {
            if (plan[j].vm->user && &((struct engine_guest *)plan[j].vm->user)->core == guests[i]) {
                guests[i]->verdict.order = plan[j].order;
                guests[i]->verdict.order_kib = plan[j].kib;
                orders++;
            }
        }
    }
    return orders;
}

void guest_init(struct guest *g, const struct guest_config *config, uint64_t now_usec)
{
    *g = (struct guest){.config = *config, .appeared_usec = now_usec};
}

void learned_restore(struct guest *g, const struct learned *l, uint64_t now_usec)
{
    (void)now_usec;
    g->rise = l->rise;
}

void guest_configure(struct guest *g, const struct guest_config *config, uint64_t now_usec)
{
    (void)now_usec;
    g->config = *config;
    note("configure %s %u;", core_name(g), config->priority);
}

void guest_see_levers(struct guest *g, const struct obs_levers *seen, uint64_t now_usec)
{
    g->levers = *seen;
    g->levers.time_usec = now_usec;
    if (g->motion.active && g->motion.target_kib == guest_assigned_kib(g))
        g->motion.active = false;
}

void guest_see_host(struct guest *g, const struct obs_host_view *seen, uint64_t now_usec)
{
    (void)now_usec;
    g->host = *seen;
}

void guest_see_view(struct guest *g, const struct obs_guest_view *seen, uint64_t now_usec)
{
    (void)now_usec;
    g->view = *seen;
}

void guest_see_reset(struct guest *g, uint64_t now_usec)
{
    g->reset_usec = now_usec;
    note("reset %s;", core_name(g));
}

bool judge_is_managed(const struct guest *g)
{
    return g->config.mode == GUEST_MODE_AUTO;
}

uint64_t guest_boot_kib(const struct guest *g)
{
    return g->levers.boot_bytes / 1024;
}

void guest_set_hold(struct guest *g, enum guest_hold hold)
{
    g->hold = hold;
}

void guest_see_paused(struct guest *g, bool paused, uint64_t now_usec)
{
    (void)now_usec;
    g->paused = paused;
}

void guest_see_foreign_hand(struct guest *g, uint64_t now_usec)
{
    (void)now_usec;
    note("foreign %s;", core_name(g));
}

void guest_ordered(struct guest *g, uint64_t target_kib, uint64_t now_usec)
{
    (void)now_usec;
    g->motion.active = true;
    g->motion.target_kib = target_kib;
    note("ordered %s;", core_name(g));
}

void guest_order_done(struct guest *g)
{
    (void)g;
}

void guest_order_failed(struct guest *g, uint64_t now_usec)
{
    (void)now_usec;
    g->motion.active = false;
    note("failed %s;", core_name(g));
}

uint64_t guest_assigned_kib(const struct guest *g)
{
    return g->levers.balloon_actual_bytes / 1024;
}

uint64_t guest_maximum_kib(const struct guest *g)
{
    return g->config.maximum_kib;
}

const char *guest_reason_text(enum guest_reason reason)
{
    (void)reason;
    return "";
}

bool guest_in_flight(const struct guest *g)
{
    return g->motion.active;
}

uint64_t demand_stall_line_kib(uint64_t assigned_kib)
{
    return assigned_kib / 50 > 16 * MIB ? assigned_kib / 50 : 16 * MIB;
}

/* ---- a driver that answers only what the test says ---- */

struct fake_call last_call;
int refuse;
void (*during_set)(void);

static int fake_sample(struct hv *hv, struct hv_vm *vm, uint32_t what, struct err *e)
{
    (void)hv;
    (void)e;
    note("ask %s %s%s%s;", vm->name, what & HV_SAMPLE_LEVERS ? "L" : "", what & HV_SAMPLE_VIEW ? "V" : "",
         what & HV_SAMPLE_HOST ? "H" : "");
    return 0;
}

static int fake_set_target(struct hv *hv, struct hv_vm *vm, uint64_t target_bytes, hv_done_fn *done, void *user,
                           struct err *e)
{
    (void)hv;
    note("set %s %llu;", vm->name, (unsigned long long)(target_bytes >> 20));
    if (during_set) {
        void (*run)(void) = during_set;
        during_set = NULL;
        run();
    }
    if (refuse) {
        int code = refuse;
        refuse = 0;
        return err_set(e, code, "guest '%s' refuses", vm->name);
    }
    last_call = (struct fake_call){done, user};
    return 0;
}

static const struct hv_ops fake_ops = {.name = "fake", .sample = fake_sample, .set_target = fake_set_target};
static struct hv fake = {.ops = &fake_ops};

struct hv_vm vm_a = {.hv = &fake, .name = "a"}, vm_b = {.hv = &fake, .name = "b"}, vm_c = {.hv = &fake, .name = "c"};

int hv_sample(struct hv_vm *vm, uint32_t what, struct err *e)
{
    return vm->hv->ops->sample(vm->hv, vm, what, e);
}

void hv_tell(struct hv_vm *vm, const struct hv_tell *tell)
{
    note("agent %s %llu;", vm->name, (unsigned long long)tell->heartbeat_usec);
}

int hv_set_target(struct hv_vm *vm, uint64_t target_bytes, hv_done_fn *done, void *user, struct err *e)
{
    return vm->hv->ops->set_target(vm->hv, vm, target_bytes, done, user, e);
}
