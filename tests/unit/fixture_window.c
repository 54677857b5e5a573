/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture_window.h"

#include "testing.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#define UTC 1795533850000000LL

static const char *const prefixes[4] = {"ballast-fl-", "ballast-cbw-", "ballast-acc-", "ballast-tg-"};

static void wrong(struct stage *s, const char *text)
{
    if (!s->wrong[0])
        (void)snprintf(s->wrong, sizeof(s->wrong), "%s (step %u, %s)", text, s->step, window_step_name(s->step));
}

unsigned stage_number(const char *step)
{
    for (unsigned i = 1; window_step_name(i); i++)
        if (strcmp(window_step_name(i), step) == 0)
            return i;
    fail_msg("no step '%s'", step);
    return 0;
}

/* ---- what the window asks of its surroundings ---- */

static int on_send(void *user, const struct window_command *c, struct err *e)
{
    struct stage *s = user;

    if (c->peer == WINDOW_MONITOR && !s->connected)
        return err_set(e, ENOTCONN, "no connection");
    if (c->peer != WINDOW_CLOCK && c->deadline_usec < 100000)
        wrong(s, "a deadline that nobody can keep");
    if (s->last.is_due && c->peer != WINDOW_CLOCK)
        wrong(s, "a second command before the first was answered");
    free(s->last.arguments);
    s->last = (struct stage_sent){.c = *c, .arguments = c->arguments ? strdup(c->arguments) : NULL, .is_due = true};
    if (c->peer == WINDOW_GROUP)
        s->group_due_usec = s->now_usec + c->deadline_usec;
    return 0;
}

static void on_frozen(void *user, bool frozen)
{
    ((struct stage *)user)->hv_frozen = frozen;
}

static void on_step(void *user, unsigned number, const char *name)
{
    struct stage *s = user;

    assert_string_equal(window_step_name(number), name);
    s->step = number;
    s->steps[number]++;
    s->dead = s->dead || number == s->die_before;
}

static void on_finished(void *user)
{
    ((struct stage *)user)->finished = true;
}

/* ---- the played QEMU ---- */

static const char *text_of(struct json_object *o, const char *key)
{
    struct json_object *v;

    return o && json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : "";
}

/* "ballast-cbw-1" -> kind 1, number 1. */
static bool node_of(const char *name, size_t *ret_kind, size_t *ret_number)
{
    for (size_t k = 0; k < 4; k++)
        if (strncmp(name, prefixes[k], strlen(prefixes[k])) == 0) {
            *ret_kind = k;
            *ret_number = strtoul(name + strlen(prefixes[k]), NULL, 10);
            return *ret_number < STAGE_DISKS;
        }
    return false;
}

static bool is_in_use(const struct stage *s, size_t kind, size_t n)
{
    switch (kind) {
    case 0:
        return s->nodes[1][n];
    case 1:
        return s->nodes[2][n] || s->plugged[n];
    case 2:
        return s->job[n] || s->exports[n];
    default:
        return s->job[n];
    }
}

static const char *change_node(struct stage *s, struct json_object *a, bool is_add)
{
    size_t kind, n;

    if (!node_of(text_of(a, "node-name"), &kind, &n))
        return "no such node";
    if (is_add == s->nodes[kind][n])
        return is_add ? "Duplicate node name" : "Failed to find node";
    if (!is_add && is_in_use(s, kind, n))
        return "Node is in use";
    if (is_add && kind == 1 && !s->nodes[0][n])
        wrong(s, "a filter without its fleecing image");
    if (is_add && (kind == 1 || kind == 2) && !s->stopped && !s->status)
        wrong(s, "a filter on a running disk: aborts QEMU with an iothread");
    s->nodes[kind][n] = is_add;
    return NULL;
}

static const char *set_drive(struct stage *s, struct json_object *a)
{
    size_t n = strstr(text_of(a, "path"), "vdb") || strstr(text_of(a, "path"), "flash1") ? 1 : 0;
    bool to_filter = strncmp(text_of(a, "value"), "ballast-cbw-", 12) == 0;

    if (to_filter == s->plugged[n])
        wrong(s, "qom-set to the node that the disk has already: aborts QEMU");
    if (!to_filter && s->nodes[2][n])
        return "Permission conflict";
    if (!to_filter && strcmp(text_of(a, "value"), n ? "disk1" : "disk0") != 0)
        wrong(s, "another node than its own");
    s->plugged[n] = to_filter;
    return NULL;
}

