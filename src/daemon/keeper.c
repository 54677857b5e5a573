/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "paths.h"
#include "statefile.h"

#define KEEPER_STOP_SEC 2
#define KEEPER_USERS 32        /* names remembered: operators are few */
#define KEEPER_PASSWD_ROOM 4096 /* one line of a user database */

struct keeper_job {
    struct keeper_job *next;
    uint64_t sequence;      /* 0: an audit line */
    char path[PATHS_SIZE];
    mode_t mode;
    struct wire_text text;
    uint64_t uid, time_sec; /* of an audit line */
};

struct keeper {
    char audit_path[PATHS_SIZE];
    pthread_t thread;
    pthread_mutex_t lock;   /* guards the rest */
    pthread_cond_t wake, idle;
    struct keeper_job *first, **end;
    size_t audits;          /* lines waiting */
    uint64_t lost;          /* lines that found no room since the last one that did */
    uint64_t given, saved;  /* numbers of writes */
    char trouble[ERR_TEXT_SIZE];
    struct keeper_user {
        uint64_t uid;
        char name[KEEPER_USER_SIZE]; /* empty: unused */
    } users[KEEPER_USERS];
    size_t next_user;
    bool stop, done;
};

/* ---- the loop's side ---- */

static void keeper_push(struct keeper *k, struct keeper_job *job)
{
    job->next = NULL;
    *k->end = job;
    k->end = &job->next;
    (void)pthread_cond_signal(&k->wake);
}

uint64_t keeper_replace(struct keeper *k, const char *path, mode_t mode, struct wire_text *text)
{
    struct keeper_job *job = text->failed ? NULL : calloc(1, sizeof(*job)), *waits;
    uint64_t sequence = 0;

    if (!job || strlen(path) >= sizeof(job->path)) {
        free(job);
        wire_text_done(text);
        return 0;
    }
    (void)pthread_mutex_lock(&k->lock);
    for (waits = k->first; waits && (!waits->sequence || strcmp(waits->path, path) != 0);)
        waits = waits->next;
    sequence = ++k->given;
    if (waits) {
        wire_text_done(&waits->text);
        free(job);
        job = waits;
    } else {
        wire_text_copy(job->path, sizeof(job->path), path);
        job->mode = mode;
        keeper_push(k, job);
    }
    job->sequence = sequence;
    job->text = *text;
    (void)pthread_mutex_unlock(&k->lock);
    *text = (struct wire_text){0};
    return sequence;
}

void keeper_audit(struct keeper *k, uint64_t uid, uint64_t time_sec, const char *members)
{
    struct keeper_job *job = calloc(1, sizeof(*job));

    if (job)
        wire_text_adds(&job->text, members);
    (void)pthread_mutex_lock(&k->lock);
    if (!job || job->text.failed || k->audits >= KEEPER_AUDITS_MAX) {
        k->lost++;
        if (job)
            wire_text_done(&job->text);
        free(job);
    } else {
        job->uid = uid;
        job->time_sec = time_sec;
        if (k->lost)
            wire_text_format(&job->text, ",\"lost\":%" PRIu64, k->lost);
        k->lost = 0;
        k->audits++;
        keeper_push(k, job);
    }
    (void)pthread_mutex_unlock(&k->lock);
}

uint64_t keeper_saved(struct keeper *k, char *trouble, size_t size)
{
    uint64_t saved;

    (void)pthread_mutex_lock(&k->lock);
    saved = k->saved;
    wire_text_copy(trouble, size, k->trouble);
    (void)pthread_mutex_unlock(&k->lock);
    return saved;
}

void keeper_user(struct keeper *k, uint64_t uid, char to[KEEPER_USER_SIZE])
{
    (void)snprintf(to, KEEPER_USER_SIZE, "uid %" PRIu64, uid);
    if (!k)
        return;
    (void)pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < KEEPER_USERS; i++)
        if (k->users[i].name[0] && k->users[i].uid == uid)
            wire_text_copy(to, KEEPER_USER_SIZE, k->users[i].name);
    (void)pthread_mutex_unlock(&k->lock);
}

/* ---- the thread's side ---- */

/* Asks anew each time: users are renamed and numbers are reused. */
static void keeper_find_user(struct keeper *k, uint64_t uid, char to[KEEPER_USER_SIZE])
{
    struct passwd entry, *found = NULL;
    char room[KEEPER_PASSWD_ROOM];
    size_t at = 0;

    to[0] = '\0';
    if (getpwuid_r((uid_t)uid, &entry, room, sizeof(room), &found) != 0 || !found)
        return;
    wire_text_copy(to, KEEPER_USER_SIZE, found->pw_name);
    (void)pthread_mutex_lock(&k->lock);
    while (at < KEEPER_USERS && (!k->users[at].name[0] || k->users[at].uid != uid))
        at++;
    if (at == KEEPER_USERS)
        at = k->next_user++ % KEEPER_USERS;
    k->users[at].uid = uid;
    wire_text_copy(k->users[at].name, sizeof(k->users[at].name), to);
    (void)pthread_mutex_unlock(&k->lock);
}

static void keeper_rotate(const char *path)
{
    char from[PATHS_SIZE + 8], to[PATHS_SIZE + 8];

    for (int i = KEEPER_AUDIT_KEEP; i > 0; i--) {
        (void)snprintf(to, sizeof(to), "%s.%d", path, i);
        (void)snprintf(from, sizeof(from), i > 1 ? "%s.%d" : "%s", path, i - 1);
        (void)rename(from, to); /* one that is not there yet; anything else shows when the line is written */
    }
}

