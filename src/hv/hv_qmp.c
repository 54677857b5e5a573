/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_qmp.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "hv_qmp_guest.h"
#include "log.h"
#include "own.h"
#include "qmp_message.h"

/* The driver as hv.h knows it, and where its guests come from. */

#define SUFFIX ".qmp"

struct directory {
    char *path;
    bool shared;
    struct sd_event_source *watch; /* NULL: does not exist yet, or no watch was left */
};

/* What the configuration says of one guest. */
struct qmp_named {
    char name[64];
    char *agent; /* NULL: nothing */
    enum hv_qmp_access access;
};

struct hv_qmp {
    struct hv hv;
    struct sd_event *loop;
    struct hv_listener listener;
    struct smaps_pool *pool;
    struct qmp_guest *guests;
    struct directory *directories;
    size_t directories_n;
    struct qmp_named *named;
    size_t named_n;
    uint64_t share_said_usec;
    struct sd_event_source *rescan;
    bool changed;              /* something happened in a directory since the last scan */
    bool full_told, name_told; /* said, once for all of their kind */
};

static struct hv_qmp *driver_of(struct hv *hv)
{
    return (struct hv_qmp *)((char *)hv - offsetof(struct hv_qmp, hv));
}

struct qmp_guest *qmp_guest_of(struct hv_vm *vm)
{
    return (struct qmp_guest *)((char *)vm - offsetof(struct qmp_guest, vm));
}

uint64_t qmp_guest_now(const struct qmp_guest *g)
{
    uint64_t now = 0;

    (void)sd_event_now(g->driver->loop, CLOCK_MONOTONIC, &now); /* fails only after a fork */
    return now;
}

struct sd_event *qmp_guest_loop(const struct qmp_guest *g)
{
    return g->driver->loop;
}

const struct hv_listener *qmp_guest_listener(const struct qmp_guest *g)
{
    return &g->driver->listener;
}

struct smaps_pool *qmp_guest_pool(const struct qmp_guest *g)
{
    return g->driver->pool;
}

/* ---- guests ---- */

static struct qmp_guest *find_guest(struct hv_qmp *driver, const char *name)
{
    for (struct qmp_guest *g = driver->guests; g; g = g->next)
        if (strcmp(g->vm.name, name) == 0)
            return g;
    return NULL;
}

static struct qmp_guest *guest_free(struct qmp_guest *g)
{
    if (!g)
        return NULL;
    g->client = qmp_client_free(g->client);
    qmp_guest_detach(g);
    qmp_guest_agent_stop(g);
    g->share.timer = sd_event_source_disable_unref(g->share.timer);
    g->pid_source = sd_event_source_disable_unref(g->pid_source);
    if (g->pidfd >= 0)
        (void)close(g->pidfd);
    if (g->job && g->job_busy)
        smaps_pool_forget(g->driver->pool, g->job);
    else
        (void)smaps_job_free(g->job);
    free(g);
    return NULL;
}

static const struct qmp_named *find_named(const struct hv_qmp *driver, const char *name)
{
    for (size_t i = 0; i < driver->named_n; i++)
        if (strcmp(driver->named[i].name, name) == 0)
            return &driver->named[i];
    return NULL;
}

/* Where its agent is, and whether its monitor is shared. */
static void take_named(struct hv_qmp *driver, struct qmp_guest *g, bool shared)
{
    const struct qmp_named *named = find_named(driver, g->vm.name);

    g->share.on = shared;
    g->share.said_usec = driver->share_said_usec;
    if (named && named->access != HV_QMP_ACCESS_UNSAID)
        g->share.on = named->access == HV_QMP_ACCESS_SHARE;
    if (named && named->agent)
        (void)snprintf(g->agent_path, sizeof(g->agent_path), "%s", named->agent); /* fits: take_socket() looked */
    else
        (void)hv_qmp_agent_path(g->path, g->agent_path, sizeof(g->agent_path)); /* else empty: none */
}

