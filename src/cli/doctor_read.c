/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include "doctor_host.h"
#include "meminfo.h"
#include "paths.h"
#include "procmem.h"
#include "readfile.h"

/* What `ballast doctor` sees of the host. Whatever can't be read is not known; nothing of it is an error. */

#define DOCTOR_GROUP "ballast"
#define SMALL_FILE 16384

static const char *below(const char *root, const char *path, char *to, size_t size)
{
    (void)snprintf(to, size, "%s%s", root, path);
    return to;
}

static bool is_there(const char *root, const char *path, int how)
{
    char whole[PATHS_SIZE];

    return access(below(root, path, whole, sizeof(whole)), how) == 0;
}

/* The whole of a small file, with an end; empty where there is none. */
static void text_read(const char *root, const char *path, char *to, size_t size)
{
    char whole[PATHS_SIZE];
    struct err ignored = {0};
    size_t length = 0;

    if (readfile_into(below(root, path, whole, sizeof(whole)), to, size - 1, &length, &ignored) < 0)
        length = 0;
    to[length] = '\0';
}

/* The first number behind `key` (at the start for NULL); UINT64_MAX: none. */
static uint64_t number_after(const char *text, const char *key)
{
    const char *at = key ? strstr(text, key) : text;

    if (!at)
        return UINT64_MAX;
    at += key ? strlen(key) : 0;
    at += strspn(at, " \t");
    return isdigit((unsigned char)*at) ? strtoull(at, NULL, 10) : UINT64_MAX;
}

static void read_memory(const char *root, struct doctor_host *h)
{
    char whole[PATHS_SIZE], text[SMALL_FILE];
    struct err ignored = {0};
    struct meminfo m;
    uint64_t kib;

    if (meminfo_read(below(root, "/proc/meminfo", whole, sizeof(whole)), &m, &ignored) == 0) {
        h->total_bytes = m.total_bytes;
        h->available_bytes = m.available_bytes;
        h->swap_bytes = m.swap_total_bytes;
    }
    text_read(root, "/proc/meminfo", text, sizeof(text));
    h->huge_pages = number_after(text, "HugePages_Total:");
    kib = number_after(text, "Hugepagesize:");
    h->huge_page_bytes = kib < UINT64_MAX / 1024 ? kib * 1024 : UINT64_MAX;
    text_read(root, "/proc/sys/vm/overcommit_memory", text, sizeof(text));
    h->overcommit_memory = number_after(text, NULL);
    text_read(root, "/sys/module/zswap/parameters/enabled", text, sizeof(text));
    h->zswap_on = text[0] == 'Y';
    h->zram_present = is_there(root, "/sys/module/zram", F_OK) || is_there(root, "/sys/class/zram-control", F_OK);
    text_read(root, "/sys/kernel/mm/ksm/run", text, sizeof(text));
    h->ksm_present = text[0] != '\0';
    h->ksm_running = text[0] == '1';
}

void doctor_host_read(const char *root, struct doctor_host *ret)
{
    struct doctor_host h = {.total_bytes = UINT64_MAX, .available_bytes = UINT64_MAX, .swap_bytes = UINT64_MAX,
                            .pid = UINT64_MAX, .locked_bytes = UINT64_MAX, .state_free_bytes = UINT64_MAX,
                            .oom_score_adj = INT64_MIN};
    struct timex clock = {0};
    char text[SMALL_FILE];

    read_memory(root, &h);
    h.kvm_present = is_there(root, "/dev/kvm", F_OK);
    h.kvm_allowed = is_there(root, "/dev/kvm", R_OK | W_OK);
    text_read(root, "/proc/pressure/memory", text, sizeof(text)); /* there, and refused, where psi=0 */
    h.psi = strstr(text, "some ") != NULL;
    text_read(root, "/sys/fs/cgroup/cgroup.controllers", text, sizeof(text));
    h.cgroup2 = strstr(text, "memory") != NULL;
    h.group_present = getgrnam(DOCTOR_GROUP) != NULL;
    h.clock_synchronized = adjtimex(&clock) != TIME_ERROR;
    h.runs_as_root = geteuid() == 0;
    *ret = h;
}

static void read_socket(const char *socket_path, struct doctor_host *h)
{
    const struct group *group = getgrnam(DOCTOR_GROUP);
    struct stat st;

    if (stat(socket_path, &st) < 0)
        return;
    h->socket_mode = st.st_mode & 0777;
    h->socket_is_ours = group && st.st_gid == group->gr_gid;
}

void doctor_host_read_daemon(const char *root, const char *socket_path, const struct wire_daemon *d, struct doctor_host *h)
{
    char path[64], text[64], proc[PATHS_SIZE];
    struct procmem mem;
    struct err ignored = {0};
    struct statvfs fs;

    read_socket(socket_path, h);
    wire_text_copy(h->state_dir, sizeof(h->state_dir), d->state_dir);
    if (d->state_dir[0] && statvfs(d->state_dir, &fs) == 0)
        h->state_free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (d->pid == WIRE_UNKNOWN || d->pid > INT32_MAX)
        return;
    h->pid = d->pid;
    if (procmem_read(below(root, "/proc", proc, sizeof(proc)), (pid_t)d->pid, &mem, &ignored) == 0)
        h->locked_bytes = mem.locked_bytes;
    (void)snprintf(path, sizeof(path), "/proc/%ld/oom_score_adj", (long)d->pid);
    text_read(root, path, text, sizeof(text));
    if (text[0])
        h->oom_score_adj = strtoll(text, NULL, 10);
}
