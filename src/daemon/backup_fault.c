/* SPDX-License-Identifier: Apache-2.0 */
#include "backup_fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "readfile.h"
#include "wire_text.h"

#define TEXT_MAX 1024

/* "STEP[*N]:ACTION[:FILE]" */
static bool read_rule(const char *text, struct backup_fault_rule *ret)
{
    static const char *const actions[] = {"kill", "sent-kill", "stop", "hold"};
    const char *colon = strchr(text, ':'), *times = strchr(text, '*'), *file = colon ? strchr(colon + 1, ':') : NULL;
    size_t name = times && colon && times < colon ? (size_t)(times - text) : colon ? (size_t)(colon - text) : 0;
    size_t len = !colon ? 0 : file ? (size_t)(file - colon) - 1 : strlen(colon + 1);

    if (name == 0 || name >= sizeof(ret->step))
        return false;
    *ret = (struct backup_fault_rule){.times_left = times && times < colon ? (unsigned)strtoul(times + 1, NULL, 10) : 1};
    memcpy(ret->step, text, name);
    for (int i = 0; i <= BACKUP_FAULT_HOLD; i++) {
        if (strlen(actions[i]) != len || strncmp(actions[i], colon + 1, len) != 0)
            continue;
        ret->action = (enum backup_fault_action)i;
        wire_text_copy(ret->file, sizeof(ret->file), file ? file + 1 : "");
        return true;
    }
    return false;
}

void backup_fault_read(struct backup_fault *f, const char *text)
{
    char rules[TEXT_MAX] = "", *rest = rules, *rule;
    struct err e = {0};
    size_t len;

    *f = (struct backup_fault){.n = 0};
    if (!text || (text[0] == '@' && readfile_into(text + 1, rules, sizeof(rules), &len, &e) < 0))
        return;
    if (text[0] != '@')
        wire_text_copy(rules, sizeof(rules), text);
    while ((rule = strsep(&rest, ",\n")))
        if (f->n < BACKUP_FAULT_MAX && read_rule(rule, &f->rules[f->n]))
            f->n++;
}

void backup_fault_before(struct backup_fault *f, const char *name)
{
    f->step = name;
    for (size_t i = 0; i < f->n; i++) {
        struct backup_fault_rule *r = &f->rules[i];

        if (strcmp(r->step, name) != 0 || r->times_left == 0 || --r->times_left > 0)
            continue;
        if (r->action == BACKUP_FAULT_KILL)
            (void)kill(getpid(), SIGKILL);
        else if (r->action == BACKUP_FAULT_STOP)
            (void)kill(getpid(), SIGSTOP);
    }
}

void backup_fault_sent(const struct backup_fault *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->rules[i].action == BACKUP_FAULT_SENT_KILL && f->rules[i].times_left == 0 && f->step &&
            strcmp(f->rules[i].step, f->step) == 0)
            (void)kill(getpid(), SIGKILL);
}

static const struct backup_fault_rule *find_hold(const struct backup_fault *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->rules[i].action == BACKUP_FAULT_HOLD)
            return &f->rules[i];
    return NULL;
}

const char *backup_fault_hold_step(const struct backup_fault *f)
{
    const struct backup_fault_rule *r = find_hold(f);

    return r ? r->step : NULL;
}

bool backup_fault_is_held(const struct backup_fault *f)
{
    const struct backup_fault_rule *r = find_hold(f);
    int fd = r ? open(r->file, O_WRONLY | O_TRUNC | O_CLOEXEC) : -1;

    if (fd < 0)
        return false;
    (void)!write(fd, "held\n", 5); /* for who waits for it */
    (void)close(fd);
    return true;
}