static int add_guest(struct hv_qmp *driver, const char *name, const char *path, bool listed, bool shared, struct err *e)
{
    struct qmp_guest *g, **last = &driver->guests;

    if (!hv_name_is_valid(name))
        return err_set(e, EINVAL, "'%.80s' can't be the name of a guest: 1 to 63 printable bytes, none of / ' \" \\",
                       name);
    if (strlen(path) >= sizeof(g->path))
        return err_set(e, ENAMETOOLONG, "the socket path '%.200s' of guest '%s' is longer than %zu bytes", path, name,
                       sizeof(g->path) - 1);
    g = calloc(1, sizeof(*g));
    if (!g)
        return err_set(e, ENOMEM, "no memory for guest '%s'", name);
    g->driver = driver;
    g->vm.hv = &driver->hv;
    g->pidfd = -1;
    g->listed = listed;
    (void)snprintf(g->vm.name, sizeof(g->vm.name), "%s", name);
    (void)snprintf(g->path, sizeof(g->path), "%s", path);
    take_named(driver, g, shared);
    while (*last)
        last = &(*last)->next;
    *last = g;
    return 0;
}

/* From the loop: what can't be used is said, and stays in the list so that it is said once. */
static void start_guest(struct qmp_guest *g)
{
    struct err e = {0};

    if (g->client || g->refused)
        return;
    if (hv_qmp_check_socket(g->vm.name, g->path, &e) < 0) {
        g->refused = true;
        qmp_guest_trouble(g, QMP_CAUSE_REFUSED_PATH, e.code, "%s", e.text);
    } else if (qmp_guest_connect(g, &e) < 0) {
        qmp_guest_trouble(g, QMP_CAUSE_OTHER, e.code, "%s", e.text);
    }
}

/* ---- directories ---- */

static void trouble_with(struct hv_qmp *driver, const struct err *e)
{
    driver->listener.trouble(driver->listener.user, NULL, e);
}

static bool has_suffix(const char *file)
{
    size_t len = strlen(file);

    return len > strlen(SUFFIX) && strcmp(file + len - strlen(SUFFIX), SUFFIX) == 0;
}

/* NAME.qmp -> NAME. */
static bool guest_name_of(const char *file, char ret[64])
{
    size_t len = strlen(file) - strlen(SUFFIX);

    if (len >= 64)
        return false;
    memcpy(ret, file, len);
    ret[len] = '\0';
    return hv_name_is_valid(ret);
}

static void refuse_name(struct hv_qmp *driver, const char *directory, const char *file)
{
    char printable[NAME_MAX + 1];
    struct err e = {0};

    if (driver->name_told)
        return;
    driver->name_told = true;
    qmp_copy_printable(printable, sizeof(printable), file);
    (void)err_set(&e, EINVAL,
                  "the name of the socket '%.100s' in '%.200s' can't be that of a guest (1 to 63 printable bytes, no "
                  "blank, none of / ' \" \\): it is left alone, rename it",
                  printable, directory);
    trouble_with(driver, &e);
}

static void take_file(struct hv_qmp *driver, const struct directory *d, const char *file)
{
    AUTO_FREE char *path = NULL;
    struct qmp_guest *g;
    struct err e = {0};
    struct stat st;
    char name[64];

    if (!has_suffix(file) || asprintf(&path, "%s/%s", d->path, file) < 0) {
        path = NULL; /* undefined where there was no memory: the next scan tries again */
        return;
    }
    if (stat(path, &st) < 0)
        return; /* gone again */
    if (!guest_name_of(file, name)) {
        refuse_name(driver, d->path, file);
        return;
    }
    g = find_guest(driver, name);
    if (g && strcmp(g->path, path) != 0) {
        qmp_guest_trouble(g, QMP_CAUSE_DOUBLE, EEXIST,
                          "two sockets for a guest '%s': '%s' and '%.150s'; the second is left alone, rename it", name,
                          g->path, path);
        return;
    }
    if (!g && add_guest(driver, name, path, /* listed= */ false, d->shared, &e) < 0) {
        if (!driver->full_told)
            trouble_with(driver, &e);
        driver->full_told = true;
        return;
    }
    g = find_guest(driver, name);
    g->seen = true;
    if (!S_ISSOCK(st.st_mode)) {
        qmp_guest_trouble(g, QMP_CAUSE_NO_SOCKET, ENOTSOCK,
                          "'%.200s' is no socket, so there is no guest '%s': remove it, or name it otherwise", path, name);
        return;
    }
    if (g->inode != st.st_ino) {
        g->left_over = false;
        if (g->client && !qmp_client_is_ready(g->client))
            qmp_client_hurry(g->client); /* a new socket: no need to wait for the next try */
    }
    g->inode = st.st_ino;
    start_guest(g);
}

static int on_change(struct sd_event_source *s, const struct inotify_event *event, void *user);