/* Each image has a bitmap of its own name: those of one guest could not change places unseen otherwise. */
static void see_added(struct stage *s, const char *name)
{
    if (strcmp(s->added, name) == 0)
        wrong(s, "two disks got bitmaps of one name");
    (void)snprintf(s->added, sizeof(s->added), "%s", name);
    s->switched = true;
}

static const char *transact(struct stage *s, struct json_object *a)
{
    struct json_object *actions = json_object_object_get(a, "actions");

    for (size_t i = 0; i < json_object_array_length(actions); i++) {
        struct json_object *action = json_object_array_get_idx(actions, i);
        const char *type = text_of(action, "type");
        struct json_object *data = json_object_object_get(action, "data");

        if (strncmp(text_of(data, "name"), "ballast-x-", 10) == 0) {
            s->removed_checkpoint = s->removed_checkpoint || (s->added_checkpoint && strcmp(type, "block-dirty-bitmap-remove") == 0);
            s->removed_old = s->removed_old || strcmp(type, "block-dirty-bitmap-remove") == 0;
            s->added_checkpoint = s->added_checkpoint || strcmp(type, "block-dirty-bitmap-add") == 0;
        } else if (strcmp(type, "blockdev-backup") == 0) {
            s->job[strcmp(text_of(data, "job-id"), "ballast-job-1") == 0] = true;
            (void)snprintf(s->pushed, sizeof(s->pushed), "%s", json_object_to_json_string_ext(data, JSON_C_TO_STRING_PLAIN));
        } else if (strcmp(type, "block-dirty-bitmap-add") == 0 && strncmp(text_of(data, "node"), "disk", 4) == 0)
            see_added(s, text_of(data, "name"));
        else if (strcmp(type, "block-dirty-bitmap-merge") == 0 && strncmp(text_of(data, "node"), "disk", 4) == 0)
            s->folded = true;
        else if (strcmp(type, "block-dirty-bitmap-remove") == 0)
            s->dropped_old = true;
    }
    return NULL;
}

static size_t disk_of(const char *name)
{
    return name[0] && name[strlen(name) - 1] == '1' ? 1 : 0;
}

static const char *change_export(struct stage *s, struct json_object *a, bool is_add)
{
    size_t n = disk_of(text_of(a, "id"));

    if (is_add == s->exports[n])
        return is_add ? "Block export id exists" : "Export not found";
    if (is_add && (!s->nbd || !s->nodes[2][n]))
        return "no server, or no node";
    if (is_add && s->iothread)
        wrong(s, "an export in a guest with an iothread: aborts QEMU when a client goes");
    if (is_add && json_object_get_boolean(json_object_object_get(a, "writable")))
        wrong(s, "a writable export: a client can abort QEMU");
    if (!is_add && s->server)
        wrong(s, "an export ended before its clients: one that reads no more hangs QEMU");
    s->told_changes = s->told_changes || json_object_object_get(a, "bitmaps");
    s->exports[n] = is_add;
    return NULL;
}

static const char *change_nbd(struct stage *s, bool is_start)
{
    if (is_start == s->nbd)
        return is_start ? "NBD server already running" : "NBD server not running";
    if (!is_start && s->server)
        wrong(s, "the NBD server ended before its clients");
    s->nbd = is_start;
    if (!is_start)
        s->exports[0] = s->exports[1] = false;
    return NULL;
}

static struct json_object *tell_exports(const struct stage *s)
{
    char text[512] = "[";

    for (size_t i = 0; i < STAGE_DISKS; i++)
        if (s->exports[i])
            (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s{\"id\":\"ballast-ex-%zu\",\"type\":\"nbd\"}",
                           text[1] ? "," : "", i);
    if (s->exports_left)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", text[1] ? "," : "", s->exports_left);
    (void)strcat(text, "]");
    return json_tokener_parse(text);
}

static struct json_object *tell_blocks(const struct stage *s)
{
    char text[1024];

