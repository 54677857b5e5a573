/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "backup_cli.h"
#include "off_run.h"
#include "progress.h"
#include "text.h"
#include "units.h"
#include "wire_field.h"

/* `ballast backup run --off GUEST`: its disks are files that nobody uses, so this needs no ballastd. */

#define NAME_DISKS "name them: ballast backup run --off GUEST --disk vda=/srv/vm/web1.qcow2 (more after a comma; vda=raw:FILE " \
                   "where the name's ending does not tell the format)"

struct off {
    struct cli *cli;
    char path[PATHS_SIZE]; /* of the repository */
    struct repo *repo;
    char guest[TEXT_NAME_MAX + 1], identity[TEXT_NAME_MAX + 1], time[REPO_TIME_SIZE];
    struct json_object *facts; /* of its newest point; NULL: none */
    struct off_disk disks[OFF_DISKS_MAX];
    size_t count;
    struct progress progress;
    char point[REPO_POINT_NAME_SIZE + 8];
};

static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    is_interrupted = 1;
}

static void on_progress(void *user, uint64_t done_bytes, uint64_t total_bytes)
{
    progress_update(&((struct off *)user)->progress, done_bytes, total_bytes);
}

static bool is_given_up(void *user)
{
    (void)user;
    return is_interrupted;
}

/* ---- which guest ---- */

/* Its newest point, where there is one: under that identity this point goes on. */
static int find_guest(struct off *o, const char *name, struct err *e)
{
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    struct repo_point_entry newest;
    int64_t now = (int64_t)time(NULL), last = 0;
    struct err why = {0};

    if (!text_is_name(name, strlen(name)))
        return err_set(e, EINVAL, "'%s' is no name of a guest", text_show(name, strlen(name)).s);
    wire_text_copy(o->guest, sizeof(o->guest), name);
    wire_text_copy(o->identity, sizeof(o->identity), name);
    if (repo_point_find(o->repo, name, &newest, &why) < 0) {
        repo_time_print(now, o->time);
        return why.code == ENOENT ? 0 : err_set(e, why.code, "%s", why.text);
    }
    wire_text_copy(o->identity, sizeof(o->identity), newest.identity);
    if (repo_time_parse(newest.time, &last) && last >= now)
        now = last + 1; /* two within a second, or a clock that was set back */
    repo_time_print(now, o->time);
    if (repo_manifest_load(o->repo, newest.identity, newest.time, &m, &why) == 0) {
        wire_text_copy(o->guest, sizeof(o->guest), m->guest);
        if (m->facts && wire_json_parse(m->facts, strlen(m->facts), &o->facts, &why) < 0)
            o->facts = NULL;
    }
    return 0;
}

/* ---- which disks ---- */

static const char *format_of(const char *file)
{
    size_t len = strlen(file);

    if (len > 6 && strcmp(file + len - 6, ".qcow2") == 0)
        return "qcow2";
    if ((len > 4 && strcmp(file + len - 4, ".raw") == 0) || strncmp(file, "/dev/", 5) == 0)
        return "raw";
    return "";
}

static int add_disk(struct off *o, const char *name, size_t name_len, const char *format, const char *file, struct err *e)
{
    struct off_disk *d = &o->disks[o->count];

    if (!text_is_name(name, name_len) || o->count == OFF_DISKS_MAX)
        return err_set(e, EINVAL, "'%s' is no name of a disk, or one too many", text_show(name, name_len).s);
    if (file[0] != '/' || strlen(file) >= sizeof(d->file))
        return err_set(e, EINVAL, "'%s' is no absolute path of an image", text_show(file, strlen(file)).s);
    if (!text_is_name(format, strlen(format)) || strlen(format) >= sizeof(d->format))
        return err_set(e, EINVAL, "the format of '%s' is not told", file);
    *d = (struct off_disk){0};
    memcpy(d->name, name, name_len);
    wire_text_copy(d->file, sizeof(d->file), file);
    wire_text_copy(d->format, sizeof(d->format), format);
    for (size_t i = 0; i < o->count; i++)
        if (strcmp(o->disks[i].name, d->name) == 0)
            return err_set(e, EINVAL, "disk '%s' is named twice", d->name);
    o->count++;
    return 0;
}

