/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "backup_cli.h"
#include "repo_manifest.h"
#include "repo_result.h"
#include "units.h"

/* What a list says of a point. */
struct summary {
    uint64_t size_bytes, read_bytes, stored_bytes;
    enum repo_kind kind; /* full when every disk is */
    char consistency[16];
    char group[BACKUP_GROUP_SIZE];
};

static void summarise(const struct repo_manifest *m, struct summary *ret)
{
    *ret = (struct summary){.kind = REPO_KIND_FULL};
    for (size_t i = 0; i < m->disk_count; i++) {
        ret->size_bytes += m->disks[i].size_bytes;
        ret->read_bytes += m->disks[i].read_bytes;
        ret->stored_bytes += m->disks[i].stored_bytes;
        if (m->disks[i].kind != REPO_KIND_FULL)
            ret->kind = m->disks[i].kind;
    }
    repo_manifest_fact(m, "consistency", ret->consistency, sizeof(ret->consistency));
    backup_together_id(m, ret->group);
}

static void disks_json(struct wire_text *t, const struct repo_manifest *m)
{
    wire_text_adds(t, ",\"disks\":[");
    for (size_t i = 0; i < m->disk_count; i++) {
        const struct repo_disk *d = &m->disks[i];

        wire_text_adds(t, i ? "," : "");
        wire_text_adds(t, "{\"name\":");
        wire_text_string(t, d->name);
        wire_text_format(t, ",\"kind\":\"%s\",\"size_bytes\":%" PRIu64 ",\"read_bytes\":%" PRIu64 ",\"stored_bytes\":%" PRIu64
                            ",\"parent\":", repo_kind_text(d->kind), d->size_bytes, d->read_bytes, d->stored_bytes);
        if (d->parent[0])
            backup_time_json(t, d->parent);
        else
            wire_text_adds(t, "null");
        wire_text_adds(t, "}");
    }
    wire_text_adds(t, "]");
}

/* The last boot test of a guest, where it was of this point. */
static bool boot_find(struct repo *repo, const struct repo_point_entry *p, struct repo_boot *ret)
{
    struct err ignored = {0};

    return repo_boot_load(repo, p->identity, ret, &ignored) == 0 && strcmp(ret->point, p->time) == 0;
}

static void boot_json(struct repo *repo, const struct repo_point_entry *p, struct wire_text *t)
{
    struct repo_boot boot;

    if (!boot_find(repo, p, &boot)) {
        wire_text_adds(t, ",\"boot\":null");
        return;
    }
    wire_text_format(t, ",\"boot\":{\"ok\":%s,\"milliseconds\":%" PRIu64 ",\"time\":", boot.is_ok ? "true" : "false", boot.ms);
    backup_time_json(t, boot.time);
    wire_text_adds(t, ",\"error\":");
    wire_text_string(t, boot.error);
    wire_text_adds(t, "}");
}

/* m NULL: its manifest can't be read, e says why. Without the closing brace. */
static void point_json(struct wire_text *t, const struct repo_point_entry *p, const struct repo_manifest *m,
                       const struct err *e)
{
    struct summary s;

    wire_text_format(t, "{\"point\":\"%s/%s\",\"identity\":", p->identity, p->time);
    wire_text_string(t, p->identity);
    wire_text_adds(t, ",\"time\":");
    backup_time_json(t, p->time);
    wire_text_format(t, ",\"protected\":%s,\"error\":", p->is_protected ? "true" : "false");
    if (!m) {
        wire_text_string(t, e->text);
        return;
    }
    summarise(m, &s);
    wire_text_adds(t, "null,\"guest\":");
    wire_text_string(t, m->guest);
    wire_text_adds(t, ",\"consistency\":");
    if (s.consistency[0])
        wire_text_string(t, s.consistency);
    else
        wire_text_adds(t, "null");
    wire_text_adds(t, ",\"group\":");
    if (s.group[0])
        wire_text_string(t, s.group);
    else
        wire_text_adds(t, "null");
    wire_text_format(t, ",\"kind\":\"%s\",\"size_bytes\":%" PRIu64 ",\"read_bytes\":%" PRIu64 ",\"stored_bytes\":%" PRIu64,
                     repo_kind_text(s.kind), s.size_bytes, s.read_bytes, s.stored_bytes);
    disks_json(t, m);
}

