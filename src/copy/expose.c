/* SPDX-License-Identifier: Apache-2.0 */
#include "expose.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "nbd_probe.h"
#include "qmp_message.h"
#include "serve_run.h"

#define HINT_SIZE 512
#define SECTOR_BYTES 512 /* of st_blocks */

static int read_names(struct json_object *order, const char *key, const char **to, size_t *ret_n)
{
    struct json_object *list;

    if (!qmp_get_array(order, key, &list) || json_object_array_length(list) > EXPOSE_DISKS_MAX)
        return -EINVAL;
    *ret_n = json_object_array_length(list);
    for (size_t i = 0; i < *ret_n; i++) {
        if (!json_object_is_type(json_object_array_get_idx(list, i), json_type_string))
            return -EINVAL;
        to[i] = json_object_get_string(json_object_array_get_idx(list, i));
    }
    return 0;
}

static int read_disks(struct expose *x, struct json_object *order, const char *paths, struct err *e)
{
    size_t n = 0;

    if (read_names(order, "exports", x->exports, &x->disks_n) < 0 || read_names(order, paths, x->paths, &n) < 0 ||
        n != x->disks_n || n == 0)
        return err_set(e, EINVAL, "an order that lacks something");
    return 0;
}

/* One of a ballast-expose that was killed. */
static int listen_anew(const char *path, struct err *e)
{
    (void)unlink(path); /* what else is in the way is told by bind() */
    return serve_listen(path, e);
}

/* ---- relay ---- */

static uint64_t used_bytes(const struct expose *x)
{
    uint64_t sum = 0;
    struct stat st;

    for (size_t i = 0; i < x->disks_n; i++)
        if (stat(x->paths[i], &st) == 0)
            sum += (uint64_t)st.st_blocks * SECTOR_BYTES;
    return sum;
}

/* A thread: nothing here delays the relay. What can't be asked now says nothing: the guest may be stopped. */
static void *look(void *user)
{
    const struct timespec pause = {.tv_sec = EXPOSE_LOOK_SEC};
    struct expose *x = user;

    while (atomic_load(&x->broken) < 0) {
        for (size_t i = 0; i < x->disks_n; i++) {
            struct err e = {0};

            if (nbd_probe(x->relay.qemu_path, x->exports[i], &e) == -EIO)
                atomic_store(&x->broken, (int)i);
        }
        atomic_store(&x->fleece_bytes, used_bytes(x));
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static int begin_relay(struct expose *x, struct json_object *order, struct err *e)
{
    const char *qemu = NULL;
    pthread_t thread;
    int fd, code, r = read_disks(x, order, "fleece", e);

    if (r < 0)
        return r;
    if (!qmp_get_string(order, "qemu", &qemu) || !qmp_get_string(order, "socket", &x->socket))
        return err_set(e, EINVAL, "an order that lacks something");
    /* A relay that is stopped when ballastd dies would keep QEMU's connections, and the next ballastd could not end them. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_set(e, errno, "cannot ask to end with ballastd: %s", strerror(errno));
    fd = listen_anew(x->socket, e);
    if (fd < 0)
        return fd;
    relay_init(&x->relay, qemu, fd);
    x->is_relay = true;
    code = pthread_create(&thread, NULL, look, x);
    if (code)
        return err_set(e, code, "cannot start a thread: %s", strerror(code));
    (void)pthread_detach(thread);
    return 0;
}

/* ---- a point's disks ---- */

static int start_server(struct expose *x, const struct serve_wish *wish, size_t i, struct err *e)
{
    int fd = listen_anew(x->paths[i], e), r;

    if (fd < 0)
        return fd;
    r = serve_start(wish, fd, &x->servers[i], e);
    if (r < 0)
        x->servers[i] = 0;
    (void)close(fd);
    return r;
}

static int find_ended(struct expose *x, struct err *e)
{
    for (size_t i = 0; i < x->disks_n; i++) {
        int status;

        if (x->servers[i] && waitpid(x->servers[i], &status, WNOHANG) == x->servers[i]) {
            x->servers[i] = 0;
            return err_set(e, ECHILD, "nbdkit, which served disk '%s', has ended; what it said stands in ballastd's log",
                           x->exports[i]);
        }
    }
    return 0;
}

static int begin_serve(struct expose *x, struct json_object *json, char *hint, struct err *e)
{
    struct serve_wish wish = {0};
    int r = read_disks(x, json, "sockets", e);

    if (r < 0)
        return r;
    if (!qmp_get_string(json, "repository", &wish.repository) || !qmp_get_string(json, "identity", &wish.identity) ||
        !qmp_get_string(json, "time", &wish.time))
        return err_set(e, EINVAL, "an order that lacks something");
    (void)snprintf(hint, HINT_SIZE, SERVE_HINT "; the point is there: ballast backup restore gets its disks");
    for (size_t i = 0; r == 0 && i < x->disks_n; i++) {
        wish.disk = x->exports[i];
        r = start_server(x, &wish, i, e);
    }
    for (size_t i = 0; r == 0 && i < x->disks_n; i++)
        if (nbd_probe(x->paths[i], x->exports[i], e) < 0) {
            struct err why = {0};

            r = find_ended(x, &why);
            if (r < 0)
                *e = why;
            else
                r = -e->code;
        }
    return r;
}

/* ---- both ---- */

int expose_begin(struct expose *x, struct json_object *order, char *hint, struct err *e)
{
    struct json_object *inner;

    memset(x, 0, sizeof(*x));
    atomic_init(&x->broken, -1);
    relay_init(&x->relay, NULL, -1);
    x->order = json_object_get(order);
    if (qmp_get_object(order, "relay", &inner))
        return begin_relay(x, inner, e);
    if (qmp_get_object(order, "serve", &inner))
        return begin_serve(x, inner, hint, e);
    return err_set(e, EINVAL, "an order that lacks something");
}

int expose_status(struct expose *x, struct wire_text *t, struct err *e)
{
    int broken = atomic_load(&x->broken), r = find_ended(x, e);

    if (r < 0)
        return r;
    wire_text_adds(t, "{\"status\":true");
    if (x->is_relay)
        wire_text_format(t, ",\"clients\":%u,\"sent_bytes\":%" PRIu64 ",\"fleece_bytes\":%llu", relay_clients(&x->relay),
                         x->relay.sent_bytes, atomic_load(&x->fleece_bytes));
    if (broken >= 0) {
        wire_text_adds(t, ",\"broken\":");
        wire_text_string(t, x->exports[broken]);
    }
    wire_text_adds(t, "}\n");
    return 0;
}

void expose_end(struct expose *x)
{
    relay_done(&x->relay);
    if (x->is_relay)
        (void)unlink(x->socket);
    for (size_t i = 0; i < x->disks_n; i++) {
        if (x->servers[i])
            (void)kill(x->servers[i], SIGKILL); /* it only reads */
        if (!x->is_relay)
            (void)unlink(x->paths[i]);
    }
}
