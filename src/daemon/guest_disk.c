/* SPDX-License-Identifier: Apache-2.0 */
#include "guest_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "api_body.h"
#include "api_routes.h"
#include "log.h"
#include "wire_disk.h"
#include "wire_field.h"

/* The last order of a client for a guest. */
struct disk_job {
    struct guest_disks *owner;
    uint64_t number; /* 0: free; the lowest is the oldest */
    char guest[WIRE_NAME_SIZE];
    bool is_removal;
    pid_t client;
    struct wire_disk told;
};

/* A disk whose client lives, or has ended and its disk is not out yet. */
struct disk_client {
    struct guest_disks *owner;
    char guest[WIRE_NAME_SIZE];
    char id[HV_DISK_ID_SIZE]; /* "": free */
    int pidfd;
    struct sd_event_source *source; /* its end, then the next try */
    unsigned tries;
    bool is_asked;  /* the driver's answer is due: not to be used for another disk before */
    bool is_out;    /* and it does not count */
};

struct guest_disks {
    struct sd_event *loop;
    const struct engine *engine;
    uint64_t numbers;
    struct disk_job jobs[GUEST_DISKS_MAX];
    struct disk_client clients[GUEST_DISKS_MAX];
};

int guest_disks_new(struct sd_event *loop, const struct engine *engine, struct guest_disks **ret, struct err *e)
{
    struct guest_disks *d = calloc(1, sizeof(*d));

    if (!d)
        return err_set(e, ENOMEM, "no memory for the disks of points in guests");
    d->loop = sd_event_ref(loop);
    d->engine = engine;
    for (size_t i = 0; i < GUEST_DISKS_MAX; i++) {
        d->jobs[i].owner = d;
        d->clients[i] = (struct disk_client){.owner = d, .pidfd = -1};
    }
    *ret = d;
    return 0;
}

static void client_forget(struct disk_client *c)
{
    c->source = sd_event_source_disable_unref(c->source);
    if (c->pidfd >= 0)
        (void)close(c->pidfd);
    *c = (struct disk_client){.owner = c->owner, .pidfd = -1};
}

struct guest_disks *guest_disks_free(struct guest_disks *d)
{
    if (!d)
        return NULL;
    for (size_t i = 0; i < GUEST_DISKS_MAX; i++)
        client_forget(&d->clients[i]);
    (void)sd_event_unref(d->loop);
    free(d);
    return NULL;
}

/* ---- clients that end ---- */

static int on_retry(struct sd_event_source *s, uint64_t usec, void *user);

static void client_retry(struct disk_client *c)
{
    c->source = sd_event_source_disable_unref(c->source);
    if (c->tries++ < GUEST_DISKS_TRIES &&
        sd_event_add_time_relative(c->owner->loop, &c->source, CLOCK_MONOTONIC, GUEST_DISKS_RETRY_SEC * 1000000ULL, 0, on_retry,
                                   c) >= 0)
        return;
    log_warning("guest '%s' does not let go of the disk '%s' of a point, which nobody serves any more: unmount it there, then: "
                "ballast backup detach %s", c->guest, c->id, c->guest);
    client_forget(c);
}

static void client_out(struct disk_client *c)
{
    log_info("the disk '%s' is taken from guest '%s': who served it has ended", c->id, c->guest);
    client_forget(c);
}

static void on_taken_back(void *user, const struct hv_disk_told *told, const struct err *e)
{
    struct disk_client *c = user;

    c->is_asked = false;
    if (c->is_out)
        client_forget(c); /* another's order was quicker */
    else if (e || told->is_left)
        client_retry(c);
    else
        client_out(c);
}

static void client_take_back(struct disk_client *c)
{
    const struct engine_guest *g = engine_find(c->owner->engine, c->guest);
    struct err e = {0};

    if (!g) {
        client_forget(c); /* its disks went with it */
        return;
    }
    c->is_asked = hv_disk_remove(g->vm, c->id, on_taken_back, c, &e) == 0;
    if (!c->is_asked)
        client_retry(c);
}

static int on_retry(struct sd_event_source *s, uint64_t usec, void *user)
{
    (void)s;
    (void)usec;
    client_take_back(user);
    return 0;
}