/* A line that was cut by a crash gets its end, so that the next one is a line of its own. */
static int keeper_append(const char *path, const struct wire_text *line, struct err *e)
{
    AUTO_CLOSE int fd = -1;
    struct stat st;
    char last = '\n';

    if (stat(path, &st) == 0 && st.st_size >= KEEPER_AUDIT_BYTES)
        keeper_rotate(path);
    fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(e, errno, "cannot open '%s': %s", path, strerror(errno));
    if (st.st_size > 0)
        (void)!pread(fd, &last, 1, st.st_size - 1); /* unreadable: the write shows what is wrong */
    if (last != '\n')
        (void)!write(fd, "\n", 1);
    if (write(fd, line->data, line->length) != (ssize_t)line->length || fsync(fd) < 0)
        return err_set(e, errno ? errno : ENOSPC, "cannot write '%s': %s", path, strerror(errno ? errno : ENOSPC));
    return 0;
}

static int keeper_write_audit(struct keeper *k, const struct keeper_job *job, struct err *e)
{
    char user[KEEPER_USER_SIZE], when[32] = "";
    struct wire_text line = {0};
    time_t t = (time_t)job->time_sec;
    struct tm tm;
    int r;

    keeper_find_user(k, job->uid, user);
    if (gmtime_r(&t, &tm))
        (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    wire_text_format(&line, "{\"time\":\"%s\",\"uid\":%" PRIu64 ",\"user\":", when, job->uid);
    wire_text_string(&line, user);
    wire_text_format(&line, ",%s}\n", job->text.data);
    errno = 0;
    r = line.failed ? err_set(e, ENOMEM, "no memory for a line of the audit log")
                    : keeper_append(k->audit_path, &line, e);
    wire_text_done(&line);
    return r;
}

static int keeper_write_file(const struct keeper_job *job, struct err *e)
{
    char dir[PATHS_SIZE];
    char *slash;
    int r = 0;

    wire_text_copy(dir, sizeof(dir), job->path);
    slash = strrchr(dir, '/');
    if (slash && slash > dir) {
        *slash = '\0';
        r = statefile_make_dir(dir, e);
    }
    return r < 0 ? r : statefile_replace(job->path, job->text.data, job->text.length, job->mode, e);
}

static void *keeper_run(void *user)
{
    struct keeper *k = user;

    (void)pthread_mutex_lock(&k->lock);
    for (;;) {
        while (!k->first && !k->stop)
            (void)pthread_cond_wait(&k->wake, &k->lock);
        if (!k->first)
            break;
        struct keeper_job *job = k->first;
        struct err e = {0};
        k->first = job->next;
        if (!k->first)
            k->end = &k->first;
        (void)pthread_mutex_unlock(&k->lock);
        int r = job->sequence ? keeper_write_file(job, &e) : keeper_write_audit(k, job, &e);
        (void)pthread_mutex_lock(&k->lock);
        if (r < 0 && strcmp(k->trouble, e.text) != 0)
            log_warning("what an operator asked for holds, but is not kept: %s", e.text);
        if (r < 0 || job->sequence)
            wire_text_copy(k->trouble, sizeof(k->trouble), r < 0 ? e.text : "");
        if (job->sequence)
            k->saved = job->sequence;
        else
            k->audits--;
        wire_text_done(&job->text);
        free(job);
    }
    k->done = true;
    (void)pthread_cond_signal(&k->idle);
    (void)pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* ---- life ---- */

int keeper_open(const char *state_dir, struct keeper **ret, struct err *e)
{
    struct keeper *k = calloc(1, sizeof(*k));
    pthread_condattr_t attr;
    int r;

    if (!k)
        return err_set(e, ENOMEM, "no memory to keep what operators ask for");
    k->end = &k->first;
    r = statefile_make_dir(state_dir, e);
    if (r >= 0)
        r = paths_join(state_dir, KEEPER_AUDIT_NAME, k->audit_path, e);
    if (r < 0) {
        free(k);
        return r;
    }
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&k->lock, NULL);
    (void)pthread_cond_init(&k->wake, NULL);
    (void)pthread_cond_init(&k->idle, &attr);
    (void)pthread_condattr_destroy(&attr);
    r = pthread_create(&k->thread, NULL, keeper_run, k);
    if (r) {
        free(k);
        return err_set(e, r, "cannot start the thread that keeps what operators ask for: %s", strerror(r));
    }
    *ret = k;
    return 0;
}

struct keeper *keeper_free(struct keeper *k)
{
    struct timespec until;
    bool done;

    if (!k)
        return NULL;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += KEEPER_STOP_SEC;
    (void)pthread_mutex_lock(&k->lock);
    k->stop = true;
    (void)pthread_cond_signal(&k->wake);
    while (!k->done && pthread_cond_timedwait(&k->idle, &k->lock, &until) == 0)
        ;
    done = k->done;
    (void)pthread_mutex_unlock(&k->lock);
    if (!done) { /* its disk hangs: the thread is left to the process's end, with what it uses */
        (void)pthread_detach(k->thread);
        return NULL;
    }
    (void)pthread_join(k->thread, NULL);
    free(k);
    return NULL;
}
