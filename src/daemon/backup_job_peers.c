/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include "backup_job_private.h"
#include "log.h"
#include "qmp_message.h"
#include "text.h"
#include "wire_field.h"

/* The other ends of a backup: agent, guardian, ballast-prepare, ballast-copy. */

/* ---- the guest's agent ---- */

static void on_agent(void *user, struct json_object *value, const struct err *e)
{
    backup_job_answer(user, WINDOW_AGENT, value, e);
}

/* Connected with the first command, and again after the connection was lost. */
int backup_job_ask_agent(struct backup_job *job, const struct window_command *c, struct err *e)
{
    int r;

    if (!job->agent && !job->sockets.agent[0])
        return err_set(e, ENOENT, "its monitor's name does not end in .qmp, so it tells no socket of a guest agent");
    if (!job->agent) {
        r = qga_new(job->config.loop, job->guest, job->sockets.agent, &job->agent, e);
        if (r < 0)
            return r;
    }
    r = qga_call(job->agent, c->deadline_usec, c->command, c->arguments, on_agent, job, e);
    if (r == -ENOTCONN)
        job->agent = qga_free(job->agent);
    return r;
}

/* ---- the guardian ---- */

static int send_arm(struct backup_job *job, struct err *e)
{
    struct guardian_order o = {
        .verb = GUARDIAN_ARM,
        .pid = job->pid,
        .start_ticks = job->start_ticks,
        .hard_usec = job->config.window.times.hard_usec,
        .may_stop = true,
        .may_freeze = job->agent || job->config.window.recover_frozen,
    };
    const struct hv_backup_ops *ops = job->vm ? job->vm->hv->ops->backup : NULL;
    int monitor_fd = -1, agent_fd = -1, r = 0;

    (void)snprintf(o.guest, sizeof(o.guest), "%s", job->guest);
    (void)snprintf(o.monitor, sizeof(o.monitor), "%s", job->sockets.monitor);
    (void)snprintf(o.agent, sizeof(o.agent), "%s", o.may_freeze ? job->sockets.agent : "");
    if (!ops)
        return err_set(e, ENODEV, "guest '%s' is gone", job->guest);
    r = ops->dup(job->vm->hv, job->vm, &monitor_fd, e);
    if (r >= 0 && job->agent)
        r = qga_dup(job->agent, &agent_fd, e);
    if (r >= 0)
        r = guardian_link_send(job->config.guardian, &o, monitor_fd, agent_fd, e);
    if (monitor_fd >= 0)
        (void)close(monitor_fd); /* sockets: nothing is lost by a failing close */
    if (agent_fd >= 0)
        (void)close(agent_fd);
    return r;
}

int backup_job_ask_guardian(struct backup_job *job, const struct window_command *c, struct err *e)
{
    struct guardian_order o = {.verb = strcmp(c->command, "act") == 0 ? GUARDIAN_ACT : GUARDIAN_DISARM};

    (void)snprintf(o.guest, sizeof(o.guest), "%s", job->guest);
    if (strcmp(c->command, "arm") == 0) {
        job->guard_verb = GUARDIAN_ARM;
        return send_arm(job, e);
    }
    job->guard_verb = (enum guardian_verb)o.verb;
    if (o.verb == GUARDIAN_ACT && !job->guard_armed) { /* it knows nothing of a window that is recovered */
        int r = send_arm(job, e);

        if (r < 0)
            return r;
    }
    if (o.verb == GUARDIAN_ACT)
        job->agent = qga_free(job->agent); /* what the agent says is for the guardian alone now */
    return guardian_link_send(job->config.guardian, &o, -1, -1, e);
}

