/* SPDX-License-Identifier: Apache-2.0 */
#include "journal.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "paths.h"
#include "readfile.h"
#include "statefile.h"
#include "wire_field.h"
#include "wire_text.h"

#define JOURNAL_VERSION 1
#define JOURNAL_STOP_SEC 2
#define JOURNAL_BOOT_ID "/proc/sys/kernel/random/boot_id"
#define JOURNAL_IDENTITY_SIZE 64

/* One guest, flat: a field of the table for each number. */
struct journal_row {
    char identity[JOURNAL_IDENTITY_SIZE];
    uint64_t pid, start_ticks;
    struct learned learned;
};

/* wire_field.h names fields by their member; these have nested ones. */
#define ROW(kind_, name_, member_)                                                                                     \
    {                                                                                                                  \
        .name = name_, .kind = WIRE_KIND_##kind_, .offset = offsetof(struct journal_row, member_),                     \
        .size = sizeof(((struct journal_row *)0)->member_)                                                             \
    }

static const struct wire_field journal_fields[] = {
    ROW(TEXT, "identity", identity),
    ROW(U64, "pid", pid),
    ROW(U64, "start_ticks", start_ticks),
    ROW(U64, "proof_kib", learned.proof.value),
    ROW(U64, "proof_usec", learned.proof.seen_usec),
    ROW(U64, "rise_kib", learned.rise.value),
    ROW(U64, "rise_usec", learned.rise.seen_usec),
    ROW(U64, "mark_kib", learned.mark_kib),
    ROW(U64, "mark_until_usec", learned.mark_until_usec),
    ROW(U64, "mark_hold_usec", learned.mark_hold_usec),
    ROW(U64, "self_start_assigned_kib", learned.selfmanaging.start_assigned_kib),
    ROW(U64, "self_start_used_kib", learned.selfmanaging.start_used_kib),
    ROW(U64, "self_start_usec", learned.selfmanaging.start_usec),
    ROW(U64, "self_honest_usec", learned.selfmanaging.honest_usec),
    ROW(U64, "self_peak_used_kib", learned.selfmanaging.peak_used_kib),
    ROW(U64, "self_grant_base_kib", learned.selfmanaging.grant_base_kib),
    ROW(U64, "self_grant_0_usec", learned.selfmanaging.grant_usec[0]),
    ROW(U64, "self_grant_1_usec", learned.selfmanaging.grant_usec[1]),
    ROW(U64, "self_grant_2_usec", learned.selfmanaging.grant_usec[2]),
    ROW(U64, "self_grant_3_usec", learned.selfmanaging.grant_usec[3]),
    ROW(U64, "self_limit_kib", learned.selfmanaging.limit_kib),
};
#define JOURNAL_FIELDS (sizeof(journal_fields) / sizeof(journal_fields[0]))

struct journal {
    char path[PATHS_SIZE];
    char boot_id[40];
    struct journal_row *rows; /* as read at start, by identity */
    size_t row_count;
    uint64_t saved_usec;
    struct wire_text text;    /* the loop's; swapped with `pending` */

    pthread_t thread;
    pthread_mutex_t lock;     /* guards the rest */
    pthread_cond_t wake, idle;
    struct wire_text pending; /* to be written */
    bool has_pending, stop, done;
    bool failed;              /* the last write did */
};

/* ---- reading ---- */

static int journal_compare(const void *a, const void *b)
{
    return strcmp(((const struct journal_row *)a)->identity, ((const struct journal_row *)b)->identity);
}

/* A field that is missing is not known: for all that is kept, 0 says so. */
static void journal_row_settle(struct journal_row *row)
{
    for (size_t i = 0; i < JOURNAL_FIELDS; i++) {
        uint64_t value;
        char *at = (char *)row + journal_fields[i].offset;
        if (journal_fields[i].kind != WIRE_KIND_U64)
            continue;
        memcpy(&value, at, sizeof(value));
        if (value == WIRE_UNKNOWN)
            memset(at, 0, sizeof(value));
    }
}

