/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "doctor_host.h"
#include "own.h"
#include "wire_status.h"

OWN_DEFINE(wire_status);

#define VERSIONS_MAX 8 /* more than one host has installed */

/* "2 warnings, 1 piece of advice" */
static void count_text(const struct doctor_list *l, struct wire_text *out)
{
    size_t warnings = doctor_count(l, DOCTOR_WARNING), advice = doctor_count(l, DOCTOR_ADVICE);

    if (warnings > 0)
        wire_text_format(out, "%zu warning%s", warnings, warnings > 1 ? "s" : "");
    if (advice > 0)
        wire_text_format(out, "%s%zu piece%s of advice", warnings > 0 ? ", " : "", advice, advice > 1 ? "s" : "");
    if (warnings + advice == 0)
        wire_text_adds(out, "all well");
}

static void heading(const struct term *term, struct wire_text *out, const char *what, const char *name,
                    const struct doctor_list *l)
{
    term_style(term, out, TERM_HEAD);
    wire_text_adds(out, what);
    if (name[0])
        wire_text_adds(out, " ");
    (void)term_text(term, out, name, 0);
    term_style(term, out, TERM_PLAIN);
    wire_text_adds(out, ": ");
    count_text(l, out);
    wire_text_adds(out, "\n");
}

/* The hypervisors of the guests, with their versions. */
struct versions {
    size_t count;
    struct version {
        const char *name; /* of the first guest with it */
        size_t guests;
    } items[VERSIONS_MAX];
};

static void versions_count(const struct wire_status *s, struct versions *ret)
{
    *ret = (struct versions){0};
    for (size_t i = 0; s && i < s->guest_count; i++) {
        const char *name = s->guests[i].hypervisor;
        size_t at = 0;

        while (at < ret->count && strcmp(ret->items[at].name, name) != 0)
            at++;
        if (!name[0] || at == VERSIONS_MAX)
            continue;
        ret->items[at].name = name;
        ret->items[at].guests++;
        if (at == ret->count)
            ret->count++;
    }
}

static void versions_print(const struct term *term, struct wire_text *out, const struct wire_status *s)
{
    struct versions v;

    versions_count(s, &v);
    for (size_t i = 0; i < v.count; i++) {
        wire_text_adds(out, i == 0 ? "  guests run on " : ", ");
        (void)term_text(term, out, v.items[i].name, 0);
        wire_text_format(out, " (%zu)", v.items[i].guests);
    }
    wire_text_adds(out, v.count > 0 ? "\n" : "");
}

static void versions_json(struct wire_text *out, const struct wire_status *s)
{
    struct versions v;

    versions_count(s, &v);
    wire_text_adds(out, "\"hypervisors\":[");
    for (size_t i = 0; i < v.count; i++) {
        wire_text_adds(out, i == 0 ? "{\"version\":" : ",{\"version\":");
        wire_text_string(out, v.items[i].name);
        wire_text_format(out, ",\"guests\":%zu}", v.items[i].guests);
    }
    wire_text_adds(out, "],");
}

/* One line a guest: its findings are asked for by name. */
static void guest_line(const struct term *term, struct wire_text *out, const struct wire_guest *g,
                       const struct doctor_list *l)
{
    struct doctor_name name = doctor_shell_name(g->name);

    heading(term, out, "guest", g->name, l);
    if (l->count == 0)
        return;
    out->length--; /* before the end of the line */
    wire_text_adds(out, "; see: ballast doctor ");
    (void)term_text(term, out, name.s, 0);
    wire_text_adds(out, "\n");
}

static void guest_json(struct wire_text *out, const char *name, const struct doctor_list *l, bool first)
{
    wire_text_adds(out, first ? "\n{\"name\":" : ",\n{\"name\":");
    wire_text_string(out, name);
    wire_text_adds(out, ",\"findings\":");
    doctor_print_json(out, l);
    wire_text_adds(out, "}");
}

/* All guests of s, after the host; returns how many warnings there are. */
static size_t guests_print(const struct cli *cli, const struct wire_status *s, struct doctor_list *l, struct wire_text *out)
{
    bool json = cli->options & CLI_OPTION_JSON;
    size_t warnings = 0;

    for (size_t i = 0; s && i < s->guest_count; i++) {
        l->count = 0;
        doctor_judge_guest(&s->guests[i], s->daemon.guests_dir, l);
        warnings += doctor_count(l, DOCTOR_WARNING);
        if (json)
            guest_json(out, s->guests[i].name, l, i == 0);
        else
            guest_line(&cli->term, out, &s->guests[i], l);
    }
    return warnings;
}