static void cell(const struct term *term, struct wire_text *t, const char *text, unsigned width)
{
    unsigned used = term_text(term, t, text, 0);

    term_pad(t, used < width ? width - used : 1);
}

static void point_text(const struct term *term, struct wire_text *t, struct repo *repo, const struct repo_point_entry *p,
                       const struct repo_manifest *m, const struct err *e, unsigned width)
{
    char name[REPO_POINT_NAME_SIZE], tested[32] = "-";
    struct repo_boot boot = {0};
    struct summary s;

    (void)snprintf(name, sizeof(name), "%s/%s", p->identity, p->time);
    cell(term, t, name, width);
    if (!m) {
        wire_text_adds(t, "cannot be read: ");
        (void)term_text(term, t, e->text, 0);
        wire_text_adds(t, "\n");
        return;
    }
    summarise(m, &s);
    cell(term, t, s.consistency[0] ? s.consistency : "-", 13);
    cell(term, t, repo_kind_text(s.kind), 13);
    if (boot_find(repo, p, &boot) && boot.is_ok)
        (void)snprintf(tested, sizeof(tested), "%" PRIu64 ".%" PRIu64 " s", boot.ms / 1000, boot.ms / 100 % 10);
    else if (strcmp(boot.point, p->time) == 0)
        (void)snprintf(tested, sizeof(tested), "failed");
    wire_text_format(t, "%5zu  %9s %9s  %-7s  %s", m->disk_count, units_show_size(s.size_bytes).s,
                     units_show_size(s.stored_bytes).s, tested, p->is_protected ? "protected" : "");
    if (s.group[0]) {
        wire_text_adds(t, p->is_protected ? ", group " : "group ");
        (void)term_text(term, t, s.group, 0);
    }
    wire_text_adds(t, "\n");
}

static void list_print(const struct cli *cli, struct repo *repo, const struct repo_point_list *list, struct wire_text *t,
                       size_t *ret_bad)
{
    const bool is_json = cli->options & CLI_OPTION_JSON;
    unsigned width = sizeof("POINT");

    for (size_t i = 0; i < list->count; i++) {
        unsigned length = (unsigned)strlen(list->items[i].identity) + REPO_TIME_SIZE + 2;

        width = length > width ? length : width;
    }
    if (is_json) {
        wire_text_adds(t, "{\"points\":[");
    } else {
        cell(&cli->term, t, "POINT", width);
        wire_text_adds(t, "CONSISTENCY  KIND         DISKS       SIZE    STORED  BOOTS\n");
    }
    for (size_t i = 0; i < list->count; i++) {
        AUTO(repo_manifest) struct repo_manifest *m = NULL;
        const struct repo_point_entry *p = &list->items[i];
        struct err e = {0};

        *ret_bad += repo_manifest_load(repo, p->identity, p->time, &m, &e) < 0;
        if (is_json) {
            wire_text_adds(t, i ? ",\n" : "\n");
            point_json(t, p, m, &e);
            boot_json(repo, p, t);
            wire_text_adds(t, "}");
        } else {
            point_text(&cli->term, t, repo, p, m, &e, width);
        }
    }
    if (is_json)
        wire_text_adds(t, "]}\n");
}

