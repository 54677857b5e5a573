/* SPDX-License-Identifier: Apache-2.0 */
#include "config_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "config_list.h"
#include "text.h"

/* fnmatch() tries each '*' at each position; names are short, and nobody needs more than this. */
#define PATTERN_STARS_MAX 8

#define PATH_SIZE 160 /* "guests.NAME.self-managing" */

/* One mapping being read: its pairs in the order written. */
struct pair {
    const yaml_node_t *key, *value;
    size_t order;
};

/* What a walk carries along. */
struct walk {
    struct config_reader *r;
    yaml_document_t *document;
    struct err *hard; /* out of memory: the only thing that ends a walk */
};

static struct config_place place_of(const struct walk *w, const yaml_node_t *node)
{
    return (struct config_place){w->r->file, (uint32_t)node->start_mark.line + 1,
                                 (uint32_t)node->start_mark.column + 1};
}

#define problem(w, node, ...)                                                                                          \
    config_list_add((w)->r->problems, (w)->r->store, place_of(w, node), EINVAL, __VA_ARGS__)

static const char *scalar_text(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

static size_t scalar_len(const yaml_node_t *node)
{
    return node->data.scalar.length;
}

static bool scalar_is(const yaml_node_t *node, const char *text)
{
    return node->type == YAML_SCALAR_NODE && scalar_len(node) == strlen(text) &&
           memcmp(scalar_text(node), text, scalar_len(node)) == 0;
}

static struct text_shown scalar_shown(const yaml_node_t *node)
{
    return text_show(scalar_text(node), scalar_len(node));
}

/* A key with nothing behind it: a section whose lines are all comments. */
static bool is_empty(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (scalar_len(node) == 0 || scalar_is(node, "~") || scalar_is(node, "null"));
}

static const char *kind_of(const yaml_node_t *node)
{
    return node->type == YAML_MAPPING_NODE ? "a group of keys" : node->type == YAML_SEQUENCE_NODE ? "a list" : "one value";
}

static int compare_pairs(const void *pa, const void *pb)
{
    const struct pair *a = pa, *b = pb;
    size_t na = scalar_len(a->key), nb = scalar_len(b->key);
    int r = memcmp(scalar_text(a->key), scalar_text(b->key), na < nb ? na : nb);

    if (r != 0 || na != nb)
        return r != 0 ? r : na < nb ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static int compare_order(const void *pa, const void *pb)
{
    const struct pair *a = pa, *b = pb;

    return a->order < b->order ? -1 : a->order > b->order;
}

/* The pairs of a mapping whose keys are plain texts and stand there once; others are problems. *ret is the caller's to
 * free. False: out of memory. */
static bool pairs_of(struct walk *w, const yaml_node_t *map, const char *path, struct pair **ret, size_t *ret_count)
{
    const yaml_node_pair_t *first = map->data.mapping.pairs.start;
    size_t total = (size_t)(map->data.mapping.pairs.top - first), count = 0, kept = 0;
    struct pair *pairs = calloc(total + 1, sizeof(*pairs));

    if (!pairs) {
        (void)err_set(w->hard, ENOMEM, "no memory for the configuration");
        return false;
    }
    for (size_t i = 0; i < total; i++) {
        const yaml_node_t *key = yaml_document_get_node(w->document, first[i].key);

        if (key->type != YAML_SCALAR_NODE || scalar_len(key) == 0)
            problem(w, key, "%s stands where a key's name is needed",
                    key->type == YAML_SCALAR_NODE ? "nothing" : kind_of(key));
        else
            pairs[count++] = (struct pair){key, yaml_document_get_node(w->document, first[i].value), i};
    }
    qsort(pairs, count, sizeof(*pairs), compare_pairs);
    for (size_t i = 0; i < count; i++) {
        const struct pair *before = kept ? &pairs[kept - 1] : NULL;

        if (before && scalar_len(before->key) == scalar_len(pairs[i].key) &&
            memcmp(scalar_text(before->key), scalar_text(pairs[i].key), scalar_len(before->key)) == 0)
            problem(w, pairs[i].key, "key '%s%s%s' is written twice, first in line %zu: keep one", path, *path ? "." : "",
                    scalar_shown(pairs[i].key).s, before->key->start_mark.line + 1);
        else
            pairs[kept++] = pairs[i];
    }
    qsort(pairs, kept, sizeof(*pairs), compare_order);
    *ret = pairs;
    *ret_count = kept;
    return true;
}

/* The known word that is close enough to be meant; NULL: none. `least` is the best distance so far. */
static const char *closer(const char *name, const char *known, const char *best, unsigned *least)
{
    unsigned d = text_distance(name, known);

    /* half of a short word replaced is another word */
    if (d >= *least || d > TEXT_SUGGEST_DISTANCE || 2 * d > strlen(name))
        return best;
    *least = d;
    return known;
}

/* "did you mean 'minimum'?", or what there is. */
static void suggest_key(enum config_section section, const char *name, char *text, size_t size)
{
    const char *best = NULL;
    unsigned least = TEXT_DISTANCE_MAX;
    size_t used;

    for (size_t i = 0; i < config_key_count; i++) {
        if (config_keys[i].section == section)
            best = closer(name, config_keys[i].name, best, &least);
    }
    if (best) {
        (void)snprintf(text, size, "did you mean '%s'?", best);
        return;
    }
    used = (size_t)snprintf(text, size, "known here are");
    for (size_t i = 0; i < config_key_count && used < size; i++) {
        if (config_keys[i].section == section)
            used += (size_t)snprintf(text + used, size - used, " %s", config_keys[i].name);
    }
}

/* One value of a known key. False: a problem was added. */
static bool read_value(struct walk *w, const struct config_key *key, const yaml_node_t *node, const char *path,
                       uint64_t *ret_value, bool *ret_is_share)
{
    char allowed[CONFIG_KEY_TEXT_SIZE];
    struct err e = {0};
    int r;

    if (node->type != YAML_SCALAR_NODE) {
        problem(w, node, "key '%s.%s' has %s, but takes one value: %s", path, key->name, kind_of(node),
                config_allowed_text(key, allowed));
        return false;
    }
    r = config_value_parse(key, scalar_text(node), scalar_len(node), ret_value, ret_is_share, &e);
    if (r < 0)
        problem(w, node, "key '%s.%s': %s", path, key->name, e.text);
    return r == 0;
}

static char *copy_scalar(struct walk *w, const yaml_node_t *node)
{
    char *copy = strndup(scalar_text(node), scalar_len(node));

    if (!copy)
        (void)err_set(w->hard, ENOMEM, "no memory for the configuration");
    return copy;
}

/* One pair of `defaults` or of an entry (then `entry` is not NULL). */
static bool read_guest_pair(struct walk *w, const struct pair *p, const char *path, struct config_values *values,
                            const struct config_entry *entry)
{
    const struct config_key *key = config_key_find(CONFIG_SECTION_GUEST, scalar_text(p->key), scalar_len(p->key));
    char hint[256];
    uint64_t value = 0;
    bool is_share;

    if (!key) {
        suggest_key(CONFIG_SECTION_GUEST, scalar_text(p->key), hint, sizeof(hint));
        problem(w, p->key, "unknown key '%s.%s': %s", path, scalar_shown(p->key).s, hint);
        return true;
    }
    if (key->entry_only && (!entry || entry->is_pattern)) {
        problem(w, p->key, "key '%s.%s' belongs to one guest: move it to an entry of 'guests' that is a guest's full name",
                path, key->name);
        return true;
    }
    if (!read_value(w, key, p->value, path, &value, &is_share))
        return true;
    if (key->type == CONFIG_PATH || key->type == CONFIG_TEXT) {
        char **text = key->id == CONFIG_GUEST_OWNER ? &values->owner
                      : key->id == CONFIG_GUEST_QMP ? &values->qmp
                                                    : &values->agent;

        *text = copy_scalar(w, p->value);
        if (!*text)
            return false;
    }
    values->set |= 1U << key->id;
    values->number[key->id] = value;
    values->place[key->id] = place_of(w, p->value);
    return true;
}

static bool read_guest_values(struct walk *w, const yaml_node_t *map, const char *path, struct config_values *values,
                              const struct config_entry *entry)
{
    struct pair *pairs = NULL;
    size_t count = 0;
    bool is_alive;

    if (is_empty(map))
        return true;
    if (map->type != YAML_MAPPING_NODE) {
        problem(w, map, "'%s' has %s, but needs keys such as 'minimum: 512 MiB', each in a line of its own, indented", path,
                kind_of(map));
        return true;
    }
    is_alive = pairs_of(w, map, path, &pairs, &count);
    for (size_t i = 0; is_alive && i < count; i++)
        is_alive = read_guest_pair(w, &pairs[i], path, values, entry);
    free(pairs);
    return is_alive;
}

/* The name of an entry, or a pattern for names. */
static bool check_entry_name(struct walk *w, const yaml_node_t *key)
{
    const char *name = scalar_text(key);
    size_t len = scalar_len(key), stars = 0;
    char plain[TEXT_NAME_MAX];

    if (len <= sizeof(plain)) {
        /* a pattern is a name with a few more characters; '.' may begin only what is a name */
        for (size_t i = 0; i < len; i++) {
            stars += name[i] == '*';
            plain[i] = name[i] == '\\' ? '*' : name[i];
        }
        if (stars > PATTERN_STARS_MAX) {
            problem(w, key, "pattern '%s' has more than %d '*': use fewer", scalar_shown(key).s, PATTERN_STARS_MAX);
            return false;
        }
        if (text_is_name(plain, len))
            return true;
    }
    problem(w, key, "'%s' can't be the name of a guest: 1 to %d characters without blanks, quotes, '/' and control "
            "characters, not beginning with '.'", scalar_shown(key).s, TEXT_NAME_MAX);
    return false;
}

static bool read_guest_entry(struct walk *w, const struct pair *p)
{
    struct config_entry *entry;
    char path[PATH_SIZE];
    struct err e = {0};
    int r;

    if (!check_entry_name(w, p->key))
        return true;
    r = config_store_add_entry(w->r->store, scalar_text(p->key), scalar_len(p->key), place_of(w, p->key), &entry, &e);
    if (r == -E2BIG) {
        problem(w, p->key, "%s: use patterns", e.text);
        return true;
    }
    if (r < 0) {
        *w->hard = e;
        return false;
    }
    (void)snprintf(path, sizeof(path), "guests.%s", scalar_shown(p->key).s);
    return read_guest_values(w, p->value, path, &entry->values, entry);
}

/* A section of keys; `needs` says what it is made of. */
static bool read_section(struct walk *w, const yaml_node_t *map, const char *name, const char *needs,
                         bool (*read_pair)(struct walk *w, const struct pair *p))
{
    struct pair *pairs = NULL;
    size_t count = 0;
    bool is_alive;

    if (is_empty(map))
        return true;
    if (map->type != YAML_MAPPING_NODE) {
        problem(w, map, "'%s' has %s, but needs %s", name, kind_of(map), needs);
        return true;
    }
    is_alive = pairs_of(w, map, name, &pairs, &count);
    for (size_t i = 0; is_alive && i < count; i++)
        is_alive = read_pair(w, &pairs[i]);
    free(pairs);
    return is_alive;
}

static bool read_host_pair(struct walk *w, const struct pair *p)
{
    const struct config_key *key = config_key_find(CONFIG_SECTION_HOST, scalar_text(p->key), scalar_len(p->key));
    struct config_host_values *host = &w->r->store->host;
    char hint[256];
    uint64_t value;
    bool is_share;

    if (!key) {
        suggest_key(CONFIG_SECTION_HOST, scalar_text(p->key), hint, sizeof(hint));
        problem(w, p->key, "unknown key 'host.%s': %s", scalar_shown(p->key).s, hint);
    } else if (read_value(w, key, p->value, "host", &value, &is_share)) {
        host->set |= 1U << key->id;
        host->number[key->id] = value;
        host->place[key->id] = place_of(w, p->value);
        if (key->id == CONFIG_HOST_RESERVE)
            host->reserve_is_share = is_share;
    }
    return true;
}

static bool read_notify_pair(struct walk *w, const struct pair *p)
{
    const struct config_key *key = config_key_find(CONFIG_SECTION_NOTIFY, scalar_text(p->key), scalar_len(p->key));
    struct config_notify_values *notify = &w->r->store->notify;
    char hint[256];
    uint64_t value;
    bool is_share;

    if (!key) {
        suggest_key(CONFIG_SECTION_NOTIFY, scalar_text(p->key), hint, sizeof(hint));
        problem(w, p->key, "unknown key 'notify.%s': %s", scalar_shown(p->key).s, hint);
    } else if (read_value(w, key, p->value, "notify", &value, &is_share)) {
        notify->set |= 1U << key->id;
        notify->number[key->id] = value;
        notify->place[key->id] = place_of(w, p->value);
        if (key->id == CONFIG_NOTIFY_COMMAND)
            return (notify->command = copy_scalar(w, p->value)) != NULL;
    }
    return true;
}

/* One key of `backup`. */
static bool read_backup_pair(struct walk *w, const struct pair *p)
{
    const struct config_key *key = config_key_find(CONFIG_SECTION_BACKUP, scalar_text(p->key), scalar_len(p->key));
    char hint[256];
    uint64_t value;
    bool is_share;

    if (scalar_is(p->key, "schedules")) {
        config_list_add(w->r->warnings, w->r->store, place_of(w, p->key), ENOTSUP,
                        "key 'backup.schedules' is not active in this version: run `ballast backup run` by a timer");
    } else if (!key) {
        suggest_key(CONFIG_SECTION_BACKUP, scalar_text(p->key), hint, sizeof(hint));
        problem(w, p->key, "unknown key 'backup.%s': %s", scalar_shown(p->key).s, hint);
    } else if (read_value(w, key, p->value, "backup", &value, &is_share)) {
        w->r->store->backup[key->id] = value;
        w->r->store->backup_set |= 1U << key->id;
        if (key->id != CONFIG_BACKUP_REPOSITORY)
            return true;
        w->r->store->repository = strndup(scalar_text(p->value), scalar_len(p->value));
        if (!w->r->store->repository)
            (void)err_set(w->hard, ENOMEM, "no memory for the configuration");
        return w->r->store->repository != NULL;
    }
    return true;
}

static bool read_directory(struct walk *w, const yaml_node_t *node)
{
    const struct config_store *s = w->r->store;
    struct err e = {0};
    int r;

    for (size_t i = 0; i < s->directory_count; i++) {
        if (scalar_is(node, s->directories[i])) {
            problem(w, node, "key 'discover.qmp-directory': '%s' is listed twice: keep one", scalar_shown(node).s);
            return true;
        }
    }
    r = config_store_add_directory(w->r->store, scalar_text(node), scalar_len(node), &e);
    if (r == -ENOMEM) {
        *w->hard = e;
        return false;
    }
    if (r < 0)
        problem(w, node, "key 'discover.qmp-directory': %s", e.text);
    return true;
}

/* What one entry of `discover` says. */
struct discover_item {
    unsigned sources;
    const yaml_node_t *access; /* NULL: not said */
    bool is_shared, is_directory;
};

/* One key of one entry of `discover`. */
static bool read_discover_pair(struct walk *w, const struct pair *p, struct discover_item *item)
{
    const struct config_key *key = config_key_find(CONFIG_SECTION_DISCOVER, scalar_text(p->key), scalar_len(p->key));
    char hint[256];
    uint64_t value;
    bool is_share;

    if (!key) {
        suggest_key(CONFIG_SECTION_DISCOVER, scalar_text(p->key), hint, sizeof(hint));
        problem(w, p->key, "unknown key 'discover.%s': %s", scalar_shown(p->key).s, hint);
        return true;
    }
    item->sources += key->id != CONFIG_DISCOVER_ACCESS;
    if (!read_value(w, key, p->value, "discover", &value, &is_share))
        return true;
    if (key->id == CONFIG_DISCOVER_ACCESS) {
        item->access = p->key;
        item->is_shared = value == CONFIG_ACCESS_SHARE;
    } else if (key->id == CONFIG_DISCOVER_LIBVIRT || (key->id == CONFIG_DISCOVER_XEN && value)) {
        config_list_add(w->r->warnings, w->r->store, place_of(w, p->key), ENOTSUP,
                        "key 'discover.%s': this build has no %s driver, so none of its guests are found here", key->name,
                        key->name);
    } else if (key->id == CONFIG_DISCOVER_QMP_DIRECTORY) {
        item->is_directory = true;
        return read_directory(w, p->value);
    }
    return true;
}

static bool read_discover_item(struct walk *w, const yaml_node_t *item)
{
    struct pair *pairs = NULL;
    size_t count = 0;
    struct discover_item found = {0};
    size_t problems = w->r->problems->count + w->r->problems->more;
    size_t directories = w->r->store->directory_count;
    bool is_alive;

    if (item->type != YAML_MAPPING_NODE) {
        problem(w, item, "an entry of 'discover' is %s, but must say what it is: write '- qmp-directory: DIRECTORY'",
                kind_of(item));
        return true;
    }
    is_alive = pairs_of(w, item, "discover", &pairs, &count);
    for (size_t i = 0; is_alive && i < count; i++)
        is_alive = read_discover_pair(w, &pairs[i], &found);
    free(pairs);
    if (w->r->store->directory_count > directories)
        w->r->store->directories_shared[directories] = found.is_shared;
    if (is_alive && found.access && !found.is_directory && found.sources > 0)
        problem(w, found.access, "key 'discover.access' belongs to a qmp-directory: leave it out here");
    if (is_alive && found.sources != 1 && problems == w->r->problems->count + w->r->problems->more)
        problem(w, item, "an entry of 'discover' has %u sources, but needs exactly one of qmp-directory, libvirt and xen",
                found.sources);
    return is_alive;
}

static bool read_discover(struct walk *w, const yaml_node_t *list)
{
    bool is_alive = true;

    if (is_empty(list))
        return true;
    if (list->type != YAML_SEQUENCE_NODE) {
        problem(w, list, "'discover' has %s, but needs a list: begin each entry with '- '", kind_of(list));
        return true;
    }
    w->r->store->has_discover = true;
    for (const yaml_node_item_t *i = list->data.sequence.items.start; is_alive && i < list->data.sequence.items.top; i++)
        is_alive = read_discover_item(w, yaml_document_get_node(w->document, *i));
    return is_alive;
}

/* A top-level key that is none of ours. */
static void refuse_top(struct walk *w, const yaml_node_t *key)
{
    const char *best = NULL;
    unsigned least = TEXT_DISTANCE_MAX;

    for (size_t i = 0; i < config_top_count; i++)
        best = closer(scalar_text(key), config_tops[i].name, best, &least);
    if (best)
        problem(w, key, "unknown key '%s': did you mean '%s'?", scalar_shown(key).s, best);
    else
        problem(w, key, "unknown key '%s': known here are host, discover, defaults, guests and notify", scalar_shown(key).s);
}

static bool read_top_pair(struct walk *w, const struct pair *p)
{
    const struct config_top *top = NULL;

    for (size_t i = 0; i < config_top_count; i++) {
        if (scalar_is(p->key, config_tops[i].name))
            top = &config_tops[i];
    }
    if (!top) {
        refuse_top(w, p->key);
    } else if (!w->r->is_main && strcmp(top->name, "guests") != 0) {
        problem(w, p->key, "key '%s' belongs into the main file '%s': a file of guests.d holds 'guests' only", top->name,
                w->r->store->files[0]);
    } else if (!top->is_active) {
        config_list_add(w->r->warnings, w->r->store, place_of(w, p->key), ENOTSUP,
                        "key '%s' is not active in this version: what it says is ignored", top->name);
    } else if (scalar_is(p->key, "host")) {
        return read_section(w, p->value, "host", "keys such as 'reserve: 2 GiB', each in a line of its own, indented",
                            read_host_pair);
    } else if (scalar_is(p->key, "notify")) {
        return read_section(w, p->value, "notify", "keys such as 'command: /etc/ballast/notify', each in a line of its own, "
                            "indented", read_notify_pair);
    } else if (scalar_is(p->key, "discover")) {
        return read_discover(w, p->value);
    } else if (scalar_is(p->key, "backup")) {
        return read_section(w, p->value, "backup", "keys such as 'repository: /srv/backup'", read_backup_pair);
    } else if (scalar_is(p->key, "defaults")) {
        return read_guest_values(w, p->value, "defaults", &w->r->store->defaults, NULL);
    } else {
        return read_section(w, p->value, "guests", "an entry for each guest or pattern, such as '\"web*\": {minimum: 512 "
                            "MiB}'", read_guest_entry);
    }
    return true;
}

static bool read_root(struct walk *w, const yaml_node_t *root)
{
    struct pair *pairs = NULL;
    size_t count = 0;
    bool is_alive;

    if (is_empty(root))
        return true;
    if (root->type != YAML_MAPPING_NODE) {
        problem(w, root, "the file is %s, but needs keys such as 'guests:' at the beginning of a line", kind_of(root));
        return true;
    }
    is_alive = pairs_of(w, root, "", &pairs, &count);
    for (size_t i = 0; is_alive && i < count; i++)
        is_alive = read_top_pair(w, &pairs[i]);
    free(pairs);
    return is_alive;
}

int config_read(struct config_reader *r, const char *text, size_t len, struct err *e)
{
    yaml_document_t document;
    yaml_parser_t parser;
    struct err hard = {0};
    struct walk w = {r, &document, &hard};

    if (!config_yaml_survey(r, text, len))
        return 0;
    if (!yaml_parser_initialize(&parser))
        return err_set(e, ENOMEM, "no memory for the configuration");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    if (yaml_parser_load(&parser, &document)) {
        const yaml_node_t *root = yaml_document_get_root_node(&document);

        if (root)
            (void)read_root(&w, root); /* its failure is in `hard` */
        yaml_document_delete(&document);
    } else {
        config_yaml_refuse(r, &parser, text, len);
    }
    yaml_parser_delete(&parser);
    if (hard.code) {
        *e = hard;
        return -hard.code;
    }
    return 0;
}
