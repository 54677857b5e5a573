/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <string.h>
#include <yaml.h>

#include "config_list.h"
#include "config_read.h"
#include "text.h"

/* Inside config_read*.c only: going through a YAML document, and saying what is wrong with it. Functions that return bool
 * return false only where memory ran out (w->hard); what is wrong is a problem in the list, and reading goes on. */

/* One mapping being read: its pairs in the order written. */
struct walk_pair {
    const yaml_node_t *key, *value;
    size_t order;
};

/* What a walk carries along. */
struct walk {
    struct config_reader *r;
    yaml_document_t *document;
    struct err *hard; /* out of memory: the only thing that ends a walk */
};

static inline struct config_place walk_place(const struct walk *w, const yaml_node_t *node)
{
    return (struct config_place){w->r->file, (uint32_t)node->start_mark.line + 1,
                                 (uint32_t)node->start_mark.column + 1};
}

#define walk_problem(w, node, ...)                                                                                     \
    config_list_add((w)->r->problems, (w)->r->store, walk_place(w, node), EINVAL, __VA_ARGS__)

static inline const char *walk_text(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

static inline size_t walk_len(const yaml_node_t *node)
{
    return node->data.scalar.length;
}

static inline bool walk_is(const yaml_node_t *node, const char *text)
{
    return node->type == YAML_SCALAR_NODE && walk_len(node) == strlen(text) &&
           memcmp(walk_text(node), text, walk_len(node)) == 0;
}

static inline struct text_shown walk_shown(const yaml_node_t *node)
{
    return text_show(walk_text(node), walk_len(node));
}

/* A key with nothing behind it: a section whose lines are all comments. */
static inline bool walk_is_empty(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (walk_len(node) == 0 || walk_is(node, "~") || walk_is(node, "null"));
}

static inline const char *walk_kind(const yaml_node_t *node)
{
    return node->type == YAML_MAPPING_NODE ? "a group of keys" : node->type == YAML_SEQUENCE_NODE ? "a list" : "one value";
}


/* The pairs of a mapping whose keys are plain texts and stand there once; others are problems. *ret is the caller's to free. */
bool walk_pairs(struct walk *w, const yaml_node_t *map, const char *path, struct walk_pair **ret, size_t *ret_count);

/* The known word that is close enough to be meant; NULL: none. `least` is the best distance so far. */
const char *walk_closer(const char *name, const char *known, const char *best, unsigned *least);

/* One value of a known key. False: a problem was added. */
bool walk_value(struct walk *w, const struct config_key *key, const yaml_node_t *node, const char *path,
                uint64_t *ret_value, bool *ret_is_share);

/* The key of a section that a pair names, or NULL: a problem was added ("did you mean 'minimum'?"). */
const struct config_key *walk_key(struct walk *w, enum config_section section, const struct walk_pair *p, const char *path);

/* Both; NULL: a problem was added. */
const struct config_key *walk_known(struct walk *w, enum config_section section, const struct walk_pair *p, const char *path,
                                    uint64_t *ret_value, bool *ret_is_share);

/* A copy of a scalar's text; NULL: no memory. */
char *walk_copy(struct walk *w, const yaml_node_t *node);

/* Each pair of a section; `needs` says what it is made of. Nothing or a comment behind its name is fine. */
bool walk_section(struct walk *w, const yaml_node_t *map, const char *name, const char *needs,
                  bool (*read_pair)(struct walk *w, const struct walk_pair *p, void *user), void *user);

/* Each item of a list. */
bool walk_list(struct walk *w, const yaml_node_t *list, const char *name,
               bool (*read_item)(struct walk *w, const yaml_node_t *item));

/* config_read_backup.c */
bool config_read_backup(struct walk *w, const yaml_node_t *map);
