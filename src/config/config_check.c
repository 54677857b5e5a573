/* SPDX-License-Identifier: Apache-2.0 */
#include "config_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_list.h"
#include "policy_defaults.h"
#include "text.h"
#include "units.h"

struct check {
    struct config_store *s;
    struct config_list *problems, *warnings;
};

static bool has(const struct config_values *v, enum config_guest_key key)
{
    return (v->set & (1U << key)) != 0;
}

/* Where a value of an entry comes from: its own key, the key in `defaults`, or the entry where neither has it. */
static struct config_place origin(const struct check *c, const struct config_entry *entry, enum config_guest_key key)
{
    if (entry && has(&entry->values, key))
        return entry->values.place[key];
    return !entry ? c->s->defaults.place[key] : entry->place;
}

static const char *from_defaults(const struct config_entry *entry, enum config_guest_key key)
{
    return entry && !has(&entry->values, key) ? " of 'defaults'" : "";
}

#define problem(c, place, ...) config_list_add((c)->problems, (c)->s, place, EINVAL, __VA_ARGS__)

/* Two sizes that must not be the wrong way round: says so where the smaller one stands. */
static void check_order(const struct check *c, const struct config_entry *entry, const char *name, uint64_t small_kib,
                        enum config_guest_key small, uint64_t large_kib, enum config_guest_key large)
{
    enum config_guest_key here = entry && !has(&entry->values, small) && has(&entry->values, large) ? large : small;

    if (!small_kib || !large_kib || small_kib <= large_kib)
        return;
    if (entry && !has(&entry->values, small) && !has(&entry->values, large))
        return; /* `defaults` was blamed for it already */
    problem(c, origin(c, entry, here), "%s: %s %s%s is larger than %s %s%s: raise the one or lower the other", name,
            config_key_get(CONFIG_SECTION_GUEST, small)->name, units_show_size_exact(small_kib << 10).s,
            from_defaults(entry, small), config_key_get(CONFIG_SECTION_GUEST, large)->name,
            units_show_size_exact(large_kib << 10).s, from_defaults(entry, large));
}

/* entry NULL: `defaults` by itself. */
static void check_values(const struct check *c, const struct config_entry *entry)
{
    struct text_shown shown = entry ? text_show(entry->name, strlen(entry->name)) : text_show("", 0);
    struct guest_config g;
    char name[96];

    (void)snprintf(name, sizeof(name), entry ? "guest '%s'" : "'defaults'%s", shown.s);
    config_store_merge(c->s, entry, &g);
    check_order(c, entry, name, g.minimum_kib, CONFIG_GUEST_MINIMUM, g.maximum_kib, CONFIG_GUEST_MAXIMUM);
    check_order(c, entry, name, g.minimum_kib, CONFIG_GUEST_MINIMUM, g.startup_kib, CONFIG_GUEST_STARTUP);
    check_order(c, entry, name, g.startup_kib, CONFIG_GUEST_STARTUP, g.maximum_kib, CONFIG_GUEST_MAXIMUM);
    if (g.buffer_of == BUFFER_OF_TOTAL && g.buffer > DEMAND_BUFFER_MAX_TOTAL &&
        (!entry || has(&entry->values, CONFIG_GUEST_BUFFER) || has(&entry->values, CONFIG_GUEST_BUFFER_OF)))
        problem(c, origin(c, entry, CONFIG_GUEST_BUFFER),
                "%s: buffer %s%s is too large where buffer-of is total: allowed is 0 %% to %s", name,
                units_show_share(g.buffer).s, from_defaults(entry, CONFIG_GUEST_BUFFER),
                units_show_share(DEMAND_BUFFER_MAX_TOTAL).s);
}

static int compare_texts(const void *pa, const void *pb)
{
    const struct config_entry *const *a = pa, *const *b = pb;
    int r = strcmp((*a)->name, (*b)->name);

    return r != 0 ? r : (*a)->order < (*b)->order ? -1 : (*a)->order > (*b)->order;
}

static int compare_sockets(const void *pa, const void *pb)
{
    const struct config_entry *const *a = pa, *const *b = pb;
    int r = strcmp((*a)->values.qmp, (*b)->values.qmp);

    return r != 0 ? r : (*a)->order < (*b)->order ? -1 : (*a)->order > (*b)->order;
}

