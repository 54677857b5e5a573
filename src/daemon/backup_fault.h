/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "paths.h"

/* What the live tests do to ballastd in the middle of a backup, by $BALLAST_TEST_BACKUP: rules, separated by commas, or @FILE with
 * such a text in it, read whenever a job begins.
 *
 *     STEP:kill       SIGKILL just before the step
 *     STEP:sent-kill  SIGKILL just after its command was sent: the answer is nobody's
 *     STEP:stop       SIGSTOP just before it
 *     STEP:hold:FILE  waits before it while FILE is there, and writes into FILE that it does
 *     STEP*N:...      the Nth time that the step begins (each disk counts); not for hold */

#define BACKUP_FAULT_MAX 4

struct backup_fault {
    struct backup_fault_rule {
        char step[32];
        unsigned times_left; /* until it strikes */
        enum backup_fault_action {
            BACKUP_FAULT_KILL,
            BACKUP_FAULT_SENT_KILL,
            BACKUP_FAULT_STOP,
            BACKUP_FAULT_HOLD
        } action;
        char file[PATHS_SIZE];
    } rules[BACKUP_FAULT_MAX];
    size_t n;
    const char *step; /* under way */
};

/* text: may be NULL. What is not understood is no rule. */
void backup_fault_read(struct backup_fault *f, const char *text);

/* name: of a constant. */
void backup_fault_before(struct backup_fault *f, const char *name);
void backup_fault_sent(const struct backup_fault *f);

/* The step that is to be held; NULL: none. */
const char *backup_fault_hold_step(const struct backup_fault *f);
bool backup_fault_is_held(const struct backup_fault *f);