void backup_job_word(struct backup_job *job, const struct guardian_word *word)
{
    static const enum guardian_verb answers[GUARDIAN_ANSWER_COUNT] = {
        [GUARDIAN_ARMED] = GUARDIAN_ARM,       [GUARDIAN_REFUSED] = GUARDIAN_ARM, [GUARDIAN_DISARMED] = GUARDIAN_DISARM,
        [GUARDIAN_TAKEN] = GUARDIAN_VERB_COUNT, [GUARDIAN_ENDED] = GUARDIAN_ACT,   [GUARDIAN_NOT_ENDED] = GUARDIAN_ACT,
    };
    struct err e = {0};

    if (job->done)
        return;
    job->guard_armed = word->answer == GUARDIAN_ARMED;
    if (word->answer == GUARDIAN_TAKEN) {
        if (job->awaited == WINDOW_AGENT)
            backup_job_answer(job, WINDOW_AGENT, NULL, &(struct err){ETIMEDOUT, "the guardian took over"});
        job->agent = qga_free(job->agent);
        window_overtaken(job->window, backup_job_now(job));
        return;
    }
    if (job->guard_verb != answers[word->answer])
        return; /* of a guardian that was started again, or late */
    if (word->answer == GUARDIAN_REFUSED || word->answer == GUARDIAN_NOT_ENDED) {
        (void)err_set(&e, EBUSY, "guest '%s' %s: %s", job->guest,
                      word->answer == GUARDIAN_REFUSED ? "can't be frozen safely" : "may still be frozen", word->text);
        backup_job_answer(job, WINDOW_GUARDIAN, NULL, &e);
        return;
    }
    backup_job_answer(job, WINDOW_GUARDIAN, NULL, NULL);
}

/* A new guardian knows nothing: what is open is armed again, what was asked for is asked again. */
void backup_job_guard_again(struct backup_job *job)
{
    struct window_command c = {.peer = WINDOW_GUARDIAN, .command = job->awaited_command};
    struct err e = {0};
    bool waits = job->awaited == WINDOW_GUARDIAN;

    if (job->done)
        return;
    if ((job->guard_armed || (waits && job->guard_verb != GUARDIAN_DISARM)) && send_arm(job, &e) < 0)
        log_error("guest '%s' is frozen and the guardian can't be told: %s", job->guest, e.text);
    if (waits && job->guard_verb != GUARDIAN_ARM && backup_job_ask_guardian(job, &c, &e) < 0)
        backup_job_answer(job, WINDOW_GUARDIAN, NULL, &e);
}

/* ---- ballast-prepare ---- */

static void on_helper_line(void *user, const char *line, size_t len)
{
    struct backup_job *job = user;
    struct json_object *answer = NULL;
    struct err e = {0};

    if (job->awaited != WINDOW_HELPER)
        return;
    if (wire_json_parse(line, len, &answer, &e) < 0)
        backup_job_answer(job, WINDOW_HELPER, NULL, &e);
    else
        backup_job_answer(job, WINDOW_HELPER, answer, NULL);
    json_object_put(answer);
}

static void on_helper_end(void *user, int status)
{
    struct backup_job *job = user;
    struct err e = {0};

    (void)status;
    job->helper = child_free(job->helper);
    (void)err_set(&e, EIO, "ballast-prepare ended without an answer; ballastd's log may say why");
    backup_job_answer(job, WINDOW_HELPER, NULL, &e);
}

int backup_job_ask_helper(struct backup_job *job, const struct window_command *c, struct err *e)
{
    const struct child_config config = {.loop = job->config.loop, .program = "ballast-prepare", .input_fd = -1,
                                        .line = on_helper_line, .ended = on_helper_end, .user = job};
    int r;

    job->helper = child_free(job->helper); /* one that has answered and not ended yet */
    r = child_start(&config, &job->helper, e);
    if (r >= 0)
        r = child_write(job->helper, c->arguments, strlen(c->arguments), e);
    if (r >= 0)
        r = child_write(job->helper, "\n", 1, e);
    if (r >= 0)
        child_end_input(job->helper);
    return r;
}

/* ---- ballast-copy ---- */

static void take_progress(struct backup_job *job, struct json_object *p)
{
    const char *disk = "";
    struct backup_progress *to = NULL;

    if (!qmp_get_string(p, "disk", &disk))
        return;
    for (size_t i = 0; i < job->progress_n && !to; i++)
        if (strcmp(job->progress[i].disk, disk) == 0)
            to = &job->progress[i];
    if (!to && job->progress_n < BACKUP_PROGRESS_DISKS) {
        to = &job->progress[job->progress_n++];
        *to = (struct backup_progress){0};
        wire_text_copy(to->disk, sizeof(to->disk), disk);
    }
    if (!to)
        return;
    (void)qmp_get_u64(p, "received_bytes", &to->received_bytes);
    (void)qmp_get_u64(p, "data_bytes", &to->data_bytes);
    (void)qmp_get_u64(p, "stored_bytes", &to->stored_bytes);
    (void)qmp_get_u64(p, "new_chunks", &to->new_chunks);
}

