/* SPDX-License-Identifier: Apache-2.0 */
#include "backup_group.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <systemd/sd-event.h>

struct backup_group {
    struct window_group *window;
    struct sd_event_source *post; /* words are carried from the loop, never from inside of what a window sends */
    size_t n;
    struct backup_job *jobs[WINDOW_GROUP_MAX];
    struct window_instant instants[WINDOW_GROUP_MAX]; /* of those that have parted */
    bool is_released; /* by who began it */
};

static void post(struct backup_group *g)
{
    (void)sd_event_source_set_enabled(g->post, SD_EVENT_ONESHOT); /* can't fail for a source that is there */
}

static int on_post(sd_event_source *s, void *user)
{
    struct backup_group *g = user;
    struct window_group_word word;

    (void)s;
    while (window_group_next(g->window, &word))
        if (g->jobs[word.place])
            backup_job_told(g->jobs[word.place], word.is_go, word.text);
    return 0;
}

static void destroy(struct backup_group *g)
{
    g->post = sd_event_source_disable_unref(g->post);
    g->window = window_group_free(g->window);
    free(g);
}

int backup_group_new(struct sd_event *loop, size_t n, size_t copies_max, struct backup_group **ret, struct err *e)
{
    struct backup_group *g = calloc(1, sizeof(*g));
    char id[WINDOW_GROUP_ID_SIZE];
    uint64_t number = 0;
    int r;

    if (!g)
        return err_set(e, ENOMEM, "no memory for a group of guests");
    if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number))
        number = (uint64_t)backup_job_utc_usec(); /* early boot: different enough within one repository */
    (void)snprintf(id, sizeof(id), "%016" PRIx64, number);
    g->n = n;
    r = window_group_new(id, n, copies_max, &g->window, e);
    if (r == 0) {
        r = sd_event_add_defer(loop, &g->post, on_post, g);
        if (r >= 0)
            r = sd_event_source_set_enabled(g->post, SD_EVENT_OFF);
        if (r < 0)
            r = err_set(e, -r, "no event source for a group of guests: %s", strerror(-r));
    }
    if (r < 0) {
        destroy(g);
        return r;
    }
    *ret = g;
    return 0;
}

static struct backup_group *free_unused(struct backup_group *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->jobs[i])
            return NULL;
    if (g->is_released)
        destroy(g);
    return NULL;
}

struct backup_group *backup_group_free(struct backup_group *g)
{
    if (!g)
        return NULL;
    g->is_released = true;
    return free_unused(g);
}

void backup_group_join(struct backup_group *g, size_t place, struct backup_job *job, const char *guest, const char *identity)
{
    g->jobs[place] = job;
    window_group_name(g->window, place, guest, identity);
}

void backup_group_part(struct backup_group *g, size_t place)
{
    if (g->jobs[place])
        backup_job_look_instant(g->jobs[place], &g->instants[place]);
    g->jobs[place] = NULL;
    (void)free_unused(g);
}

int backup_group_ask(struct backup_group *g, size_t place, const char *command, struct err *e)
{
    enum window_meeting meeting;

    (void)e;
    if (window_meeting_parse(command, &meeting))
        window_group_meet(g->window, place, meeting);
    else
        window_group_turn(g->window, place);
    post(g);
    return 0;
}

void backup_group_fail(struct backup_group *g, size_t place, const char *text)
{
    window_group_fail(g->window, place, text);
    post(g);
}

void backup_group_leave(struct backup_group *g, size_t place)
{
    window_group_leave(g->window, place);
    post(g);
}

void backup_group_print_late(const struct backup_group *g, const char *command, char *to, size_t size)
{
    enum window_meeting meeting;

    if (window_meeting_parse(command, &meeting))
        window_group_print_late(g->window, meeting, to, size);
    else
        (void)snprintf(to, size, "its turn to be copied did not come");
}

void backup_group_print(const struct backup_group *g, struct wire_text *t)
{
    struct window_instant each[WINDOW_GROUP_MAX];

    memcpy(each, g->instants, sizeof(each));
    for (size_t i = 0; i < g->n; i++)
        if (g->jobs[i])
            backup_job_look_instant(g->jobs[i], &each[i]);
    window_group_print(g->window, each, t);
}

const char *backup_group_id(const struct backup_group *g)
{
    return window_group_id(g->window);
}