    (void)snprintf(text, sizeof(text),
                   "[{\"device\":\"\",\"qdev\":\"/machine/peripheral/vda/virtio-backend\",\"removable\":false,\"inserted\":{"
                   "\"node-name\":\"%s\",\"drv\":\"qcow2\",\"ro\":false,\"image\":{\"virtual-size\":1073741824}}},"
                   "{\"device\":\"\",\"qdev\":\"/machine/%s\",\"removable\":false,\"inserted\":{"
                   "\"node-name\":\"%s\",\"drv\":\"%s\",\"ro\":false,\"image\":{\"virtual-size\":%s}}},"
                   "{\"device\":\"cd\",\"qdev\":\"cd0\",\"removable\":true}%s]",
                   s->plugged[0] ? "ballast-cbw-0" : "disk0", s->firmware ? "system.flash1" : "peripheral/vdb/virtio-backend",
                   s->plugged[1] ? "ballast-cbw-1" : "disk1", s->firmware ? "raw" : "qcow2", s->firmware ? "540672" : "2147483648",
                   s->firmware ? STAGE_FLASH : "");
    return json_tokener_parse(text);
}

static struct json_object *tell_nodes(const struct stage *s)
{
    char text[4096];
    size_t used = (size_t)snprintf(text, sizeof(text), "[{\"node-name\":\"disk0\",\"dirty-bitmaps\":%s},{\"node-name\":\"disk1\","
                                   "\"image\":{\"virtual-size\":%s}}", s->bitmaps ? s->bitmaps : "[]",
                                   s->firmware ? "540672" : s->grown ? "3147483648" : "2147483648");

    for (size_t k = 0; k < 4; k++)
        for (size_t i = 0; i < STAGE_DISKS; i++)
            if (s->nodes[k][i])
                used += (size_t)snprintf(text + used, sizeof(text) - used, ",{\"node-name\":\"%s%zu\"}", prefixes[k], i);
    (void)snprintf(text + used, sizeof(text) - used, "%s%s]", s->nodes_left ? "," : "", s->nodes_left ? s->nodes_left : "");
    return json_tokener_parse(text);
}

static struct json_object *tell_jobs(const struct stage *s)
{
    char text[1024] = "[";

    for (size_t i = 0; i < STAGE_DISKS; i++)
        if (s->job[i])
            (void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
                           "%s{\"id\":\"ballast-job-%zu\",\"status\":\"concluded\",\"current-progress\":7%s%s%s}",
                           text[1] ? "," : "", i, s->job_error ? ",\"error\":\"" : "", s->job_error ? s->job_error : "",
                           s->job_error ? "\"" : "");
    if (s->jobs_left)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", text[1] ? "," : "", s->jobs_left);
    (void)strcat(text, "]");
    return json_tokener_parse(text);
}

static struct json_object *monitor(struct stage *s, const char *command, struct json_object *a, const char **ret_error)
{
    static const char schema[] = "[{\"name\":\"x-debug-query-block-graph\"},{\"members\":[{\"name\":\"copy-before-write\"},{"
                                 "\"name\":\"snapshot-access\"},{\"name\":\"cbw-timeout\"},{\"name\":\"open-timeout\"},{"
                                 "\"name\":\"x-perf\"}]}]";
    char text[64];