static void copier_failed(struct backup_job *job, const char *text, const char *hint)
{
    struct err e = {0};

    window_copy_failed(job->window, text, hint, backup_job_now(job));
    (void)err_set(&e, EIO, "%s", text);
    if (strcmp(job->awaited_command, "cancel") != 0)
        backup_job_answer(job, WINDOW_COPIER, NULL, &e);
}

/* The user that QEMU runs as connects to them; nobody else may. One who may not give them away is that user. */
static void give_sockets(const struct backup_job *job)
{
    struct window_disk_view d;
    struct window_view v;
    char proc[32];
    struct stat st;

    (void)snprintf(proc, sizeof(proc), "/proc/%" PRId64, job->pid);
    if (job->pid <= 0 || stat(proc, &st) < 0 || st.st_uid == geteuid())
        return;
    window_look(job->window, &v);
    for (size_t i = 0; i < v.disks_n; i++) {
        window_look_disk(job->window, i, &d);
        if (chown(d.socket, st.st_uid, st.st_gid) < 0)
            log_warning("backup of guest '%s': cannot give '%s' to the user of its QEMU: %s", job->guest, d.socket,
                        strerror(errno));
    }
}

static void on_copier_line(void *user, const char *line, size_t len)
{
    struct json_object *answer = NULL, *progress;
    struct backup_job *job = user;
    const char *text, *hint = "";
    struct err e = {0};
    bool ready;

    if (wire_json_parse(line, len, &answer, &e) < 0) {
        log_warning("ballast-copy of guest '%s' said something that is not understood: %s", job->guest, e.text);
        return;
    }
    if (qmp_get_object(answer, "progress", &progress)) {
        take_progress(job, progress);
    } else if (qmp_get_string(answer, "failed", &text)) {
        job->copier_done = true;
        (void)qmp_get_string(answer, "hint", &hint);
        copier_failed(job, text, hint);
    } else if (qmp_get_bool(answer, "ready", &ready) && strcmp(job->awaited_command, "job") == 0) {
        give_sockets(job);
        backup_job_answer(job, WINDOW_COPIER, answer, NULL);
    } else if (qmp_get_string(answer, "committed", &text) && strcmp(job->awaited_command, "finish") == 0) {
        job->copier_done = true;
        backup_job_answer(job, WINDOW_COPIER, answer, NULL);
    }
    json_object_put(answer);
}

static void on_copier_end(void *user, int status)
{
    struct backup_job *job = user;
    bool was_done = job->copier_done;
    char text[160];

    job->copier = child_free(job->copier);
    job->copier_done = true;
    if (job->awaited == WINDOW_COPIER && strcmp(job->awaited_command, "cancel") == 0) {
        backup_job_answer(job, WINDOW_COPIER, NULL, NULL);
        return;
    }
    if (was_done)
        return;
    if (WIFSIGNALED(status))
        (void)snprintf(text, sizeof(text), "ballast-copy was killed by signal %d", WTERMSIG(status));
    else
        (void)snprintf(text, sizeof(text), "ballast-copy ended with exit code %d", WEXITSTATUS(status));
    copier_failed(job, text, "see ballastd's log, and run the backup again");
}

static int start_copier(struct backup_job *job, struct err *e)
{
    const struct child_config config = {.loop = job->config.loop, .program = "ballast-copy", .input_fd = -1,
                                        .line = on_copier_line, .ended = on_copier_end, .user = job};

    job->progress_n = 0;
    job->copier_done = false;
    return child_start(&config, &job->copier, e);
}

int backup_job_ask_copier(struct backup_job *job, const struct window_command *c, struct err *e)
{
    struct wire_text t = {0};
    int r = 0;

    if (strcmp(c->command, "job") == 0)
        r = start_copier(job, e);
    if (r < 0)
        return r;
    if (!job->copier || (job->copier_done && strcmp(c->command, "cancel") != 0)) /* what has failed answers nothing more */
        return err_set(e, EPIPE, "ballast-copy has ended");
    if (c->arguments)
        wire_text_format(&t, "{\"%s\":%s}\n", c->command, c->arguments);
    else
        wire_text_format(&t, "{\"%s\":true}\n", c->command);
    r = t.failed ? err_set(e, ENOMEM, "no memory for ballast-copy's order")
                 : child_write(job->copier, t.data, t.length, e);
    wire_text_done(&t);
    if (strcmp(c->command, "cancel") == 0 || r < 0)
        child_end_input(job->copier);
    return r;
}
