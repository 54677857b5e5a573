/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "err.h"
#include "hv.h"
#include "lever.h"
#include "online.h"
#include "qmp_answer.h"
#include "qmp_client.h"
#include "smaps_pool.h"

/* Inside the QEMU driver only (hv_qmp*.c): one socket, and the guest behind it while there is one. */

struct agent_link;
struct hv_qmp;
struct json_object;
struct qmp_port;
struct qmp_disk;
struct sd_event;
struct sd_event_source;

/* What is said once for each cause, until the connection has been good for QMP_CLIENT_STEADY_USEC. */
enum qmp_cause {
    QMP_CAUSE_REFUSED_PATH, /* the monitor of libvirt, Proxmox VE */
    QMP_CAUSE_NO_SOCKET,    /* a file or directory of that name */
    QMP_CAUSE_DOUBLE,       /* two sockets of one name */
    QMP_CAUSE_ABSENT,
    QMP_CAUSE_NOBODY, /* a socket that nobody listens on */
    QMP_CAUSE_DENIED,
    QMP_CAUSE_BUSY,
    QMP_CAUSE_NOT_QMP,
    QMP_CAUSE_NONSENSE,
    QMP_CAUSE_LOST,
    QMP_CAUSE_OTHER,
    QMP_CAUSE_PROBE,   /* a needed answer is missing or unusable */
    QMP_CAUSE_SILENT,  /* commands pass their deadline */
    QMP_CAUSE_ANSWER,  /* an answer that can't be used */
    QMP_CAUSE_COMMAND, /* a command that QEMU refused */
    QMP_CAUSE_NO_LEVER,
    QMP_CAUSE_PLUG_ID, /* a virtio-mem device without id */
    QMP_CAUSE_OFFLINE, /* plugged memory stayed offline */
    QMP_CAUSE_KERNEL_SHORT, /* hot-added memory is plenty, the kernel's own is not */
    QMP_CAUSE_PROCESS, /* the process can't be told from the socket, or is not visible */
    QMP_CAUSE_SMAPS,   /* /proc/PID/smaps can't be read */
    QMP_CAUSE_PORT_GONE, /* attached by us, and its QEMU has ended */
    QMP_CAUSE_REGIONS, /* guest RAM not found in it */
    QMP_CAUSE_COUNT
};

/* hv_set_target() calls that QEMU has not answered yet, at most; a newer one waits for none of them. */
#define QMP_MOVES_MAX 4

struct qmp_move_call {
    struct qmp_guest *guest;
    unsigned left;   /* answers to come; 0 and no number: free */
    uint64_t number; /* waits for a shared monitor since since_usec: a newer order has a higher one; 0: it does not */
    uint64_t target_bytes, since_usec;
    struct err failed;
    hv_done_fn *done;
    void *user;
};

/* A monitor that others use, too: ours for one batch at a time (hv_qmp_share.c). */
struct qmp_share {
    bool on;
    bool queued;         /* connecting, or in QEMU's queue */
    uint32_t wanted;     /* enum hv_sample: for the next batch */
    uint64_t since_usec; /* wants the monitor and does not get it since then; 0: it does not */
    uint64_t said_usec;  /* in vain for this long: said */
    uint64_t next_usec;  /* no earlier connection, but for an order */
    uint64_t retry_usec; /* wait after the last failure; 0: none failed */
    uint64_t orders;     /* numbers given */
    uint64_t fresh_usec; /* last statistics that were new ones */
    bool reset_told;     /* seen to boot, and no statistics since */
    struct sd_event_source *timer;
};

enum qmp_probe {
    QMP_PROBE_UUID,
    QMP_PROBE_BOOT,
    QMP_PROBE_REGIONS,
    QMP_PROBE_DEVICES,
    QMP_PROBE_STATUS,
    QMP_PROBE_PERIPHERAL,
    QMP_PROBE_ANONYMOUS,
    QMP_PROBE_VERSION, /* this and what follows up to the balloon's: of use, not needed */
    QMP_PROBE_OBJECTS,
    QMP_PROBE_MACHINE,
    QMP_PROBE_DEFLATE,
    QMP_PROBE_REPORTING,
    QMP_PROBE_INTERVAL,
    QMP_PROBE_BALLOON,
    QMP_PROBE_COUNT
};

/* The backup that uses the guest's monitor (hv_qmp_backup.c). */
struct qmp_backup {
    bool used;
    bool frozen; /* its freeze window: who stops and continues the guest is the backup */
    uint32_t use; /* counts users: answers to an older one are dropped */
    struct hv_backup_listener listener;
};

struct qmp_guest {
    struct hv_vm vm;
    struct hv_qmp *driver;
    struct qmp_guest *next;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char agent_path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* empty: none */
    bool listed;    /* explicit in the configuration: kept without a socket */
    bool refused;   /* its path is none of ours: no client */
    bool left_over; /* a guest was behind this very socket and has ended: nobody listens, and that is no news */
    bool seen;      /* still in its directory; scratch of a scan */
    ino_t inode;    /* of the socket seen last: another one is another QEMU's */
    struct qmp_client *client;
    struct qmp_share share;
    uint32_t told;   /* bits of enum qmp_cause */
    uint32_t losses; /* in a row */

