/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_online.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "own.h"
#include "proc_text.h"

#define MEMORY_DIR "/sys/devices/system/memory"
#define AUTO_ONLINE MEMORY_DIR "/auto_online_blocks"
#define POLICY "/sys/module/memory_hotplug/parameters/online_policy"

/* The word in a small file of sysfs; false: absent or unreadable. */
static bool word_read(const char *path, char *word, size_t size)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, word, size - 1);

    if (n <= 0)
        return false;
    word[n] = '\0';
    word[strcspn(word, "\n")] = '\0';
    return true;
}

static int word_write(const char *path, const char *word)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, word, strlen(word)) < 0)
        return -errno;
    return 0;
}

int agent_online_setup(struct err *e)
{
    char word[64];

    /* The policy first: what comes online by it must not be left to the kernel's default. */
    if (word_read(POLICY, word, sizeof(word)) && strcmp(word, "contig-zones") == 0) {
        int r = word_write(POLICY, "auto-movable");
        if (r < 0)
            return err_set(e, -r, "cannot set %s to auto-movable: %s; hot-added memory may not be given back", POLICY,
                           strerror(-r));
    }
    if (word_read(AUTO_ONLINE, word, sizeof(word)) && strcmp(word, "offline") == 0) {
        int r = word_write(AUTO_ONLINE, "online");
        if (r < 0)
            return err_set(e, -r, "cannot set %s to online: %s; hot-added memory stays unused", AUTO_ONLINE,
                           strerror(-r));
    }
    return 0;
}

static unsigned range_online(uint64_t first, uint64_t last, uint64_t block_bytes)
{
    unsigned count = 0;

    for (uint64_t block = first / block_bytes; block <= last / block_bytes; block++) {
        char path[96];
        char word[32];

        (void)snprintf(path, sizeof(path), MEMORY_DIR "/memory%llu/state", (unsigned long long)block);
        if (word_read(path, word, sizeof(word)) && strcmp(word, "offline") == 0 && word_write(path, "online") == 0)
            count++;
    }
    return count;
}

unsigned agent_online_blocks(void)
{
    char text[4096];
    char word[32];
    size_t kept = 0;
    unsigned count = 0;
    AUTO_CLOSE int fd = open("/proc/iomem", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || !word_read(MEMORY_DIR "/block_size_bytes", word, sizeof(word)))
        return 0;
    uint64_t block_bytes = strtoull(word, NULL, 16);
    for (ssize_t n = 0; block_bytes > 0 && (n = read(fd, text + kept, sizeof(text) - kept)) > 0;) {
        size_t used = kept + (size_t)n;
        const char *last = memrchr(text, '\n', used);
        size_t whole = last ? (size_t)(last - text) + 1 : used;
        uint64_t first = 0;
        uint64_t end = 0;

        for (unsigned i = 0; proc_text_virtio_mem(text, whole, i, &first, &end); i++)
            if (end > 0) /* without the right to see addresses all of them are 0 */
                count += range_online(first, end, block_bytes);
        kept = used - whole;
        memmove(text, text + whole, kept);
    }
    return count;
}
