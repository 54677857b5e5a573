/* SPDX-License-Identifier: Apache-2.0 */
#include "config_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config_walk.h"

/* fnmatch() tries each '*' at each position; names are short, and nobody needs more than this. */
#define PATTERN_STARS_MAX 8

#define PATH_SIZE 160 /* "guests.NAME.self-managing" */

/* The values of `defaults` or of an entry (then `entry` is not NULL). */
struct guest_part {
    const char *path;
    struct config_values *values;
    const struct config_entry *entry;
};

static bool read_guest_pair(struct walk *w, const struct walk_pair *p, void *user)
{
    const struct guest_part *part = user;
    const struct config_entry *entry = part->entry;
    struct config_values *values = part->values;
    const char *path = part->path;
    const struct config_key *key = walk_key(w, CONFIG_SECTION_GUEST, p, path);
    uint64_t value = 0;
    bool is_share;

    if (!key)
        return true;
    if (key->entry_only && (!entry || entry->is_pattern)) {
        walk_problem(w, p->key, "key '%s.%s' belongs to one guest: move it to an entry of 'guests' that is a guest's full name",
                     path, key->name);
        return true;
    }
    if (!walk_value(w, key, p->value, path, &value, &is_share))
        return true;
    if (key->type == CONFIG_PATH || key->type == CONFIG_TEXT) {
        char **text = key->id == CONFIG_GUEST_OWNER ? &values->owner
                      : key->id == CONFIG_GUEST_QMP ? &values->qmp
                                                    : &values->agent;

        *text = walk_copy(w, p->value);
        if (!*text)
            return false;
    }
    values->set |= 1U << key->id;
    values->number[key->id] = value;
    values->place[key->id] = walk_place(w, p->value);
    return true;
}

static bool read_guest_values(struct walk *w, const yaml_node_t *map, const char *path, struct config_values *values,
                              const struct config_entry *entry)
{
    struct guest_part part = {path, values, entry};

    return walk_section(w, map, path, "keys such as 'minimum: 512 MiB', each in a line of its own, indented", read_guest_pair,
                        &part);
}

/* The name of an entry, or a pattern for names. */
static bool check_entry_name(struct walk *w, const yaml_node_t *key)
{
    const char *name = walk_text(key);
    size_t len = walk_len(key), stars = 0;
    char plain[TEXT_NAME_MAX];

    if (len <= sizeof(plain)) {
        /* a pattern is a name with a few more characters; '.' may begin only what is a name */
        for (size_t i = 0; i < len; i++) {
            stars += name[i] == '*';
            plain[i] = name[i] == '\\' ? '*' : name[i];
        }
        if (stars > PATTERN_STARS_MAX) {
            walk_problem(w, key, "pattern '%s' has more than %d '*': use fewer", walk_shown(key).s, PATTERN_STARS_MAX);
            return false;
        }
        if (text_is_name(plain, len))
            return true;
    }
    walk_problem(w, key, "'%s' can't be the name of a guest: 1 to %d characters without blanks, quotes, '/' and control "
                 "characters, not beginning with '.'", walk_shown(key).s, TEXT_NAME_MAX);
    return false;
}

static bool read_guest_entry(struct walk *w, const struct walk_pair *p, void *user)
{
    (void)user;
    struct config_entry *entry;
    char path[PATH_SIZE];
    struct err e = {0};
    int r;

    if (!check_entry_name(w, p->key))
        return true;
    r = config_store_add_entry(w->r->store, walk_text(p->key), walk_len(p->key), walk_place(w, p->key), &entry, &e);
    if (r == -E2BIG) {
        walk_problem(w, p->key, "%s: use patterns", e.text);
        return true;
    }
    if (r < 0) {
        *w->hard = e;
        return false;
    }
    (void)snprintf(path, sizeof(path), "guests.%s", walk_shown(p->key).s);
    return read_guest_values(w, p->value, path, &entry->values, entry);
}