static int journal_take_rows(struct journal *j, const struct json_object *document, struct err *e)
{
    struct json_object *guests = NULL, *boot = NULL, *version = NULL;

    if (!json_object_object_get_ex(document, "version", &version) ||
        json_object_get_int64(version) != JOURNAL_VERSION ||
        !json_object_object_get_ex(document, "boot_id", &boot) ||
        !json_object_object_get_ex(document, "guests", &guests) || !json_object_is_type(guests, json_type_array))
        return err_set(e, EBADMSG, "it is no such file");
    const char *boot_id = json_object_get_string(boot);
    if (!boot_id || strcmp(boot_id, j->boot_id) != 0)
        return 0; /* of another boot: nothing in it holds any more */
    size_t n = json_object_array_length(guests);
    if (n > ENGINE_GUESTS_MAX)
        return err_set(e, EBADMSG, "it lists more guests than there can be");
    j->rows = calloc(n + 1, sizeof(*j->rows));
    if (!j->rows)
        return err_set(e, ENOMEM, "no memory for it");
    for (size_t i = 0; i < n; i++) {
        struct journal_row *row = &j->rows[j->row_count];
        int r = wire_fields_parse(json_object_array_get_idx(guests, i), journal_fields, JOURNAL_FIELDS, row, e);
        if (r < 0) {
            j->row_count = 0;
            return r;
        }
        journal_row_settle(row);
        j->row_count++;
    }
    qsort(j->rows, j->row_count, sizeof(*j->rows), journal_compare);
    return 0;
}

static int journal_read(struct journal *j, struct err *e)
{
    AUTO_FREE char *buf = malloc(JOURNAL_FILE_MAX);
    struct json_object *document = NULL;
    struct err of_file = {0};
    size_t len = 0;
    int r;

    if (!buf)
        return err_set(e, ENOMEM, "no memory to read '%s'", j->path);
    r = readfile_into(j->path, buf, JOURNAL_FILE_MAX, &len, &of_file);
    if (r == -ENOENT)
        return 0; /* the first start */
    if (r >= 0)
        r = wire_json_parse(buf, len, &document, &of_file);
    if (r >= 0)
        r = journal_take_rows(j, document, &of_file);
    (void)json_object_put(document);
    if (r < 0)
        log_warning("what was learned of guests before is not known any more, '%s' is written anew: %s", j->path,
                    of_file.text);
    return 0;
}

bool journal_find(const struct journal *j, const struct hv_vm *vm, struct learned *ret)
{
    struct journal_row key = {0};
    const struct journal_row *row;

    wire_text_copy(key.identity, sizeof(key.identity), vm->uuid[0] ? vm->uuid : vm->name);
    if (!j->row_count || !vm->pid || !vm->start_ticks)
        return false;
    row = bsearch(&key, j->rows, j->row_count, sizeof(*j->rows), journal_compare);
    if (!row || row->pid != (uint64_t)vm->pid || row->start_ticks != vm->start_ticks)
        return false;
    *ret = row->learned;
    return true;
}

/* ---- writing ---- */

static void *journal_run(void *user)
{
    struct journal *j = user;
    struct wire_text text = {0};

    (void)pthread_mutex_lock(&j->lock);
    for (;;) {
        while (!j->has_pending && !j->stop)
            (void)pthread_cond_wait(&j->wake, &j->lock);
        if (!j->has_pending)
            break;
        struct wire_text swap = text;
        text = j->pending;
        j->pending = swap;
        j->has_pending = false;
        (void)pthread_mutex_unlock(&j->lock);
        struct err e = {0};
        bool failed = statefile_replace(j->path, text.data, text.length, 0600, &e) < 0;
        (void)pthread_mutex_lock(&j->lock);
        if (failed && !j->failed)
            log_warning("what is learned of guests is not kept at the moment, %s", e.text);
        j->failed = failed;
    }
    wire_text_done(&text);
    j->done = true;
    (void)pthread_cond_signal(&j->idle);
    (void)pthread_mutex_unlock(&j->lock);
    return NULL;
}

