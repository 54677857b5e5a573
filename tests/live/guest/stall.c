/* SPDX-License-Identifier: Apache-2.0 */
/* How long a guest's writes stand still (bench/backup_stall.py):
 *
 *     stall sync FILE      appends records of 512 bytes, each synced before the next is written
 *     stall buffered FILE  appends 4 KiB at a time and never syncs
 *     stall over FILE      overwrites blocks of 4 KiB of a file that is there, in a scattered order, each synced
 *
 * 2 ms apart, until SIGTERM. Then it prints how many it wrote and the longest time from one to the next, by the guest's
 * clock, also where the last one is still under way: "N records, longest US us". The pause of 2 ms is part of it.
 *
 *     stall dirty FILE MIB writes as much and syncs nothing; prints the kernel's Dirty in KiB */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NSEC 2000000L
#define RECORD 512
#define BLOCK 4096
#define WRAP_BYTES (8 << 20) /* buffered: from its beginning again */
#define STEP 7919            /* a prime: over comes to every block, far from the last */
#define MIB (1 << 20)

static char data[MIB];
static volatile sig_atomic_t stopped;

static void on_term(int number)
{
    (void)number;
    stopped = 1;
}

static uint64_t now_usec(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void noise_fill(void)
{
    static uint64_t x = 88172645463325252ULL;

    for (size_t i = 0; i + sizeof(x) <= sizeof(data); i += sizeof(x)) { /* xorshift: nothing compresses or is zero */
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(data + i, &x, sizeof(x));
    }
}

static int dirty(int fd, long mib)
{
    char line[128];
    FILE *f;

    for (long i = 0; i < mib; i++) {
        noise_fill();
        if (write(fd, data, MIB) != MIB) {
            perror("stall");
            return 1;
        }
    }
    f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, "Dirty:", 6) == 0)
            printf("%ld\n", strtol(line + 6, NULL, 10));
    return 0;
}

static bool write_next(int fd, const char *mode, uint64_t n, uint64_t blocks)
{
    if (strcmp(mode, "sync") == 0)
        return write(fd, data, RECORD) == RECORD && fdatasync(fd) == 0;
    if (strcmp(mode, "over") == 0)
        return pwrite(fd, data, BLOCK, (off_t)(n * STEP % blocks * BLOCK)) == BLOCK && fdatasync(fd) == 0;
    return pwrite(fd, data, BLOCK, (off_t)(n * BLOCK % WRAP_BYTES)) == BLOCK;
}

int main(int argc, char **argv)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NSEC};
    const struct sigaction action = {.sa_handler = on_term};
    uint64_t n = 0, longest = 0, last, now;
    struct stat st;
    int fd;

    if (argc < 3 || (fd = open(argv[2], O_WRONLY | O_CREAT, 0644)) < 0 || fstat(fd, &st) < 0) {
        perror("stall sync|buffered|over|dirty FILE [MIB]");
        return 2;
    }
    if (strcmp(argv[1], "dirty") == 0)
        return dirty(fd, argc > 3 ? strtol(argv[3], NULL, 10) : 0);
    noise_fill();
    sigaction(SIGTERM, &action, NULL);
    for (last = now_usec(); !stopped; n++) {
        if (!write_next(fd, argv[1], n, st.st_size >= BLOCK ? (uint64_t)st.st_size / BLOCK : 1)) {
            perror("stall");
            return 1;
        }
        now = now_usec();
        longest = now - last > longest ? now - last : longest;
        last = now;
        nanosleep(&pause, NULL);
    }
    now = now_usec();
    longest = now - last > longest ? now - last : longest;
    printf("%llu records, longest %llu us\n", (unsigned long long)n, (unsigned long long)longest);
    return 0;
}