static bool read_host_pair(struct walk *w, const struct walk_pair *p, void *user)
{
    struct config_host_values *host = user;
    uint64_t value;
    bool is_share;
    const struct config_key *key = walk_known(w, CONFIG_SECTION_HOST, p, "host", &value, &is_share);

    if (!key)
        return true;
    host->set |= 1U << key->id;
    host->number[key->id] = value;
    host->place[key->id] = walk_place(w, p->value);
    if (key->id == CONFIG_HOST_RESERVE)
        host->reserve_is_share = is_share;
    return true;
}

static bool read_notify_pair(struct walk *w, const struct walk_pair *p, void *user)
{
    struct config_notify_values *notify = user;
    uint64_t value;
    bool is_share;
    const struct config_key *key = walk_known(w, CONFIG_SECTION_NOTIFY, p, "notify", &value, &is_share);

    if (!key)
        return true;
    notify->set |= 1U << key->id;
    notify->number[key->id] = value;
    notify->place[key->id] = walk_place(w, p->value);
    if (key->id == CONFIG_NOTIFY_COMMAND)
        return (notify->command = walk_copy(w, p->value)) != NULL;
    return true;
}

static bool read_api_pair(struct walk *w, const struct walk_pair *p, void *user)
{
    char **groups = user;
    uint64_t value;
    bool is_share;
    const struct config_key *key = walk_known(w, CONFIG_SECTION_API, p, "api", &value, &is_share);

    return !key || (groups[key->id] = walk_copy(w, p->value)) != NULL;
}

static bool read_directory(struct walk *w, const yaml_node_t *node)
{
    const struct config_store *s = w->r->store;
    struct err e = {0};
    int r;

    for (size_t i = 0; i < s->directory_count; i++) {
        if (walk_is(node, s->directories[i])) {
            walk_problem(w, node, "key 'discover.qmp-directory': '%s' is listed twice: keep one", walk_shown(node).s);
            return true;
        }
    }
    r = config_store_add_directory(w->r->store, walk_text(node), walk_len(node), &e);
    if (r == -ENOMEM) {
        *w->hard = e;
        return false;
    }
    if (r < 0)
        walk_problem(w, node, "key 'discover.qmp-directory': %s", e.text);
    return true;
}

/* What one entry of `discover` says. */
struct discover_item {
    unsigned sources;
    const yaml_node_t *access; /* NULL: not said */
    bool is_shared, is_directory;
};

