/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "observe.h"

/* Hypervisor drivers: one small vtable (docs/drivers.md draws the call order). The only code that talks to hypervisors.
 *
 * A driver finds guests by itself and tells of them through struct hv_listener; the engine asks it to sample and to set
 * targets. Nothing here blocks: every answer comes later, from the loop, or never (then the deadline ends the call). */

struct hv;
struct json_object;
struct sd_event;

enum hv_answer {
    HV_UNKNOWN,
    HV_NO,
    HV_YES,
};

/* The socket behind a guest's agent's port. */
enum hv_port {
    HV_PORT_UNKNOWN,
    HV_PORT_NONE,  /* nobody listens there: it has no such port */
    HV_PORT_OPEN,  /* there, and nothing was heard through it: no agent runs */
    HV_PORT_HEARD,
};

/* What a driver found out about a guest beside its levers: for people (`ballast doctor`), and why its size can't be
 * changed where that is so. */
struct hv_facts {
    char version[32];   /* of the hypervisor: "QEMU 7.2.15"; empty: not known */
    char fixed[160];    /* why its levers free nothing: then the driver says it has none; empty: they do */
    enum hv_answer deflate_on_oom, page_reporting; /* of its balloon */
    enum hv_port port;
    bool has_balloon;   /* a device, also where it is of no use */
    bool shared_monitor; /* other clients use its monitor, too */
    bool kernel_short;  /* hot-added memory is plenty, its kernel's own is not */
    uint64_t maximum_bytes; /* that the machine can ever have (maxmem); 0: not known, also without slots */
    uint64_t slots;         /* for memory devices; counts where maximum_bytes is known */
};

/* One guest as its driver knows it. Owned by the driver, valid from appeared() until vanished() returns. */
struct hv_vm {
    struct hv *hv;
    char name[64];          /* unique among all drivers: no '/', no control characters */
    char uuid[40];          /* the manager's; empty where there is none (QEMU's all-zero UUID is none) */
    pid_t pid;              /* 0: not known */
    uint64_t start_ticks;   /* /proc/PID/stat field 22: with pid and host boot id the incarnation */
    uint32_t caps;          /* enum hv_cap */
    struct hv_facts facts;
    void *user;             /* the listener's own; the driver never touches it */
};

enum hv_cap {
    HV_CAP_BALLOON = 1 << 0,
    HV_CAP_PLUG = 1 << 1,       /* virtio-mem */
    HV_CAP_STATISTICS = 1 << 2, /* balloon statistics */
    HV_CAP_AGENT = 1 << 3,
    HV_CAP_HOST_VIEW = 1 << 4,
};

enum hv_sample {
    HV_SAMPLE_LEVERS = 1 << 0,
    HV_SAMPLE_VIEW = 1 << 1, /* statistics; an agent pushes by itself */
    HV_SAMPLE_HOST = 1 << 2,
    HV_SAMPLE_ALL = HV_SAMPLE_LEVERS | HV_SAMPLE_VIEW | HV_SAMPLE_HOST,
};

enum hv_happening {
    HV_HAPPENED_RESET,        /* the guest reset: RESET, also SHUTDOWN with reset */
    HV_HAPPENED_PANIC,
    HV_HAPPENED_SHUTDOWN,     /* powered down, QEMU may live on */
    HV_HAPPENED_PAUSED,
    HV_HAPPENED_RESUMED,
    HV_HAPPENED_FOREIGN_HAND, /* someone else moved the lever */
    HV_HAPPENED_FROZEN,       /* a backup's freeze window begins: it may stand still for some seconds ... */
    HV_HAPPENED_THAWED,       /* ... and runs again */
    HV_HAPPENED_DRIVER_LOST,  /* all its balloon came back at once, unasked: drivers need not tell, the engine sees it */
    HV_HAPPENED_COUNT
};

