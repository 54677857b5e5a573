/* SPDX-License-Identifier: Apache-2.0 */
#include "tell.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "log.h"

#define TELL_NOBODY "" /* the name for lines about no guest */

static uint64_t tell_now_usec(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static size_t tell_hash(const char *name)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h % TELL_BUCKETS;
}

bool tell_may(struct tell *t, const char *name, uint64_t now_usec, uint32_t *ret_held_back)
{
    struct tell_bucket *b = &t->buckets[tell_hash(name)];
    uint64_t refills = (now_usec - b->refilled_usec) / TELL_REFILL_USEC;

    if (refills >= b->spent) {
        b->spent = 0;
        b->refilled_usec = now_usec;
    } else {
        b->spent -= (uint32_t)refills;
        b->refilled_usec += refills * TELL_REFILL_USEC;
    }
    if (b->spent >= TELL_BURST) {
        b->held_back++;
        return false;
    }
    b->spent++;
    *ret_held_back = b->held_back;
    b->held_back = 0;
    return true;
}

static __attribute__((format(printf, 4, 5))) void tell_line(struct tell *t, const char *name, enum log_level level,
                                                            const char *format, ...)
{
    char text[ERR_TEXT_SIZE];
    uint32_t held_back = 0;
    va_list ap;

    if (!tell_may(t, name, tell_now_usec(), &held_back))
        return;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (held_back)
        log_line(level, "%s (and %u more lines like this were held back)", text, held_back);
    else
        log_line(level, "%s", text);
}

static const char *tell_mode(const struct guest_config *c)
{
    static const char *const texts[GUEST_MODE_COUNT] = {
        [GUEST_MODE_AUTO] = "is balanced",
        [GUEST_MODE_WATCH] = "is only watched",
        [GUEST_MODE_FIXED] = "keeps its size",
        [GUEST_MODE_OFF] = "is only counted",
    };

    return texts[c->mode];
}

static const char *tell_levers(const struct hv_vm *vm)
{
    bool balloon = vm->caps & HV_CAP_BALLOON, plug = vm->caps & HV_CAP_PLUG;

    if (balloon && plug)
        return "balloon and virtio-mem";
    if (balloon)
        return "balloon";
    return plug ? "virtio-mem" : "no lever";
}

void tell_appeared(struct tell *t, const struct engine_guest *g)
{
    tell_line(t, g->vm->name, LOG_LEVEL_INFO, "guest '%s' found (%s%s%s, process %ld, %s): %s%s", g->vm->name,
              g->vm->hv->ops->name, g->vm->uuid[0] ? ", " : "", g->vm->uuid, (long)g->vm->pid, tell_levers(g->vm),
              tell_mode(&g->core.config), t->dry_run ? "; dry run: nothing will be moved" : "");
}

void tell_vanished(struct tell *t, const struct engine_guest *g, const char *reason)
{
    tell_line(t, g->vm->name, LOG_LEVEL_INFO, "guest '%s' is gone: %s", g->vm->name,
              reason && reason[0] ? reason : "its process ended");
}

void tell_happened(struct tell *t, const struct engine_guest *g, enum hv_happening what)
{
    static const struct {
        enum log_level level;
        const char *text;
    } lines[HV_HAPPENED_COUNT] = {
        [HV_HAPPENED_RESET] = {LOG_LEVEL_INFO, "was reset; it counts with all its boot memory until its driver reports"},
        [HV_HAPPENED_PANIC] = {LOG_LEVEL_WARNING, "panicked; it counts with all its memory until it reports again"},
        [HV_HAPPENED_DRIVER_LOST] = {LOG_LEVEL_WARNING, "took back all its balloon at once; it counts with all its "
                                                        "memory until its balloon driver reports again"},
        [HV_HAPPENED_SHUTDOWN] = {LOG_LEVEL_INFO, "shut down; its process still holds its memory"},
        [HV_HAPPENED_PAUSED] = {LOG_LEVEL_INFO, "is paused; it keeps its size until it runs again"},
        [HV_HAPPENED_RESUMED] = {LOG_LEVEL_INFO, "runs again"},
        [HV_HAPPENED_FOREIGN_HAND] =
            {LOG_LEVEL_WARNING, "had its memory set by another program; it is only watched from now on. Stop that "
                                "program, or set its mode to watch or off"},
    };

    if (what < HV_HAPPENED_COUNT && lines[what].text) /* of a freeze the backup tells */
        tell_line(t, g->vm->name, lines[what].level, "guest '%s' %s", g->vm->name, lines[what].text);
}

