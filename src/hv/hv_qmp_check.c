/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_qmp.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"

/* Monitors that another manager holds: it is QEMU's only client there, and must stay it. */

static int refuse_libvirt(const char *guest, const char *path, struct err *e)
{
    return err_set(e, EPERM,
                   "'%.120s' is libvirt's own monitor of guest '%s'; give the guest a second one (virsh edit, "
                   "<qemu:commandline>): "
                   "<qemu:arg value='-chardev'/> <qemu:arg "
                   "value='socket,id=ballast,path=/run/ballast/guests/%s.qmp,server=on,"
                   "wait=off'/> <qemu:arg value='-mon'/> <qemu:arg value='chardev=ballast,mode=control'/>",
                   path, guest, guest);
}

static int refuse_proxmox(const char *guest, const char *path, struct err *e)
{
    return err_set(e, EPERM,
                   "'%.120s' is Proxmox VE's own monitor of guest '%s'; give the guest a second one, in "
                   "/etc/pve/qemu-server/VMID.conf: args: -chardev socket,id=ballast,"
                   "path=/run/ballast/guests/%s.qmp,server=on,wait=off -mon chardev=ballast,mode=control",
                   path, guest, guest);
}

static const struct {
    const char *pattern; /* of the resolved path */
    int (*refuse)(const char *guest, const char *path, struct err *e);
} foreign[] = {
    {"/var/lib/libvirt/qemu/domain-*/monitor.sock", refuse_libvirt},
    {"*/libvirt/qemu/lib/domain-*/monitor.sock", refuse_libvirt}, /* qemu:///session, under $XDG_CONFIG_HOME */
    {"/var/run/qemu-server/*.qmp", refuse_proxmox},
    {"/run/qemu-server/*.qmp", refuse_proxmox},
};

static int check_resolved(const char *guest, const char *resolved, struct err *e)
{
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        if (fnmatch(foreign[i].pattern, resolved, FNM_PATHNAME | FNM_PERIOD) == 0 ||
            (foreign[i].pattern[0] == '*' && fnmatch(foreign[i].pattern, resolved, 0) == 0))
            return foreign[i].refuse(guest, resolved, e);
    return 0;
}

/* The directory resolved and the name as it is: for a socket that is not there yet. */
static char *resolve_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    AUTO_FREE char *directory = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    AUTO_FREE char *resolved = directory ? realpath(directory, NULL) : NULL;
    char *whole;

    if (!resolved)
        return NULL;
    if (asprintf(&whole, "%s/%s", strcmp(resolved, "/") == 0 ? "" : resolved, slash ? slash + 1 : path) < 0)
        return NULL;
    return whole;
}

int hv_qmp_check_socket(const char *guest, const char *path, struct err *e)
{
    AUTO_FREE char *resolved = realpath(path, NULL);
    int r;

    r = check_resolved(guest, path, e);
    if (r < 0)
        return r;
    if (!resolved)
        resolved = resolve_directory(path);
    return resolved ? check_resolved(guest, resolved, e) : 0;
}