static void journal_print(struct journal *j, const struct engine *engine)
{
    struct wire_text *t = &j->text;
    bool first = true;

    t->length = 0; /* its room is kept: nothing is allocated once it is large enough */
    wire_text_format(t, "{\"version\":%d,\"boot_id\":", JOURNAL_VERSION);
    wire_text_string(t, j->boot_id);
    wire_text_adds(t, ",\"guests\":[");
    for (size_t i = 0; i < engine_count(engine); i++) {
        const struct engine_guest *g = engine_guest_at(engine, i);
        struct journal_row row = {.pid = (uint64_t)g->vm->pid, .start_ticks = g->vm->start_ticks};
        if (!g->vm->pid || !g->vm->start_ticks)
            continue;
        wire_text_copy(row.identity, sizeof(row.identity), g->vm->uuid[0] ? g->vm->uuid : g->vm->name);
        learned_take(&g->core, &row.learned);
        wire_text_adds(t, first ? "\n{" : ",\n{");
        wire_fields_print(t, journal_fields, JOURNAL_FIELDS, &row);
        wire_text_adds(t, "}");
        first = false;
    }
    wire_text_adds(t, "\n]}\n");
}

void journal_save(struct journal *j, const struct engine *engine, uint64_t now_usec, bool at_once)
{
    bool busy;

    if (!at_once && now_usec < j->saved_usec + JOURNAL_EVERY_USEC)
        return;
    j->saved_usec = now_usec;
    (void)pthread_mutex_lock(&j->lock);
    busy = j->has_pending;
    (void)pthread_mutex_unlock(&j->lock);
    if (busy && !at_once)
        return;
    journal_print(j, engine);
    if (j->text.failed) { /* no memory: the file that is there stays */
        wire_text_done(&j->text);
        return;
    }
    (void)pthread_mutex_lock(&j->lock);
    struct wire_text swap = j->pending;
    j->pending = j->text;
    j->text = swap;
    j->has_pending = true;
    (void)pthread_cond_signal(&j->wake);
    (void)pthread_mutex_unlock(&j->lock);
}

/* ---- life ---- */

static int journal_start(struct journal *j, struct err *e)
{
    pthread_condattr_t attr;
    int code;

    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&j->lock, NULL);
    (void)pthread_cond_init(&j->wake, NULL);
    (void)pthread_cond_init(&j->idle, &attr);
    (void)pthread_condattr_destroy(&attr);
    code = pthread_create(&j->thread, NULL, journal_run, j);
    if (code)
        return err_set(e, code, "cannot start the thread that writes it: %s", strerror(code));
    return 0;
}

int journal_open(const char *state_dir, struct journal **ret, struct err *e)
{
    struct journal *j = calloc(1, sizeof(*j));
    size_t len = 0;
    int r;

    if (!j)
        return err_set(e, ENOMEM, "no memory for the journal");
    r = statefile_make_dir(state_dir, e);
    if (r >= 0)
        r = paths_join(state_dir, JOURNAL_FILE_NAME, j->path, e);
    if (r >= 0)
        r = readfile_into(JOURNAL_BOOT_ID, j->boot_id, sizeof(j->boot_id) - 1, &len, e);
    if (r >= 0) {
        j->boot_id[strcspn(j->boot_id, "\n")] = '\0';
        r = journal_read(j, e);
    }
    if (r >= 0)
        r = journal_start(j, e);
    if (r < 0) {
        free(j->rows);
        free(j);
        return r;
    }
    *ret = j;
    return 0;
}

struct journal *journal_free(struct journal *j)
{
    struct timespec until;
    bool done;

    if (!j)
        return NULL;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += JOURNAL_STOP_SEC;
    (void)pthread_mutex_lock(&j->lock);
    j->stop = true;
    (void)pthread_cond_signal(&j->wake);
    while (!j->done && pthread_cond_timedwait(&j->idle, &j->lock, &until) == 0)
        ;
    done = j->done;
    (void)pthread_mutex_unlock(&j->lock);
    if (!done) { /* its disk hangs: the thread is left to the process's end, with what it uses */
        (void)pthread_detach(j->thread);
        return NULL;
    }
    (void)pthread_join(j->thread, NULL);
    wire_text_done(&j->text);
    wire_text_done(&j->pending);
    free(j->rows);
    free(j);
    return NULL;
}