static void scan_directory(struct hv_qmp *driver, struct directory *d)
{
    static const uint32_t mask = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_ATTRIB | IN_ONLYDIR;
    const struct dirent *entry;
    DIR *dir;

    if (!d->watch && sd_event_add_inotify(driver->loop, &d->watch, d->path, mask, on_change, driver) < 0)
        d->watch = NULL; /* not there yet, or no watch left: the next rescan looks again */
    dir = opendir(d->path);
    if (!dir)
        return;
    while ((entry = readdir(dir)))
        take_file(driver, d, entry->d_name);
    (void)closedir(dir);
}

/* A socket that is gone, with no guest behind it any more, is forgotten; a running QEMU keeps its connection. */
static void forget_unseen(struct hv_qmp *driver)
{
    for (struct qmp_guest **p = &driver->guests; *p;) {
        struct qmp_guest *g = *p;

        if (g->listed || g->seen || g->known || (g->client && qmp_client_is_ready(g->client))) {
            p = &g->next;
            continue;
        }
        *p = g->next;
        (void)guest_free(g);
    }
}

/* Watched directories in which nothing happened need no look: with many guests it would cost milliseconds each time. */
static bool is_scan_due(const struct hv_qmp *driver)
{
    for (size_t i = 0; i < driver->directories_n; i++)
        if (!driver->directories[i].watch)
            return true;
    return driver->changed;
}

static void scan(struct hv_qmp *driver)
{
    driver->changed = false;
    for (struct qmp_guest *g = driver->guests; g; g = g->next) {
        g->seen = false;
        if (g->listed)
            start_guest(g);
    }
    for (size_t i = 0; i < driver->directories_n; i++)
        scan_directory(driver, &driver->directories[i]);
    forget_unseen(driver);
}

static int on_change(struct sd_event_source *s, const struct inotify_event *event, void *user)
{
    struct hv_qmp *driver = user;

    if (event->mask & (IN_IGNORED | IN_UNMOUNT)) /* the directory itself is gone: watch the next one of that name */
        for (size_t i = 0; i < driver->directories_n; i++)
            if (driver->directories[i].watch == s)
                driver->directories[i].watch = sd_event_source_disable_unref(s);
    driver->changed = true;
    /* Many changes at once are one scan: it is put off by a moment, which also lets QEMU listen on the new socket. */
    (void)sd_event_source_set_time_relative(driver->rescan, 20000);
    (void)sd_event_source_set_enabled(driver->rescan, SD_EVENT_ONESHOT);
    return 0;
}

