/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "hv.h"

/* The QEMU driver: one QMP monitor per guest, a unix socket that ballast has for itself, or that others use, too: then
 * each batch of commands has a connection of its own (docs/drivers.md). Guests come
 * from directories of sockets (NAME.qmp) and from a list of explicit sockets. Single-threaded on the given loop, but
 * for one small pool of threads that reads /proc/PID/smaps.
 *
 * Monitors of libvirt and Proxmox VE are refused: they allow one client, and that is not us. */

struct sd_event;

/* Whether others use a monitor, too. */
enum hv_qmp_access {
    HV_QMP_ACCESS_UNSAID, /* as its directory; own elsewhere */
    HV_QMP_ACCESS_OWN,
    HV_QMP_ACCESS_SHARE,
};

/* What is said of one guest by name. */
struct hv_qmp_socket {
    const char *name; /* the guest's; must pass hv_name_is_valid() */
    const char *path; /* of its monitor; NULL: it lies in a directory, if it is there at all */
    const char *agent; /* the socket behind its agent's port; NULL: as hv_qmp_agent_path() makes it from the monitor's */
    enum hv_qmp_access access;
};

struct hv_qmp_config {
    struct sd_event *loop;
    struct hv_listener listener;    /* copied; see hv.h */
    const char *const *directories; /* need not exist yet: watched, and looked at every HV_QMP_RESCAN_USEC */
    size_t directories_n;
    const bool *directories_shared; /* for each; NULL: none is */
    const struct hv_qmp_socket *sockets;
    size_t sockets_n;
    uint64_t share_said_usec; /* 0: HV_QMP_SHARE_SAID_USEC; for tests */
};

/* A shared monitor that another client holds for this long is said: clients that share come and go. */
#define HV_QMP_SHARE_SAID_USEC 10000000ULL

/* For directories that do not exist yet, and where inotify has no watch left. */
#define HV_QMP_RESCAN_USEC 2000000ULL

/* Starts discovering; guests are told of from the loop. Configuration is copied. Returns 0, -EINVAL (an invalid or a
 * double name, a path that is too long) or -ENOMEM / -errno. Nothing is moved at open, nor at close (S10). */
int hv_qmp_open(const struct hv_qmp_config *config, struct hv **ret, struct err *e);

/* NAME.qmp -> NAME.agent; of another name: with .agent behind it. False: longer than a socket's path may be. */
bool hv_qmp_agent_path(const char *monitor, char *ret, size_t size);

/* The rule that keeps us off monitors of others, for `check-config`: 0, or -EPERM with the exact remedy. Resolves
 * links; a socket that does not exist is judged by its name. guest: for the remedy. */
int hv_qmp_check_socket(const char *guest, const char *path, struct err *e);
