/* SPDX-License-Identifier: Apache-2.0 */
#include "config_store.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "policy_defaults.h"

#define FNV_OFFSET 14695981039346656037ULL
#define FNV_PRIME 1099511628211ULL

struct config_store *config_store_new(void)
{
    struct config_store *s = calloc(1, sizeof(*s));

    if (s)
        s->mode_fallback = GUEST_MODE_AUTO;
    return s;
}

static void entries_done(struct config_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(entries[i].name);
        free(entries[i].values.owner);
        free(entries[i].values.qmp);
        free(entries[i].values.agent);
    }
    free(entries);
}

struct config_store *config_store_free(struct config_store *s)
{
    if (!s)
        return NULL;
    for (size_t i = 0; i < s->file_count; i++)
        free(s->files[i]);
    for (size_t i = 0; i < s->directory_count; i++)
        free(s->directories[i]);
    entries_done(s->entries, s->entry_count);
    entries_done(s->saved, s->saved_count);
    for (size_t i = 0; i < s->schedule_count; i++) {
        free(s->schedules[i].guests);
        free(s->schedules[i].at_text);
    }
    free(s->schedules);
    free(s->notify.command);
    for (size_t i = 0; i < CONFIG_API_KEYS; i++)
        free(s->api_groups[i]);
    free(s->defaults.owner);
    free(s->defaults.qmp);
    free(s->defaults.agent);
    free(s->repository);
    free(s->before_freeze);
    free(s->after_thaw);
    free(s->files);
    free(s->directories);
    free(s->sockets);
    free(s);
    return NULL;
}

static int no_memory(struct err *e)
{
    return err_set(e, ENOMEM, "no memory for the configuration");
}

/* Appends a copy of text[0..len) to a list of strings that grows one by one: lists here are short. */
static int append_text(char ***list, size_t *count, const char *text, size_t len, struct err *e)
{
    char **larger = realloc(*list, (*count + 1) * sizeof(**list));
    char *copy;

    if (!larger)
        return no_memory(e);
    *list = larger;
    copy = strndup(text, len);
    if (!copy)
        return no_memory(e);
    (*list)[(*count)++] = copy;
    return 0;
}

int config_store_add_file(struct config_store *s, const char *name, struct err *e)
{
    return append_text(&s->files, &s->file_count, name, strlen(name), e);
}

int config_store_add_directory(struct config_store *s, const char *path, size_t len, struct err *e)
{
    if (s->directory_count == CONFIG_DIRECTORIES_MAX)
        return err_set(e, E2BIG, "more than %d monitor directories", CONFIG_DIRECTORIES_MAX);
    return append_text(&s->directories, &s->directory_count, path, len, e);
}

/* How specific a pattern is. A backslash makes the next character literal; '?' and a bracket stand for one character, but
 * for no particular one. */
static void measure_pattern(struct config_entry *entry)
{
    for (const char *c = entry->name; *c; c++) {
        if (*c == '*') {
            entry->stars++;
            entry->is_pattern = true;
        } else if (*c == '?') {
            entry->is_pattern = true;
        } else if (*c == '[') {
            const char *end = c + 1 + (c[1] == '!' || c[1] == '^');

            end = strchr(*end ? end + 1 : end, ']'); /* a ']' right after the opening is a member */
            entry->is_pattern = true;
            if (!end)
                entry->literals++; /* no end: fnmatch takes the bracket literally */
            else
                c = end;
        } else {
            if (*c == '\\' && c[1]) {
                entry->is_pattern = true;
                c++;
            }
            entry->literals++;
        }
    }
}

int config_store_add_entry(struct config_store *s, const char *name, size_t len, struct config_place place,
                           struct config_entry **ret, struct err *e)
{
    if (s->entry_count == CONFIG_GUESTS_MAX)
        return err_set(e, E2BIG, "more than %d entries of guests", CONFIG_GUESTS_MAX);
    if (s->entry_count == s->entry_room) {
        size_t room = s->entry_room ? 2 * s->entry_room : 16;
        struct config_entry *larger = realloc(s->entries, room * sizeof(*larger));

        if (!larger)
            return no_memory(e);
        s->entries = larger;
        s->entry_room = room;
    }
    struct config_entry *entry = &s->entries[s->entry_count];
    *entry = (struct config_entry){.name = strndup(name, len), .place = place, .order = s->entry_count};
    if (!entry->name)
        return no_memory(e);
    measure_pattern(entry);
    s->entry_count++;
    *ret = entry;
    return 0;
}

