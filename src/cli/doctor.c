/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define INDENT 4       /* of a finding's sentence after its mark */
#define TYPED_INDENT 6 /* of what is to be typed */

struct doctor_finding *doctor_add(struct doctor_list *l, enum doctor_severity severity, const char *id,
                                  const char *format, ...)
{
    size_t at = l->count < DOCTOR_FINDINGS_MAX ? l->count++ : DOCTOR_FINDINGS_MAX - 1;
    struct doctor_finding *f = &l->items[at];
    va_list ap;

    *f = (struct doctor_finding){.severity = severity, .id = id};
    va_start(ap, format);
    (void)vsnprintf(f->what, sizeof(f->what), format, ap);
    va_end(ap);
    return f;
}

void doctor_change(struct doctor_finding *f, const char *format, ...)
{
    size_t used = strlen(f->change);
    va_list ap;

    if (used > 0 && used + 1 < sizeof(f->change)) {
        f->change[used++] = '\n';
        f->change[used] = '\0';
    }
    va_start(ap, format);
    (void)vsnprintf(f->change + used, sizeof(f->change) - used, format, ap);
    va_end(ap);
}

size_t doctor_count(const struct doctor_list *l, enum doctor_severity severity)
{
    size_t n = 0;

    for (size_t i = 0; i < l->count; i++)
        n += l->items[i].severity == severity;
    return n;
}

struct doctor_name doctor_shell_name(const char *name)
{
    struct doctor_name quoted = {"'"};
    bool plain = name[0] != '\0' && name[0] != '-';
    size_t used = 1;

    for (const char *c = name; *c && used + 2 < sizeof(quoted.s); c++) {
        plain = plain && (isalnum((unsigned char)*c) || strchr("._-", *c));
        quoted.s[used++] = *c == '\'' ? '?' : *c; /* no guest's name has one: a document that lies */
    }
    quoted.s[used++] = '\'';
    quoted.s[used] = '\0';
    if (!plain)
        return quoted;
    memmove(quoted.s, quoted.s + 1, used);
    quoted.s[used - 2] = '\0';
    return quoted;
}

/* Sentences are wrapped; what is to be typed stays in one line, however long. */
static void print_change(const struct term *term, struct wire_text *out, const char *change)
{
    char line[DOCTOR_CHANGE_SIZE];

    while (*change) {
        size_t length = strcspn(change, "\n");

        (void)snprintf(line, sizeof(line), "%.*s", (int)length, change);
        change += length + (change[length] == '\n');
        if (line[0] == ' ') {
            term_pad(out, TYPED_INDENT);
            (void)term_text(term, out, line + strspn(line, " "), 0);
            wire_text_adds(out, "\n");
        } else {
            term_pad(out, INDENT);
            term_wrap(term, out, line, INDENT, INDENT);
        }
    }
}

void doctor_print(const struct term *term, struct wire_text *out, const struct doctor_list *l)
{
    static const char *const marks[DOCTOR_SEVERITY_COUNT] = {"  ! ", "  - "};
    static const enum term_style styles[DOCTOR_SEVERITY_COUNT] = {TERM_WORRY, TERM_PLAIN};

    for (enum doctor_severity s = 0; s < DOCTOR_SEVERITY_COUNT; s++)
        for (size_t i = 0; i < l->count; i++) {
            if (l->items[i].severity != s)
                continue;
            wire_text_adds(out, marks[s]);
            if (styles[s] != TERM_PLAIN)
                term_style(term, out, styles[s]);
            term_wrap(term, out, l->items[i].what, INDENT, INDENT);
            if (styles[s] != TERM_PLAIN)
                term_style(term, out, TERM_PLAIN);
            print_change(term, out, l->items[i].change);
        }
}

void doctor_print_json(struct wire_text *out, const struct doctor_list *l)
{
    static const char *const names[DOCTOR_SEVERITY_COUNT] = {"warning", "advice"};

    wire_text_adds(out, "[");
    for (size_t i = 0; i < l->count; i++) {
        wire_text_adds(out, i > 0 ? ",\n{\"severity\":" : "\n{\"severity\":");
        wire_text_string(out, names[l->items[i].severity]);
        wire_text_adds(out, ",\"id\":");
        wire_text_string(out, l->items[i].id);
        wire_text_adds(out, ",\"what\":");
        wire_text_string(out, l->items[i].what);
        wire_text_adds(out, ",\"change\":");
        wire_text_string(out, l->items[i].change);
        wire_text_adds(out, "}");
    }
    wire_text_adds(out, "]");
}
