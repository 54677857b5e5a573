/* SPDX-License-Identifier: Apache-2.0 */
#include "window_private.h"

/* The steps, in order. docs/design.md 6 names the phases; what each does stands in the file of its phase. */

/* ---- deadlines ---- */

static uint64_t within_checkpoint(const struct window *w)
{
    uint64_t end = (w->stop_usec ? w->stop_usec : w->now_usec) + w->config.times.checkpoint_usec;

    return end > w->now_usec ? end - w->now_usec : 0;
}

static uint64_t within_freeze(const struct window *w)
{
    return w->config.times.freeze_usec;
}

static uint64_t within_agent(const struct window *w)
{
    (void)w;
    return WINDOW_AGENT_USEC;
}

static uint64_t within_thaw(const struct window *w)
{
    (void)w;
    return WINDOW_THAW_TRY_USEC;
}

static uint64_t within_act(const struct window *w)
{
    (void)w;
    return WINDOW_ACT_USEC;
}

static uint64_t within_helper(const struct window *w)
{
    (void)w;
    return WINDOW_HELPER_USEC;
}

static uint64_t within_probe(const struct window *w)
{
    (void)w;
    return WINDOW_PROBE_USEC;
}

static uint64_t within_ready(const struct window *w)
{
    (void)w;
    return WINDOW_READY_USEC;
}

static uint64_t within_commit(const struct window *w)
{
    (void)w;
    return WINDOW_COMMIT_USEC;
}

static uint64_t within_meet_prepared(const struct window *w)
{
    (void)w;
    return WINDOW_MEET_PREPARED_USEC;
}

/* The others' hooks run meanwhile, each within its own time. */
static uint64_t within_meet_ready(const struct window *w)
{
    return w->config.before_usec + WINDOW_MEET_READY_USEC;
}

/* A guest that is frozen waits for the others no longer than for its own agent. */
static uint64_t within_meet_frozen(const struct window *w)
{
    uint64_t since = w->freeze_sent ? w->freeze_usec : w->armed ? w->armed_usec : w->step_since_usec;
    uint64_t end = since + w->config.times.freeze_usec;

    return end > w->now_usec ? end - w->now_usec : 0;
}

static uint64_t within_turn(const struct window *w)
{
    (void)w;
    return WINDOW_TURN_USEC;
}

static uint64_t within_copy_end(const struct window *w)
{
    (void)w;
    return WINDOW_COPY_END_USEC;
}

static uint64_t within_server(const struct window *w)
{
    (void)w;
    return WINDOW_SERVER_USEC;
}

static uint64_t within_now(const struct window *w)
{
    (void)w;
    return 0;
}

#define ONLY_BACKUP .modes = WINDOW_ONLY(WINDOW_BACKUP)
#define ONLY_EXPOSE .modes = WINDOW_ONLY(WINDOW_EXPOSE)