/* Called from the loop only, never from inside a call into the driver. */
struct hv_listener {
    void (*appeared)(void *user, struct hv_vm *vm, uint64_t now_usec);
    void (*vanished)(void *user, struct hv_vm *vm, const char *reason, uint64_t now_usec);
    void (*levers)(void *user, struct hv_vm *vm, const struct obs_levers *seen);
    void (*host_view)(void *user, struct hv_vm *vm, const struct obs_host_view *seen);
    void (*view)(void *user, struct hv_vm *vm, const struct obs_guest_view *seen);
    void (*happened)(void *user, struct hv_vm *vm, enum hv_happening what, uint64_t now_usec);
    /* One sentence for people about a guest (vm may be NULL: about a socket or directory that gives no guest, named in
     * e->text). The driver says each trouble once per cause, not once per try. Exit codes: e->code. 0: what was said last of
     * this guest is over. */
    void (*trouble)(void *user, struct hv_vm *vm, const struct err *e);
    void *user;
};

/* What a guest's agent is to know; ballast-agent shows it to people in the guest. */
struct hv_tell {
    uint64_t watermark_bytes; /* of MemAvailable: below it, the agent tells at once */
    uint64_t heartbeat_usec;  /* between samples where nothing happens */
    uint64_t lent_bytes;      /* to the host, of what the guest had at boot or was given since */
    uint64_t assigned_bytes;
    uint64_t maximum_bytes;
    char why[256];            /* one sentence */
};

/* Once per call, from the loop; e is NULL on success. */
typedef void hv_done_fn(void *user, const struct err *e);

/* What a backup needs of a guest: one user at a time, from begin() to end(). All answers come from the loop. */
struct hv_backup_listener {
    /* data: borrowed for the call; NULL where the event has none. */
    void (*event)(void *user, const char *name, struct json_object *data);
    /* The connection ended (the guest may run on) or the guest is gone: calls under way have ended with ECANCELED, further
     * ones fail with ENOTCONN until ready(). After `gone` nothing comes any more: end() was done for the user. */
    void (*lost)(void *user, bool gone, const char *reason);
    void (*ready)(void *user); /* connected again */
    void *user;
};

/* Once per call; as qmp_reply_fn. value: borrowed for the call. */
typedef void hv_reply_fn(void *user, struct json_object *value, const struct err *e);

#define HV_SOCKET_SIZE 112 /* holds any unix socket's path */

struct hv_backup_sockets {
    char monitor[HV_SOCKET_SIZE];
    char agent[HV_SOCKET_SIZE]; /* of qemu-guest-agent (NAME.qga); empty: the monitor's name tells none */
};

struct hv_backup_ops {
    /* -EBUSY: another user; -ENOTCONN: no connection now. listener: copied. */
    int (*begin)(struct hv *hv, struct hv_vm *vm, const struct hv_backup_listener *listener,
                 struct hv_backup_sockets *ret, struct err *e);
    void (*end)(struct hv *hv, struct hv_vm *vm); /* no callback comes any more, those of calls under way included */

    /* One command to the guest's monitor, with a deadline of its own. arguments: JSON text or NULL. */
    int (*call)(struct hv *hv, struct hv_vm *vm, uint64_t deadline_usec, const char *command, const char *arguments,
                hv_reply_fn *done, void *user, struct err *e);

    int (*dup)(struct hv *hv, struct hv_vm *vm, int *ret_fd, struct err *e); /* as qmp_client_dup() */

    /* From `true` on what stops and continues the guest is the backup's: told as FROZEN and THAWED, from inside this call,
     * instead of PAUSED and RESUMED. */
    void (*freeze)(struct hv *hv, struct hv_vm *vm, bool frozen);
};

/* What gives a guest the port for its agent. */
struct hv_attached {
    bool was_there;    /* nothing was to do */
    char path[108];    /* of the socket on the host; empty: none */
    char options[512]; /* the hypervisor's own, for the next start of the guest */
};

/* Once per call, from the loop; e is NULL on success. told is never NULL. */
typedef void hv_attach_fn(void *user, const struct hv_attached *told, const struct err *e);

/* A disk that is plugged into a running guest, from an NBD server on a unix socket. */
struct hv_disk {
    const char *socket;  /* absolute; listened on, and answering, before it is given: QEMU and its guest wait for it */
    const char *name;    /* goes into the serial number, with what is fit for one */
    bool writable;
};

