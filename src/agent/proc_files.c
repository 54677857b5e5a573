/* SPDX-License-Identifier: Apache-2.0 */
#include "proc_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "proc_text.h"

/* One for all files, static and locked. The kernel hands out about a page at a time. */
static char room[16384];

static int file_open(const char *path, int flags)
{
    return open(path, flags | O_CLOEXEC);
}

int proc_files_open(struct proc_files *f, struct err *e)
{
    static const char trigger[] = PROC_TRIGGER;
    long page = sysconf(_SC_PAGESIZE);

    *f = (struct proc_files){.page_kib = page > 1024 ? (uint64_t)page / 1024 : 4, .kernel_free_kib = AGENT_UNSET,
                             .reclaim_kib = AGENT_UNSET};
    f->meminfo = file_open("/proc/meminfo", O_RDONLY);
    if (f->meminfo < 0)
        return err_set(e, errno, "cannot open /proc/meminfo: %s; ballast-agent runs where /proc is mounted",
                       strerror(errno));
    f->vmstat = file_open("/proc/vmstat", O_RDONLY);
    f->zoneinfo = file_open("/proc/zoneinfo", O_RDONLY);
    f->pressure = file_open("/proc/pressure/memory", O_RDWR | O_NONBLOCK);
    if (f->pressure >= 0)
        f->trigger = write(f->pressure, trigger, sizeof(trigger)) > 0; /* with its NUL, as the kernel wants it */
    else
        f->pressure = file_open("/proc/pressure/memory", O_RDONLY);
    return 0;
}

void proc_files_done(struct proc_files *f)
{
    const int fds[] = {f->meminfo, f->vmstat, f->zoneinfo, f->pressure};

    for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
        if (fds[i] >= 0)
            (void)close(fds[i]); /* only read */
}

/* Bytes in `room`, from its start on; 0: nothing. */
static size_t file_read(int fd)
{
    size_t used = 0;

    if (fd < 0 || lseek(fd, 0, SEEK_SET) != 0)
        return 0;
    while (used < sizeof(room)) {
        ssize_t n = read(fd, room + used, sizeof(room) - used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    return used;
}

/* What is free tells that nothing has happened since the last look: only while the kernel reclaims does available
 * memory fall and free memory stay. */
static bool files_unchanged(const struct proc_files *f, uint64_t *ret_free_kib)
{
    struct sysinfo now;

    if (f->reclaim_kib == AGENT_UNSET || sysinfo(&now) != 0)
        return false;
    uint64_t free_kib = (uint64_t)now.freeram * now.mem_unit / 1024;
    *ret_free_kib = free_kib;
    return free_kib > f->reclaim_kib && free_kib < f->free_kib + PROC_SAME_KIB &&
           free_kib + PROC_SAME_KIB > f->free_kib;
}

bool proc_files_look(struct proc_files *f, uint64_t now_usec, uint64_t fresh_usec, uint64_t *ret_total_kib,
                     uint64_t *ret_available_kib)
{
    uint64_t free_kib = 0;

    if (!f->read_usec || now_usec - f->read_usec >= fresh_usec || !files_unchanged(f, &free_kib)) {
        /* The lines that matter are the first five. */
        ssize_t n = pread(f->meminfo, room, 512, 0);
        if (n <= 0 || !proc_text_available(room, (size_t)n, &f->total_kib, &f->free_kib, &f->available_kib))
            return false;
        f->read_usec = now_usec;
        free_kib = f->free_kib;
    }
    *ret_total_kib = f->total_kib;
    *ret_available_kib = f->available_kib + free_kib > f->free_kib ? f->available_kib + free_kib - f->free_kib : 0;
    return true;
}

uint64_t proc_files_pressure_usec(const struct proc_files *f)
{
    struct agent_message m;

    agent_message_init(&m, AGENT_VERB_SAMPLE);
    proc_text_pressure(room, file_read(f->pressure), &m);
    return m.value[AGENT_KEY_PSI_SOME];
}

/* The file may be longer than the room: piece by piece, cut at the last newline. */
static void zones_read(struct proc_files *f)
{
    struct proc_zones z = {0};
    size_t kept = 0;

    f->kernel_free_kib = f->reclaim_kib = AGENT_UNSET;
    if (f->zoneinfo < 0 || lseek(f->zoneinfo, 0, SEEK_SET) != 0)
        return;
    for (;;) {
        ssize_t n = read(f->zoneinfo, room + kept, sizeof(room) - kept);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        size_t used = kept + (size_t)n;
        const char *last = memrchr(room, '\n', used);
        size_t whole = last ? (size_t)(last - room) + 1 : used;
        proc_text_zones(room, whole, &z);
        kept = used - whole;
        memmove(room, room + whole, kept);
    }
    if (!z.known || z.free_pages > AGENT_KIB_MAX / f->page_kib || z.high_pages > AGENT_KIB_MAX / f->page_kib / 2)
        return;
    f->kernel_free_kib = z.free_pages * f->page_kib;
    f->reclaim_kib = 2 * z.high_pages * f->page_kib; /* twice: the marks are per zone, their sum is not quite it */
}

void proc_files_sample(struct proc_files *f, uint64_t now_usec, struct agent_message *ret)
{
    agent_message_init(ret, AGENT_VERB_SAMPLE);
    /* Zones first: it takes longest, and MemAvailable and balloon must belong to one moment. */
    if (f->zones_usec == 0 || now_usec - f->zones_usec >= PROC_ZONES_USEC) {
        zones_read(f);
        f->zones_usec = now_usec;
    }
    ret->value[AGENT_KEY_KERNEL_FREE] = f->kernel_free_kib;
    proc_text_pressure(room, file_read(f->pressure), ret);
    proc_text_meminfo(room, file_read(f->meminfo), ret);
    f->read_usec = 0; /* the next look is at the file: this one may have come while much moved */
    proc_text_vmstat(room, file_read(f->vmstat), f->page_kib, ret);
}