static int on_client_end(struct sd_event_source *s, int fd, uint32_t events, void *user)
{
    struct disk_client *c = user;

    (void)s;
    (void)fd;
    (void)events;
    c->source = sd_event_source_disable_unref(c->source);
    client_take_back(c);
    return 0;
}

static void client_watch(struct guest_disks *d, const struct disk_job *job)
{
    struct disk_client *c = d->clients;

    while (c < d->clients + GUEST_DISKS_MAX && c->id[0])
        c++;
    if (c == d->clients + GUEST_DISKS_MAX || job->client <= 0)
        return; /* `ballast backup detach` is left to people */
    c->pidfd = (int)syscall(SYS_pidfd_open, job->client, 0);
    if (c->pidfd < 0 && errno != ESRCH)
        return; /* Linux before 5.3 */
    wire_text_copy(c->guest, sizeof(c->guest), job->guest);
    wire_text_copy(c->id, sizeof(c->id), job->told.id);
    if (c->pidfd < 0)
        client_retry(c); /* gone already */
    else if (sd_event_add_io(d->loop, &c->source, c->pidfd, EPOLLIN, on_client_end, c) < 0)
        client_forget(c);
}

/* The disk is out. */
static void client_drop(struct guest_disks *d, const char *guest, const char *id)
{
    for (size_t i = 0; i < GUEST_DISKS_MAX; i++)
        if (d->clients[i].id[0] && strcmp(d->clients[i].id, id) == 0 && strcmp(d->clients[i].guest, guest) == 0) {
            d->clients[i].is_out = true;
            if (!d->clients[i].is_asked)
                client_forget(&d->clients[i]);
        }
}

/* ---- the driver's answer ---- */

static void job_fail(struct disk_job *job, const struct err *e)
{
    const char *hint = "see ballast show of that guest; try again when its monitor answers";

    if (e->code == ENOSPC)
        hint = "detach another one (ballast backup detach GUEST); a guest of type q35 needs a free -device pcie-root-port,id=NAME,"
               "chassis=NUMBER from its start: without one, restore the disk to a file and give it to the guest when it starts";
    else if (e->code == EBUSY)
        hint = "try again in a moment";
    else if (e->code == EPERM)
        hint = "serve it (ballast backup serve POINT DISK SOCKET), and describe that to libvirt: virsh attach-device with <disk "
               "type='network'><source protocol='nbd'><host transport='unix' socket='SOCKET'/></source>";
    else if (e->code == EREMOTEIO)
        hint = "what QEMU says is quoted; its own log may tell more";
    wire_text_copy(job->told.state, sizeof(job->told.state), WIRE_DISK_FAILED);
    wire_text_copy(job->told.text, sizeof(job->told.text), e->text);
    wire_text_copy(job->told.hint, sizeof(job->told.hint), hint);
    log_warning("guest '%s' is not %s a disk: %s", job->guest, job->is_removal ? "deprived of" : "given", e->text);
}

static void on_done(void *user, const struct hv_disk_told *told, const struct err *e)
{
    struct disk_job *job = user;

    wire_text_copy(job->told.id, sizeof(job->told.id), told->id);
    wire_text_copy(job->told.serial, sizeof(job->told.serial), told->serial);
    if (e) {
        job_fail(job, e);
        return;
    }
    wire_text_copy(job->told.state, sizeof(job->told.state), !told->id[0]   ? WIRE_DISK_NONE :
                                                             told->is_left  ? WIRE_DISK_LEFT :
                                                                              WIRE_DISK_DONE);
    if (!job->is_removal) {
        log_info("guest '%s' was given the disk '%s' of a point (serial '%s')", job->guest, told->id, told->serial);
        client_watch(job->owner, job);
    } else if (told->id[0] && !told->is_left) {
        log_info("the disk '%s' is taken from guest '%s'", told->id, job->guest);
        client_drop(job->owner, job->guest, told->id);
    }
}

/* ---- requests ---- */

static bool is_running(const struct disk_job *job)
{
    return job->number && strcmp(job->told.state, WIRE_DISK_RUNNING) == 0;
}

