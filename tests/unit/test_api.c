/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include <grp.h>
#include <json-c/json.h>

#include "api.h"
#include "api_body.h"
#include "api_peer.h"
#include "api_routes.h"
#include "fixture_status.h"
#include "own.h"

OWN_DEFINE(api);
OWN_DEFINE(wire_status);

/* Client and server take turns in one thread: each test drives the loop itself. */
struct rig {
    char dir[32], path[64];
    sd_event *loop;
    struct wire_status *status;
    struct api_config config;
    struct api *api;
    size_t operated; /* operations that were asked for */
};

/* Echoes one number, so that a test sees what arrived; operation RESUME takes no members. */
static void on_operate(void *user, enum api_operation what, const struct api_request *rq, struct api_reply *ret)
{
    struct number {
        uint64_t size;
    } number;
    static const struct wire_field fields[] = {WIRE_FIELD(number, U64, size)};
    struct rig *r = user;

    if (!api_body_read(rq, fields, what == API_OPERATION_RESUME ? 0 : 1, NULL, &number, ret))
        return;
    r->operated++;
    wire_text_format(&ret->body, "{\"what\":%d,\"size\":", (int)what);
    wire_text_u64(&ret->body, what == API_OPERATION_RESUME ? 0 : number.size);
    wire_text_adds(&ret->body, ",\"name\":");
    wire_text_string(&ret->body, rq->name ? rq->name : "");
    wire_text_adds(&ret->body, "}\n");
}

static int rig_setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    struct err e = {0};

    assert_non_null(r);
    (void)snprintf(r->dir, sizeof(r->dir), "/tmp/ballast-api-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    (void)snprintf(r->path, sizeof(r->path), "%s/api.sock", r->dir);
    assert_true(sd_event_new(&r->loop) >= 0);
    r->status = fixture_status();
    r->config = (struct api_config){.runtime_dir = r->dir, .source = fixture_source(r->status),
                                    .deadline_usec = 3600000000ULL}; /* so that no test passes by waiting for it */
    r->config.source.operate = on_operate;
    r->config.source.operate_user = r;
    if (api_open(r->loop, &r->config, &r->api, &e) < 0)
        fail_msg("%s", e.text);
    *state = r;
    return 0;
}

static int rig_teardown(void **state)
{
    struct rig *r = *state;
    char lock[96];

    r->api = api_free(r->api);
    assert_int_equal(access(r->path, F_OK), -1); /* the socket goes with its daemon */
    (void)snprintf(lock, sizeof(lock), "%s/ballastd.lock", r->dir);
    (void)unlink(lock);
    assert_int_equal(rmdir(r->dir), 0);
    (void)sd_event_unref(r->loop);
    (void)wire_status_free(r->status);
    free(r);
    return 0;
}

static int client_connect(const struct rig *r)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", r->path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void turn(const struct rig *r)
{
    assert_true(sd_event_run(r->loop, 1000) >= 0); /* 1 ms at most */
}

/* Sends all, as fast as the server takes it; what it does not want any more is dropped. */
static void client_send(const struct rig *r, int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            return;
        if (n > 0) {
            data += n;
            length -= (size_t)n;
        }
        turn(r);
    }
}

/* Reads until the server closes; the text is the caller's. */
static struct wire_text client_read(const struct rig *r, int fd)
{
    struct wire_text t = {0};
    char buf[4096];

    for (;;) {
        ssize_t n = recv(fd, buf, sizeof(buf), 0);

        if (n > 0)
            wire_text_add(&t, buf, (size_t)n);
        else if (n == 0 || errno != EAGAIN)
            break;
        else
            turn(r);
    }
    wire_text_adds(&t, "");
    return t;
}

static struct wire_text ask(const struct rig *r, const char *request)
{
    AUTO_CLOSE int fd = client_connect(r);

    client_send(r, fd, request, strlen(request));
    return client_read(r, fd);
}

