/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "err.h"

/* Where ballast's files are unless an option says otherwise: for root under /etc, /run and /var/lib, for anyone else under
 * his own XDG directories. The daemon and the command line find each other by this. */

/* Longest path we handle, with its end. Shorter than PATH_MAX on purpose: it still fits a message and a struct. */
#define PATHS_SIZE 256

/* A unix socket's path must be shorter than this (sun_path of unix(7)). */
#define PATHS_SOCKET_SIZE 108

struct paths {
    char config[PATHS_SIZE];     /* /etc/ballast/ballast.yaml */
    char runtime_dir[PATHS_SIZE]; /* /run/ballast */
    char state_dir[PATHS_SIZE];  /* /var/lib/ballast */
};

/* Default paths of a user: `is_root`, else by environment (`get` is getenv or a test's own): XDG_CONFIG_HOME or
 * HOME/.config, XDG_RUNTIME_DIR, XDG_STATE_HOME or HOME/.local/state, as the XDG Base Directory specification has it;
 * relative values count as unset. Returns -ENOENT where the environment lacks what is needed, -ENAMETOOLONG. */
int paths_find(bool is_root, char *(*get)(const char *name), struct paths *ret, struct err *e);

/* The same for this process: root is effective uid 0. */
int paths_default(struct paths *ret, struct err *e);

/* "<dir>/<name>" into ret[PATHS_SIZE]; -ENAMETOOLONG. */
int paths_join(const char *dir, const char *name, char *ret, struct err *e);

/* Where programs are that other programs of ours start, and nobody by hand: as installed, or where BALLAST_LIBEXEC_DIR says
 * (not for a set-user-ID program). */
const char *paths_libexec_dir(void);

/* Names in the runtime directory. */
#define PATHS_API_SOCKET "api.sock"
#define PATHS_GUESTS_DIR "guests" /* NAME.qmp, NAME.agent, NAME.qga */