/* "vda=/srv/web1.qcow2,vdb=raw:/srv/data.img" */
static int read_disks(struct off *o, const char *text, struct err *e)
{
    int r = 0;

    while (r == 0 && text[0]) {
        size_t len = strcspn(text, ","), name_len = strcspn(text, "=");
        char word[PATHS_SIZE + TEXT_NAME_MAX], *file, *colon;

        if (name_len >= len || len >= sizeof(word))
            return err_set(e, EINVAL, "'%s' names no disk and its file", text_show(text, len).s);
        memcpy(word, text, len);
        word[len] = '\0';
        file = word + name_len + 1;
        colon = file[0] == '/' ? NULL : strchr(file, ':');
        if (colon)
            *colon = '\0';
        r = colon ? add_disk(o, word, name_len, file, colon + 1, e)
                  : add_disk(o, word, name_len, format_of(file), file, e);
        text += len + (text[len] == ',');
    }
    return r;
}

struct known {
    char file[PATHS_SIZE], format[OFF_FORMAT_SIZE];
};

static const struct wire_field known_fields[] = {WIRE_FIELD(known, TEXT, file), WIRE_FIELD(known, TEXT, format)};

/* As the newest point has them. */
static int take_known_disks(struct off *o, struct err *e)
{
    struct json_object *disks;

    if (!o->facts || !json_object_object_get_ex(o->facts, "disks", &disks) || !json_object_is_type(disks, json_type_object))
        return err_set(e, ENOENT, "the repository has no point of it that tells what its disks are");
    json_object_object_foreach(disks, name, value) {
        struct known k;
        int r = wire_fields_parse(value, known_fields, 2, &k, e);

        if (r == 0 && !k.file[0])
            r = err_set(e, ENOENT, "its newest point does not tell where disk '%s' is", text_show(name, strlen(name)).s);
        if (r == 0)
            r = add_disk(o, name, strlen(name), k.format, k.file, e);
        if (r < 0)
            return r;
    }
    return o->count ? 0 : err_set(e, ENOENT, "its newest point has no disks");
}

/* ---- what the point says ---- */

static void print_text(struct wire_text *t, const char *key, const char *value)
{
    wire_text_format(t, ",\"%s\":", key);
    wire_text_string(t, value);
}

static void print_facts(const struct off *o, int64_t now_usec, struct wire_text *t)
{
    struct json_object *line;
    bool any = false;

    wire_text_format(t, "{\"checkpoint_usec\":%" PRId64 ",\"consistency\":\"off\",\"freeze_policy\":\"never\",\"freeze_ms\":0,"
                     "\"stall_ms\":0,\"file_systems_frozen\":0,\"file_systems_thawed\":0,\"ballast_version\":\"" BALLAST_VERSION
                     "\",\"mounts\":null,\"command_line\":", now_usec);
    wire_text_adds(t, o->facts && json_object_object_get_ex(o->facts, "command_line", &line)
                          ? json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN) : "null");
    wire_text_adds(t, ",\"disks\":{");
    for (size_t i = 0; i < o->count; i++) {
        const struct off_disk *d = &o->disks[i];

        wire_text_adds(t, i ? "," : "");
        wire_text_string(t, d->name);
        wire_text_format(t, ":{\"bitmap\":0,\"size_bytes\":%" PRIu64 ",\"dirty_bytes\":0,\"read\":\"full\"", d->size_bytes);
        print_text(t, "why", "the guest was switched off");
        print_text(t, "file", d->file);
        print_text(t, "format", d->format);
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "},\"notes\":[");
    for (size_t i = 0; i < o->count; i++)
        if (o->disks[i].was_killed) {
            wire_text_adds(t, any ? "," : "");
            wire_text_adds(t, "\"the QEMU that had disk '");
            wire_text_adds(t, o->disks[i].name); /* a name: nothing to escape */
            wire_text_adds(t, "' last was killed: its file systems are as after a power failure\"");
            any = true;
        }
    wire_text_adds(t, "]}");
}

static void print_json(const struct off *o, struct wire_text *t)
{
    wire_text_adds(t, "{\"jobs\":[{\"guest\":");
    wire_text_string(t, o->guest);
    wire_text_adds(t, ",\"state\":\"done\",\"consistency\":\"off\"");
    print_text(t, "point", o->point);
    wire_text_adds(t, ",\"disks\":[");
    for (size_t i = 0; i < o->count; i++) {
        const struct off_disk *d = &o->disks[i];

        wire_text_adds(t, i ? ",{\"name\":" : "{\"name\":");
        wire_text_string(t, d->name);
        print_text(t, "file", d->file);
        wire_text_format(t, ",\"size_bytes\":%" PRIu64 ",\"read\":\"full\",\"data_bytes\":%" PRIu64 ",\"stored_bytes\":%" PRIu64
                         "}", d->size_bytes, d->data_bytes, d->stored_bytes);
    }
    wire_text_adds(t, "]}]}\n");
}

