/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "api.h"
#include "backup.h"
#include "backup_auto.h"
#include "config.h"
#include "engine.h"
#include "history.h"
#include "hv.h"
#include "journal.h"
#include "notify.h"
#include "notify_watch.h"
#include "attach.h"
#include "guest_disk.h"
#include "operate.h"
#include "options.h"
#include "paths.h"
#include "recorder.h"
#include "status.h"
#include "tell.h"
#include "why.h"

/* What the files of the daemon itself share. Nobody else includes this. */

struct daemon {
    struct options options;
    char guests_dir[PATHS_SIZE];     /* where guests are looked for unless the configuration says */
    char host_name[64];
    sd_event *loop;
    sd_event_source *timer;
    sd_event_source *signals[3];
    struct config *config;
    struct engine *engine;
    struct hv *qmp;
    struct api *api;
    struct journal *journal; /* NULL: nothing is kept over a restart */
    struct history *history; /* NULL: no memory for it */
    struct keeper *keeper;   /* NULL: nothing operators ask for is kept over a restart, `unkept` says why */
    struct err unkept;
    struct operate *operate;
    struct attach *attach;
    struct guest_disks *disks;
    struct backup *backup;
    struct backup_auto *schedules;
    struct why why;
    struct recorder *recorder;
    struct status status;
    struct tell tell;
    struct notify *notify;
    struct notify_watch *watch;
    uint64_t systemd_usec; /* it was told last */
    bool is_stopping;
};

/* CLOCK_MONOTONIC, the clock that drives the engine. */
uint64_t daemon_now_usec(void);

/* The engine and what it asks and tells (daemon_engine.c). */
struct engine_config daemon_engine_config(const struct daemon *d, const struct config *config);
int daemon_open_engine(struct daemon *d, struct err *e);
