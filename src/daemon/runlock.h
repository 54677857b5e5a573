/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "err.h"

/* One ballastd for each runtime directory: an flock on runtime_dir/ballastd.lock, which the kernel drops when its
 * holder dies, however it dies. The file stays (removing a lock file races with the next taker) and holds the taker's
 * pid. */

/* Makes the directory where it is missing. *ret_fd keeps the lock until it is closed.
 * Errors: EEXIST (another ballastd runs), or the errno of what failed, with the path. */
int runlock_take(const char *runtime_dir, int *ret_fd, struct err *e);