/* The same name in one or two files, the same socket for two guests. */
static void check_twice(const struct check *c)
{
    const struct config_entry **list = calloc(c->s->entry_count + 1, sizeof(struct config_entry *));
    size_t count = 0;

    if (!list) {
        problem(c, (struct config_place){0}, "no memory to look for entries that are written twice");
        return;
    }
    for (size_t i = 0; i < c->s->entry_count; i++)
        list[count++] = &c->s->entries[i];
    qsort(list, count, sizeof(struct config_entry *), compare_texts);
    for (size_t i = 1; i < count; i++) {
        struct config_place first = list[i - 1]->place;

        if (strcmp(list[i]->name, list[i - 1]->name) == 0)
            problem(c, list[i]->place, "guest '%s' is written twice, first in %s:%u: keep one",
                    text_show(list[i]->name, strlen(list[i]->name)).s, c->s->files[first.file], first.line);
    }
    count = 0;
    for (size_t i = 0; i < c->s->entry_count; i++) {
        if (c->s->entries[i].values.qmp)
            list[count++] = &c->s->entries[i];
    }
    qsort(list, count, sizeof(struct config_entry *), compare_sockets);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(list[i]->values.qmp, list[i - 1]->values.qmp) == 0)
            problem(c, list[i]->values.place[CONFIG_GUEST_QMP],
                    "guests '%s' and '%s' have the same monitor socket: each needs its own",
                    text_show(list[i - 1]->name, strlen(list[i - 1]->name)).s,
                    text_show(list[i]->name, strlen(list[i]->name)).s);
    }
    free(list);
}

/* kib x share / whole, rounded down. */
static uint64_t part(uint64_t kib, uint64_t share, uint64_t whole)
{
    return (uint64_t)((unsigned __int128)kib * share / whole);
}

/* 5 % and at least 1 GiB of a real host, 5 % of a pretended one; never more than half: a small host must keep something
 * to give. */
static uint64_t default_reserve_kib(uint64_t managed_kib, bool is_pretended)
{
    uint64_t reserve = part(managed_kib, POLICY_RESERVE_PERCENT, 100);

    if (!is_pretended && reserve < POLICY_RESERVE_MIN_KIB)
        reserve = POLICY_RESERVE_MIN_KIB;
    return reserve < managed_kib / 2 ? reserve : managed_kib / 2;
}

static void resolve_host(const struct check *c, uint64_t real_kib, struct host_config *ret)
{
    const struct config_host_values *v = &c->s->host;
    uint64_t memory_kib = v->set & (1U << CONFIG_HOST_MEMORY) ? v->number[CONFIG_HOST_MEMORY] : 0;

    if (real_kib && memory_kib > real_kib) {
        config_list_add(c->warnings, c->s, v->place[CONFIG_HOST_MEMORY], ERANGE,
                        "key 'host.memory': %s is more than this host has (%s): that is managed instead",
                        units_show_size_exact(memory_kib << 10).s, units_show_kib(real_kib).s);
        memory_kib = 0;
    }
    uint64_t managed_kib = memory_kib ? memory_kib : real_kib;
    uint64_t reserve_kib = default_reserve_kib(managed_kib, memory_kib && memory_kib < real_kib);
    if (v->set & (1U << CONFIG_HOST_RESERVE)) {
        reserve_kib = v->number[CONFIG_HOST_RESERVE];
        if (v->reserve_is_share)
            reserve_kib = part(managed_kib, reserve_kib, 10000);
        if (managed_kib && reserve_kib >= managed_kib)
            problem(c, v->place[CONFIG_HOST_RESERVE],
                    "key 'host.reserve': %s leaves nothing for guests: less than the managed memory (%s) is allowed",
                    units_show_size_exact(reserve_kib << 10).s, units_show_kib(managed_kib).s);
    }
    if ((v->set & (1U << CONFIG_HOST_SPREAD)) && v->number[CONFIG_HOST_SPREAD])
        config_list_add(c->warnings, c->s, v->place[CONFIG_HOST_SPREAD], ENOTSUP,
                        "key 'host.spread' is not active in this version: memory that nobody asks for stays free");
    *ret = (struct host_config){
        .memory_kib = memory_kib,
        .reserve_kib = reserve_kib,
        .overcommit_permille = v->set & (1U << CONFIG_HOST_OVERCOMMIT)
                                   ? (uint32_t)v->number[CONFIG_HOST_OVERCOMMIT]
                                   : (uint32_t)config_key_get(CONFIG_SECTION_HOST, CONFIG_HOST_OVERCOMMIT)->fallback,
        .spread = (v->set & (1U << CONFIG_HOST_SPREAD)) && v->number[CONFIG_HOST_SPREAD],
    };
}

