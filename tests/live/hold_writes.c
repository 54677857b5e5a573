/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Preloaded into ballastd: a disk that hangs. What writes into HOLD_DIR, makes it durable or renames in it waits until the
 * file HOLD_GATE is there. Each call that waits is a line in HOLD_GATE.held: the call, and "loop" or "thread" for who made it. */

static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_rename)(const char *, const char *);

static const char *hold_dir, *gate;
static char held[512];

static __attribute__((constructor)) void hold_init(void)
{
    *(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
    *(void **)&real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    *(void **)&real_write = dlsym(RTLD_NEXT, "write");
    *(void **)&real_rename = dlsym(RTLD_NEXT, "rename");
    hold_dir = getenv("HOLD_DIR");
    gate = getenv("HOLD_GATE");
    if (!hold_dir || !gate)
        abort();
    (void)snprintf(held, sizeof(held), "%s.held", gate);
}

static void hold(const char *path, const char *call)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    char line[64];
    int fd, n;

    if (!hold_dir || strncmp(path, hold_dir, strlen(hold_dir)) != 0 || access(gate, F_OK) == 0)
        return;
    n = snprintf(line, sizeof(line), "%s by the %s\n", call, gettid() == getpid() ? "loop" : "thread");
    fd = open(held, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || real_write(fd, line, (size_t)n) != n || close(fd) < 0)
        abort();
    while (access(gate, F_OK) != 0)
        (void)nanosleep(&pause, NULL);
}

static void hold_fd(int fd, const char *call)
{
    char link[32], path[512];
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    if (n <= 0)
        return;
    path[n] = '\0';
    hold(path, call);
}

/* Each is glibc's own, declared in its headers. */
int fsync(int fd)
{
    hold_fd(fd, "fsync");
    return real_fsync(fd);
}

int fdatasync(int fd)
{
    hold_fd(fd, "fdatasync");
    return real_fdatasync(fd);
}

ssize_t write(int fd, const void *data, size_t size)
{
    hold_fd(fd, "write");
    return real_write(fd, data, size);
}

int rename(const char *from, const char *to)
{
    hold(to, "rename");
    return real_rename(from, to);
}
