/* SPDX-License-Identifier: Apache-2.0 */
/* How long a guest waits for memory (bench/relief.py):
 *
 *     relief WATERMARK_KIB BEYOND_MIB RATE_MIB WAIT_MS
 *
 * A child fills memory at RATE_MIB a second until MemAvailable would be BEYOND_MIB below the watermark, and keeps it.
 * Its parent looks each millisecond: t0 is when MemAvailable falls below the watermark, t1 when the balloon has given
 * 32 MiB since (balloon_deflate of /proc/vmstat), or as much hot-added memory came online (MemTotal). Both by the
 * guest's clock. early: what the balloon had given before t0. After WAIT_MS without t1 it gives up. Prints one line of
 * key=value; times in us, sizes in KiB. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096UL
#define SLICE_PAGES 16UL
#define RELIEF_KIB (32UL * 1024)
#define LOOK_NSEC 1000000L
#define NSEC_PER_SEC 1000000000ULL

struct seen {
    uint64_t time_usec;
    unsigned long long total, available, deflate, swapped_in, oom_kills, some, full;
};

static int meminfo, vmstat, pressure;
static char text[16384];

static uint64_t clock_nsec(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static void file_read(int fd, size_t most)
{
    size_t used = 0;
    ssize_t n;

    lseek(fd, 0, SEEK_SET);
    while (used < most && (n = read(fd, text + used, most - used)) > 0)
        used += (size_t)n;
    text[used] = '\0';
}

static unsigned long long number(const char *name)
{
    const char *at = strstr(text, name);

    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void look(struct seen *s)
{
    file_read(meminfo, 200); /* the first lines */
    s->total = number("MemTotal:");
    s->available = number("MemAvailable:");
    s->time_usec = clock_nsec() / 1000;
}

static void look_closer(struct seen *s)
{
    file_read(vmstat, sizeof text - 1);
    s->deflate = number("\nballoon_deflate ");
    s->swapped_in = number("\npswpin ");
    s->oom_kills = number("\noom_kill ");
}

static void look_at_pressure(struct seen *s)
{
    const char *full;

    s->some = s->full = 0;
    if (pressure < 0)
        return;
    file_read(pressure, sizeof text - 1);
    s->some = number("total=");
    full = strstr(text, "full ");
    if (full) {
        memmove(text, full, strlen(full) + 1);
        s->full = number("total=");
    }
}

static _Noreturn void fill(unsigned long pages, unsigned long pages_per_sec, volatile uint64_t *filled_usec)
{
    uint8_t *region = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t start = clock_nsec();
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);

    if (region == MAP_FAILED)
        _exit(1);
    madvise(region, pages * PAGE_BYTES, MADV_NOHUGEPAGE);
    if (fd >= 0 && write(fd, "500", 3) > 0) /* if one must be killed, it is this */
        close(fd);
    for (unsigned long page = 0; page < pages; page++) {
        memset(region + page * PAGE_BYTES, (int)page | 1, 64);
        if (page % SLICE_PAGES == 0) {
            uint64_t when = start + page * NSEC_PER_SEC / pages_per_sec;
            struct timespec t = {.tv_sec = (time_t)(when / NSEC_PER_SEC), .tv_nsec = (long)(when % NSEC_PER_SEC)};

            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        }
    }
    *filled_usec = (clock_nsec() - start) / 1000;
    for (;;)
        pause();
}

struct result {
    uint64_t t0, t1;
    unsigned long long least; /* available */
    uint64_t gap;             /* longest time between two looks */
    unsigned long long deflate_at_t0;
};

/* Looks each millisecond until relief or until end_usec. */
static void watch(unsigned long watermark_kib, uint64_t end_usec, struct result *r)
{
    struct seen now = {0}, at_mark = {0};
    uint64_t looked = clock_nsec() / 1000;

    *r = (struct result){.least = ~0ULL};
    while (!r->t1 && looked < end_usec) {
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NSEC}, NULL);
        look(&now);
        if (now.time_usec - looked > r->gap)
            r->gap = now.time_usec - looked;
        looked = now.time_usec;
        if (now.available < r->least)
            r->least = now.available;
        if (!r->t0 && now.available < watermark_kib) {
            r->t0 = now.time_usec;
            at_mark = now;
            look_closer(&at_mark);
            r->deflate_at_t0 = at_mark.deflate;
        } else if (r->t0) {
            unsigned long long plugged = now.total > at_mark.total ? now.total - at_mark.total : 0;

            look_closer(&now);
            if ((now.deflate - at_mark.deflate) * 4 + plugged >= RELIEF_KIB)
                r->t1 = clock_nsec() / 1000;
        }
    }
}

int main(int argc, char **argv)
{
    struct seen before = {0}, after = {0};
    struct result r;
    volatile uint64_t *filled_usec = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (argc != 5 || filled_usec == MAP_FAILED) {
        fprintf(stderr, "usage: relief WATERMARK_KIB BEYOND_MIB RATE_MIB WAIT_MS\n");
        return 2;
    }
    unsigned long watermark = strtoul(argv[1], NULL, 10), beyond = strtoul(argv[2], NULL, 10) * 1024;
    unsigned long rate = strtoul(argv[3], NULL, 10) * 256, wait_ms = strtoul(argv[4], NULL, 10);

    meminfo = open("/proc/meminfo", O_RDONLY);
    vmstat = open("/proc/vmstat", O_RDONLY);
    pressure = open("/proc/pressure/memory", O_RDONLY);
    look_closer(&before);
    look_at_pressure(&before);
    look(&before);
    if (before.available <= watermark || rate == 0) {
        printf("error: available %llu KiB, watermark %lu KiB\n", before.available, watermark);
        return 1;
    }
    pid_t child = fork();
    if (child == 0)
        fill((before.available - watermark + beyond) / 4, rate, filled_usec);
    mlockall(MCL_CURRENT);
    setpriority(PRIO_PROCESS, 0, -15); /* looks each ms although the child takes the processor */
    watch(watermark, before.time_usec + (before.available + beyond) * 250000ULL / rate + wait_ms * 1000, &r);
    /* What it cost shows once the burst is over. */
    for (int i = 0; i < 20 && !*filled_usec && waitpid(child, NULL, WNOHANG) == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 100 * LOOK_NSEC}, NULL);
    look_closer(&after);
    look_at_pressure(&after);
    kill(child, SIGKILL);
    printf("relief t0=%llu t1=%llu least=%llu filled=%llu gap=%llu early=%llu ", (unsigned long long)r.t0,
           (unsigned long long)r.t1, r.least, (unsigned long long)*filled_usec, (unsigned long long)r.gap,
           r.t0 ? (r.deflate_at_t0 - before.deflate) * 4 : 0);
    printf("swapped_in=%llu oom_kills=%llu some=%llu full=%llu\n", (after.swapped_in - before.swapped_in) * 4,
           after.oom_kills - before.oom_kills, after.some - before.some, after.full - before.full);
    return 0;
}
