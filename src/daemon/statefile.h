/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "err.h"

/* Small files that must be whole after a crash: the old one or the new one, never between. These block: for threads that
 * may, and for the start. */

/* Makes a directory and its parents (0755) where they are missing, and sees that it can be written in. */
int statefile_make_dir(const char *dir, struct err *e);

/* Writes path.new beside it, syncs, renames, and syncs the directory. */
int statefile_replace(const char *path, const char *data, size_t length, mode_t mode, struct err *e);
