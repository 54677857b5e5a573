/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "fake_qmp.h"

/* fake_guests DIRECTORY COUNT: so many idle guests with a monitor DIRECTORY/simNNN.qmp, each a process of its own with
 * boot memory in its maps, a balloon that moves at once and statistics each second. They live as long as this process. */

#define MIB (1ULL << 20)
#define BOOT_BYTES (128 * MIB)
#define HIDDEN_BYTES (22 * MIB)
#define USED_BYTES (56 * MIB)
#define TOUCHED_BYTES MIB /* what the host sees of it: 100 guests must fit a small machine */

struct guest {
    uint64_t actual_bytes; /* what the balloon leaves */
};

static void reply_statistics(struct guest *g, struct fake_qmp *f, unsigned long long id)
{
    char json[640];
    uint64_t total = BOOT_BYTES - HIDDEN_BYTES - (BOOT_BYTES - g->actual_bytes);
    uint64_t available = total > USED_BYTES ? total - USED_BYTES : 8 * MIB;

    (void)snprintf(json, sizeof(json), "{\"stats\":{\"stat-htlb-pgalloc\":0,\"stat-swap-out\":0,\"stat-available-memory\":%" PRIu64
                   ",\"stat-htlb-pgfail\":0,\"stat-free-memory\":%" PRIu64 ",\"stat-minor-faults\":4711,\"stat-major-faults\":42,"
                   "\"stat-total-memory\":%" PRIu64 ",\"stat-swap-in\":0,\"stat-disk-caches\":%" PRIu64 "},\"last-update\":%lld}",
                   available, available / 2, total, (uint64_t)(16 * MIB), (long long)time(NULL));
    fake_qmp_reply(f, id, json);
}

static void reply_property(struct guest *g, struct fake_qmp *f, const char *line, unsigned long long id)
{
    if (strstr(line, "\"guest-stats\""))
        reply_statistics(g, f, id);
    else if (strstr(line, "\"deflate-on-oom\""))
        fake_qmp_reply(f, id, "true");
    else if (strstr(line, "\"free-page-reporting\""))
        fake_qmp_reply(f, id, "false");
    else
        fake_qmp_refuse(f, id, "GenericError", "Property not found");
}

static void move(struct guest *g, struct fake_qmp *f, const char *line, unsigned long long id)
{
    static const char key[] = "\"value\":";
    const char *value = strstr(line, key);
    char event[256];

    if (value)
        g->actual_bytes = strtoull(value + strlen(key), NULL, 10);
    if (g->actual_bytes > BOOT_BYTES)
        g->actual_bytes = BOOT_BYTES;
    fake_qmp_reply(f, id, "{}");
    (void)snprintf(event, sizeof(event), "{\"timestamp\":{\"seconds\":%lld,\"microseconds\":0},\"event\":\"BALLOON_CHANGE\","
                   "\"data\":{\"actual\":%" PRIu64 "}}\r\n", (long long)time(NULL), g->actual_bytes);
    fake_qmp_send_text(f, event);
}

static void on_command(void *user, struct fake_qmp *f, const char *command, const char *line, unsigned long long id)
{
    struct guest *g = user;
    char json[160];

    if (strcmp(command, "query-balloon") == 0) {
        (void)snprintf(json, sizeof(json), "{\"actual\":%" PRIu64 "}", g->actual_bytes);
        fake_qmp_reply(f, id, json);
    } else if (strcmp(command, "balloon") == 0) {
        move(g, f, line, id);
    } else if (strcmp(command, "qom-get") == 0) {
        reply_property(g, f, line, id);
    } else if (strcmp(command, "qom-list") == 0) {
        fake_qmp_reply(f, id, strstr(line, "peripheral\"")
                       ? "[{\"name\":\"type\",\"type\":\"string\"},{\"name\":\"balloon0\",\"type\":\"child<virtio-balloon-pci>\"}]" : "[]");
    } else if (strcmp(command, "query-memory-size-summary") == 0) {
        (void)snprintf(json, sizeof(json), "{\"base-memory\":%" PRIu64 ",\"plugged-memory\":0}", (uint64_t)BOOT_BYTES);
        fake_qmp_reply(f, id, json);
    } else if (strcmp(command, "query-memdev") == 0) {
        (void)snprintf(json, sizeof(json), "[{\"id\":\"pc.ram\",\"size\":%" PRIu64 ",\"merge\":true,\"dump\":true,\"prealloc\":false,"
                       "\"share\":false,\"host-nodes\":[],\"policy\":\"default\"}]", (uint64_t)BOOT_BYTES);
        fake_qmp_reply(f, id, json);
    } else if (strcmp(command, "query-uuid") == 0) {
        fake_qmp_reply(f, id, "{\"UUID\":\"00000000-0000-0000-0000-000000000000\"}");
    } else if (strcmp(command, "query-status") == 0) {
        fake_qmp_reply(f, id, "{\"status\":\"running\",\"singlestep\":false,\"running\":true}");
    } else if (strcmp(command, "query-version") == 0) {
        fake_qmp_reply(f, id, "{\"qemu\":{\"micro\":0,\"minor\":2,\"major\":7},\"package\":\"\"}");
    } else if (strncmp(command, "query-", 6) == 0) {
        fake_qmp_reply(f, id, "[]"); /* no disks, no memory devices */
    } else {
        fake_qmp_reply(f, id, "{}");
    }
}

/* Boot memory by itself between two gaps, so that it is a mapping of just its size. */
static void map_memory(void)
{
    char *gap = mmap(NULL, BOOT_BYTES + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (gap == MAP_FAILED || mprotect(gap + 4096, BOOT_BYTES, PROT_READ | PROT_WRITE) < 0)
        abort();
    for (size_t i = 0; i < TOUCHED_BYTES; i += 4096)
        gap[4096 + i] = 1;
}

static int run(const char *directory, unsigned number)
{
    struct guest g = {.actual_bytes = BOOT_BYTES};
    struct fake_qmp_config config = {.command = on_command, .user = &g};
    char path[108];

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)snprintf(path, sizeof(path), "%s/sim%03u.qmp", directory, number);
    map_memory();
    if (sd_event_new(&config.loop) < 0)
        return 1;
    config.path = path;
    (void)fake_qmp_new(&config);
    return sd_event_loop(config.loop) < 0;
}

int main(int argc, char **argv)
{
    unsigned count = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;

    if (count == 0 || count > 999) {
        (void)fputs("usage: fake_guests DIRECTORY COUNT\n", stderr);
        return 2;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned i = 0; i < count; i++) {
        pid_t pid = fork();

        if (pid < 0) {
            perror("fork");
            return 1;
        }
        if (pid == 0)
            return run(argv[1], i);
    }
    while (wait(NULL) > 0)
        ; /* until we are ended */
    return 0;
}
