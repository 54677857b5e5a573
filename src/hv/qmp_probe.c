/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <systemd/sd-event.h>

#include "hv_qmp.h"
#include "log.h"

/* qmp-probe DIR [NAME=MIB ...]: prints what the QEMU driver sees, once a second and at each event, until its standard
 * input ends. A line "NAME MIB" on it sets a target. For tests by hand. */

#define GUESTS_MAX 64

static struct hv_vm *vms[GUESTS_MAX];
static struct sd_event *loop;

static double mib(uint64_t bytes)
{
    return bytes == OBS_UNSET ? -1 : (double)bytes / 1048576.0;
}

static uint64_t now(void)
{
    uint64_t t = 0;

    (void)sd_event_now(loop, CLOCK_MONOTONIC, &t);
    return t;
}

static void appeared(void *user, struct hv_vm *vm, uint64_t now_usec)
{
    (void)user;
    printf("%.3f %s appeared: uuid '%s' pid %ld start %" PRIu64 " caps %x\n", (double)now_usec / 1e6, vm->name,
           vm->uuid, (long)vm->pid, vm->start_ticks, vm->caps);
    for (size_t i = 0; i < GUESTS_MAX; i++)
        if (!vms[i]) {
            vms[i] = vm;
            break;
        }
}

static void vanished(void *user, struct hv_vm *vm, const char *reason, uint64_t now_usec)
{
    (void)user;
    printf("%.3f %s vanished: %s\n", (double)now_usec / 1e6, vm->name, reason);
    for (size_t i = 0; i < GUESTS_MAX; i++)
        if (vms[i] == vm)
            vms[i] = NULL;
}

static void levers(void *user, struct hv_vm *vm, const struct obs_levers *s)
{
    (void)user;
    printf("%.3f %s levers: boot %.1f actual %.1f plugged %.1f requested %.1f online %.1f most %.1f block %.1f%s%s\n",
           (double)s->time_usec / 1e6, vm->name, mib(s->boot_bytes), mib(s->balloon_actual_bytes),
           mib(s->plugged_bytes), mib(s->requested_bytes), mib(s->online_bytes), mib(s->pluggable_bytes),
           mib(s->block_bytes), s->has_balloon ? " balloon" : "", s->deflate_on_oom ? " deflate-on-oom" : "");
}

static void host_view(void *user, struct hv_vm *vm, const struct obs_host_view *s)
{
    (void)user;
    printf("%.3f %s host: resident %.1f swapped %.1f overhead %.1f read %.1f\n", (double)s->time_usec / 1e6, vm->name,
           mib(s->resident_bytes), mib(s->swapped_bytes), mib(s->overhead_bytes), mib(s->disk_read_bytes));
}

static void view(void *user, struct hv_vm *vm, const struct obs_guest_view *s)
{
    (void)user;
    printf("%.3f %s view: taken %.3f total %.1f free %.1f available %.1f cache %.1f swap-in %.1f oom %.0f\n",
           (double)now() / 1e6, vm->name, (double)s->time_usec / 1e6, mib(s->total_bytes), mib(s->free_bytes),
           mib(s->available_bytes), mib(s->cache_bytes), mib(s->swapped_in_bytes),
           s->oom_kills == OBS_UNSET ? -1.0 : (double)s->oom_kills);
}

static void happened(void *user, struct hv_vm *vm, enum hv_happening what, uint64_t now_usec)
{
    static const char *const names[HV_HAPPENED_COUNT] = {
        "reset", "panic", "shutdown", "paused", "resumed", "foreign hand", "frozen", "thawed", "driver lost"};

    (void)user;
    printf("%.3f %s happened: %s\n", (double)now_usec / 1e6, vm->name, names[what]);
}

static void trouble(void *user, struct hv_vm *vm, const struct err *e)
{
    (void)user;
    printf("%.3f %s trouble: %s (%s)\n", (double)now() / 1e6, vm ? vm->name : "-", e->code ? e->text : "over",
           strerror(e->code));
}

static void done(void *user, const struct err *e)
{
    struct hv_vm *vm = user;

    printf("%.3f %s done: %s\n", (double)now() / 1e6, vm->name, e ? e->text : "taken");
}

static int on_tick(struct sd_event_source *s, uint64_t usec, void *user)
{
    struct err e = {0};

    (void)usec;
    (void)user;
    for (size_t i = 0; i < GUESTS_MAX; i++)
        if (vms[i] && hv_sample(vms[i], HV_SAMPLE_ALL, &e) < 0)
            printf("%.3f %s sample: %s\n", (double)now() / 1e6, vms[i]->name, e.text);
    (void)sd_event_source_set_time_relative(s, 1000000);
    return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int on_input(struct sd_event_source *s, int fd, uint32_t events, void *user)
{
    char line[128], name[64];
    struct err e = {0};
    unsigned target;

    (void)s;
    (void)fd;
    (void)events;
    (void)user;
    if (!fgets(line, sizeof(line), stdin))
        return sd_event_exit(loop, 0);
    if (sscanf(line, "%63s %u", name, &target) != 2)
        return 0;
    for (size_t i = 0; i < GUESTS_MAX; i++) {
        if (!vms[i] || strcmp(vms[i]->name, name) != 0)
            continue;
        printf("%.3f %s target %u\n", (double)now() / 1e6, name, target);
        if (hv_set_target(vms[i], (uint64_t)target << 20, done, vms[i], &e) < 0)
            printf("%.3f %s refused: %s\n", (double)now() / 1e6, name, e.text);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *directory = argc > 1 ? argv[1] : "/run/ballast/guests";
    struct hv_qmp_config config = {
        .listener = {appeared, vanished, levers, host_view, view, happened, trouble, NULL},
        .directories = &directory,
        .directories_n = 1,
    };
    struct err e = {0};
    struct hv *hv = NULL;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)setvbuf(stdin, NULL, _IONBF, 0);
    log_set_level(LOG_LEVEL_DEBUG);
    if (sd_event_default(&loop) < 0 || sd_event_add_io(loop, NULL, STDIN_FILENO, EPOLLIN, on_input, NULL) < 0 ||
        sd_event_add_time_relative(loop, NULL, CLOCK_MONOTONIC, 500000, 0, on_tick, NULL) < 0)
        return 1;
    config.loop = loop;
    if (hv_qmp_open(&config, &hv, &e) < 0) {
        printf("%s\n", e.text);
        return 1;
    }
    (void)sd_event_loop(loop);
    (void)hv_close(hv);
    loop = sd_event_unref(loop);
    return 0;
}
