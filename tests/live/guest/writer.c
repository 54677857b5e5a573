/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* writer FILE MS: appends records of 512 bytes, "NNNNNNNNNN\n" and blanks, each synced before the next is written, MS
 * milliseconds apart; goes on where the file ends. What is on the disk at any moment must be records 0..N without a gap.
 * writer FILE check: prints how many records there are, and fails where one is wrong. */

#define RECORD 512

static void record(char *to, unsigned number)
{
    memset(to, ' ', RECORD);
    (void)snprintf(to, 16, "%010u", number);
    to[10] = '\n';
    to[RECORD - 1] = '\n';
}

int main(int argc, char **argv)
{
    char want[RECORD], have[RECORD];
    unsigned n = 0;
    int fd;

    if (argc != 3 || (fd = open(argv[1], O_RDWR | O_CREAT, 0644)) < 0) {
        perror("writer FILE MS|check");
        return 2;
    }
    for (;; n++) {
        ssize_t got = pread(fd, have, RECORD, (off_t)n * RECORD);

        record(want, n);
        if (got == 0)
            break;
        if (got != RECORD || memcmp(want, have, RECORD) != 0) {
            printf("record %u is wrong\n", n);
            return 1;
        }
    }
    printf("%u\n", n);
    if (strcmp(argv[2], "check") == 0)
        return 0;
    (void)fflush(stdout);
    for (long ms = strtol(argv[2], NULL, 10);; n++) {
        struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

        record(want, n);
        if (pwrite(fd, want, RECORD, (off_t)n * RECORD) != RECORD || fdatasync(fd) < 0) {
            perror("writer");
            return 1;
        }
        (void)nanosleep(&pause, NULL);
    }
}
