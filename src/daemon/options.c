/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

/* Fills what the command line left open. The environment is needed only for that. */
static int options_set_defaults(struct options *o, struct err *e)
{
    struct paths paths;
    int r;

    if (o->config_path[0] && o->runtime_dir[0] && o->state_dir[0])
        return 0;
    r = paths_default(&paths, e);
    if (r < 0)
        return err_wrap(e, "say where with --config, --runtime-dir and --state-dir");
    if (!o->config_path[0])
        memcpy(o->config_path, paths.config, sizeof(o->config_path));
    if (!o->runtime_dir[0])
        memcpy(o->runtime_dir, paths.runtime_dir, sizeof(o->runtime_dir));
    if (!o->state_dir[0])
        memcpy(o->state_dir, paths.state_dir, sizeof(o->state_dir));
    return 0;
}

static int options_log_level(const char *text, enum log_level *ret, struct err *e)
{
    static const char *const names[LOG_LEVEL_COUNT] = {"error", "warning", "info", "debug"};

    for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum log_level)i;
            return 0;
        }
    }
    return err_set(e, EINVAL, "--log-level '%.40s' is not known: error, warning, info or debug are", text);
}

static int options_path(const char *option, const char *value, char *dst, struct err *e)
{
    size_t len = strlen(value);

    if (len == 0)
        return err_set(e, EINVAL, "%s needs a path, not an empty word", option);
    if (len >= PATHS_SIZE)
        return err_set(e, EINVAL, "the path after %s is too long: %d characters at most", option, PATHS_SIZE - 1);
    memcpy(dst, value, len + 1);
    return 0;
}

int options_parse(int argc, char **argv, struct options *ret, struct err *e)
{
    enum { CONFIG = 256, RUNTIME_DIR, STATE_DIR, DRY_RUN, LOG_LEVEL, HELP, HELP_CONFIG, VERSION };
    static const struct option table[] = {
        {"config", required_argument, NULL, CONFIG},
        {"runtime-dir", required_argument, NULL, RUNTIME_DIR},
        {"state-dir", required_argument, NULL, STATE_DIR},
        {"dry-run", no_argument, NULL, DRY_RUN},
        {"log-level", required_argument, NULL, LOG_LEVEL},
        {"help", no_argument, NULL, HELP},
        {"help-config", no_argument, NULL, HELP_CONFIG},
        {"version", no_argument, NULL, VERSION},
        {NULL, 0, NULL, 0},
    };
    struct options o = {.log_level = LOG_LEVEL_INFO};
    int c, r = 0;

    opterr = 0;
    optind = 0; /* glibc: start anew, also for a second call in tests */
    while (r >= 0 && (c = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        switch (c) {
        case CONFIG:
            o.config_given = true;
            r = options_path("--config", optarg, o.config_path, e);
            break;
        case RUNTIME_DIR:
            r = options_path("--runtime-dir", optarg, o.runtime_dir, e);
            break;
        case STATE_DIR:
            r = options_path("--state-dir", optarg, o.state_dir, e);
            break;
        case DRY_RUN:
            o.dry_run = true;
            break;
        case LOG_LEVEL:
            r = options_log_level(optarg, &o.log_level, e);
            break;
        case HELP:
        case 'h':
            o.action = OPTIONS_HELP;
            *ret = o;
            return 0;
        case HELP_CONFIG:
            o.action = OPTIONS_HELP_CONFIG;
            *ret = o;
            return 0;
        case VERSION:
            o.action = OPTIONS_VERSION;
            *ret = o;
            return 0;
        case ':':
            return err_set(e, EINVAL, "option '%.60s' needs a value", argv[optind - 1]);
        default:
            if (optopt >= CONFIG)
                return err_set(e, EINVAL, "option '%.60s' takes no value", argv[optind - 1]);
            return err_set(e, EINVAL, "option '%.60s' is not known; see ballastd --help", argv[optind - 1]);
        }
    }
    if (r < 0)
        return r;
    if (optind < argc)
        return err_set(e, EINVAL, "'%.60s' is not an option, and ballastd takes nothing else; see ballastd --help",
                       argv[optind]);
    r = options_set_defaults(&o, e);
    if (r < 0)
        return r;
    *ret = o;
    return 0;
}

void options_print_help(FILE *out)
{
    (void)fputs("Usage: ballastd [--config FILE] [--runtime-dir DIR] [--state-dir DIR] [--dry-run]\n"
                "\n"
                "Moves memory between running virtual machines by need, and stays in the foreground.\n"
                "\n"
                "  --config FILE      configuration; default /etc/ballast/ballast.yaml. Without that file ballastd finds\n"
                "                     guests in DIR/guests, only watches them and says what it would do\n"
                "  --runtime-dir DIR  sockets and lock; default /run/ballast\n"
                "  --state-dir DIR    what is kept over restarts; default /var/lib/ballast\n"
                "  --dry-run          decide and tell, but move nothing\n"
                "  --log-level LEVEL  error, warning, info (default) or debug (every decision with its inputs)\n"
                "  --help             this text\n"
                "  --help-config      the keys of the configuration, with ranges and defaults\n"
                "  --version          version\n"
                "\n"
                "Users other than root get the paths below XDG_CONFIG_HOME, XDG_RUNTIME_DIR and XDG_STATE_HOME.\n"
                "SIGHUP reads the configuration again, all or nothing. SIGTERM stops: guests keep what they have.\n"
                "Exit: 0 stopped by a signal; 1 it failed; 2 wrong usage or configuration.\n",
                out);
}