static struct disk_job *job_find(struct guest_disks *d, const struct api_request *rq)
{
    for (size_t i = 0; i < GUEST_DISKS_MAX; i++)
        if (d->jobs[i].number && d->jobs[i].client == rq->peer.pid && strcmp(d->jobs[i].guest, rq->name) == 0)
            return &d->jobs[i];
    return NULL;
}

/* A free one, else the oldest that is over; NULL: all are under way. */
static struct disk_job *job_take(struct guest_disks *d)
{
    struct disk_job *best = NULL;

    for (size_t i = 0; i < GUEST_DISKS_MAX; i++)
        if (!is_running(&d->jobs[i]) && (!best || d->jobs[i].number < best->number))
            best = &d->jobs[i];
    return best;
}

struct disk_order {
    char socket[WIRE_ERROR_TEXT_SIZE]; /* longer than any that is allowed: the driver says so */
    char name[WIRE_NAME_SIZE];
    bool writable;
    char id[HV_DISK_ID_SIZE + 1];
};

static const struct wire_field add_fields[] = {
    WIRE_FIELD(disk_order, TEXT, socket),
    WIRE_FIELD(disk_order, TEXT, name),
    WIRE_FIELD(disk_order, BOOL, writable),
};
static const struct wire_field remove_fields[] = {WIRE_FIELD(disk_order, TEXT, id)};

/* /proc never blocks. */
static uint64_t user_of(const struct hv_vm *vm)
{
    struct stat st;
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%ld", (long)vm->pid);
    return vm->pid > 0 && stat(path, &st) == 0 ? st.st_uid : WIRE_UNKNOWN;
}

static void start(struct disk_job *job, const struct engine_guest *g, const struct api_request *rq, const struct disk_order *order)
{
    const struct hv_disk disk = {.socket = order->socket, .name = order->name, .writable = order->writable};
    struct err e = {0};
    int r;

    job->number = ++job->owner->numbers;
    job->client = rq->peer.pid;
    job->told = (struct wire_disk){.state = WIRE_DISK_RUNNING, .uid = user_of(g->vm)};
    wire_text_copy(job->guest, sizeof(job->guest), rq->name);
    log_info("guest '%s' is to be %s a disk, asked for by uid %lu", rq->name, job->is_removal ? "deprived of" : "given",
             (unsigned long)rq->peer.uid);
    r = job->is_removal ? hv_disk_remove(g->vm, order->id[0] ? order->id : NULL, on_done, job, &e) :
                          hv_disk_add(g->vm, &disk, on_done, job, &e);
    if (r < 0)
        job_fail(job, &e);
}

static void order_take(struct guest_disks *d, const struct engine_guest *g, bool is_removal, const struct api_request *rq,
                       struct api_reply *ret)
{
    const struct wire_field *fields = is_removal ? remove_fields : add_fields;
    const size_t n = is_removal ? 1 : sizeof(add_fields) / sizeof(add_fields[0]);
    struct disk_job *job = job_find(d, rq);
    struct disk_order order = {0};

    if (!api_body_read(rq, fields, n, NULL, &order, ret))
        return;
    if (!job)
        job = job_take(d);
    if (!job || (is_running(job) && job->is_removal != is_removal)) {
        api_reply_error(ret, 503, "try again in a moment", "another order for disks of guest '%s' is under way", rq->name);
        return;
    }
    if (!is_running(job)) {
        job->is_removal = is_removal;
        start(job, g, rq, &order);
    }
    wire_disk_print(&ret->body, &job->told);
}

void guest_disks_request(struct guest_disks *d, enum api_operation what, const struct api_request *rq, struct api_reply *ret)
{
    const struct engine_guest *g = engine_find(d->engine, rq->name);
    const struct disk_job *job = job_find(d, rq);
    struct wire_disk told = {.state = WIRE_DISK_NONE};

    if (!g && (!job || what != API_OPERATION_DISK_STATE)) {
        api_reply_no_guest(rq->source, rq->name, ret);
        return;
    }
    if (what != API_OPERATION_DISK_STATE) {
        order_take(d, g, what == API_OPERATION_DISK_REMOVE, rq, ret);
        return;
    }
    if (job)
        told = job->told;
    told.uid = g ? user_of(g->vm) : WIRE_UNKNOWN;
    wire_disk_print(&ret->body, &told);
}
