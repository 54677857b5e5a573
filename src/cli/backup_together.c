/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <json-c/json.h>

#include "backup_cli.h"
#include "wire_field.h"

/* Points that were made at one instant, as the manifest of each says (docs/repository-format.md: group). */

struct together {
    char id[BACKUP_GROUP_SIZE];
    bool common;
};

static const struct wire_field group_fields[] = {WIRE_FIELD(together, TEXT, id), WIRE_FIELD(together, BOOL, common)};

struct other {
    char identity[TEXT_NAME_MAX + 1], time[REPO_TIME_SIZE];
};

static const struct wire_field other_fields[] = {WIRE_FIELD(other, TEXT, identity), WIRE_FIELD(other, TEXT, time)};

/* The facts, a reference of the caller's, and what they say of a group; NULL: it is of none. */
static struct json_object *read_group(const struct repo_manifest *m, struct together *ret, struct json_object **ret_guests)
{
    struct json_object *facts = NULL, *group;
    struct err ignored = {0};

    if (!m->facts || wire_json_parse(m->facts, strlen(m->facts), &facts, &ignored) < 0)
        return NULL;
    if (json_object_object_get_ex(facts, "group", &group) && json_object_is_type(group, json_type_object) &&
        wire_fields_parse(group, group_fields, 2, ret, &ignored) == 0 &&
        json_object_object_get_ex(group, "guests", ret_guests) && json_object_is_type(*ret_guests, json_type_array))
        return facts;
    json_object_put(facts);
    return NULL;
}

void backup_together_id(const struct repo_manifest *m, char id[BACKUP_GROUP_SIZE])
{
    struct json_object *guests, *facts;
    struct together group = {0};

    facts = read_group(m, &group, &guests);
    wire_text_copy(id, BACKUP_GROUP_SIZE, facts ? group.id : "");
    json_object_put(facts);
}

/* A point that is not there has failed in its copy, or was pruned since. */
static void print_other(const struct cli *cli, struct repo *repo, const struct other *o, struct wire_text *t)
{
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    struct err ignored = {0};
    bool is_there = text_is_name(o->identity, strlen(o->identity)) && repo_time_is_valid(o->time) &&
                    repo_manifest_load(repo, o->identity, o->time, &m, &ignored) == 0;

    wire_text_adds(t, " ");
    (void)term_text(&cli->term, t, o->identity, 0);
    wire_text_adds(t, "/");
    (void)term_text(&cli->term, t, o->time, 0);
    wire_text_adds(t, is_there ? "" : " (not there)");
}

void backup_together_print(const struct cli *cli, struct repo *repo, const struct repo_manifest *m, struct wire_text *t)
{
    struct json_object *guests = NULL, *facts;
    struct together group = {0};
    struct err ignored = {0};
    struct other o;

    facts = read_group(m, &group, &guests);
    if (!facts)
        return;
    wire_text_adds(t, "  group ");
    (void)term_text(&cli->term, t, group.id, 0);
    wire_text_adds(t, group.common ? ", at one instant with" : ", but not at one instant, with");
    for (size_t i = 0; i < json_object_array_length(guests); i++)
        if (wire_fields_parse(json_object_array_get_idx(guests, i), other_fields, 2, &o, &ignored) == 0 &&
            strcmp(o.identity, m->identity) != 0)
            print_other(cli, repo, &o, t);
    wire_text_adds(t, "\n");
    json_object_put(facts);
}