int config_store_add_schedule(struct config_store *s, struct config_schedule **ret, struct err *e)
{
    struct config_schedule *larger;

    if (s->schedule_count == CONFIG_SCHEDULES_MAX)
        return err_set(e, E2BIG, "more than %d entries of backup.schedules", CONFIG_SCHEDULES_MAX);
    larger = realloc(s->schedules, (s->schedule_count + 1) * sizeof(*larger));
    if (!larger)
        return no_memory(e);
    s->schedules = larger;
    *ret = &s->schedules[s->schedule_count++];
    **ret = (struct config_schedule){0};
    return 0;
}

static int compare_size(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int compare_entries(const void *pa, const void *pb)
{
    const struct config_entry *a = pa, *b = pb;
    int by_name = strcmp(a->name, b->name);

    if (a->is_pattern != b->is_pattern)
        return a->is_pattern ? 1 : -1;
    if (!a->is_pattern && by_name != 0)
        return by_name;
    if (a->literals != b->literals)
        return compare_size(b->literals, a->literals);
    if (a->stars != b->stars)
        return compare_size(a->stars, b->stars);
    return compare_size(a->order, b->order);
}

void config_store_sort(struct config_store *s)
{
    if (s->entry_count > 0)
        qsort(s->entries, s->entry_count, sizeof(*s->entries), compare_entries);
    if (s->saved_count > 0)
        qsort(s->saved, s->saved_count, sizeof(*s->saved), compare_entries);
    for (s->name_count = 0; s->name_count < s->entry_count && !s->entries[s->name_count].is_pattern;)
        s->name_count++;
}

int config_store_take_saved(struct config_store *s, size_t first, struct err *e)
{
    size_t n = s->entry_count - first;
    struct config_entry *larger = realloc(s->saved, (s->saved_count + n + 1) * sizeof(*larger));

    if (!larger)
        return no_memory(e);
    s->saved = larger;
    if (n > 0)
        memcpy(&larger[s->saved_count], &s->entries[first], n * sizeof(*larger));
    s->saved_count += n;
    s->entry_count = first;
    return 0;
}

static int compare_name(const void *key, const void *entry)
{
    return strcmp(key, ((const struct config_entry *)entry)->name);
}

const struct config_entry *config_store_find_saved(const struct config_store *s, const char *name)
{
    return s->saved_count ? bsearch(name, s->saved, s->saved_count, sizeof(*s->saved), compare_name) : NULL;
}

const struct config_entry *config_store_match(const struct config_store *s, const char *name)
{
    const struct config_entry *exact = NULL;

    if (s->name_count > 0)
        exact = bsearch(name, s->entries, s->name_count, sizeof(*s->entries), compare_name);
    if (exact)
        return exact;
    for (size_t i = s->name_count; i < s->entry_count; i++) {
        if (fnmatch(s->entries[i].name, name, 0) == 0)
            return &s->entries[i];
    }
    return NULL;
}

/* Each key and the field it is kept in: one list, so that what is set can be read back. */
#define GUEST_FIELDS(X)                                                                                                \
    X(CONFIG_GUEST_STARTUP, startup_kib, uint64_t)                                                                     \
    X(CONFIG_GUEST_MINIMUM, minimum_kib, uint64_t)                                                                     \
    X(CONFIG_GUEST_MAXIMUM, maximum_kib, uint64_t)                                                                     \
    X(CONFIG_GUEST_BUFFER, buffer, uint32_t)                                                                           \
    X(CONFIG_GUEST_BUFFER_OF, buffer_of, enum buffer_of)                                                               \
    X(CONFIG_GUEST_DEMAND, demand, enum demand_mode)                                                                   \
    X(CONFIG_GUEST_PRIORITY, priority, uint32_t)                                                                       \
    X(CONFIG_GUEST_MODE, mode, enum guest_mode)                                                                        \
    X(CONFIG_GUEST_RECLAIM, reclaim, enum guest_reclaim)                                                               \
    X(CONFIG_GUEST_BAND, band, bool)                                                                                   \
    X(CONFIG_GUEST_SELF_MANAGING, self_managing, enum guest_choice)

void config_store_apply(uint32_t set, const uint64_t *number, struct guest_config *g)
{
#define APPLY(key, field, type)                                                                                        \
    if (set & (1U << (key)))                                                                                           \
        g->field = (type)number[key];
    GUEST_FIELDS(APPLY)
#undef APPLY
    if (set & (1U << CONFIG_GUEST_IDLE_TAX))
        g->tax_ppm = (uint32_t)number[CONFIG_GUEST_IDLE_TAX] * 100; /* hundredths of a percent -> ppm */
}

uint64_t config_store_value(unsigned guest_key, const struct guest_config *g)
{
#define READ(key, field, type)                                                                                         \
    if (guest_key == (key))                                                                                            \
        return (uint64_t)g->field;
    GUEST_FIELDS(READ)
#undef READ
    return guest_key == CONFIG_GUEST_IDLE_TAX ? g->tax_ppm / 100 : 0;
}

static void apply_values(const struct config_values *v, struct guest_config *g)
{
    config_store_apply(v->set, v->number, g);
}

void config_store_merge(const struct config_store *s, const struct config_entry *entry, struct guest_config *ret)
{
    struct config_values builtin = {.set = (1U << CONFIG_GUEST_KEYS) - 1};
    struct guest_config g = {0};

    for (unsigned id = 0; id < CONFIG_GUEST_KEYS; id++)
        builtin.number[id] = config_key_get(CONFIG_SECTION_GUEST, id)->fallback;
    builtin.number[CONFIG_GUEST_MODE] = s->mode_fallback;
    apply_values(&builtin, &g);
    apply_values(&s->defaults, &g);
    if (entry)
        apply_values(&entry->values, &g);
    *ret = g;
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *b = bytes;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ b[i]) * FNV_PRIME;
    return hash;
}

