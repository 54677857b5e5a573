/* SPDX-License-Identifier: Apache-2.0 */
#include "protect.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "own.h"

#define PROTECT_OOM_SCORE (-900)
#define PROTECT_TOUCH_BYTES (128 * 1024) /* deepest stack of the emergency path, with room to spare */

int protect_oom_score(const char *path, int *ret_score)
{
    /* Without CAP_SYS_RESOURCE a process may not go below what it was started with: then 0 is tried, then left. */
    static const int wanted[] = {PROTECT_OOM_SCORE, -500, 0};
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    int code = 0;

    if (fd < 0)
        return -errno;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        char text[16];
        int n = snprintf(text, sizeof(text), "%d\n", wanted[i]);
        if (write(fd, text, (size_t)n) == n) {
            *ret_score = wanted[i];
            return 0;
        }
        code = errno;
    }
    return -code;
}

/* With CAP_IPC_LOCK the limit does not count, also where CAP_SYS_RESOURCE to raise it is missing, as in containers. */
static bool protect_has_ipc_lock(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    return syscall(SYS_capget, &header, data) == 0 &&
           (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK));
}

/* Locking future memory under a limit would make allocations fail later, just when it matters: all or nothing. */
static bool protect_may_lock(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

    if (protect_has_ipc_lock())
        return true;
    if (setrlimit(RLIMIT_MEMLOCK, &limit) == 0)
        return true;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        return false;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        return false;
    return limit.rlim_cur == RLIM_INFINITY;
}

/* Faults the stack in now, so that its pages are there (and locked) later. */
static __attribute__((noinline)) void protect_touch_stack(void)
{
    volatile unsigned char room[PROTECT_TOUCH_BYTES];

    for (size_t i = 0; i < sizeof(room); i += 1024)
        room[i] = 1;
    (void)room[sizeof(room) - 1];
}

static int protect_lock_memory(void)
{
    /* glibc: never give memory back to the kernel, so that it need not be faulted in again */
    (void)mallopt(M_TRIM_THRESHOLD, -1);
    (void)mallopt(M_MMAP_MAX, 0);
    if (!protect_may_lock())
        return -EPERM;
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
        return -errno;
    protect_touch_stack();
    return 0;
}

void protect_stacks(void)
{
    pthread_attr_t attr;

    if (pthread_attr_init(&attr) != 0)
        return; /* default stacks cost address space only */
    if (pthread_attr_setstacksize(&attr, PROTECT_STACK_BYTES) == 0)
        (void)pthread_setattr_default_np(&attr);
    (void)pthread_attr_destroy(&attr);
}

void protect_process(void)
{
    int locked, score = 0;

    (void)protect_oom_score("/proc/self/oom_score_adj", &score); /* a failure leaves 0: told below */
    locked = protect_lock_memory();
    if (locked < 0 || score != PROTECT_OOM_SCORE)
        log_warning("when the host runs short of memory, ballastd itself may be %s%s%s: it is not allowed to prevent that "
                    "here; start it by its systemd unit, or as root with all capabilities",
                    locked < 0 ? "paged out" : "", locked < 0 && score != PROTECT_OOM_SCORE ? " or " : "",
                    score != PROTECT_OOM_SCORE ? "killed" : "");
}
