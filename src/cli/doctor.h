/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "term.h"
#include "wire_status.h"

/* `ballast doctor`: what is missing for a guest or the host, and the exact change. Judging is pure: facts in, findings
 * out (doctor_host.h reads the host's). */

enum doctor_severity {
    DOCTOR_WARNING, /* something does not work, or not as it could be relied on: exit code 4 */
    DOCTOR_ADVICE,  /* works, and would work better */
    DOCTOR_SEVERITY_COUNT
};

#define DOCTOR_WHAT_SIZE 384
#define DOCTOR_CHANGE_SIZE 1280 /* the longest: one device in the words of QEMU, libvirt and Proxmox VE */
#define DOCTOR_FINDINGS_MAX 48  /* more than there are rules for one guest, with all its flags */

struct doctor_finding {
    enum doctor_severity severity;
    const char *id;                  /* a word that stays the same, for scripts */
    char what[DOCTOR_WHAT_SIZE];     /* one sentence */
    char change[DOCTOR_CHANGE_SIZE]; /* lines; those that begin with a blank are to be typed as they stand */
};

/* About the host, or one guest. Large: allocate it. */
struct doctor_list {
    size_t count;
    struct doctor_finding items[DOCTOR_FINDINGS_MAX];
};

/* Appends a finding and returns it, for doctor_change(); without room the last one is replaced. */
struct doctor_finding *doctor_add(struct doctor_list *l, enum doctor_severity severity, const char *id,
                                  const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Appends a line to what is to be done. */
void doctor_change(struct doctor_finding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

size_t doctor_count(const struct doctor_list *l, enum doctor_severity severity);

/* A guest's name for a command line: quoted where a shell would read it as something else. */
struct doctor_name {
    char s[WIRE_NAME_SIZE + 2];
};
struct doctor_name doctor_shell_name(const char *name);

/* What the daemon's document says of a guest, judged. guests_dir: where its sockets belong; empty: the usual place. */
void doctor_judge_guest(const struct wire_guest *g, const char *guests_dir, struct doctor_list *ret);

/* "! what", and the change under it; warnings first. */
void doctor_print(const struct term *term, struct wire_text *out, const struct doctor_list *l);

/* [{"severity","id","what","change"}] */
void doctor_print_json(struct wire_text *out, const struct doctor_list *l);