#define HV_DISK_ID_SIZE 32     /* QEMU's names of nodes end there */
#define HV_DISK_SERIAL_SIZE 21 /* virtio-blk's limit is 20 bytes */

struct hv_disk_told {
    char id[HV_DISK_ID_SIZE];         /* "" where there was none to remove */
    char serial[HV_DISK_SERIAL_SIZE]; /* of one that was added: /dev/disk/by-id/virtio-SERIAL in Linux */
    bool is_left;                     /* the guest has not let go of it yet: ask again */
};

/* Once per call, from the loop; e is NULL on success. told is never NULL. */
typedef void hv_disk_fn(void *user, const struct hv_disk_told *told, const struct err *e);

/* What such a disk and its node are called in QEMU begins so. Not as what a backup makes there does: that is undone. */
#define HV_DISK_PREFIX "restored-ballast-"
#define HV_DISKS_MAX 8 /* in one guest */

struct hv_ops {
    const char *name; /* "qmp", "libvirt", "xen", "sim" */

    /* Ends all calls under way with ECANCELED, tells vanished() for each guest (both from inside this call), and frees
     * everything. Guests keep what they have (S10). */
    void (*close)(struct hv *hv);

    /* Starts sampling `what` (enum hv_sample); answers come through the listener. Asking again while an answer is due
     * is free. QEMU gathers statistics once a second; asking for HV_SAMPLE_VIEW more often makes it ask the guest at
     * once, and brings a new view with each call but the first, some 20 times a second at most.
     * Returns 0 or -errno (guest gone). */
    int (*sample)(struct hv *hv, struct hv_vm *vm, uint32_t what, struct err *e);

    /* Absolute target for the guest's assigned memory; the driver splits it over its levers: deflate first, hot-add
     * after; unplug first, inflate after. A newer target replaces an older one. done comes when the hypervisor took the
     * command; whether the guest moves shows in levers(). */
    int (*set_target)(struct hv *hv, struct hv_vm *vm, uint64_t target_bytes, hv_done_fn *done, void *user,
                      struct err *e);

    /* Optional: for the guest's agent, if it has one. Only what changed is sent; an agent that starts anew is told
     * again. Nothing comes back. */
    void (*tell)(struct hv *hv, struct hv_vm *vm, const struct hv_tell *tell);

    /* Optional: gives a running guest the port for its agent. Nothing is to do where it has one. What was done before
     * a failure is undone. */
    int (*attach)(struct hv *hv, struct hv_vm *vm, hv_attach_fn *done, void *user, struct err *e);

    /* Optional, both: a disk of HV_DISK_PREFIX is plugged; the one of that id (NULL: any) is asked for back. What was done
     * before a failure is undone. */
    int (*disk_add)(struct hv *hv, struct hv_vm *vm, const struct hv_disk *disk, hv_disk_fn *done, void *user, struct err *e);
    int (*disk_remove)(struct hv *hv, struct hv_vm *vm, const char *id, hv_disk_fn *done, void *user, struct err *e);

    const struct hv_backup_ops *backup; /* NULL: cannot back up */
};

struct hv {
    const struct hv_ops *ops;
};

/* Wrappers: range checks and a debug line, then the driver. NULL-safe for close. Return NULL / as the op. */
struct hv *hv_close(struct hv *hv);
int hv_sample(struct hv_vm *vm, uint32_t what, struct err *e);
int hv_set_target(struct hv_vm *vm, uint64_t target_bytes, hv_done_fn *done, void *user, struct err *e);
int hv_attach(struct hv_vm *vm, hv_attach_fn *done, void *user, struct err *e); /* -ENOTSUP: not by this driver */
int hv_disk_add(struct hv_vm *vm, const struct hv_disk *disk, hv_disk_fn *done, void *user, struct err *e); /* as hv_attach() */
int hv_disk_remove(struct hv_vm *vm, const char *id, hv_disk_fn *done, void *user, struct err *e);
void hv_tell(struct hv_vm *vm, const struct hv_tell *tell); /* nothing where the driver can't */

/* A guest's name from a file name or configuration is usable: 1..63 bytes, printable, no '/', no quote. */
bool hv_name_is_valid(const char *name);
