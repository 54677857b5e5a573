/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api.h"
#include "engine.h"
#include "history.h"
#include "notify.h"

struct why;

/* What the engine knows, in the words and units of the status document (wire_status.h). Reads only. */

struct status {
    const struct engine *engine;
    const char *host_name;      /* borrowed, as the following */
    const char *config_file;    /* NULL: none, guests are only watched */
    uint64_t config_hash;       /* of the configuration that holds now (S6) */
    const char *state_dir;
    const char *guests_dir;     /* where guests' monitors are looked for (the first place); NULL: by name only */
    struct notify *notify;      /* NULL: none */
    bool dry_run;
    uint64_t started_usec;
    uint64_t (*now_usec)(void); /* the clock that drives the engine */
    const struct history *history; /* NULL: none is kept */
    const struct why *why;      /* the last decisions; NULL: none are kept */

    /* Which entry of the configuration holds for a guest, and whose it is; texts live as long as the configuration.
     * NULL: not known. */
    void (*configured)(const void *user, const char *name, const char **ret_entry, const char **ret_owner);
    const void *user;

    /* What operators asked for (operate.h); NULL: nobody can. hold_text: why a guest's moves are held, "" where they are
     * not; moves: "on", "off", and why in to[size]. */
    void (*hold_text)(void *user, const char *guest, char *to, size_t size);
    void (*set_text)(void *user, const char *guest, char *to, size_t size); /* what was set last, "" where nothing was */
    const char *(*moves)(void *user, char *to, size_t size);
    void *operate_user;

    /* Sentences for the administrator that belong to no guest, or to one that never came to be; newest last. */
    size_t warning_count;
    struct status_warning {
        char text[ERR_TEXT_SIZE];
        uint64_t time_usec;
    } warnings[WIRE_WARNINGS_MAX / 2];
};

/* Keeps a sentence for the status; said again, it only gets younger. The oldest goes when there is no room. */
void status_warn(struct status *s, const char *text);

/* The callbacks for api_open(); `s` is borrowed and must outlive the API. */
struct api_source status_source(struct status *s);

/* The same by hand, for `--once` prints, logs and tests. */
void status_fill_host(const struct status *s, struct wire_host *ret);
void status_fill_guest(const struct status *s, const struct engine_guest *g, struct wire_guest *ret);

/* All internal state as one JSON document: for bug reports. */
void status_dump(const struct status *s, struct wire_text *out);