    if (strcmp(command, "query-status") == 0) {
        (void)snprintf(text, sizeof(text), "{\"status\":\"%s\"}", s->status ? s->status : "running");
        return json_tokener_parse(text);
    }
    if (strcmp(command, "query-version") == 0)
        return json_tokener_parse("{\"qemu\":{\"major\":7,\"minor\":2,\"micro\":22}}");
    if (strcmp(command, "query-qmp-schema") == 0)
        return json_tokener_parse(schema);
    if (strcmp(command, "query-jobs") == 0)
        return tell_jobs(s);
    if (strcmp(command, "query-block") == 0)
        return tell_blocks(s);
    if (strcmp(command, "query-named-block-nodes") == 0)
        return tell_nodes(s);
    if (strcmp(command, "x-debug-query-block-graph") == 0)
        return json_tokener_parse("{\"nodes\":[{\"id\":1,\"name\":\"ballast-cbw-0\"},{\"id\":2,\"name\":\"disk0\"},{\"id\":3,"
                                  "\"name\":\"ballast-cbw-1\"},{\"id\":4,\"name\":\"disk1\"}],\"edges\":[{\"parent\":1,\"child\":2,"
                                  "\"name\":\"file\"},{\"parent\":3,\"child\":4,\"name\":\"file\"}]}");
    if (strcmp(command, "query-block-exports") == 0)
        return tell_exports(s);
    if (strcmp(command, "query-iothreads") == 0)
        return json_tokener_parse(s->iothread ? "[{\"id\":\"io0\"}]" : "[]");
    if (strcmp(command, "qom-get") == 0) {
        if (s->iothread && strcmp(s->iothread, "refused") == 0)
            *ret_error = "Property not found";
        return json_object_new_string(s->iothread && strstr(text_of(a, "path"), "vdb") ? s->iothread : "");
    }
    if (strcmp(command, "block-export-add") == 0 || strcmp(command, "block-export-del") == 0)
        *ret_error = change_export(s, a, strcmp(command, "block-export-add") == 0);
    else if (strcmp(command, "nbd-server-start") == 0 || strcmp(command, "nbd-server-stop") == 0)
        *ret_error = change_nbd(s, strcmp(command, "nbd-server-start") == 0);
    else if (strcmp(command, "stop") == 0)
        s->stopped = true;
    else if (strcmp(command, "cont") == 0)
        s->stopped = false;
    else if (strcmp(command, "blockdev-add") == 0 || strcmp(command, "blockdev-del") == 0)
        *ret_error = change_node(s, a, strcmp(command, "blockdev-add") == 0);
    else if (strcmp(command, "qom-set") == 0)
        *ret_error = set_drive(s, a);
    else if (strcmp(command, "transaction") == 0)
        *ret_error = transact(s, a);
    else if (strcmp(command, "job-dismiss") == 0)
        s->job[strcmp(text_of(a, "id"), "ballast-job-1") == 0] = false;
    return json_object_new_object();
}

/* ---- the others ---- */

static bool is_agent(const struct stage *s, const char *kind)
{
    return s->agent && strcmp(s->agent, kind) == 0;
}

static struct json_object *agent(struct stage *s, const char *command, int *ret_code, const char **ret_error)
{
    if (is_agent(s, "absent") || is_agent(s, "silent")) {
        *ret_code = is_agent(s, "absent") ? ENOENT : ETIMEDOUT;
        *ret_error = "nobody there";
        return NULL;
    }
    if (strcmp(command, "guest-info") == 0)
        return json_tokener_parse(is_agent(s, "no-freeze")
                                      ? "{\"supported_commands\":[]}"
                                      : "{\"supported_commands\":[{\"name\":\"guest-exec\",\"enabled\":true},{\"name\":"
                                        "\"guest-exec-status\",\"enabled\":true},{\"name\":\"guest-fsfreeze-freeze\",\"enabled\":"
                                        "true},{\"name\":\"guest-fsfreeze-thaw\",\"enabled\":true}]}");
    if (strcmp(command, "guest-get-fsinfo") == 0)
        return json_tokener_parse("[{\"mountpoint\":\"/a\",\"type\":\"ext4\"}]");
    if (strcmp(command, "guest-fsfreeze-status") == 0)
        return json_object_new_string(is_agent(s, "frozen") ? "frozen" : "thawed");
    if (strcmp(command, "guest-exec") == 0)
        return json_tokener_parse("{\"pid\":7}");
    if (strcmp(command, "guest-exec-status") == 0)
        return json_tokener_parse("{\"exited\":true}");
    if (strcmp(command, "guest-fsfreeze-freeze") == 0) {
        if (is_agent(s, "refuses")) {
            *ret_error = "fsfreeze hook has failed with status 3";
            return NULL;
        }
        s->frozen = !is_agent(s, "froze-none");
        return json_object_new_int(is_agent(s, "froze-none") ? 0 : 2);
    }
    if (s->stopped)
        wrong(s, "a thaw while the guest stands still is answered by nobody");
    s->frozen = false;
    return json_object_new_int(is_agent(s, "thaws-less") ? 1 : 2);
}

/* Both run beside the guest's work, never while it stands still; the second is owed since the first began. */
static struct json_object *hook(struct stage *s, struct json_object *a)
{
    bool is_before = strcmp(text_of(a, "hook"), "before-freeze") == 0;
    const char *error = is_before ? s->hook_error : s->hook_after_error;
    struct json_object *answer = json_object_new_object();