static void print_lines(const struct off *o, struct wire_text *t)
{
    uint64_t size = 0, stored = 0;

    for (size_t i = 0; i < o->count; i++) {
        size += o->disks[i].size_bytes;
        stored += o->disks[i].stored_bytes;
    }
    (void)term_text(&o->cli->term, t, o->point, 0);
    wire_text_format(t, "  switched off; %s read, %s new in the repository\n", units_show_size(size).s,
                     units_show_size(stored).s);
    for (size_t i = 0; i < o->count; i++) {
        wire_text_adds(t, "  disk ");
        (void)term_text(&o->cli->term, t, o->disks[i].name, 0);
        wire_text_adds(t, ": ");
        (void)term_text(&o->cli->term, t, o->disks[i].file, 0);
        wire_text_adds(t, o->disks[i].was_killed ? ", whose QEMU was killed: as after a power failure\n" : "\n");
    }
}

/* ---- the run ---- */

static int copy(struct off *o, char *hint, size_t hint_size, struct err *e)
{
    AUTO(off_copy) struct off_copy *c = NULL;
    const struct off_wish wish = {.repository = o->path, .identity = o->identity, .guest = o->guest, .time = o->time,
                                  .disks = o->disks, .count = o->count, .progress = on_progress, .is_given_up = is_given_up,
                                  .user = o};
    int64_t now_usec = (int64_t)time(NULL) * 1000000;
    struct wire_text facts = {0};
    int r = off_copy_start(&wish, &c, hint, hint_size, e);

    if (r < 0)
        return r;
    print_facts(o, now_usec, &facts);
    r = facts.failed ? err_set(e, ENOMEM, "no memory") : off_copy_finish(c, facts.data, o->point, sizeof(o->point), e);
    wire_text_done(&facts);
    return r;
}

static const char *hint_for(int code, bool has_disks)
{
    if (code == EBUSY)
        return "run it again when the guest is off; nothing was kept of this try, and the guest was not kept from anything";
    if (code == ECANCELED)
        return "nothing of it was kept";
    return has_disks && code != EINVAL ? NULL : NAME_DISKS;
}

static int run(struct off *o, const char *guest, const char *disks)
{
    struct wire_text t = {0};
    char hint[160] = "";
    struct err e = {0};
    int r = find_guest(o, guest, &e);

    if (r == 0)
        r = disks ? read_disks(o, disks, &e) : take_known_disks(o, &e);
    for (size_t i = 0; r == 0 && i < o->count; i++)
        r = off_look(&o->disks[i], &e);
    if (r == 0) {
        progress_start(&o->progress, o->cli, o->guest);
        r = copy(o, hint, sizeof(hint), &e);
        progress_end(&o->progress);
    }
    if (r < 0) {
        char what[TEXT_NAME_MAX + 64];

        (void)snprintf(what, sizeof(what), "guest '%s' can't be backed up", text_show(guest, strlen(guest)).s);
        if (is_interrupted && e.code != EBUSY)
            (void)err_set(&e, ECANCELED, "it was given up");
        return backup_fail(o->cli, &e, hint[0] && e.code == EIO ? hint : hint_for(e.code, o->count > 0), what);
    }
    if (o->cli->options & CLI_OPTION_JSON)
        print_json(o, &t);
    else
        print_lines(o, &t);
    return backup_write(o->cli, &t);
}

int backup_off_run(struct cli *cli)
{
    const struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND}; /* a second one ends us */
    struct off *o = calloc(1, sizeof(*o));
    struct err e = {0};
    int r;

    if (!o)
        return backup_fail(cli, (err_set(&e, ENOMEM, "no memory"), &e), NULL, "nothing is backed up");
    o->cli = cli;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    r = backup_path(cli, o->path);
    if (r == CLI_DONE)
        r = backup_open(cli, &o->repo);
    if (r == CLI_DONE)
        r = run(o, cli->args[0], cli_value(cli, CLI_OPTION_DISK));
    json_object_put(o->facts);
    (void)repo_free(o->repo);
    free(o);
    return r;
}