/* What there is for guests, and what the minimums of those named one by one come to: they are meant to run together.
 * Patterns may fit any number of guests. `name`, where not NULL, has `g` instead of what is written. */
static uint64_t sum_minimums(const struct config_store *s, const struct host_config *host, const char *name,
                             const struct guest_config *g, uint64_t *ret_room_kib, const struct config_entry **ret_largest)
{
    uint64_t managed_kib = host->memory_kib ? host->memory_kib : s->host_memory_kib;
    uint64_t sum_kib = 0, largest_kib = 0;

    *ret_largest = NULL;
    *ret_room_kib = UINT64_MAX;
    if (!managed_kib || host->reserve_kib >= managed_kib)
        return 0;
    *ret_room_kib = part(managed_kib - host->reserve_kib, host->overcommit_permille, 1000);
    for (size_t i = 0; i < s->name_count; i++) {
        const struct config_entry *saved = config_store_find_saved(s, s->entries[i].name);
        struct guest_config own;

        config_store_merge(s, &s->entries[i], &own);
        if (saved)
            config_store_apply(saved->values.set, saved->values.number, &own);
        if (name && strcmp(name, s->entries[i].name) == 0)
            own.minimum_kib = g->minimum_kib;
        sum_kib += own.minimum_kib; /* at most 2^14 entries of at most 2^36 KiB */
        if (own.minimum_kib > largest_kib) {
            largest_kib = own.minimum_kib;
            *ret_largest = &s->entries[i];
        }
    }
    return sum_kib;
}

static void check_minimums(const struct check *c, const struct host_config *host)
{
    uint64_t managed_kib = host->memory_kib ? host->memory_kib : c->s->host_memory_kib, room_kib;
    const struct config_entry *largest;
    uint64_t sum_kib = sum_minimums(c->s, host, NULL, NULL, &room_kib, &largest);

    if (largest && sum_kib > room_kib)
        problem(c, origin(c, largest, CONFIG_GUEST_MINIMUM),
                "the host is smaller than the minimums: %zu named guests need %s together, but only %s is there for guests "
                "(%s managed, %s reserve): lower some, beginning with '%s' here",
                c->s->name_count, units_show_kib(sum_kib).s, units_show_kib(room_kib).s, units_show_kib(managed_kib).s,
                units_show_kib(host->reserve_kib).s, text_show(largest->name, strlen(largest->name)).s);
}

int config_check_guest(const struct config_store *s, const struct host_config *host, const char *name,
                       const struct guest_config *g, struct err *e)
{
    const struct {
        uint64_t small_kib, large_kib;
        const char *small, *large;
    } order[] = {{g->minimum_kib, g->maximum_kib, "minimum", "maximum"},
                 {g->minimum_kib, g->startup_kib, "minimum", "startup"},
                 {g->startup_kib, g->maximum_kib, "startup", "maximum"}};
    const struct config_entry *largest;
    uint64_t room_kib, sum_kib = sum_minimums(s, host, name, g, &room_kib, &largest);

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        if (order[i].small_kib && order[i].large_kib && order[i].small_kib > order[i].large_kib)
            return err_set(e, EINVAL, "guest '%s': %s %s would be larger than %s %s: set both, or raise the one or lower "
                           "the other", name, order[i].small, units_show_size_exact(order[i].small_kib << 10).s,
                           order[i].large, units_show_size_exact(order[i].large_kib << 10).s);
    if (g->buffer_of == BUFFER_OF_TOTAL && g->buffer > DEMAND_BUFFER_MAX_TOTAL)
        return err_set(e, EINVAL, "guest '%s': buffer %s is too large where buffer-of is total: allowed is 0 %% to %s", name,
                       units_show_share(g->buffer).s, units_show_share(DEMAND_BUFFER_MAX_TOTAL).s);
    if (g->minimum_kib > room_kib || sum_kib > room_kib)
        return err_set(e, EINVAL, "guest '%s': the minimums of the named guests would need %s together, but only %s is there "
                       "for guests", name, units_show_kib(sum_kib > g->minimum_kib ? sum_kib : g->minimum_kib).s,
                       units_show_kib(room_kib).s);
    return 0;
}

