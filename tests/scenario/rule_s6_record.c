/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <stdlib.h>
#include <string.h>

#include "recorder.h"
#include "replay.h"

/* S6: what is recorded of a host in the middle of its life replays to the same answers, byte for byte. 20 mixed guests under
 * overcommit 1.5; the recording begins after two minutes, when there are histories, marks and moves under way. Then one
 * number of it is changed, as a forger or a broken disk would, and the replay must say which decision it is. */

static uint64_t config_hash = 0x1234;

static void hear_input(void *user, const struct engine_guest *g, const struct input *in)
{
    recorder_input(user, g, in);
}

static void hear_decided(void *user, enum decide_why why, uint64_t now_usec)
{
    recorder_decided(user, why, now_usec);
}

static void hear_vanished(void *user, const struct engine_guest *g, const char *reason)
{
    (void)reason;
    recorder_vanished(user, g);
}

/* What has been recorded since, as a client fetches it. */
static bool fetch(struct recorder *r, uint64_t id, uint64_t now_usec, struct wire_text *record)
{
    struct err e = {0};
    bool ended = false;
    int code = recorder_read(r, id, record->length, now_usec, record, &ended, &e);

    (void)scenario_check(code == 0, "fetching failed: %s", e.text);
    return !ended && code == 0;
}

/* Minutes of a world, from minute `from` on, as a record. */
static void record_world(struct world *w, unsigned from, unsigned minutes, struct wire_text *record)
{
    struct recorder_env env = {.config_hash = &config_hash, .host_name = "model", .guests_max = 64};
    struct recorder *r = NULL;
    struct err e = {0};

    if (recorder_new(&env, &r, &e) < 0)
        abort();
    struct world_ears ears = {hear_input, hear_decided, hear_vanished, r};
    world_hear(w, &ears);
    world_start(w);
    world_run(w, from * MIN);
    (void)recorder_free(r); /* it listened, and nothing was recorded: now one that knows the engine */
    env.engine = world_engine(w);
    if (recorder_new(&env, &r, &e) < 0)
        abort();
    ears.user = r;
    world_hear(w, &ears);
    int64_t id = recorder_start(r, 0, WORLD_EPOCH_USEC + world_now(w), 1, &e);
    (void)scenario_check(id > 0, "it does not start: %s", e.text);
    (void)scenario_check(recorder_start(r, 0, WORLD_EPOCH_USEC + world_now(w), 1, &e) == -16, "it starts twice");
    for (unsigned second = 0; second < minutes * 60; second++) {
        if (second == 30) { /* one that was not there at the start */
            struct guest_config config = setup_guest_config(128 * MIB, GIB);
            struct model_config model = scenario_idle(GIB, 300 * MIB);
            (void)world_add(w, "05-late", &config, &model);
        }
        world_run(w, SEC);
        size_t before;
        do
            before = record->length;
        while (fetch(r, (uint64_t)id, WORLD_EPOCH_USEC + world_now(w), record) && record->length > before);
    }
    recorder_stop(r, "asked");
    while (fetch(r, (uint64_t)id, WORLD_EPOCH_USEC + world_now(w), record))
        ;
    const struct world_ears none = {0};
    world_hear(w, &none);
    (void)recorder_free(r);
}

static struct replay *replay_text(const char *text, size_t length)
{
    struct replay *r = NULL;
    struct err e = {0};
    int code = replay_new(&r, &e);

    for (const char *line = text, *end; code >= 0 && line < text + length; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + length - line));
        if (!end)
            break; /* cut */
        code = replay_line(r, line, (size_t)(end - line), &e);
    }
    (void)scenario_check(code >= 0, "the record can't be read: %s", e.text);
    return r;
}

/* Changes the `occurrence`th number that follows `name`: its last digit but two. */
static void forge(struct wire_text *record, const char *name, unsigned occurrence)
{
    char *at = record->data;

    while (occurrence-- && (at = strstr(at + 1, name)))
        ;
    if (!scenario_check(at != NULL, "there is no '%s' to forge", name))
        return;
    at += strlen(name);
    at += strspn(at, "0123456789") - 8; /* some MiB of bytes */
    *at = *at == '9' ? '1' : (char)(*at + 1);
}

int main(void)
{
    struct world *w = setup_mix(1500, 7);
    struct wire_text record = {0};

    record_world(w, 2, 3, &record);
    struct replay *r = replay_text(record.data, record.length);
    const struct replay_report *report = replay_report(r);
    (void)printf("%zu bytes: %llu decisions with %llu orders about %llu guests, %llu inputs; %llu differ; it ends: %s\n",
                 record.length, (unsigned long long)report->decisions, (unsigned long long)report->orders,
                 (unsigned long long)report->guests, (unsigned long long)report->inputs,
                 (unsigned long long)report->differ, report->end);
    (void)scenario_check(report->decisions > 500 && report->orders > 100 && report->inputs > 5000, "too little happened");
    (void)scenario_check(report->differ == 0, "decision %llu about '%s' came out otherwise (line %llu)",
                         (unsigned long long)report->first.number, report->first.guest,
                         (unsigned long long)report->first.line);
    (void)scenario_check(report->ended && strcmp(report->end, "asked") == 0, "the end is missing");
    (void)replay_free(r);

    forge(&record, "\"available_bytes\":", 3000);
    r = replay_text(record.data, record.length);
    report = replay_report(r);
    (void)printf("forged: %llu of %llu differ, the first is decision %llu about '%s'\n", (unsigned long long)report->differ,
                 (unsigned long long)report->decisions, (unsigned long long)report->first.number, report->first.guest);
    (void)scenario_check(report->differ > 0 && report->first.guest[0] && report->first.inputs.length > 0,
                         "a changed input is not noticed");
    (void)replay_free(r);
    wire_text_done(&record);
    (void)world_free(w);
    return scenario_end();
}