const struct window_step window_steps[] = {
    {"status", WINDOW_PREPARE, WINDOW_MONITOR, "query-status", .take = window_take_status},
    {"version", WINDOW_PREPARE, WINDOW_MONITOR, "query-version", .take = window_take_version},
    {"schema", WINDOW_PREPARE, WINDOW_MONITOR, "query-qmp-schema", .take = window_take_schema},
    {"jobs", WINDOW_PREPARE, WINDOW_MONITOR, "query-jobs", .take = window_take_jobs},
    {"probe", WINDOW_PREPARE, WINDOW_HELPER, "probe", .build = window_build_probe, .refused = window_probe_refused,
     .deadline_usec = within_probe},
    {"disks", WINDOW_PREPARE, WINDOW_MONITOR, "query-block", .take = window_take_blocks},
    {"nodes", WINDOW_PREPARE, WINDOW_MONITOR, "query-named-block-nodes", .build = window_build_flat, .take = window_take_nodes},
    {"iothreads", WINDOW_PREPARE, WINDOW_MONITOR, "query-iothreads", .take = window_take_iothreads, ONLY_EXPOSE},
    {"iothread", WINDOW_PREPARE, WINDOW_MONITOR, "qom-get", true, .needed = window_has_iothreads, .build = window_build_iothread,
     .take = window_take_iothread, .refused = window_iothread_refused, ONLY_EXPOSE},
    {"exports", WINDOW_PREPARE, WINDOW_MONITOR, "query-block-exports", .take = window_take_exports, ONLY_EXPOSE},
    {"prepare", WINDOW_PREPARE, WINDOW_HELPER, "prepare", .build = window_build_prepare, .take = window_take_prepare,
     .deadline_usec = within_helper},
    {"repair-bitmaps", WINDOW_PREPARE, WINDOW_MONITOR, "transaction", .needed = window_needs_bitmap_repair,
     .build = window_build_bitmap_repair},
    {"checkpoint-old", WINDOW_PREPARE, WINDOW_MONITOR, "transaction", .needed = window_needs_checkpoint_old,
     .build = window_build_checkpoint_old, ONLY_EXPOSE},
    {"nbd", WINDOW_PREPARE, WINDOW_MONITOR, "nbd-server-start", .build = window_build_nbd, .sent = window_sent_nbd,
     .refused = window_nbd_refused, ONLY_EXPOSE},
    {"agent", WINDOW_PREPARE, WINDOW_AGENT, "guest-info", .needed = window_needs_agent, .take = window_take_agent_info,
     .refused = window_agent_refused, .deadline_usec = within_agent},
    {"mounts", WINDOW_PREPARE, WINDOW_AGENT, "guest-get-fsinfo", .needed = window_needs_agent,
     .take = window_take_mounts, .refused = window_ignore, .deadline_usec = within_agent},
    {"frozen-already", WINDOW_PREPARE, WINDOW_AGENT, "guest-fsfreeze-status", .needed = window_needs_agent,
     .take = window_take_freeze_status, .refused = window_agent_refused, .deadline_usec = within_agent},
    {"sync", WINDOW_PREPARE, WINDOW_AGENT, "guest-exec", .needed = window_needs_sync, .build = window_build_sync,
     .take = window_take_sync, .refused = window_ignore, .deadline_usec = within_agent},
    {"sync-wait", WINDOW_PREPARE, WINDOW_AGENT, "guest-exec-status", .needed = window_needs_sync_wait,
     .build = window_build_sync_wait, .take = window_take_sync_wait, .refused = window_ignore,
     .deadline_usec = within_agent, .poll_usec = WINDOW_SYNC_POLL_USEC},
    {"fleece", WINDOW_PREPARE, WINDOW_MONITOR, "blockdev-add", true, .build = window_build_fleece, .sent = window_sent_fleece,
     .refused = window_fleece_refused},
    {"meet-prepared", WINDOW_PREPARE, WINDOW_GROUP, "meet-prepared", .deadline_usec = within_meet_prepared},
    {"hook-before", WINDOW_PREPARE, WINDOW_HELPER, "hook", .needed = window_needs_hook_before, .build = window_build_hook_before,
     .sent = window_sent_hook_before, .take = window_take_hook_before, .refused = window_hook_before_refused,
     .deadline_usec = window_within_hook},
    {"meet-ready", WINDOW_PREPARE, WINDOW_GROUP, "meet-ready", .deadline_usec = within_meet_ready},
    {"arm", WINDOW_PREPARE, WINDOW_GUARDIAN, "arm", .needed = window_needs_arm, .sent = window_sent_arm, .deadline_usec = within_agent},

    {"freeze", WINDOW_WINDOW, WINDOW_AGENT, "guest-fsfreeze-freeze", .needed = window_needs_agent, .sent = window_sent_freeze,
     .take = window_take_freeze, .refused = window_freeze_refused, .deadline_usec = within_freeze},
    {"meet-frozen", WINDOW_WINDOW, WINDOW_GROUP, "meet-frozen", .deadline_usec = within_meet_frozen},
    {"stop", WINDOW_WINDOW, WINDOW_MONITOR, "stop", .needed = window_needs_stop, .sent = window_sent_stop,
     .take = window_take_stop,
     .deadline_usec = within_checkpoint},
    {"bitmaps", WINDOW_WINDOW, WINDOW_MONITOR, "transaction", .build = window_build_switch, .sent = window_sent_switch,
     .deadline_usec = within_checkpoint, ONLY_BACKUP},
    {"checkpoint", WINDOW_WINDOW, WINDOW_MONITOR, "transaction", .needed = window_needs_checkpoint, .build = window_build_checkpoint,
     .sent = window_sent_checkpoint, .deadline_usec = within_checkpoint, ONLY_EXPOSE},
    {"filter", WINDOW_WINDOW, WINDOW_MONITOR, "blockdev-add", true, .build = window_build_filter, .sent = window_sent_filter,
     .deadline_usec = within_checkpoint},
    {"plug", WINDOW_WINDOW, WINDOW_MONITOR, "qom-set", true, .build = window_build_plug, .sent = window_sent_plug,
     .deadline_usec = within_checkpoint},
    {"access", WINDOW_WINDOW, WINDOW_MONITOR, "blockdev-add", true, .build = window_build_access, .sent = window_sent_access,
     .deadline_usec = within_checkpoint},
    {"since", WINDOW_WINDOW, WINDOW_MONITOR, "transaction", .needed = window_needs_since, .build = window_build_since,
     .sent = window_sent_since, .deadline_usec = within_checkpoint, ONLY_EXPOSE},
    {"meet-checkpoint", WINDOW_WINDOW, WINDOW_GROUP, "meet-checkpoint", .deadline_usec = within_checkpoint},

    {"cont", WINDOW_CLOSE, WINDOW_MONITOR, "cont", .needed = window_needs_cont, .sent = window_sent_cont, .take = window_take_cont,
     .refused = window_cont_refused,
     .deadline_usec = within_thaw, .poll_usec = WINDOW_HOLD_POLL_USEC},
    {"thaw", WINDOW_CLOSE, WINDOW_AGENT, "guest-fsfreeze-thaw", .needed = window_needs_thaw, .take = window_take_thaw,
     .refused = window_thaw_refused, .deadline_usec = within_thaw, .poll_usec = WINDOW_SYNC_POLL_USEC},
    {"act", WINDOW_CLOSE, WINDOW_GUARDIAN, "act", .needed = window_needs_act, .take = window_take_act, .deadline_usec = within_act},
    {"disarm", WINDOW_CLOSE, WINDOW_GUARDIAN, "disarm", .needed = window_needs_disarm, .take = window_take_disarm,
     .deadline_usec = within_agent},
    {"over", WINDOW_CLOSE, WINDOW_CLOCK, "wait", .needed = window_needs_clear, .take = window_take_clear,
     .deadline_usec = within_now},
    {"hook-after", WINDOW_CLOSE, WINDOW_HELPER, "hook", .needed = window_needs_hook_after, .build = window_build_hook_after,
     .take = window_take_hook_after, .refused = window_hook_after_refused, .deadline_usec = window_within_hook},

    {"turn", WINDOW_COPY, WINDOW_GROUP, "turn", .deadline_usec = within_turn},
    {"dirty", WINDOW_COPY, WINDOW_MONITOR, "query-named-block-nodes", .build = window_build_flat, .take = window_take_dirty,
     ONLY_BACKUP},
    {"copier", WINDOW_COPY, WINDOW_COPIER, "job", .build = window_build_job, .sent = window_sent_job, .take = window_take_job,
     .deadline_usec = within_ready, ONLY_BACKUP},
    {"target", WINDOW_COPY, WINDOW_MONITOR, "blockdev-add", true, .build = window_build_target, .sent = window_sent_target,
     ONLY_BACKUP},
    {"push", WINDOW_COPY, WINDOW_MONITOR, "transaction", .build = window_build_push, .sent = window_sent_push,
     ONLY_BACKUP},
    {"pushed", WINDOW_COPY, WINDOW_MONITOR, "query-jobs", .take = window_take_pushed, .poll_usec = WINDOW_POLL_USEC, ONLY_BACKUP},

    {"export", WINDOW_COPY, WINDOW_MONITOR, "block-export-add", true, .build = window_build_export, .sent = window_sent_export,
     ONLY_EXPOSE},
    {"relay", WINDOW_COPY, WINDOW_SERVER, "relay", .build = window_build_relay, .sent = window_sent_server,
     .deadline_usec = within_server, ONLY_EXPOSE},
    {"exposed", WINDOW_COPY, WINDOW_SERVER, "status", .take = window_take_status_exposed, .deadline_usec = within_server,
     .poll_usec = WINDOW_STATUS_USEC, ONLY_EXPOSE},

    {"copier-end", WINDOW_TEARDOWN, WINDOW_COPIER, "cancel", .needed = window_needs_copy_end, .take = window_take_copy_end,
     .deadline_usec = within_copy_end},
    {"server-end", WINDOW_TEARDOWN, WINDOW_SERVER, "end", .needed = window_has_server, .take = window_take_server_gone,
     .refused = window_server_gone_refused, .deadline_usec = within_server},
    {"probe-left", WINDOW_TEARDOWN, WINDOW_HELPER, "probe", .needed = window_needs_probe, .build = window_build_probe,
     .refused = window_probe_left_refused, .deadline_usec = within_probe},
    {"exports-left", WINDOW_TEARDOWN, WINDOW_MONITOR, "query-block-exports", .needed = window_needs_undo,
     .take = window_take_exports_left, .refused = window_look_again, .poll_usec = WINDOW_POLL_USEC},
    {"export-drop", WINDOW_TEARDOWN, WINDOW_MONITOR, "block-export-del", true, .needed = window_has_export,
     .build = window_build_drop_export, .refused = window_ignore},
    {"export-ends", WINDOW_TEARDOWN, WINDOW_MONITOR, "query-block-exports", .needed = window_has_any_export,
     .take = window_take_exports_gone, .refused = window_look_again, .poll_usec = WINDOW_SYNC_POLL_USEC},
    {"nbd-stop", WINDOW_TEARDOWN, WINDOW_MONITOR, "nbd-server-stop", .needed = window_has_nbd, .take = window_take_nbd_gone,
     .refused = window_nbd_gone_refused},
    {"jobs-left", WINDOW_TEARDOWN, WINDOW_MONITOR, "query-jobs", .needed = window_needs_undo,
     .take = window_take_jobs_left,
     .refused = window_look_again, .poll_usec = WINDOW_POLL_USEC},
    {"job-cancel", WINDOW_TEARDOWN, WINDOW_MONITOR, "block-job-cancel", true, .needed = window_has_running_job,
     .build = window_build_job_cancel, .refused = window_ignore},
    {"job-ends", WINDOW_TEARDOWN, WINDOW_MONITOR, "query-jobs", .needed = window_has_any_job, .take = window_take_concluded,
     .poll_usec = WINDOW_POLL_USEC,
     .refused = window_look_again},
    {"job-dismiss", WINDOW_TEARDOWN, WINDOW_MONITOR, "job-dismiss", true, .needed = window_has_job, .build = window_build_job_id,
     .take = window_take_job_gone},
    {"nodes-left", WINDOW_TEARDOWN, WINDOW_MONITOR, "query-named-block-nodes", .needed = window_needs_undo,
     .build = window_build_flat, .take = window_take_nodes_left,
     .refused = window_look_again, .poll_usec = WINDOW_POLL_USEC},
    {"disks-left", WINDOW_TEARDOWN, WINDOW_MONITOR, "query-block", .needed = window_needs_undo,
     .take = window_take_blocks_left,
     .refused = window_look_again, .poll_usec = WINDOW_POLL_USEC},
    {"graph-left", WINDOW_TEARDOWN, WINDOW_MONITOR, "x-debug-query-block-graph", .needed = window_needs_graph,
     .take = window_take_graph},
    {"target-yank", WINDOW_TEARDOWN, WINDOW_MONITOR, "yank", true, .needed = window_has_target, .build = window_build_yank,
     .refused = window_ignore},
    {"target-drop", WINDOW_TEARDOWN, WINDOW_MONITOR, "blockdev-del", true, .needed = window_has_target,
     .build = window_build_drop_target,
     .take = window_take_target_gone},
    {"access-drop", WINDOW_TEARDOWN, WINDOW_MONITOR, "blockdev-del", true, .needed = window_has_access,
     .build = window_build_drop_access,
     .take = window_take_access_gone},
    {"unplug", WINDOW_TEARDOWN, WINDOW_MONITOR, "qom-set", true, .needed = window_is_plugged, .build = window_build_unplug,
     .take = window_take_unplugged},
    {"filter-drop", WINDOW_TEARDOWN, WINDOW_MONITOR, "blockdev-del", true, .needed = window_has_filter,
     .build = window_build_drop_filter,
     .take = window_take_filter_gone},
    {"fleece-drop", WINDOW_TEARDOWN, WINDOW_MONITOR, "blockdev-del", true, .needed = window_has_fleece,
     .build = window_build_drop_fleece,
     .take = window_take_fleece_gone},
    {"fleece-remove", WINDOW_TEARDOWN, WINDOW_HELPER, "remove", .needed = window_has_fleece_files, .build = window_build_remove,
     .deadline_usec = within_helper},

    {"finish", WINDOW_SETTLE, WINDOW_COPIER, "finish", .needed = window_needs_finish, .build = window_build_finish,
     .sent = window_sent_finish, .take = window_take_finish, .deadline_usec = within_commit, ONLY_BACKUP},
    {"settle-bitmaps", WINDOW_SETTLE, WINDOW_MONITOR, "transaction", .needed = window_needs_bitmaps, .build = window_build_bitmaps,
     .refused = window_bitmaps_refused, ONLY_BACKUP},
    {"settle-checkpoints", WINDOW_SETTLE, WINDOW_MONITOR, "transaction", .needed = window_needs_checkpoint_settled,
     .build = window_build_checkpoint_settled, .refused = window_checkpoint_unsettled, ONLY_EXPOSE},
    {"serve", WINDOW_SETTLE, WINDOW_SERVER, "serve", .needed = window_needs_serve, .build = window_build_serve,
     .sent = window_sent_server, .deadline_usec = within_ready},
    {"served", WINDOW_SETTLE, WINDOW_SERVER, "status", .needed = window_has_server, .take = window_take_status_exposed,
     .deadline_usec = within_server, .poll_usec = WINDOW_STATUS_USEC},
    {"serve-end", WINDOW_SETTLE, WINDOW_SERVER, "end", .needed = window_has_server, .take = window_take_server_gone,
     .refused = window_server_gone_refused, .deadline_usec = within_server},
    {"serve-remove", WINDOW_SETTLE, WINDOW_HELPER, "remove", .needed = window_needs_served_remove,
     .build = window_build_served_remove, .deadline_usec = within_helper},
};
const unsigned window_step_count = sizeof(window_steps) / sizeof(window_steps[0]);

const char *window_step_name(unsigned number)
{
    return number >= 1 && number <= window_step_count ? window_steps[number - 1].name : NULL;
}

enum window_phase window_step_phase(unsigned number)
{
    return window_steps[number - 1].phase;
}

bool window_step_is_each_disk(unsigned number)
{
    return window_steps[number - 1].each_disk;
}