    if (s->frozen || s->stopped || (is_before && s->armed))
        wrong(s, "a hook within the window");
    if (strcmp(text_of(a, "note"), "/run/g.hook") != 0 || (is_before && (strcmp(text_of(a, "before-freeze"), "/hooks/before") != 0 ||
                                                                         strcmp(text_of(a, "after-thaw"), "/hooks/after") != 0)))
        wrong(s, "a hook without its note, or other hooks than the configured ones");
    *(is_before ? &s->hooked : &s->unhooked) += 1;
    json_object_object_add(answer, "ran", json_object_new_boolean(true));
    if (error)
        json_object_object_add(answer, "error", json_object_new_string(error));
    return answer;
}

static struct json_object *others(struct stage *s, const char *command, struct json_object *a)
{
    char text[512];

    if (strcmp(command, "hook") == 0)
        return hook(s, a);

    if (strcmp(command, "arm") == 0)
        s->armed = true;
    if (strcmp(command, "disarm") == 0) {
        s->armed = false;
        if ((s->stopped || s->frozen) && !s->gone)
            wrong(s, "disarmed while the guest is frozen");
    }
    if (strcmp(command, "act") == 0) {
        s->acted = true;
        s->armed = s->stopped = s->frozen = false;
    }
    if (strcmp(command, "remove") == 0)
        s->files = false;
    if (strcmp(command, "prepare") == 0) {
        s->files = true;
        (void)snprintf(text, sizeof(text), "{\"done\":true,\"repository_name\":\"0123456789abcdef\",\"chunk_bytes\":1048576%s}",
                       s->prepared ? s->prepared : "");
        return json_tokener_parse(text);
    }
    if (strcmp(command, "job") == 0) {
        s->copier = true;
        return json_tokener_parse("{\"ready\":true,\"chunk_bytes\":1048576}");
    }
    if (strcmp(command, "cancel") == 0)
        s->copier = false;
    if (strcmp(command, "finish") == 0 && !s->copier) {
        wrong(s, "a finish of one that has failed: nobody answers");
    } else if (strcmp(command, "finish") == 0) {
        s->committed = true;
        s->copier = false;
        (void)snprintf(s->manifest, sizeof(s->manifest), "%s", json_object_to_json_string(a));
        return json_tokener_parse("{\"committed\":\"g/20261124T152408Z\"}");
    }
    return json_object_new_object();
}

/* ballast-expose. */
static struct json_object *serve(struct stage *s, const char *command, int *ret_code, const char **ret_error)
{
    char text[128];
    struct err e = {0};

    if (strcmp(command, "end") == 0) {
        s->server = false;
        return NULL;
    }
    if (strcmp(command, "status") != 0) {
        s->server = true;
        return json_tokener_parse("{\"ready\":true}");
    }
    if (!s->server) {
        *ret_code = EPIPE;
        *ret_error = "ballast-expose has ended";
        return NULL;
    }
    if (++s->asked == 3 && !s->forgotten && window_release(s->window, s->forget, s->now_usec, &e) < 0)
        wrong(s, "a release that was refused");
    (void)snprintf(text, sizeof(text), "{\"status\":true,\"clients\":1,\"sent_bytes\":7,\"fleece_bytes\":4096%s%s%s}",
                   s->broken ? ",\"broken\":\"" : "", s->broken ? s->broken : "", s->broken ? "\"" : "");
    return json_tokener_parse(text);
}

/* ---- the run ---- */

static struct json_object *answer(struct stage *s, const struct stage_sent *c, int *ret_code, const char **ret_error)
{
    struct json_object *arguments = c->arguments ? json_tokener_parse(c->arguments) : NULL, *value = NULL;

