/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

/* nbdkit with our plugin, as a child: one disk of a point. */

struct serve_wish {
    const char *repository, *identity, *time, *disk; /* each shorter than PATHS_SIZE */
    bool is_writable; /* what is written goes into a file without a name, and away at the end */
    bool is_single;   /* fd is one end of a pair of sockets: it ends when the other one is closed; else fd listens */
    bool is_kept;     /* it does not end with this process */
};

/* A listening socket (mode 0600 from its first moment: whoever may connect reads the disk), or -errno. */
int serve_listen(const char *path, struct err *e);

/* Starts it in a session of its own, so that Ctrl-C is for us alone. -ENOPKG: the plugin is not there. A missing nbdkit, or a
 * point that can't be read, shows in its end, with its own words on standard error. */
int serve_start(const struct serve_wish *wish, int fd, pid_t *ret, struct err *e);

/* What to do about -ENOPKG, or an nbdkit that does not start. */
#define SERVE_HINT "install the package nbdkit and ballast with its plugin (built where nbdkit-plugin-dev is there)"
