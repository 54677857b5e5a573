/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "err.h"

/* ballastd must survive the shortage it manages (docs/design.md 4, S14): its memory is locked, the kernel's OOM killer
 * takes others first, and what runs in an emergency was touched before. */

/* Stack of each thread of ours: nothing recurses, and glibc's 8 MiB would count against the lock limit. */
#ifdef __SANITIZE_THREAD__
#define PROTECT_STACK_BYTES (8 << 20) /* ThreadSanitizer keeps more than 256 KiB of its own in each */
#else
#define PROTECT_STACK_BYTES (256 * 1024)
#endif

/* Sets the default stack of threads: before the first of them. */
void protect_stacks(void);

/* Sets the OOM score and locks memory. What is not allowed here is told in one warning and is no
 * failure: a user's own ballastd runs without. */
void protect_process(void);

/* Writes the lowest OOM score allowed into an oom_score_adj file (a path, so that tests can pretend): at best -900, which
 * leaves the kernel's own and sshd's -1000 above us. Returns 0 with the score that was set, or -errno. */
int protect_oom_score(const char *path, int *ret_score);