    if (c->arguments && !arguments)
        wrong(s, "arguments that are no JSON");
    *ret_code = EREMOTEIO;
    if (c->c.peer == WINDOW_MONITOR)
        value = monitor(s, c->c.command, arguments, ret_error);
    else if (c->c.peer == WINDOW_AGENT)
        value = agent(s, c->c.command, ret_code, ret_error);
    else if (c->c.peer == WINDOW_SERVER)
        value = serve(s, c->c.command, ret_code, ret_error);
    else if (c->c.peer != WINDOW_CLOCK)
        value = others(s, c->c.command, arguments);
    json_object_put(arguments);
    return value;
}

/* Commands to others than the monitor are not touched by it. */
static void lose(struct stage *s, bool gone, bool is_monitors)
{
    struct err e = {ECANCELED, "the connection ended"};

    s->connected = false;
    s->gone = gone;
    if (gone) {
        s->stopped = s->frozen = false;
        memset(s->nodes, 0, sizeof(s->nodes));
        memset(s->plugged, 0, sizeof(s->plugged));
        memset(s->job, 0, sizeof(s->job));
        memset(s->exports, 0, sizeof(s->exports));
        s->nbd = false;
    }
    if (is_monitors)
        window_answer(s->window, NULL, &e, s->now_usec, UTC);
    window_lost(s->window, gone, "a test", s->now_usec);
}

/* True: the fault took the place of an answer. */
static bool strike(struct stage *s, const struct stage_sent *c)
{
    struct err e = {s->fault == STAGE_ERROR ? EREMOTEIO : ETIMEDOUT, "a fault of the test"};
    struct json_object *value;
    const char *error = NULL;
    int code;

    if (s->step != s->fault_step || (s->faulted && !s->fault_stays) || c->c.peer == WINDOW_CLOCK)
        return false;
    s->faulted = true;
    switch (s->fault) {
    case STAGE_LATE:
        json_object_put(answer(s, c, &code, &error)); /* done all the same */
        /* fall through */
    case STAGE_ERROR:
    case STAGE_TIMEOUT:
        s->now_usec += s->fault == STAGE_ERROR ? 0 : c->c.deadline_usec;
        if (c->c.peer == WINDOW_COPIER)
            s->copier = false; /* one that does not answer is killed */
        if (c->c.peer == WINDOW_SERVER)
            s->server = false;
        window_answer(s->window, NULL, &e, s->now_usec, UTC);
        return true;
    case STAGE_LOST:
    case STAGE_GONE:
        lose(s, s->fault == STAGE_GONE, c->c.peer == WINDOW_MONITOR);
        return c->c.peer == WINDOW_MONITOR;
    case STAGE_RESET:
        s->frozen = false; /* with its kernel */
        window_event(s->window, "RESET", NULL, s->now_usec);
        return false;
    case STAGE_PAUSED:
        window_event(s->window, "STOP", NULL, s->now_usec);
        return false;
    case STAGE_CANCEL:
        window_cancel(s->window, s->now_usec);
        return false;
    case STAGE_OVERTAKEN:
        value = answer(s, c, &code, &error);
        s->acted = true;
        s->armed = s->stopped = s->frozen = false; /* what it sends comes after what was sent before */
        window_overtaken(s->window, s->now_usec);
        window_answer(s->window, value, NULL, s->now_usec, UTC);
        json_object_put(value);
        return true;
    case STAGE_COPY_FAILED:
        if (!s->copier)
            return false;
        s->copier = false;
        window_copy_failed(s->window, "no space left", "make some", s->now_usec);
        if (c->c.peer != WINDOW_COPIER || strcmp(c->c.command, "cancel") == 0)
            return false;
        window_answer(s->window, NULL, &e, s->now_usec, UTC);
        return true;
    case STAGE_NONE:
    case STAGE_FAULT_COUNT:
        return false;
    }
    return false;
}

void stage_turn(struct stage *s)
{
    struct stage_sent c = s->last;
    struct json_object *value;
    const char *error = NULL;
    struct err e = {0};
    int code = 0;

    s->last.arguments = NULL;
    s->last.is_due = false;
    s->now_usec += c.c.peer == WINDOW_HELPER ? 5000000 : 1000; /* slow things are slow */
    if (c.c.peer == WINDOW_CLOCK) {
        s->now_usec += c.c.deadline_usec < 100000 ? c.c.deadline_usec : 100000;
        if (!s->connected && !s->gone && !s->armed) {
            s->connected = true;
            window_back(s->window, s->now_usec);
            if (s->last.is_due) { /* it has set the clock anew */
                free(c.arguments);
                return;
            }
        }
    }
    if (!strike(s, &c)) {
        value = answer(s, &c, &code, &error);
        if (error)
            (void)err_set(&e, code, "%s", error);
        if (s->step == s->die_after)
            s->dead = true;
        else
            window_answer(s->window, error ? NULL : value, error ? &e : NULL, s->now_usec, UTC);
        json_object_put(value);
    }
    free(c.arguments);
}

void stage_init(struct stage *s)
{
    *s = (struct stage){.now_usec = 5000000, .connected = true};
}

static void begin(struct stage *s, const struct window_config *config)
{
    const struct window_env env = {.send = on_send, .frozen = on_frozen, .step = on_step, .failed = s->on_failed,
                                   .finished = on_finished, .user = s};
    struct err e = {0};

    free(s->last.arguments);
    s->last = (struct stage_sent){0};
    assert_int_equal(window_new(config, &env, &s->window, &e), 0);
    window_start(s->window, s->now_usec, UTC);
}

static bool go_on(struct stage *s)
{
    while (!s->finished && !s->dead && s->last.is_due && s->sends++ < STAGE_SENDS_MAX)
        stage_turn(s);
    return s->finished;
}

void stage_begin(struct stage *s)
{
    const struct window_config config = {
        .guest = s->guest ? s->guest : "g", .identity = "g", .repository = s->no_repository ? "" : "/srv/backup",
        .state_dir = "/state", .socket_dir = "/run", .pid = 1, .freeze = s->freeze, .times = WINDOW_TIMES,
        .grouped = s->on_failed != NULL, .bandwidth_bytes = s->bandwidth_bytes, .hook_warns = s->hook_warns,
        .before_freeze = s->hooks ? "/hooks/before" : NULL, .after_thaw = s->hooks ? "/hooks/after" : NULL,
        .before_usec = 1000000, .after_usec = 1000000, .mode = s->mode, .since = s->since, .checkpoint = s->checkpoint,
        .lease_usec = s->forgotten ? WINDOW_LEASE_MIN_USEC : WINDOW_LEASE_DEFAULT_USEC};

    begin(s, &config);
}

void stage_tell(struct stage *s, const struct err *e)
{
    free(s->last.arguments);
    s->last = (struct stage_sent){0};
    window_answer(s->window, NULL, e, s->now_usec, UTC);
}

bool stage_run(struct stage *s)
{
    stage_begin(s);
    return go_on(s);
}

void stage_bury(struct stage *s, bool guardian_too)
{
    s->window = window_free(s->window);
    s->copier = s->hv_frozen = s->dead = false;
    if (s->armed && !guardian_too)
        s->stopped = s->frozen = s->armed = false;
}

bool stage_recover(struct stage *s)
{
    const struct window_config config = {
        .guest = "g", .identity = "g", .repository = "", .state_dir = "/state", .socket_dir = "/run", .pid = 1,
        .times = WINDOW_TIMES, .recover = true, .recover_marked = s->armed, .recover_stopped = s->armed,
        .recover_frozen = s->armed};

    s->finished = false;
    begin(s, &config);
    return go_on(s);
}

void stage_done(struct stage *s)
{
    s->window = window_free(s->window);
    free(s->last.arguments);
    s->last = (struct stage_sent){0};
}

const char *stage_left(const struct stage *s)
{
    if (s->wrong[0])
        return s->wrong;
    if (s->stopped)
        return "the guest stands still";
    if (s->frozen)
        return "the guest is frozen";
    if (s->armed && !s->gone && s->fault_step != stage_number("disarm")) /* one that hears nothing acts once more: harmless */
        return "the guardian is still armed";
    if (s->hv_frozen)
        return "the engine takes it for frozen";
    if (s->copier)
        return "ballast-copy runs on";
    if (s->unhooked != (s->steps[stage_number("hook-before")] > 0) && s->fault_step != stage_number("hook-after"))
        return "the hook after the thaw did not run, or not once";
    if (s->server)
        return "ballast-expose runs on";
    if (s->nbd)
        return "QEMU's NBD server runs on";
    if (s->files)
        return "images and the note of the job are still there";
    for (size_t i = 0; i < STAGE_DISKS; i++) {
        if (s->plugged[i] || s->job[i] || s->exports[i])
            return "a disk still goes through a filter, or a job is there";
        for (size_t k = 0; k < 4; k++)
            if (s->nodes[k][i])
                return prefixes[k];
    }
    return NULL;
}