static uint64_t hash_number(uint64_t hash, uint64_t number)
{
    unsigned char bytes[8]; /* in one order on every machine: a recorded hash may be compared elsewhere */

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(number >> (8 * i));
    return hash_bytes(hash, bytes, sizeof(bytes));
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    if (!text)
        return hash_number(hash, UINT64_MAX);
    return hash_bytes(hash_number(hash, strlen(text)), text, strlen(text));
}

static uint64_t hash_values(uint64_t hash, const struct config_values *v)
{
    hash = hash_number(hash, v->set);
    for (unsigned id = 0; id < CONFIG_GUEST_KEYS; id++)
        hash = hash_number(hash, v->set & (1U << id) ? v->number[id] : 0);
    return hash_text(hash_text(hash_text(hash, v->owner), v->qmp), v->agent);
}

uint64_t config_store_hash(const struct config_store *s, const struct host_config *host)
{
    uint64_t hash = hash_number(FNV_OFFSET, POLICY_VERSION);

    hash = hash_number(hash, host->memory_kib);
    hash = hash_number(hash, host->reserve_kib);
    hash = hash_number(hash, host->overcommit_permille);
    hash = hash_number(hash, s->host.set & (1U << CONFIG_HOST_SPREAD) ? s->host.number[CONFIG_HOST_SPREAD] : 0);
    hash = hash_number(hash, s->mode_fallback);
    hash = hash_values(hash, &s->defaults);
    for (size_t i = 0; i < s->entry_count; i++)
        hash = hash_values(hash_text(hash, s->entries[i].name), &s->entries[i].values);
    for (size_t i = 0; i < s->saved_count; i++)
        hash = hash_values(hash_text(hash, s->saved[i].name), &s->saved[i].values);
    for (size_t i = 0; i < s->directory_count; i++)
        hash = hash_number(hash_text(hash, s->directories[i]), s->directories_shared[i]);
    return hash;
}
