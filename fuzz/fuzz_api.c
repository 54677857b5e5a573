/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api_body.h"
#include "api_routes.h"
#include "config.h"
#include "engine.h"
#include "fixture_status.h"
#include "log.h"
#include "operate.h"

/* What a client of the API may ask for, behind libmicrohttpd: "METHOD PATH\nBODY". Routes, bodies and what operators may do
 * are the daemon's own, over an engine without guests and a configuration that names one. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct engine *engine;
static struct operate *operate;
static struct config *config;

static void must(int condition)
{
    if (!condition)
        abort();
}

static uint64_t now_usec(void)
{
    static uint64_t now = 1000000;

    return now += 1000;
}

static const struct config *get_config(void *user)
{
    (void)user;
    return config;
}

static void configure(void *user, const struct hv_vm *vm, struct guest_config *ret)
{
    (void)user;
    config_guest(config, vm->name, ret);
}

static int read_host(void *user, struct obs_host *ret, struct err *e)
{
    (void)user, (void)ret;
    return err_set(e, ENODATA, "no host here");
}

static void nothing(void *user)
{
    (void)user;
}

static void set_up(void)
{
    static const char text[] = "host: {memory: 4 GiB, reserve: 256 MiB}\nguests: {web1: {minimum: 128 MiB, maximum: 2 GiB}}\n";
    static const struct engine_env env = {.configure = configure, .read_host = read_host, .wake = nothing};
    static struct config_list problems;
    struct engine_config engine_config = {0};
    struct err e = {0};

    log_set_level(LOG_LEVEL_ERROR);
    must(config_parse(text, strlen(text), "fuzz", 0, &config, &problems, &e) == 0);
    engine_config.host = config->host;
    must(engine_new(&engine_config, &env, 4, &engine, &e) == 0);
    struct operate_env operate_env = {.engine = engine, .now_usec = now_usec, .state_dir = "/nonexistent",
                                      .unkept = "nothing is kept here", .config = get_config, .changed = nothing};
    must(operate_new(&operate_env, &operate, &e) == 0);
}

/* One document of ours: a whole answer, or one sentence and what to do. */
static void check_reply(const struct api_reply *reply)
{
    struct err e = {0};
    struct json_object *json, *error;

    must(reply->status >= 200 && reply->status < 600 && !reply->body.failed);
    must(wire_json_parse(reply->body.data, reply->body.length, &json, &e) == 0);
    must((reply->status >= 400) == json_object_object_get_ex(json, "error", &error));
    must(reply->status < 400 || json_object_get_string_len(error) > 0);
    (void)json_object_put(json);
}

static void ask(const char *method, const char *path, const char *body, size_t body_size)
{
    static struct wire_status *status;
    struct api_reply reply = {.status = 200};
    struct json_object *json = NULL;
    struct api_source source;

    if (!status)
        status = fixture_status();
    source = fixture_source(status);
    source.operate = operate_request;
    source.operate_user = operate;
    struct api_request rq = {.source = &source, .peer = {.pid = 1, .uid = 0, .gid = 0}};
    const struct api_route *route = api_route_find(method, path, &rq, &reply);
    if (route && strcmp(route->method, "POST") == 0) {
        json = api_body_parse(body, body_size, &reply);
        rq.body = json;
        if (!json)
            route = NULL; /* refused: nothing is called */
    }
    if (route)
        api_route_call(route, &rq, &reply);
    check_reply(&reply);
    (void)json_object_put(json);
    wire_text_done(&reply.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *line_end = memchr(data, '\n', size);
    char method[16] = "", path[API_URL_MAX + 64];
    const char *blank;

    if (!engine)
        set_up();
    if (!line_end || size > API_BODY_MAX)
        return 0;
    blank = memchr(data, ' ', (size_t)(line_end - (const char *)data));
    if (!blank || (size_t)(blank - (const char *)data) >= sizeof(method) || (size_t)(line_end - blank) >= sizeof(path))
        return 0;
    memcpy(method, data, (size_t)(blank - (const char *)data));
    memcpy(path, blank + 1, (size_t)(line_end - blank - 1));
    path[line_end - blank - 1] = '\0';
    ask(method, path, line_end + 1, size - (size_t)(line_end + 1 - (const char *)data));
    return 0;
}
