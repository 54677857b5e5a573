/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "err.h"
#include "hv.h"

/* The QEMU driver: one QMP monitor per guest, a unix socket that ballast has for itself (docs/drivers.md). Guests come
 * from directories of sockets (NAME.qmp) and from a list of explicit sockets. Single-threaded on the given loop, but
 * for one small pool of threads that reads /proc/PID/smaps.
 *
 * Monitors of libvirt and Proxmox VE are refused: they allow one client, and that is not us. */

struct sd_event;

struct hv_qmp_socket {
    const char *name; /* the guest's; must pass hv_name_is_valid() */
    const char *path;
};

struct hv_qmp_config {
    struct sd_event *loop;
    struct hv_listener listener;    /* copied; see hv.h */
    const char *const *directories; /* need not exist yet: watched, and looked at every HV_QMP_RESCAN_USEC */
    size_t directories_n;
    const struct hv_qmp_socket *sockets;
    size_t sockets_n;
};

/* For directories that do not exist yet, and where inotify has no watch left. */
#define HV_QMP_RESCAN_USEC 2000000ULL

/* Starts discovering; guests are told of from the loop. Configuration is copied. Returns 0, -EINVAL (an invalid or a
 * double name, a path that is too long) or -ENOMEM / -errno. Nothing is moved at open, nor at close (S10). */
int hv_qmp_open(const struct hv_qmp_config *config, struct hv **ret, struct err *e);

/* The rule that keeps us off monitors of others, for `check-config`: 0, or -EPERM with the exact remedy. Resolves
 * links; a socket that does not exist is judged by its name. guest: for the remedy. */
int hv_qmp_check_socket(const char *guest, const char *path, struct err *e);
