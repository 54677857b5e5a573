/* SPDX-License-Identifier: Apache-2.0 */
#include "paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int print_path(char *ret, const char *a, const char *b, const char *c, struct err *e)
{
    int n = snprintf(ret, PATHS_SIZE, "%s%s%s", a, b, c);

    if (n < 0 || n >= PATHS_SIZE)
        return err_set(e, ENAMETOOLONG, "the path '%.100s...' is longer than %d bytes: choose a shorter one", a,
                       PATHS_SIZE - 1);
    return 0;
}

/* $variable, or $HOME/below. */
static int find_base(char *(*get)(const char *name), const char *variable, const char *below, char *ret, struct err *e)
{
    const char *value = get(variable);
    const char *home = get("HOME");

    if (value && value[0] == '/')
        return print_path(ret, value, "", "", e);
    if (below && home && home[0] == '/')
        return print_path(ret, home, "/", below, e);
    return err_set(e, ENOENT, "cannot tell where files of this user belong: neither %s nor HOME is set; set one, or name "
                   "the paths by options", variable);
}

int paths_find(bool is_root, char *(*get)(const char *name), struct paths *ret, struct err *e)
{
    struct paths p = {
        .config = "/etc/ballast/ballast.yaml", .runtime_dir = "/run/ballast", .state_dir = "/var/lib/ballast"};
    char base[PATHS_SIZE];
    int r;

    if (!is_root) {
        if ((r = find_base(get, "XDG_CONFIG_HOME", ".config", base, e)) < 0 ||
            (r = print_path(p.config, base, "/ballast/ballast.yaml", "", e)) < 0)
            return r;
        if ((r = find_base(get, "XDG_STATE_HOME", ".local/state", base, e)) < 0 ||
            (r = print_path(p.state_dir, base, "/ballast", "", e)) < 0)
            return r;
        /* the specification knows no place for sockets where XDG_RUNTIME_DIR is unset: a login without a session */
        r = find_base(get, "XDG_RUNTIME_DIR", ".local/state/ballast/run", base, e);
        if (r < 0 || (r = print_path(p.runtime_dir, base, "/ballast", "", e)) < 0)
            return r;
    }
    *ret = p;
    return 0;
}

int paths_default(struct paths *ret, struct err *e)
{
    return paths_find(geteuid() == 0, getenv, ret, e);
}

int paths_join(const char *dir, const char *name, char *ret, struct err *e)
{
    return print_path(ret, dir, "/", name, e);
}

const char *paths_libexec_dir(void)
{
    const char *from = secure_getenv("BALLAST_LIBEXEC_DIR");

    return from && from[0] ? from : BALLAST_LIBEXEC_DIR;
}
