/* SPDX-License-Identifier: Apache-2.0 */
#include "repo_result.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "repo_private.h"
#include "wire_field.h"
#include "wire_text.h"

#define RESULT_FILE_MAX (16U << 10) /* a sentence, and what a newer version may add */

static const struct wire_field fields[] = {
    {.name = "guest", .kind = WIRE_KIND_TEXT, .offset = offsetof(struct repo_result, guest), .size = TEXT_NAME_MAX + 1},
    {.name = "time", .kind = WIRE_KIND_TEXT, .offset = offsetof(struct repo_result, time), .size = REPO_TIME_SIZE},
    {.name = "ok", .kind = WIRE_KIND_BOOL, .offset = offsetof(struct repo_result, is_ok), .size = sizeof(bool)},
    {.name = "error", .kind = WIRE_KIND_TEXT, .offset = offsetof(struct repo_result, error), .size = ERR_TEXT_SIZE},
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static const struct wire_field boot_fields[] = {
    {.name = "point", .kind = WIRE_KIND_TEXT, .offset = offsetof(struct repo_boot, point), .size = REPO_TIME_SIZE},
    {.name = "time", .kind = WIRE_KIND_TEXT, .offset = offsetof(struct repo_boot, time), .size = REPO_TIME_SIZE},
    {.name = "ok", .kind = WIRE_KIND_BOOL, .offset = offsetof(struct repo_boot, is_ok), .size = sizeof(bool)},
    {.name = "milliseconds", .kind = WIRE_KIND_U64, .offset = offsetof(struct repo_boot, ms), .size = sizeof(uint64_t)},
    {.name = "by", .kind = WIRE_KIND_TEXT, .offset = offsetof(struct repo_boot, by), .size = sizeof(((struct repo_boot *)0)->by)},
    {.name = "error", .kind = WIRE_KIND_TEXT, .offset = offsetof(struct repo_boot, error), .size = ERR_TEXT_SIZE},
};
#define BOOT_FIELD_COUNT (sizeof(boot_fields) / sizeof(boot_fields[0]))

static void result_path(const char *identity, char path[REPO_PATH_SIZE])
{
    (void)snprintf(path, REPO_PATH_SIZE, REPO_VM "/%s/" REPO_LAST_RESULT, identity);
}

static void boot_path(const char *identity, char path[REPO_PATH_SIZE])
{
    (void)snprintf(path, REPO_PATH_SIZE, REPO_VM "/%s/" REPO_LAST_BOOT, identity);
}

void repo_result_save(struct repo *repo, const char *identity, const char *guest, const char *point, const char *failure)
{
    struct repo_result result = {.is_ok = !failure};
    char path[REPO_PATH_SIZE];
    struct wire_text t = {0};
    struct err ignored = {0};

    wire_text_copy(result.guest, sizeof(result.guest), guest);
    wire_text_copy(result.error, sizeof(result.error), failure ? failure : "");
    repo_time_print(repo->fs->ops->now(repo->fs), result.time);
    wire_text_adds(&t, "{");
    wire_fields_print(&t, fields, FIELD_COUNT, &result);
    wire_text_adds(&t, ",\"point\":");
    wire_text_string(&t, point);
    wire_text_adds(&t, "}\n");
    result_path(identity, path);
    if (!t.failed)
        (void)repo_file_replace(repo, path, t.data, t.length, &ignored);
    wire_text_done(&t);
}

static int fields_load(struct repo *repo, const char *path, const struct wire_field *table, size_t count, void *ret, struct err *e)
{
    AUTO_FREE char *text = NULL;
    struct json_object *json;
    size_t len;
    int r = repo_file_read(repo, path, RESULT_FILE_MAX, &text, &len, e);

    if (r == 0)
        r = wire_json_parse(text, len, &json, e);
    if (r < 0)
        return r;
    r = wire_fields_parse(json, table, count, ret, e);
    (void)json_object_put(json);
    return r;
}

int repo_result_load(struct repo *repo, const char *identity, struct repo_result *ret, struct err *e)
{
    char path[REPO_PATH_SIZE];
    struct repo_result got;
    int r;

    result_path(identity, path);
    r = fields_load(repo, path, fields, FIELD_COUNT, &got, e);
    if (r == 0 && !repo_time_is_valid(got.time))
        r = err_set(e, EBADMSG, "'%s' is none of ours", path);
    if (r == 0)
        *ret = got;
    return r;
}

int repo_boot_save(struct repo *repo, const char *identity, struct repo_boot *boot, struct err *e)
{
    char path[REPO_PATH_SIZE];
    struct wire_text t = {0};
    int r;

    repo_time_print(repo->fs->ops->now(repo->fs), boot->time);
    wire_text_adds(&t, "{");
    wire_fields_print(&t, boot_fields, BOOT_FIELD_COUNT, boot);
    wire_text_adds(&t, "}\n");
    boot_path(identity, path);
    r = t.failed ? err_set(e, ENOMEM, "no memory for the result") : repo_file_replace(repo, path, t.data, t.length, e);
    wire_text_done(&t);
    return r;
}

int repo_boot_load(struct repo *repo, const char *identity, struct repo_boot *ret, struct err *e)
{
    char path[REPO_PATH_SIZE];
    struct repo_boot got;
    int r;

    boot_path(identity, path);
    r = fields_load(repo, path, boot_fields, BOOT_FIELD_COUNT, &got, e);
    if (r == 0 && (!repo_time_is_valid(got.time) || !repo_time_is_valid(got.point)))
        r = err_set(e, EBADMSG, "'%s' is none of ours", path);
    if (r == 0)
        *ret = got;
    return r;
}

static int identity_add(void *user, const char *name, struct err *e)
{
    struct repo_guest_list *list = user;
    char (*identities)[TEXT_NAME_MAX + 1];

    if (!text_is_name(name, strlen(name)))
        return 0;
    if (list->count >= REPO_POINTS_MAX)
        return err_set(e, E2BIG, "the repository has more than %u guests", REPO_POINTS_MAX);
    identities = realloc(list->identities, (list->count + 1) * sizeof(*identities));
    if (!identities)
        return err_set(e, ENOMEM, "no memory for the list of guests");
    list->identities = identities;
    memcpy(list->identities[list->count++], name, strlen(name) + 1);
    return 0;
}

static int identity_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

int repo_guests_list(struct repo *repo, struct repo_guest_list *ret, struct err *e)
{
    int r;

    *ret = (struct repo_guest_list){0};
    r = repo->fs->ops->list(repo->fs, REPO_VM, identity_add, ret, e);
    if (r < 0)
        repo_guest_list_done(ret);
    else if (ret->count)
        qsort(ret->identities, ret->count, sizeof(*ret->identities), identity_compare);
    return r;
}

void repo_guest_list_done(struct repo_guest_list *list)
{
    free(list->identities);
    *list = (struct repo_guest_list){0};
}
