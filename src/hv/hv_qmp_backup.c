/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_qmp_guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A backup on the guest's own monitor: its commands between those of the balancer, with deadlines of their own. */

#define SUFFIX ".qmp"
#define AGENT_SUFFIX ".qga"

/* A command under way. Kept apart from the guest: its answer may come after the backup that sent it has ended. */
struct backup_call {
    struct qmp_guest *guest;
    uint32_t use;
    hv_reply_fn *done;
    void *user;
};

static void on_reply(void *user, struct json_object *value, const struct err *e)
{
    struct backup_call call = *(struct backup_call *)user;

    free(user);
    if (call.guest->backup.used && call.guest->backup.use == call.use)
        call.done(call.user, value, e);
}

static int backup_begin(struct hv *hv, struct hv_vm *vm, const struct hv_backup_listener *listener,
                        struct hv_backup_sockets *ret, struct err *e)
{
    struct qmp_guest *g = qmp_guest_of(vm);
    size_t len = strlen(g->path);

    (void)hv;
    if (g->share.on)
        return err_set(e, ENOTSUP, "guest '%s' can't be backed up over a monitor that others use (access: share): a backup "
                       "must keep it; give ballast a monitor of its own", vm->name);
    if (g->backup.used)
        return err_set(e, EBUSY, "guest '%s' is being backed up already", vm->name);
    if (g->share.on)
        return err_set(e, EPERM, "the monitor of guest '%s' is shared with others, so nobody could end a freeze for sure; "
                       "give ballast one of its own: -chardev socket,id=ballast,path=/run/ballast/guests/%s.qmp,server=on,"
                       "wait=off -mon chardev=ballast,mode=control", vm->name, vm->name);
    if (!g->attached || !qmp_client_is_ready(g->client))
        return err_set(e, ENOTCONN, "no connection to the monitor of guest '%s'", vm->name);
    g->backup.used = true;
    g->backup.use++;
    g->backup.listener = *listener;
    *ret = (struct hv_backup_sockets){0};
    (void)snprintf(ret->monitor, sizeof(ret->monitor), "%s", g->path);
    if (len > strlen(SUFFIX) && strcmp(g->path + len - strlen(SUFFIX), SUFFIX) == 0)
        (void)snprintf(ret->agent, sizeof(ret->agent), "%.*s%s", (int)(len - strlen(SUFFIX)), g->path, AGENT_SUFFIX);
    return 0;
}

static void backup_freeze(struct hv *hv, struct hv_vm *vm, bool frozen)
{
    struct qmp_guest *g = qmp_guest_of(vm);
    const struct hv_listener *l = qmp_guest_listener(g);

    (void)hv;
    if (g->backup.frozen == frozen || !g->known)
        return;
    g->backup.frozen = frozen;
    l->happened(l->user, vm, frozen ? HV_HAPPENED_FROZEN : HV_HAPPENED_THAWED, qmp_guest_now(g));
    if (!frozen && g->attached && g->running == g->told_paused) { /* somebody else did so meanwhile, or `cont` failed */
        g->told_paused = !g->running;
        l->happened(l->user, vm, g->running ? HV_HAPPENED_RESUMED : HV_HAPPENED_PAUSED, qmp_guest_now(g));
    }
}

static void backup_end(struct hv *hv, struct hv_vm *vm)
{
    struct qmp_guest *g = qmp_guest_of(vm);

    backup_freeze(hv, vm, false);
    g->backup.used = false;
}

static int backup_call(struct hv *hv, struct hv_vm *vm, uint64_t deadline_usec, const char *command,
                       const char *arguments, hv_reply_fn *done, void *user, struct err *e)
{
    struct qmp_guest *g = qmp_guest_of(vm);
    struct backup_call *call;
    int r;

    (void)hv;
    if (!g->client)
        return err_set(e, ENOTCONN, "no connection to the monitor of guest '%s'", vm->name);
    call = malloc(sizeof(*call));
    if (!call)
        return err_set(e, ENOMEM, "no memory for a command to guest '%s'", vm->name);
    *call = (struct backup_call){.guest = g, .use = g->backup.use, .done = done, .user = user};
    r = qmp_client_call_within(g->client, deadline_usec, command, arguments, on_reply, call, e);
    if (r < 0)
        free(call);
    return r;
}

static int backup_dup(struct hv *hv, struct hv_vm *vm, int *ret_fd, struct err *e)
{
    struct qmp_guest *g = qmp_guest_of(vm);

    (void)hv;
    if (!g->client)
        return err_set(e, ENOTCONN, "no connection to the monitor of guest '%s'", vm->name);
    return qmp_client_dup(g->client, ret_fd, e);
}

const struct hv_backup_ops qmp_backup_ops = {
    .begin = backup_begin,
    .end = backup_end,
    .call = backup_call,
    .dup = backup_dup,
    .freeze = backup_freeze,
};

void qmp_guest_backup_event(struct qmp_guest *g, const char *name, struct json_object *data)
{
    if (g->backup.used && g->backup.listener.event)
        g->backup.listener.event(g->backup.listener.user, name, data);
}

void qmp_guest_backup_ready(struct qmp_guest *g)
{
    if (g->backup.used && g->backup.listener.ready)
        g->backup.listener.ready(g->backup.listener.user);
}

void qmp_guest_backup_lost(struct qmp_guest *g, bool gone, const char *reason)
{
    const struct hv_backup_listener listener = g->backup.listener;

    if (!g->backup.used)
        return;
    if (gone)
        g->backup.used = g->backup.frozen = false; /* the guest goes: nobody needs to hear that it is thawed */
    listener.lost(listener.user, gone, reason);
}
