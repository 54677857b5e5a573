/* SPDX-License-Identifier: Apache-2.0 */
#include "config_walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int compare_pairs(const void *pa, const void *pb)
{
    const struct walk_pair *a = pa, *b = pb;
    size_t na = walk_len(a->key), nb = walk_len(b->key);
    int r = memcmp(walk_text(a->key), walk_text(b->key), na < nb ? na : nb);

    if (r != 0 || na != nb)
        return r != 0 ? r : na < nb ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static int compare_order(const void *pa, const void *pb)
{
    const struct walk_pair *a = pa, *b = pb;

    return a->order < b->order ? -1 : a->order > b->order;
}

bool walk_pairs(struct walk *w, const yaml_node_t *map, const char *path, struct walk_pair **ret, size_t *ret_count)
{
    const yaml_node_pair_t *first = map->data.mapping.pairs.start;
    size_t total = (size_t)(map->data.mapping.pairs.top - first), count = 0, kept = 0;
    struct walk_pair *pairs = calloc(total + 1, sizeof(*pairs));

    if (!pairs) {
        (void)err_set(w->hard, ENOMEM, "no memory for the configuration");
        return false;
    }
    for (size_t i = 0; i < total; i++) {
        const yaml_node_t *key = yaml_document_get_node(w->document, first[i].key);

        if (key->type != YAML_SCALAR_NODE || walk_len(key) == 0)
            walk_problem(w, key, "%s stands where a key's name is needed",
                         key->type == YAML_SCALAR_NODE ? "nothing" : walk_kind(key));
        else
            pairs[count++] = (struct walk_pair){key, yaml_document_get_node(w->document, first[i].value), i};
    }
    qsort(pairs, count, sizeof(*pairs), compare_pairs);
    for (size_t i = 0; i < count; i++) {
        const struct walk_pair *before = kept ? &pairs[kept - 1] : NULL;

        if (before && walk_len(before->key) == walk_len(pairs[i].key) &&
            memcmp(walk_text(before->key), walk_text(pairs[i].key), walk_len(before->key)) == 0)
            walk_problem(w, pairs[i].key, "key '%s%s%s' is written twice, first in line %zu: keep one", path, *path ? "." : "",
                         walk_shown(pairs[i].key).s, before->key->start_mark.line + 1);
        else
            pairs[kept++] = pairs[i];
    }
    qsort(pairs, kept, sizeof(*pairs), compare_order);
    *ret = pairs;
    *ret_count = kept;
    return true;
}

const char *walk_closer(const char *name, const char *known, const char *best, unsigned *least)
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
            best = walk_closer(name, config_keys[i].name, best, &least);
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

bool walk_value(struct walk *w, const struct config_key *key, const yaml_node_t *node, const char *path,
                       uint64_t *ret_value, bool *ret_is_share)
{
    char allowed[CONFIG_KEY_TEXT_SIZE];
    struct err e = {0};
    int r;

    if (node->type != YAML_SCALAR_NODE) {
        walk_problem(w, node, "key '%s.%s' has %s, but takes one value: %s", path, key->name, walk_kind(node),
                     config_allowed_text(key, allowed));
        return false;
    }
    r = config_value_parse(key, walk_text(node), walk_len(node), ret_value, ret_is_share, &e);
    if (r < 0)
        walk_problem(w, node, "key '%s.%s': %s", path, key->name, e.text);
    return r == 0;
}

const struct config_key *walk_key(struct walk *w, enum config_section section, const struct walk_pair *p, const char *path)
{
    const struct config_key *key = config_key_find(section, walk_text(p->key), walk_len(p->key));
    char hint[256];

    if (!key) {
        suggest_key(section, walk_text(p->key), hint, sizeof(hint));
        walk_problem(w, p->key, "unknown key '%s.%s': %s", path, walk_shown(p->key).s, hint);
    }
    return key;
}

const struct config_key *walk_known(struct walk *w, enum config_section section, const struct walk_pair *p, const char *path,
                                    uint64_t *ret_value, bool *ret_is_share)
{
    const struct config_key *key = walk_key(w, section, p, path);

    return key && walk_value(w, key, p->value, path, ret_value, ret_is_share) ? key : NULL;
}

char *walk_copy(struct walk *w, const yaml_node_t *node)
{
    char *copy = strndup(walk_text(node), walk_len(node));

    if (!copy)
        (void)err_set(w->hard, ENOMEM, "no memory for the configuration");
    return copy;
}

bool walk_section(struct walk *w, const yaml_node_t *map, const char *name, const char *needs,
                  bool (*read_pair)(struct walk *w, const struct walk_pair *p, void *user), void *user)
{
    struct walk_pair *pairs = NULL;
    size_t count = 0;
    bool is_alive;

    if (walk_is_empty(map))
        return true;
    if (map->type != YAML_MAPPING_NODE) {
        walk_problem(w, map, "'%s' has %s, but needs %s", name, walk_kind(map), needs);
        return true;
    }
    is_alive = walk_pairs(w, map, name, &pairs, &count);
    for (size_t i = 0; is_alive && i < count; i++)
        is_alive = read_pair(w, &pairs[i], user);
    free(pairs);
    return is_alive;
}


bool walk_list(struct walk *w, const yaml_node_t *list, const char *name,
               bool (*read_item)(struct walk *w, const yaml_node_t *item))
{
    bool is_alive = true;

    if (walk_is_empty(list))
        return true;
    if (list->type != YAML_SEQUENCE_NODE) {
        walk_problem(w, list, "'%s' has %s, but needs a list: begin each entry with '- '", name, walk_kind(list));
        return true;
    }
    for (const yaml_node_item_t *i = list->data.sequence.items.start; is_alive && i < list->data.sequence.items.top; i++)
        is_alive = read_item(w, yaml_document_get_node(w->document, *i));
    return is_alive;
}