static unsigned long long tell_mib(uint64_t kib)
{
    return (unsigned long long)(kib / 1024);
}

void tell_flags(struct tell *t, const struct engine_guest *g, uint32_t before)
{
    static const struct {
        uint32_t flag;
        const char *begins, *ends;
    } lines[] = {
        {GUEST_FLAG_STUCK, "does not move to the size it was told; working around it, it is tried again later",
         "moves again"},
        {GUEST_FLAG_BREACH, "holds more memory than it says; what it holds is counted", "holds what it says again"},
        {GUEST_FLAG_SILENT, "sends no numbers; nothing is taken from it by old ones", "sends numbers again"},
        {GUEST_FLAG_SELF_MANAGING, "takes whatever memory is there; it gets no more until it shows a need",
         "is no longer held for taking whatever is there"},
        {GUEST_FLAG_FOREIGN_HAND, "is moved by another program, so it is only watched: stop that program, then ballast set "
                                  "GUEST mode=auto", "is balanced again"},
    }; /* no lever, and plugged memory left offline: their driver says so, with the remedy */
    uint32_t now = g->core.verdict.flags;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        uint32_t flag = lines[i].flag;
        if ((before & flag) == (now & flag))
            continue;
        if (now & flag)
            tell_line(t, g->vm->name, LOG_LEVEL_WARNING, "guest '%s' %s (assigned %llu MiB, held %llu MiB)",
                      g->vm->name, lines[i].begins, tell_mib(guest_assigned_kib(&g->core)),
                      tell_mib(g->core.verdict.held_kib));
        else
            tell_line(t, g->vm->name, LOG_LEVEL_INFO, "guest '%s' %s", g->vm->name, lines[i].ends);
    }
}

void tell_trouble(struct tell *t, const struct engine_guest *g, const struct err *e)
{
    tell_line(t, g ? g->vm->name : TELL_NOBODY, LOG_LEVEL_WARNING, "%s", e->text);
}

void tell_host_state(struct tell *t, enum host_state before, const struct host *host)
{
    static const char *const names[HOST_STATE_COUNT] = {"high", "soft", "hard", "low"};
    long long free_mib = (long long)(host->free_kib / 1024);

    tell_line(t, TELL_NOBODY, host->state > before ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
              "host memory is %s now (was %s): %lld MiB of the reserve of %llu MiB are free%s", names[host->state],
              names[before], free_mib, tell_mib(host->config.reserve_kib),
              host->state == HOST_LOW ? "; guests get nothing more until others gave" : "");
}

void tell_order(struct tell *t, const struct engine_guest *g, const struct host *host)
{
    static const char *const orders[GUEST_ORDER_COUNT] = {"none", "grow", "shrink", "withdraw"};
    const struct guest_verdict *v = &g->core.verdict;

    log_line(t->dry_run ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG,
             "%s guest='%s' order=%s from_kib=%llu to_kib=%llu demand_kib=%llu target_kib=%llu given_kib=%llu "
             "held_kib=%llu lower_kib=%llu head_kib=%llu sample_age_ms=%lld step=%d grantable_kib=%lld decision=%llu "
             "reason='%s'",
             t->dry_run ? "would" : "order", g->vm->name, orders[v->order],
             (unsigned long long)guest_assigned_kib(&g->core), (unsigned long long)v->order_kib,
             (unsigned long long)v->demand_kib, (unsigned long long)v->target_kib, (unsigned long long)v->given_kib,
             (unsigned long long)v->held_kib, (unsigned long long)v->levels.lower_kib,
             (unsigned long long)v->levels.head_kib,
             v->sample_age_usec == OBS_UNSET ? -1LL : (long long)(v->sample_age_usec / 1000), (int)host->share.step,
             (long long)host->grantable_kib, (unsigned long long)host->decisions, guest_reason_text(v->reason));
}