static int status_get(const struct cli *cli, struct wire_status **ret, struct cli_problem *p)
{
    struct wire_text body = {0};
    struct err e = {0};
    int r = client_get(cli, "/v1/status", NULL, &body, p);

    if (r == CLI_DONE && wire_status_parse(body.data, body.length, ret, &e) < 0)
        r = cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' is no status: %s", cli->socket_path, e.text);
    wire_text_done(&body);
    return r;
}

static int doctor_all(const struct cli *cli, struct doctor_list *l, struct wire_text *out, size_t *ret_warnings)
{
    AUTO(wire_status) struct wire_status *s = NULL;
    struct doctor_host h;
    struct cli_problem p = {0};

    doctor_host_read("", &h);
    if (status_get(cli, &s, &p) == CLI_DONE) /* else p is a finding */
        doctor_host_read_daemon("", cli->socket_path, &s->daemon, &h);
    doctor_judge_host(&h, s, &p.text, l);
    *ret_warnings = doctor_count(l, DOCTOR_WARNING);
    if (cli->options & CLI_OPTION_JSON) {
        wire_text_adds(out, "{\"host\":{");
        versions_json(out, s);
        wire_text_adds(out, "\"findings\":");
        doctor_print_json(out, l);
        wire_text_adds(out, "},\"guests\":[");
        *ret_warnings += guests_print(cli, s, l, out);
        wire_text_adds(out, "]}\n");
        return CLI_DONE;
    }
    heading(&cli->term, out, "host", s ? s->host.name : "", l);
    doctor_print(&cli->term, out, l);
    versions_print(&cli->term, out, s);
    *ret_warnings += guests_print(cli, s, l, out);
    return CLI_DONE;
}

/* What ballastd said of something by that name and of no guest that it knows: a second socket, say. */
static void judge_said(const struct wire_status *s, const char *name, struct doctor_list *l)
{
    char quoted[WIRE_NAME_SIZE + 2];

    (void)snprintf(quoted, sizeof(quoted), "'%s'", name);
    for (size_t i = 0; i < s->warning_count; i++)
        if (strstr(s->warnings[i].text, quoted))
            (void)doctor_add(l, DOCTOR_WARNING, "ballastd", "ballastd says: %s", s->warnings[i].text);
}

static int doctor_one(const struct cli *cli, struct doctor_list *l, struct wire_text *out, size_t *ret_warnings)
{
    AUTO(wire_status) struct wire_status *s = NULL;
    struct wire_text body = {0};
    struct wire_guest g;
    struct wire_host h;
    struct cli_problem p;
    struct err e = {0};
    int r = client_get(cli, "/v1/guests/", cli->args[0], &body, &p);

    if (r == CLI_DONE && wire_guest_parse(body.data, body.length, &g, &h, &e) < 0)
        r = cli_problem_set(&p, CLI_FAILED, CLIENT_NOT_OURS, "the answer on '%s' is no guest: %s", cli->socket_path, e.text);
    wire_text_done(&body);
    if (r == CLI_DONE)
        r = status_get(cli, &s, &p);
    if (r != CLI_DONE)
        return cli_complain(cli, &p);
    doctor_judge_guest(&g, s->daemon.guests_dir, l);
    judge_said(s, g.name, l);
    *ret_warnings = doctor_count(l, DOCTOR_WARNING);
    if (cli->options & CLI_OPTION_JSON) {
        wire_text_adds(out, "{\"guests\":[");
        guest_json(out, g.name, l, /* first= */ true);
        wire_text_adds(out, "]}\n");
    } else {
        heading(&cli->term, out, "guest", g.name, l);
        doctor_print(&cli->term, out, l);
    }
    return CLI_DONE;
}

int cmd_doctor(struct cli *cli)
{
    AUTO_FREE struct doctor_list *l = calloc(1, sizeof(*l));
    struct wire_text out = {0};
    size_t warnings = 0;
    struct cli_problem p;
    int r;

    if (!l)
        (void)cli_problem_set(&p, CLI_FAILED, "free some and try again", "no memory for the findings");
    else if (cli->arg_count > 0 && !cli->args[0][0])
        (void)cli_problem_set(&p, CLI_USAGE, "ballast status lists the guests", "the guest's name is empty");
    if (!l || (cli->arg_count > 0 && !cli->args[0][0]))
        return cli_complain(cli, &p);
    r = cli->arg_count > 0 ? doctor_one(cli, l, &out, &warnings) : doctor_all(cli, l, &out, &warnings);
    if (r == CLI_DONE)
        r = cli_write(cli, &out);
    wire_text_done(&out);
    return r == CLI_DONE && warnings > 0 ? CLI_WARNINGS : r;
}