int cmd_backup_list(struct cli *cli)
{
    AUTO(repo) struct repo *repo = NULL;
    AUTO(repo_point_list) struct repo_point_list *list = NULL;
    struct repo_point_entry entry;
    struct wire_text t = {0};
    struct err e = {0};
    size_t bad = 0;
    int r = backup_open(cli, &repo);

    if (r == CLI_DONE && cli->arg_count > 0)
        r = backup_point(cli, repo, cli->args[0], &entry, NULL); /* for its guest's identity */
    if (r != CLI_DONE)
        return r;
    if (repo_points_list(repo, cli->arg_count > 0 ? entry.identity : NULL, &list, &e) < 0)
        return backup_fail(cli, &e, NULL, "cannot list the points");
    if (list->count == 0 && !(cli->options & CLI_OPTION_JSON))
        wire_text_adds(&t, "no points yet: ballast backup run GUEST makes one\n");
    else
        list_print(cli, repo, list, &t, &bad);
    r = backup_write(cli, &t);
    return r == CLI_DONE && bad > 0 ? CLI_WARNINGS : r;
}

static void disk_text(const struct term *term, struct wire_text *t, const struct repo_disk *d)
{
    char time[BACKUP_TIME_SIZE];

    wire_text_adds(t, "  disk ");
    (void)term_text(term, t, d->name, 0);
    wire_text_format(t, ": %s, %s", units_show_size(d->size_bytes).s, repo_kind_text(d->kind));
    if (d->parent[0])
        wire_text_format(t, " since %s", backup_time_text(d->parent, time));
    wire_text_format(t, ", read %s, stored %s\n", units_show_size(d->read_bytes).s, units_show_size(d->stored_bytes).s);
}

static void boot_text(const struct cli *cli, struct repo *repo, const struct repo_point_entry *p, struct wire_text *t)
{
    struct repo_boot boot;
    char time[BACKUP_TIME_SIZE];

    if (!boot_find(repo, p, &boot))
        return;
    wire_text_format(t, "  boot test at %s UTC: %s after %s", backup_time_text(boot.time, time), boot.is_ok ? "up" : "failed",
                     units_show_time(boot.ms * 1000).s);
    wire_text_adds(t, boot.is_ok ? "" : ": ");
    (void)term_text(&cli->term, t, boot.error, 0);
    wire_text_adds(t, "\n");
}

int cmd_backup_show(struct cli *cli)
{
    AUTO(repo) struct repo *repo = NULL;
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    struct repo_point_entry p;
    char time[BACKUP_TIME_SIZE], consistency[16];
    struct wire_text t = {0};
    int r = backup_open(cli, &repo);

    if (r == CLI_DONE)
        r = backup_point(cli, repo, cli->args[0], &p, &m);
    if (r != CLI_DONE)
        return r;
    if (cli->options & CLI_OPTION_JSON) {
        point_json(&t, &p, m, NULL);
        boot_json(repo, &p, &t);
        wire_text_format(&t, ",\"ballast\":\"%s\",\"facts\":%s}\n", m->ballast, m->facts);
        return backup_write(cli, &t);
    }
    repo_manifest_fact(m, "consistency", consistency, sizeof(consistency));
    wire_text_format(&t, "%s/%s\n  guest ", p.identity, p.time);
    (void)term_text(&cli->term, &t, m->guest, 0);
    wire_text_format(&t, " at %s UTC%s, by ballast ", backup_time_text(p.time, time),
                     p.is_protected ? ", protected" : "");
    (void)term_text(&cli->term, &t, m->ballast, 0);
    wire_text_adds(&t, "\n  consistency ");
    (void)term_text(&cli->term, &t, consistency[0] ? consistency : "not known", 0);
    wire_text_adds(&t, "\n");
    for (size_t i = 0; i < m->disk_count; i++)
        disk_text(&cli->term, &t, &m->disks[i]);
    backup_together_print(cli, repo, m, &t);
    boot_text(cli, repo, &p, &t);
    wire_text_adds(&t, "  ");
    term_wrap(&cli->term, &t, m->facts, 2, 2);
    return backup_write(cli, &t);
}