    /* the process */
    bool known;    /* appeared() was told: vm is valid */
    bool attached; /* connected and probed: commands may be sent */
    uint64_t attached_usec;
    pid_t pid; /* of the connection being probed */
    uint64_t start_ticks;
    int pidfd;
    struct sd_event_source *pid_source;

    /* probing */
    struct qmp_probe_step {
        struct qmp_guest *guest;
        enum qmp_probe what;
    } steps[QMP_PROBE_COUNT];
    unsigned probing; /* answers to come */
    struct err probe_failed;
    bool running, told_paused;

    /* what it has */
    char uuid[40];
    char balloon_path[QMP_PATH_SIZE]; /* empty: no balloon */
    bool deflate_on_oom;
    struct hv_facts found; /* being probed: the guest's own are those of the last good probe */
    const char *encrypted; /* what keeps its memory from being given back; NULL: nothing of the kind */
    bool passthrough;      /* a device of the host's reads and writes its memory directly */
    bool boot_fixed;       /* its balloon frees nothing, virtio-mem does */
    uint64_t base_bytes; /* boot memory without pc-dimms */
    uint64_t regions[QMP_REGIONS_MAX];
    size_t regions_n;

    /* levers as seen last */
    struct qmp_memory_devices devices;
    uint64_t actual_bytes;
    uint64_t actual_changed_usec;
    struct online online;
    uint64_t ours[QMP_PLUGS_MAX]; /* requested sizes that are ours (S11) */
    bool plug_ordered;            /* by the engine, and by nobody else since: a guest that is only watched is let alone */

    /* samples under way */
    unsigned levers_due; /* answers to come */
    bool levers_failed;
    bool view_due;
    uint64_t view_asked_usec; /* when the answer under way was asked for */
    uint64_t host_asked_usec; /* the same of the host's view: a reading that takes long is not newer than this */
    uint64_t view_same_usec;  /* last time that showed the old last_update */
    uint64_t kicked_usec;     /* statistics out of turn were asked for */
    bool interval_off;        /* the second half of that could not be sent yet */
    struct qmp_statistics statistics;
    bool host_due; /* smaps or disk reads to come */
    bool disks_due;
    uint64_t disk_read_bytes;
    struct smaps_job *job; /* owned by the pool while job_busy */
    bool job_busy;
    bool smaps_due;
    struct smaps smaps;
    bool smaps_good, disks_good;

    struct qmp_port *port;    /* being given the agent's port; NULL: it is not */
    struct qmp_disk *disk;    /* being given or deprived of one; NULL: it is not */
    bool port_given;          /* this QEMU has it from us: the next one will not */
    struct agent_link *agent; /* NULL: its monitor's name tells no socket of one */
    bool kernel_short;        /* as its agent says */
    uint64_t plug_most_bytes; /* that its kernel has room for, as its agent says; 0: nobody tells */

    /* the move under way */
    struct qmp_move_call calls[QMP_MOVES_MAX];
    bool moving;
    uint64_t target_bytes, ordered_usec;
    struct lever_order order;   /* as sent last */
    uint64_t plug_moved_usec;   /* last movement of plugged memory, or the order */
    uint64_t plug_blocked_usec; /* until then nothing is plugged: it stayed offline; 0: may be */
    struct sd_event_source *poll;

    struct qmp_backup backup;
};

/* hv_qmp.c */
uint64_t qmp_guest_now(const struct qmp_guest *g);
struct sd_event *qmp_guest_loop(const struct qmp_guest *g);
const struct hv_listener *qmp_guest_listener(const struct qmp_guest *g);
struct smaps_pool *qmp_guest_pool(const struct qmp_guest *g);

