/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "err.h"

/* Small files of /proc and /sys, read whole: one open, one read after the other, no allocation. */

/* Reads at most size bytes; a longer file is -EFBIG. Not terminated by NUL. -errno: the text names the path. */
int readfile_into(const char *path, char *buf, size_t size, size_t *ret_len, struct err *e);

/* From an open file descriptor, which stays open; name stands in the text. */
int readfile_from(int fd, const char *name, char *buf, size_t size, size_t *ret_len, struct err *e);