/* The administrator's own entry says something else than what was saved above it: both can be meant, so it is said. */
static void warn_contradictions(const struct check *c, const struct config_entry *saved)
{
    const struct config_entry *own = config_store_match(c->s, saved->name);

    if (!own || own->is_pattern)
        return;
    for (unsigned id = 0; id < CONFIG_GUEST_KEYS; id++)
        if ((own->values.set & saved->values.set & (1U << id)) && own->values.number[id] != saved->values.number[id])
            config_list_add(c->warnings, c->s, own->values.place[id], EEXIST, "key '%s' of guest '%s' does not hold: "
                            "'ballast set --save' wrote another value, in %s:%u",
                            config_key_get(CONFIG_SECTION_GUEST, id)->name, own->name,
                            c->s->files[saved->place.file], saved->values.place[id].line);
}

/* What an operator saved: of one guest each, and no nonsense together with what is written since. */
static void check_saved(const struct check *c, const struct host_config *host)
{
    for (size_t i = 0; i < c->s->saved_count; i++) {
        const struct config_entry *saved = &c->s->saved[i];
        struct guest_config g;
        struct err e = {0};

        if (saved->is_pattern) {
            problem(c, saved->place, "'%s' is a pattern: this file is written by 'ballast set --save' and holds guests by "
                    "their full names; move it to a file of your own", text_show(saved->name, strlen(saved->name)).s);
            continue;
        }
        config_store_merge(c->s, config_store_match(c->s, saved->name), &g);
        config_store_apply(saved->values.set, saved->values.number, &g);
        if (config_check_guest(c->s, host, saved->name, &g, &e) < 0)
            problem(c, saved->place, "%s", e.text);
        warn_contradictions(c, saved);
    }
}

void config_check(struct config_store *s, uint64_t host_memory_bytes, struct config_list *problems,
                  struct config_list *warnings, struct host_config *ret_host)
{
    struct check c = {s, problems, warnings};

    s->host_memory_kib = host_memory_bytes >> 10;
    config_store_sort(s);
    check_twice(&c);
    check_values(&c, NULL);
    for (size_t i = 0; i < s->entry_count; i++)
        check_values(&c, &s->entries[i]);
    if (s->entry_count - s->name_count > CONFIG_PATTERNS_MAX)
        problem(&c, s->entries[s->name_count].place, "%zu patterns in 'guests', more than the %d there may be: name guests "
                "one by one, or use wider patterns", s->entry_count - s->name_count, CONFIG_PATTERNS_MAX);
    resolve_host(&c, host_memory_bytes >> 10, ret_host);
    check_minimums(&c, ret_host);
    check_saved(&c, ret_host);
}

/* A program that can't be run now may be installed later; one that anyone may write runs as we do. */
static void check_command(const struct config_store *s, struct config_list *warnings)
{
    struct config_place place = s->notify.place[CONFIG_NOTIFY_COMMAND];
    const char *path = s->notify.command;
    struct stat st;

    if (stat(path, &st) < 0 || access(path, X_OK) < 0)
        config_list_add(warnings, s, place, errno, "key 'notify.command': '%s' can't be run now: %s",
                        text_show(path, strlen(path)).s, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        config_list_add(warnings, s, place, EINVAL, "key 'notify.command': '%s' is not a program",
                        text_show(path, strlen(path)).s);
    else if (st.st_mode & S_IWOTH)
        config_list_add(warnings, s, place, EPERM,
                        "key 'notify.command': anyone may write '%s', and so have ballastd run what he likes: chmod o-w it",
                        text_show(path, strlen(path)).s);
}

void config_check_notify(const struct config_store *s, struct config_list *warnings, struct config_notify *ret)
{
    uint64_t usec[CONFIG_NOTIFY_KEYS];

    for (unsigned i = 0; i < CONFIG_NOTIFY_KEYS; i++)
        usec[i] = s->notify.set & (1U << i) ? s->notify.number[i] : config_key_get(CONFIG_SECTION_NOTIFY, i)->fallback;
    if (s->notify.command)
        check_command(s, warnings);
    else if (s->notify.set)
        config_list_add(warnings, s, s->notify.place[__builtin_ctz(s->notify.set)], EINVAL,
                        "'notify' has no key 'command': nobody is told anything");
    *ret = (struct config_notify){
        .command = s->notify.command,
        .timeout_usec = usec[CONFIG_NOTIFY_TIMEOUT],
        .interval_usec = usec[CONFIG_NOTIFY_INTERVAL],
        .stuck_after_usec = usec[CONFIG_NOTIFY_STUCK_AFTER],
    };
}