/* hv_qmp_attach.c */
int qmp_guest_connect(struct qmp_guest *g, struct err *e);
/* It can be asked and ordered: connected, or on a shared monitor, for which both wait. */
bool qmp_guest_is_reachable(const struct qmp_guest *g);
void qmp_guest_detach(struct qmp_guest *g);                     /* forgets the connection's state; tells nobody */
void qmp_guest_vanish(struct qmp_guest *g, const char *reason); /* tells it if the guest was known */
/* One sentence, once per cause. about_guest: with vm, where it is known. */
void qmp_guest_trouble(struct qmp_guest *g, enum qmp_cause cause, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Says that its QEMU is stopped (SIGSTOP), if it is. */
bool qmp_guest_say_stopped(struct qmp_guest *g);
/* A command failed; says so by its kind (silent, refused). */
void qmp_guest_command_failed(struct qmp_guest *g, const struct err *e);

/* hv_qmp_facts.c */
void qmp_guest_ask_facts(struct qmp_guest *g, bool (*ask)(struct qmp_guest *g, enum qmp_probe what, const char *command,
                                                          const char *arguments)); /* with the first round */
void qmp_guest_take_fact(struct qmp_guest *g, enum qmp_probe what, struct json_object *value);
void qmp_guest_see_children(struct qmp_guest *g, struct json_object *value); /* of /machine/peripheral and its like */
void qmp_guest_judge_facts(struct qmp_guest *g); /* all is answered: can its size be changed? */
void qmp_guest_see_port(struct qmp_guest *g);

/* hv_qmp_sample.c */
int qmp_guest_sample(struct qmp_guest *g, uint32_t what, struct err *e);
void qmp_guest_tell_levers(struct qmp_guest *g);
void qmp_guest_smaps_done(struct qmp_guest *g, struct smaps_job *job);
struct lever_state qmp_guest_lever_state(const struct qmp_guest *g);

/* hv_qmp_event.c */
void qmp_guest_event(struct qmp_guest *g, const char *name, struct json_object *data);
void qmp_guest_probe_again(struct qmp_guest *g); /* a device came or went */
void qmp_guest_see_reset(struct qmp_guest *g);

/* hv_qmp_move.c */
int qmp_guest_set_target(struct qmp_guest *g, uint64_t target_bytes, hv_done_fn *done, void *user, struct err *e);
void qmp_guest_send_waiting(struct qmp_guest *g); /* the newest order that waited for a shared monitor */
void qmp_guest_move_on(struct qmp_guest *g);     /* at each look at the levers */
void qmp_guest_limit_plug(struct qmp_guest *g);  /* to what its kernel has room for */
void qmp_guest_limit_boot(struct qmp_guest *g);  /* the same for one that resets */
void qmp_guest_stop_moving(struct qmp_guest *g); /* no commands; pending calls end with ECANCELED by the client */

/* hv_qmp_backup.c */
extern const struct hv_backup_ops qmp_backup_ops;
struct qmp_guest *qmp_guest_of(struct hv_vm *vm); /* hv_qmp.c */
void qmp_guest_backup_event(struct qmp_guest *g, const char *name, struct json_object *data);
void qmp_guest_backup_ready(struct qmp_guest *g);
void qmp_guest_backup_lost(struct qmp_guest *g, bool gone, const char *reason);

/* hv_qmp_share.c; of guests with share.on only, but for the three that see */
int qmp_share_start(struct qmp_guest *g, struct qmp_client_config *config, struct err *e);
void qmp_share_stop(struct qmp_guest *g);                /* the guest is gone: orders that wait end with ECANCELED */
void qmp_share_want(struct qmp_guest *g, uint32_t what); /* enum hv_sample; 0: an order */
void qmp_share_ready(struct qmp_guest *g);               /* greeted */
void qmp_share_batch(struct qmp_guest *g);               /* of a known guest */
void qmp_share_idle(struct qmp_guest *g);                /* all answered: closes */
void qmp_share_lost(struct qmp_guest *g);
void qmp_share_see_statistics(struct qmp_guest *g, const struct qmp_statistics *s); /* before they replace the old ones */
void qmp_share_see_plugged(struct qmp_guest *g, const struct qmp_memory_devices *d); /* the same */
void qmp_share_see_host(struct qmp_guest *g);

/* hv_qmp_port.c */
int qmp_guest_attach(struct qmp_guest *g, hv_attach_fn *done, void *user, struct err *e);
void qmp_guest_port_missed(struct qmp_guest *g); /* another process is the guest now: says it where its port is gone */

struct json_object *qmp_with(struct json_object *object, const char *key, struct json_object *value); /* takes value */
struct json_object *qmp_with_text(struct json_object *object, const char *key, const char *value);
bool qmp_is_libvirts(struct json_object *chardevs); /* query-chardev */

/* Buses of devices in a qom-list answer that may take a device while the guest runs; returns how many were written. The first
 * *ret_ports of them are PCI Express ports, which have slot 0 only: QEMU (7.2) lets more be plugged there, and no guest ever
 * sees them, so the slot must be asked for. */
#define QMP_BUS_SIZE 64 /* longest name; longer ones are passed over */
size_t qmp_buses(struct json_object *answer, char ret[][QMP_BUS_SIZE], size_t cap, size_t *ret_ports);
#define QMP_BUS_PORT_SLOT "0"

/* hv_qmp_disk.c */
int qmp_guest_disk_add(struct qmp_guest *g, const struct hv_disk *disk, hv_disk_fn *done, void *user, struct err *e);
int qmp_guest_disk_remove(struct qmp_guest *g, const char *id, hv_disk_fn *done, void *user, struct err *e);

/* hv_qmp_agent.c */
void qmp_guest_agent_start(struct qmp_guest *g); /* the guest is known */
void qmp_guest_agent_stop(struct qmp_guest *g);
void qmp_guest_forget_kernel(struct qmp_guest *g); /* nobody tells any more what its kernel has room for */
void qmp_guest_tell(struct qmp_guest *g, const struct hv_tell *tell);