/* One key of one entry of `discover`. */
static bool read_discover_pair(struct walk *w, const struct walk_pair *p, struct discover_item *item)
{
    const struct config_key *key = walk_key(w, CONFIG_SECTION_DISCOVER, p, "discover");
    uint64_t value;
    bool is_share;

    if (!key)
        return true;
    item->sources += key->id != CONFIG_DISCOVER_ACCESS;
    if (!walk_value(w, key, p->value, "discover", &value, &is_share))
        return true;
    if (key->id == CONFIG_DISCOVER_ACCESS) {
        item->access = p->key;
        item->is_shared = value == CONFIG_ACCESS_SHARE;
    } else if (key->id == CONFIG_DISCOVER_LIBVIRT || (key->id == CONFIG_DISCOVER_XEN && value)) {
        config_list_add(w->r->warnings, w->r->store, walk_place(w, p->key), ENOTSUP,
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
    struct walk_pair *pairs = NULL;
    size_t count = 0;
    struct discover_item found = {0};
    size_t problems = w->r->problems->count + w->r->problems->more;
    size_t directories = w->r->store->directory_count;
    bool is_alive;

    if (item->type != YAML_MAPPING_NODE) {
        walk_problem(w, item, "an entry of 'discover' is %s, but must say what it is: write '- qmp-directory: DIRECTORY'",
                     walk_kind(item));
        return true;
    }
    is_alive = walk_pairs(w, item, "discover", &pairs, &count);
    for (size_t i = 0; is_alive && i < count; i++)
        is_alive = read_discover_pair(w, &pairs[i], &found);
    free(pairs);
    if (w->r->store->directory_count > directories)
        w->r->store->directories_shared[directories] = found.is_shared;
    if (is_alive && found.access && !found.is_directory && found.sources > 0)
        walk_problem(w, found.access, "key 'discover.access' belongs to a qmp-directory: leave it out here");
    if (is_alive && found.sources != 1 && problems == w->r->problems->count + w->r->problems->more)
        walk_problem(w, item, "an entry of 'discover' has %u sources, but needs exactly one of qmp-directory, libvirt and xen",
                     found.sources);
    return is_alive;
}

static bool read_discover(struct walk *w, const yaml_node_t *list)
{
    w->r->store->has_discover = w->r->store->has_discover || list->type == YAML_SEQUENCE_NODE;
    return walk_list(w, list, "discover", read_discover_item);
}

/* A top-level key that is none of ours. */
static void refuse_top(struct walk *w, const yaml_node_t *key)
{
    const char *best = NULL;
    unsigned least = TEXT_DISTANCE_MAX;

    for (size_t i = 0; i < config_top_count; i++)
        best = walk_closer(walk_text(key), config_tops[i].name, best, &least);
    if (best)
        walk_problem(w, key, "unknown key '%s': did you mean '%s'?", walk_shown(key).s, best);
    else
        walk_problem(w, key, "unknown key '%s': known here are host, discover, defaults, guests, backup, notify and api", walk_shown(key).s);
}

static bool read_top_pair(struct walk *w, const struct walk_pair *p)
{
    const struct config_top *top = NULL;
    struct config_store *store = w->r->store;

    for (size_t i = 0; i < config_top_count; i++) {
        if (walk_is(p->key, config_tops[i].name))
            top = &config_tops[i];
    }
    if (!top) {
        refuse_top(w, p->key);
    } else if (!w->r->is_main && strcmp(top->name, "guests") != 0) {
        walk_problem(w, p->key, "key '%s' belongs into the main file '%s': a file of guests.d holds 'guests' only", top->name,
                     w->r->store->files[0]);
    } else if (!top->is_active) {
        config_list_add(w->r->warnings, w->r->store, walk_place(w, p->key), ENOTSUP,
                        "key '%s' is not active in this version: what it says is ignored", top->name);
    } else if (walk_is(p->key, "host")) {
        return walk_section(w, p->value, "host", "keys such as 'reserve: 2 GiB', each in a line of its own, indented",
                            read_host_pair, &store->host);
    } else if (walk_is(p->key, "notify")) {
        return walk_section(w, p->value, "notify", "keys such as 'command: /etc/ballast/notify', each in a line of its own, "
                            "indented", read_notify_pair, &store->notify);
    } else if (walk_is(p->key, "api")) {
        return walk_section(w, p->value, "api", "keys such as 'view-group: wheel', each in a line of its own, indented",
                            read_api_pair, store->api_groups);
    } else if (walk_is(p->key, "discover")) {
        return read_discover(w, p->value);
    } else if (walk_is(p->key, "backup")) {
        return config_read_backup(w, p->value);
    } else if (walk_is(p->key, "defaults")) {
        return read_guest_values(w, p->value, "defaults", &w->r->store->defaults, NULL);
    } else {
        return walk_section(w, p->value, "guests", "an entry for each guest or pattern, such as '\"web*\": {minimum: 512 "
                            "MiB}'", read_guest_entry, NULL);
    }
    return true;
}

static bool read_root(struct walk *w, const yaml_node_t *root)
{
    struct walk_pair *pairs = NULL;
    size_t count = 0;
    bool is_alive;

    if (walk_is_empty(root))
        return true;
    if (root->type != YAML_MAPPING_NODE) {
        walk_problem(w, root, "the file is %s, but needs keys such as 'guests:' at the beginning of a line",
                     walk_kind(root));
        return true;
    }
    is_alive = walk_pairs(w, root, "", &pairs, &count);
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