static void expect(const struct rig *r, const char *request, const char *status, const char *says)
{
    struct wire_text t = ask(r, request);

    if (strncmp(t.data, status, strlen(status)) != 0 || !strstr(t.data, says))
        fail_msg("'%.80s' got '%.400s', not '%s ... %s'", request, t.data, status, says);
    wire_text_done(&t);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static void serves_everybody_as_always(const struct rig *r)
{
    expect(r, GET("/v1/version"), "HTTP/1.1 200", "\"pid\":777");
}

static void routes_answer(void **state)
{
    static const struct {
        const char *request, *status, *says;
    } cases[] = {
        {GET("/v1"), "HTTP/1.1 200", "/v1/guests/NAME"},
        {GET("/v1/status"), "HTTP/1.1 200", "\"name\":\"web1\""},
        {GET("/v1/guests/web1"), "HTTP/1.1 200", "{\"name\":\"web1\""},
        {GET("/v1/guests/%77eb1"), "HTTP/1.1 200", "{\"name\":\"web1\""},
        {GET("/v1/dump"), "HTTP/1.1 200", "{\"dump\":true}"},
        {GET("/v1/status?x=1"), "HTTP/1.1 200", "\"api\":1"},
        {GET("/v1/status"), "HTTP/1.1 200", "Content-Type: application/json"},
        {GET("/v1/guests/nope"), "HTTP/1.1 404", "there is no guest 'nope'\",\"hint\":\"known guests: web1, database"},
        {GET("/v1/guests/%1b[31m"), "HTTP/1.1 404", "there is no guest '?[31m'"},
        {GET("/v1/guests/"), "HTTP/1.1 404", "there is nothing at"},
        {GET("/v1/guests/a/b"), "HTTP/1.1 404", "there is nothing at"},
        {GET("/v1/guests/.."), "HTTP/1.1 404", "there is no guest '..'"},
        {GET("/"), "HTTP/1.1 404", "GET /v1 lists"},
        {"POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 405", "Allow: GET"},
        {"DELETE /v1/guests/web1 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405", "can't be asked by DELETE"},
        {"BREW /v1 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405", "use GET"},
        {"POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", "HTTP/1.1 405", "use GET"},
    };
    struct rig *r = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(r, cases[i].request, cases[i].status, cases[i].says);
}

#define POST(path, length, body) "POST " path " HTTP/1.1\r\nHost: x\r\nContent-Length: " length "\r\n\r\n" body

static void posts_bring_a_small_json_object(void **state)
{
    static const struct {
        const char *request, *status, *says;
    } cases[] = {
        {POST("/v1/off", "0", ""), "HTTP/1.1 200", "\"size\":18446744073709551615"},
        {POST("/v1/off", "11", "{\"size\":12}"), "HTTP/1.1 200", "\"size\":12"},
        {POST("/v1/off", "15", " {\"size\": null}\n"), "HTTP/1.1 200", "\"size\":18446744073709551615"},
        {POST("/v1/guests/web1/pause", "2", "{}"), "HTTP/1.1 200", "\"name\":\"web1\""},
        {POST("/v1/guests/a%2e/pause", "2", "{}"), "HTTP/1.1 200", "\"name\":\"a.\""},
        {"POST /v1/off HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"si\r\n7\r\nze\":12}\r\n0\r\n\r\n",
         "HTTP/1.1 200", "\"size\":12"},
        {POST("/v1/off", "3", "abc"), "HTTP/1.1 400", "the body can't be read"},
        {POST("/v1/off", "2", "[]"), "HTTP/1.1 400", "the body is no JSON object"},
        {POST("/v1/off", "4", "null"), "HTTP/1.1 400", "the body can't be read"},
        {POST("/v1/off", "5", "{\"si\""), "HTTP/1.1 400", "ends too early"},
        {POST("/v1/off", "14", "{\"sizes\":1234}"), "HTTP/1.1 400", "no member 'sizes' in this request\",\"hint\":\"known here: size"},
        {POST("/v1/off", "13", "{\"size\":\"12\"}"), "HTTP/1.1 400", "field 'size' should be a whole number"},
        {POST("/v1/off", "11", "{\"size\":-1}"), "HTTP/1.1 400", "field 'size' should be a whole number"},
        {POST("/v1/guests/web1/resume", "9", "{\"x\":[{}]}"), "HTTP/1.1 400", ""},
        {POST("/v1/guests//pause", "2", "{}"), "HTTP/1.1 404", "there is nothing at"},
        {POST("/v1/guests/a/b/pause", "2", "{}"), "HTTP/1.1 404", "there is nothing at"},
        {GET("/v1/off"), "HTTP/1.1 405", "Allow: POST"},
        {POST("/v1/off", "16385", "{"), "HTTP/1.1 413", "more than 16384 bytes"},
        {POST("/v1/off", "99999999999999999999", ""), "HTTP/1.1 413", "Too Large"}, /* by libmicrohttpd itself */
    };
    struct rig *r = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(r, cases[i].request, cases[i].status, cases[i].says);
    assert_int_equal(r->operated, 6); /* and none of the others got through */
}

/* Deep nesting is refused by the parser; a body without a length is cut where it is too long. */
static void hostile_bodies_end_in_a_sentence(void **state)
{
    struct rig *r = *state;
    char request[3 * API_BODY_MAX];
    int used = snprintf(request, sizeof(request), "POST /v1/off HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n");

    memset(request + used, '[', 4000);
    request[used + 4000] = '\0';
    expect(r, request, "HTTP/1.1 400", "nesting too deep");
    used = snprintf(request, sizeof(request), "POST /v1/off HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n",
                    2 * API_BODY_MAX);
    memset(request + used, ' ', 2 * API_BODY_MAX);
    (void)snprintf(request + used + 2 * API_BODY_MAX, sizeof(request) - (size_t)used - 2 * API_BODY_MAX, "\r\n0\r\n\r\n");
    expect(r, request, "HTTP/1.1 413", "more than 16384 bytes");
    assert_int_equal(r->operated, 0);
    serves_everybody_as_always(r);
}

/* By the kernel's word alone: root and the daemon's user may all, others what a group of theirs lets them. */
static void roles_follow_user_and_groups(void **state)
{
    struct api_access access = {.owner = 1000};
    struct api_peer peer;
    struct wire_error said;
    gid_t own[1024];
    int fds[2], n = getgroups(1024, own);

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    api_peer_find(fds[0], &peer);
    assert_int_equal(peer.cred.uid, geteuid());
    peer.cred.uid = 4711;
    peer.cred.gid = 4712;
    assert_false(api_peer_may(&peer, &access, API_ROLE_VIEW));
    access.group[API_ROLE_VIEW] = (struct api_group){"lookers", true, 4712};
    access.group[API_ROLE_OPERATE] = (struct api_group){"movers", false, 4712}; /* the host has no such group */
    assert_true(api_peer_may(&peer, &access, API_ROLE_VIEW));
    assert_false(api_peer_may(&peer, &access, API_ROLE_OPERATE));
    api_peer_refusal(&peer, &access, API_ROLE_OPERATE, "POST /v1/off", &said);
    assert_non_null(strstr(said.error, "for operators only, and uid 4711"));
    assert_non_null(strstr(said.hint, "groupadd -r movers"));
    access.group[API_ROLE_OPERATE].exists = true;
    assert_true(api_peer_may(&peer, &access, API_ROLE_OPERATE));
    peer.cred.gid = 4713;
    assert_false(api_peer_may(&peer, &access, API_ROLE_OPERATE));
    api_peer_refusal(&peer, &access, API_ROLE_OPERATE, "POST /v1/off", &said);
    assert_non_null(strstr(said.hint, "usermod -aG movers"));
    for (int i = 0; i < n; i++) { /* supplementary ones count as well */
        access.group[API_ROLE_OPERATE].gid = own[i];
        assert_true(api_peer_may(&peer, &access, API_ROLE_OPERATE));
        assert_true(api_peer_may(&peer, &access, API_ROLE_VIEW));
    }
    access.group[API_ROLE_OPERATE].gid = 4714;
    peer.cred.uid = 1000;
    assert_true(api_peer_may(&peer, &access, API_ROLE_OPERATE));
    peer.cred.uid = 0;
    assert_true(api_peer_may(&peer, &access, API_ROLE_OPERATE));
    peer.cred.uid = (uid_t)-1; /* the kernel did not tell */
    access.owner = (uid_t)-1;
    assert_false(api_peer_may(&peer, &access, API_ROLE_VIEW));
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void head_has_no_body(void **state)
{
    struct rig *r = *state;
    struct wire_text t = ask(r, "HEAD /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
    const char *end = strstr(t.data, "\r\n\r\n");

    assert_non_null(end);
    assert_memory_equal(t.data, "HTTP/1.1 200", 12);
    assert_string_equal(end, "\r\n\r\n");
    wire_text_done(&t);
}

static void oversized_requests_are_refused(void **state)
{
    struct rig *r = *state;
    char request[2 * API_CONNECTION_MEMORY + 64];

    (void)snprintf(request, sizeof(request), "GET /v1/guests/%0*d HTTP/1.1\r\nHost: x\r\n\r\n", API_URL_MAX, 0);
    expect(r, request, "HTTP/1.1 414", "the path has more than");
    (void)snprintf(request, sizeof(request), "GET /v1/guests/%0*d HTTP/1.1\r\nHost: x\r\n\r\n",
                   2 * API_CONNECTION_MEMORY, 0);
    expect(r, request, "HTTP/1.1 414", "");
    (void)snprintf(request, sizeof(request), "GET /v1 HTTP/1.1\r\nHost: x\r\nX: %0*d\r\n\r\n",
                   2 * API_CONNECTION_MEMORY,
                   0);
    expect(r, request, "HTTP/1.1 431", "");
    serves_everybody_as_always(r);
}

static void garbage_harms_nobody(void **state)
{
    static const char *const garbage[] = {
        "\r\n\r\n\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", /* TLS */
        "GET\r\n\r\n",
        "GET /v1/status HTTP/9.9\r\n\r\n",
        "{\"execute\":\"qmp_capabilities\"}\n",
        GET("/v1/version") "garbage garbage\r\n\r\n" GET("/v1/version"),
        GET("/v1/version") GET("/v1/version") GET("/v1/version") GET("/v1/version"),
        "GET /v1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    };
    struct rig *r = *state;

    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        AUTO_CLOSE int fd = client_connect(r);

        client_send(r, fd, garbage[i], strlen(garbage[i]));
        for (int n = 0; n < 5; n++)
            turn(r);
        serves_everybody_as_always(r); /* while the other is still connected */
    }
}

/* One request a connection: a second one in the same breath is not answered. */
static void pipelined_requests_get_one_answer(void **state)
{
    struct rig *r = *state;
    struct wire_text t = ask(r, GET("/v1/version") GET("/v1/version"));
    const char *first = strstr(t.data, "HTTP/1.1 200");

    assert_non_null(first);
    assert_null(strstr(first + 1, "HTTP/1.1"));
    wire_text_done(&t);
}

/* The same rig with a short life of connections, so that a test sees their end. */
static int rig_setup_impatient(void **state)
{
    struct rig *r;
    struct err e = {0};

    (void)rig_setup(state);
    r = *state;
    r->api = api_free(r->api);
    r->config.deadline_usec = 20000;
    assert_int_equal(api_open(r->loop, &r->config, &r->api, &e), 0);
    return 0;
}

static void half_a_request_and_silence_ends(void **state)
{
    struct rig *r = *state;
    int nothing = client_connect(r), half = client_connect(r);
    struct wire_text t;

    client_send(r, half, "GET /v1/st", 10);
    t = client_read(r, half); /* returns as the server closes */
    wire_text_done(&t);
    t = client_read(r, nothing);
    wire_text_done(&t);
    (void)close(half);
    (void)close(nothing);
    serves_everybody_as_always(r);
}

/* A byte now and then does not buy time: the deadline is for the whole life of a connection. */
static void dripping_clients_end(void **state)
{
    struct rig *r = *state;
    AUTO_CLOSE int fd = client_connect(r);

    while (send(fd, "X", 1, MSG_NOSIGNAL) == 1 || errno == EAGAIN)
        turn(r);
    assert_int_equal(errno, EPIPE);
    serves_everybody_as_always(r);
}

/* A client that asks and never reads holds a full socket buffer, until its deadline. */
static void clients_that_do_not_read_end(void **state)
{
    struct rig *r = *state;
    AUTO_CLOSE int fd = client_connect(r);
    struct wire_guest *many = calloc(5000, sizeof(*many));
    struct pollfd end = {.fd = fd, .events = POLLRDHUP};

    assert_non_null(many);
    for (size_t i = 0; i < 5000; i++) {
        many[i] = r->status->guests[0];
    }
    free(r->status->guests);
    r->status->guests = many;
    r->status->guest_count = 5000;
    client_send(r, fd, GET("/v1/status"), strlen(GET("/v1/status")));
    while (poll(&end, 1, 0) == 0)
        turn(r);
    serves_everybody_as_always(r);
}

static void a_hundred_idle_connections_lock_nobody_out(void **state)
{
    struct rig *r = *state;
    int fds[100];

    for (size_t i = 0; i < 100; i++) {
        fds[i] = client_connect(r);
        client_send(r, fds[i], "GET /v1/st", 10);
    }
    for (int i = 0; i < 10; i++)
        serves_everybody_as_always(r);
    for (size_t i = 0; i < 100; i++)
        (void)close(fds[i]);
    serves_everybody_as_always(r);
}

static void a_hundred_requests_at_once_are_answered_or_ended(void **state)
{
    struct rig *r = *state;
    int fds[100];
    size_t answered = 0;

    for (size_t i = 0; i < 100; i++) {
        fds[i] = client_connect(r);
        if (send(fds[i], GET("/v1/status"), strlen(GET("/v1/status")), MSG_NOSIGNAL) < 0)
            fail_msg("send: %s", strerror(errno));
        if (i % 8 == 7)
            turn(r);
    }
    for (size_t i = 0; i < 100; i++) {
        struct wire_text t = client_read(r, fds[i]);

        answered += strstr(t.data, "]}\n") != NULL;
        wire_text_done(&t);
        (void)close(fds[i]);
    }
    assert_true(answered >= API_CONNECTIONS_MAX);
    serves_everybody_as_always(r);
}

static void sockets_are_for_the_group(void **state)
{
    struct rig *r = *state;
    struct stat st;

    assert_int_equal(stat(r->path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_string_equal(api_socket_path(r->api), r->path);
}

static void a_second_daemon_is_refused(void **state)
{
    struct rig *r = *state;
    struct api *second = NULL;
    struct err e = {0};
    char pid[32];

    assert_int_equal(api_open(r->loop, &r->config, &second, &e), -EEXIST);
    assert_non_null(strstr(e.text, "another ballastd"));
    (void)snprintf(pid, sizeof(pid), "pid %d", (int)getpid());
    assert_non_null(strstr(e.text, pid));
    serves_everybody_as_always(r); /* and the first one is unharmed */
}

static void a_dead_daemons_socket_is_replaced(void **state)
{
    struct rig *r = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct err e = {0};
    int fd;

    r->api = api_free(r->api);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", r->path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(close(fd), 0); /* as after kill -9: the name stays */
    if (api_open(r->loop, &r->config, &r->api, &e) < 0)
        fail_msg("%s", e.text);
    serves_everybody_as_always(r);
}

static void foreign_things_in_its_place_are_left_alone(void **state)
{
    struct rig *r = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct api *api = NULL;
    struct err e = {0};
    int fd;

    r->api = api_free(r->api);
    fd = open(r->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(close(fd), 0);
    assert_int_equal(api_open(r->loop, &r->config, &api, &e), -EEXIST);
    assert_non_null(strstr(e.text, "no socket"));
    assert_int_equal(unlink(r->path), 0);

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", r->path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(api_open(r->loop, &r->config, &api, &e), -EEXIST);
    assert_non_null(strstr(e.text, "another program serves"));
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(r->path), 0);
}

static void impossible_places_are_told(void **state)
{
    struct rig *r = *state;
    struct api_config config = r->config;
    struct api *api = NULL;
    struct err e = {0};
    char deep[200];

    config.runtime_dir = "/proc/ballast";
    assert_true(api_open(r->loop, &config, &api, &e) < 0);
    assert_non_null(strstr(e.text, "/proc/ballast"));
    (void)snprintf(deep, sizeof(deep), "%s/%0*d", r->dir, 120, 0);
    config.runtime_dir = r->dir;
    config.socket_path = deep;
    r->api = api_free(r->api);
    assert_int_equal(api_open(r->loop, &config, &api, &e), -ENAMETOOLONG);
    assert_non_null(strstr(e.text, "longer than"));
}

static void every_route_has_a_pattern_and_help(void **state)
{
    (void)state;
    for (size_t i = 0; i < API_ROUTE_COUNT; i++) {
        assert_true((api_routes[i].function != NULL) == (api_routes[i].operation == API_OPERATION_NONE));
        assert_true(strcmp(api_routes[i].method, "POST") != 0 || api_routes[i].role == API_ROLE_OPERATE);
        assert_memory_equal(api_routes[i].pattern, "/v1", 3);
        assert_true(strlen(api_routes[i].help) > 10);
    }
}

#define RIGGED(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)
#define IMPATIENT(test) cmocka_unit_test_setup_teardown(test, rig_setup_impatient, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIGGED(routes_answer),
        RIGGED(posts_bring_a_small_json_object),
        RIGGED(hostile_bodies_end_in_a_sentence),
        cmocka_unit_test(roles_follow_user_and_groups),
        RIGGED(head_has_no_body),
        RIGGED(oversized_requests_are_refused),
        RIGGED(garbage_harms_nobody),
        RIGGED(pipelined_requests_get_one_answer),
        IMPATIENT(half_a_request_and_silence_ends),
        IMPATIENT(dripping_clients_end),
        IMPATIENT(clients_that_do_not_read_end),
        RIGGED(a_hundred_idle_connections_lock_nobody_out),
        RIGGED(a_hundred_requests_at_once_are_answered_or_ended),
        RIGGED(sockets_are_for_the_group),
        RIGGED(a_second_daemon_is_refused),
        RIGGED(a_dead_daemons_socket_is_replaced),
        RIGGED(foreign_things_in_its_place_are_left_alone),
        RIGGED(impossible_places_are_told),
        cmocka_unit_test(every_route_has_a_pattern_and_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
