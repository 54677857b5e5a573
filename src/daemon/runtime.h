/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "err.h"

/* Makes dir where it is missing (0755, its parent must exist or can be made) and takes the lock file in it, so that only
 * one ballastd runs over it: two hands on the same levers would fight (S11). Returns the lock's descriptor (>= 0), to be
 * kept open, or -errno: -EBUSY names the process that has it. */
int runtime_lock(const char *dir, struct err *e);