static int on_rescan(struct sd_event_source *s, uint64_t usec, void *user)
{
    (void)usec;
    if (is_scan_due(user))
        scan(user);
    (void)sd_event_source_set_time_relative(s, HV_QMP_RESCAN_USEC);
    (void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
    return 0;
}

/* ---- hv.h ---- */

static void qmp_close(struct hv *hv)
{
    struct hv_qmp *driver = driver_of(hv);

    while (driver->guests) {
        struct qmp_guest *g = driver->guests;

        driver->guests = g->next;
        g->client = qmp_client_free(g->client); /* its orders end before it does */
        qmp_guest_vanish(g, "its driver is closed");
        (void)guest_free(g);
    }
    driver->pool = smaps_pool_free(driver->pool);
    driver->rescan = sd_event_source_disable_unref(driver->rescan);
    for (size_t i = 0; i < driver->directories_n; i++) {
        (void)sd_event_source_disable_unref(driver->directories[i].watch);
        free(driver->directories[i].path);
    }
    free(driver->directories);
    for (size_t i = 0; i < driver->named_n; i++)
        free(driver->named[i].agent);
    free(driver->named);
    driver->loop = sd_event_unref(driver->loop);
    free(driver);
}

static int qmp_sample(struct hv *hv, struct hv_vm *vm, uint32_t what, struct err *e)
{
    (void)hv;
    return qmp_guest_sample(qmp_guest_of(vm), what, e);
}

static int qmp_set_target(struct hv *hv, struct hv_vm *vm, uint64_t target_bytes, hv_done_fn *done, void *user,
                          struct err *e)
{
    (void)hv;
    return qmp_guest_set_target(qmp_guest_of(vm), target_bytes, done, user, e);
}

static void qmp_tell(struct hv *hv, struct hv_vm *vm, const struct hv_tell *tell)
{
    (void)hv;
    qmp_guest_tell(qmp_guest_of(vm), tell);
}

static int qmp_attach(struct hv *hv, struct hv_vm *vm, hv_attach_fn *done, void *user, struct err *e)
{
    (void)hv;
    return qmp_guest_attach(qmp_guest_of(vm), done, user, e);
}

static int qmp_disk_add(struct hv *hv, struct hv_vm *vm, const struct hv_disk *disk, hv_disk_fn *done, void *user, struct err *e)
{
    (void)hv;
    return qmp_guest_disk_add(qmp_guest_of(vm), disk, done, user, e);
}

static int qmp_disk_remove(struct hv *hv, struct hv_vm *vm, const char *id, hv_disk_fn *done, void *user, struct err *e)
{
    (void)hv;
    return qmp_guest_disk_remove(qmp_guest_of(vm), id, done, user, e);
}

static const struct hv_ops qmp_ops = {
    .name = "qmp",
    .close = qmp_close,
    .sample = qmp_sample,
    .set_target = qmp_set_target,
    .tell = qmp_tell,
    .attach = qmp_attach,
    .disk_add = qmp_disk_add,
    .disk_remove = qmp_disk_remove,
    .backup = &qmp_backup_ops,
};

static void on_smaps(struct smaps_job *job)
{
    qmp_guest_smaps_done(job->user, job);
}

static int take_socket(struct hv_qmp *driver, const struct hv_qmp_socket *socket, struct err *e)
{
    struct qmp_named *named = &driver->named[driver->named_n];

    if (!hv_name_is_valid(socket->name))
        return err_set(e, EINVAL, "'%.80s' can't be the name of a guest: 1 to 63 printable bytes, none of / ' \" \\",
                       socket->name);
    if (find_named(driver, socket->name))
        return err_set(e, EINVAL, "two sockets for a guest '%s'", socket->name);
    if (socket->agent && strlen(socket->agent) >= sizeof(((struct qmp_guest *)0)->agent_path))
        return err_set(e, ENAMETOOLONG, "the agent's socket path '%.200s' of guest '%s' is too long", socket->agent,
                       socket->name);
    (void)snprintf(named->name, sizeof(named->name), "%s", socket->name);
    named->access = socket->access;
    named->agent = socket->agent ? strdup(socket->agent) : NULL;
    driver->named_n++;
    if (socket->agent && !named->agent)
        return err_set(e, ENOMEM, "no memory for guest '%s'", socket->name);
    if (!socket->path)
        return 0;
    return add_guest(driver, socket->name, socket->path, /* listed= */ true, /* shared= */ false, e);
}

static int take_config(struct hv_qmp *driver, const struct hv_qmp_config *config, struct err *e)
{
    int r;

    driver->directories = calloc(config->directories_n + 1, sizeof(driver->directories[0]));
    driver->named = calloc(config->sockets_n + 1, sizeof(driver->named[0]));
    if (!driver->directories || !driver->named)
        return err_set(e, ENOMEM, "no memory for the list of directories");
    for (size_t i = 0; i < config->directories_n; i++) {
        driver->directories[i].path = strdup(config->directories[i]);
        if (!driver->directories[i].path)
            return err_set(e, ENOMEM, "no memory for the list of directories");
        driver->directories[i].shared = config->directories_shared && config->directories_shared[i];
        driver->directories_n++;
    }
    for (size_t i = 0; i < config->sockets_n; i++) {
        r = take_socket(driver, &config->sockets[i], e);
        if (r < 0)
            return r;
    }
    return 0;
}

int hv_qmp_open(const struct hv_qmp_config *config, struct hv **ret, struct err *e)
{
    struct hv_qmp *driver = calloc(1, sizeof(*driver));
    int r;

    if (!driver)
        return err_set(e, ENOMEM, "no memory for the QEMU driver");
    driver->hv.ops = &qmp_ops;
    driver->loop = sd_event_ref(config->loop);
    driver->listener = config->listener;
    driver->changed = true;
    driver->share_said_usec = config->share_said_usec ? config->share_said_usec : HV_QMP_SHARE_SAID_USEC;
    r = take_config(driver, config, e);
    if (r == 0)
        r = smaps_pool_new(config->loop, "/proc", /* deadline_usec= */ 0, on_smaps, &driver->pool, e);
    if (r == 0) {
        r = sd_event_add_time_relative(config->loop, &driver->rescan, CLOCK_MONOTONIC, 0, /* accuracy= */ 1000,
                                       on_rescan, driver);
        if (r < 0)
            (void)err_set(e, -r, "no timer for the QEMU driver: %s", strerror(-r));
    }
    if (r < 0) {
        qmp_close(&driver->hv);
        return r;
    }
    *ret = &driver->hv;
    return 0;
}
