/* SPDX-License-Identifier: Apache-2.0 */
#include "config_keys.h"

#include <errno.h>
#include <string.h>

#include "config.h"
#include "guest.h"
#include "paths.h"
#include "policy_defaults.h"
#include "text.h"
#include "units.h"
#include "weight.h"

#define MIB (1ULL << 20)

#define GROUP_MAX 63 /* groupadd(8) takes 32 */
#define OWNER_MAX 63 /* a name like any other */

#define HOST_MEMORY_MIN (64 * MIB)  /* no guest boots in less */
#define HOST_RESERVE_SHARE_MAX 9000 /* 90 %: with more there is nothing to balance */
#define HOST_OVERCOMMIT_MIN 1000    /* below 1 is what `reserve` is for */
#define HOST_OVERCOMMIT_MAX 10000   /* ten promised for one there is: beyond help */

#define GUEST_MEMORY_MIN MIB

#define SECOND 1000000ULL
#define NOTIFY_TIMEOUT_MAX (600 * SECOND)          /* longer, and messages queue up behind one that hangs */
#define NOTIFY_TIMEOUT_DEFAULT (30 * SECOND)       /* a mail server's answer takes seconds */
#define NOTIFY_INTERVAL_MAX (7 * 86400 * SECOND)
#define NOTIFY_INTERVAL_DEFAULT (300 * SECOND)     /* what goes back and forth faster is one trouble */
#define NOTIFY_STUCK_AFTER_DEFAULT (300 * SECOND)  /* many move again by themselves: retries go on for minutes */
#define BACKUP_FREEZE_DEFAULT (10 * SECOND)     /* writing out what is dirty takes tenths of seconds; hv_snapshot's old limit */
#define BACKUP_CHECKPOINT_DEFAULT (2 * SECOND)  /* 25-60 ms measured with four disks */
#define BACKUP_LIMIT_DEFAULT (15 * SECOND)      /* the two above and as long again for the thaw */
#define BACKUP_FLEECE_DEFAULT (20 * SECOND)     /* a local disk that needs longer is broken */
#define BACKUP_STALL_DEFAULT (30 * SECOND)      /* as ballast-copy's own: copy_job.h */
#define BACKUP_STALL_MAX (600 * SECOND)
#define BACKUP_LIMIT_MAX (300 * SECOND)         /* programs give up their disks after minutes */
#define BACKUP_BANDWIDTH_MIN MIB                /* below it a copy outlives what its fleecing image has room for */
#define BACKUP_CONCURRENCY_MAX 16               /* more only make each other wait for the same disks */
#define BACKUP_HOOK_DEFAULT (30 * SECOND)       /* databases flush for seconds; the guest runs on meanwhile */
#define BACKUP_HOOK_MAX (600 * SECOND)          /* longer, and whatever it holds up is worth no backup */
#define SCHEDULE_GUESTS_MAX 128
#define SCHEDULE_AGE_MAX (3660 * 86400 * SECOND) /* ten years: as good as never */
#define KEEP_MAX 100000                         /* eleven years of hourly points */

#define GUEST_TAX_MAX 9999 /* 99.99 %: at 100 % idle memory would weigh nothing, and a weight of 0 gets nothing */

static const struct config_choice choices_boolean[] = {
    {"no", 0, "no"}, {"yes", 1, "yes"}, {"false", 0, NULL}, {"true", 1, NULL}, {"off", 0, NULL}, {"on", 1, NULL},
    {NULL, 0, NULL},
};

static const struct config_choice choices_freeze[] = {
    {"prefer", CONFIG_FREEZE_PREFER, "where its agent answers; else the point is as after a power failure, and says so"},
    {"require", CONFIG_FREEZE_REQUIRE, "always; without it there is no point"},
    {"never", CONFIG_FREEZE_NEVER, "the agent is not asked"},
    {NULL, 0, NULL},
};

static const struct config_choice choices_hook_failure[] = {
    {"fail", 0, "there is no point: the backup ends before anything is frozen"},
    {"warn", 1, "the backup goes on, and says so"},
    {NULL, 0, NULL},
};

static const struct config_choice choices_access[] = {
    {"own", CONFIG_ACCESS_OWN, "ballast has the monitor for itself and stays connected: its events are heard at once"},
    {"share", CONFIG_ACCESS_SHARE, "others use it, too: ballast connects for one batch of commands at a time, once a second"},
    {NULL, 0, NULL},
};

static const struct config_choice choices_buffer_of[] = {
    {"demand", BUFFER_OF_DEMAND, "target = demand x (1 + buffer)"},
    {"total", BUFFER_OF_TOTAL, "target = demand / (1 - buffer): that share of the whole stays free"},
    {NULL, 0, NULL},
};

static const struct config_choice choices_demand[] = {
    {"used", DEMAND_USED, "what the guest uses"},
    {"committed", DEMAND_COMMITTED, "what its programs were promised (needs ballast-agent; without it: used)"},
    {NULL, 0, NULL},
};

static const struct config_choice choices_mode[] = {
    {"auto", GUEST_MODE_AUTO, "balanced"},
    {"watch", GUEST_MODE_WATCH, "advice only: nothing is changed"},
    {"fixed", GUEST_MODE_FIXED, "its size is held"},
    {"off", GUEST_MODE_OFF, "not looked at, only counted"},
    {NULL, 0, NULL},
};

static const struct config_choice choices_reclaim[] = {
    {"eager", GUEST_RECLAIM_EAGER, "gives what it does not need at any time"},
    {"lazy", GUEST_RECLAIM_LAZY, "keeps it until another guest needs it"},
    {NULL, 0, NULL},
};

static const struct config_choice choices_band[] = {
    {"off", 0, "only shown"},
    {"history", 1, "acted on: nothing moves while its pressure stays inside"},
    {NULL, 0, NULL},
};

static const struct config_choice choices_self_managing[] = {
    {"auto", GUEST_CHOICE_AUTO, "found out where the source of its numbers has a stall signal"},
    {"yes", GUEST_CHOICE_YES, "it is"},
    {"no", GUEST_CHOICE_NO, "it is not"},
    {"true", GUEST_CHOICE_YES, NULL},
    {"false", GUEST_CHOICE_NO, NULL},
    {NULL, 0, NULL},
};

const struct config_key config_keys[] = {
    {CONFIG_SECTION_HOST, CONFIG_HOST_MEMORY, "memory", CONFIG_SIZE, HOST_MEMORY_MIN, CONFIG_SIZE_MAX, 0, 0, NULL,
     0, "all the host has", false,
     "Manage only this much of the host's memory. More than the host has counts as all it has."},
    {CONFIG_SECTION_HOST, CONFIG_HOST_RESERVE, "reserve", CONFIG_SIZE_OR_SHARE, 0, CONFIG_SIZE_MAX, 0,
     HOST_RESERVE_SHARE_MAX, NULL, 0,
     "5 %, and at least 1 GiB unless 'memory' is less than the host has; never more than half", false,
     "Memory that guests never get: for the host itself. A share is of the managed memory. With 0 MiB nothing warns of a "
     "shortage before it is there: for a pretended host only."},
    {CONFIG_SECTION_HOST, CONFIG_HOST_OVERCOMMIT, "overcommit", CONFIG_FACTOR, HOST_OVERCOMMIT_MIN,
     HOST_OVERCOMMIT_MAX, 0, 0, NULL, 1000, NULL, false,
     "Promised memory to real memory. Above 1 guests together may hold more than there is, and the host will swap: only "
     "with your word."},
    {CONFIG_SECTION_HOST, CONFIG_HOST_SPREAD, "spread", CONFIG_CHOICE, 0, 0, 0, 0, choices_boolean, 0, NULL, false,
     "Whether memory that nobody asks for is given to guests as disk cache instead of staying free. This version reads it, "
     "and a warning says that it does nothing yet."},

    {CONFIG_SECTION_DISCOVER, CONFIG_DISCOVER_QMP_DIRECTORY, "qmp-directory", CONFIG_PATH, 1, PATHS_SIZE - 1, 0, 0,
     NULL, 0, "the directory 'guests' in the runtime directory", false,
     "A directory of QEMU monitor sockets. NAME.qmp is the monitor of guest NAME; guests may come and go at any time."},
    {CONFIG_SECTION_DISCOVER, CONFIG_DISCOVER_ACCESS, "access", CONFIG_CHOICE, 0, 0, 0, 0, choices_access,
     CONFIG_ACCESS_OWN, NULL, false,
     "Whether ballast has the monitors of this directory for itself. A QEMU monitor serves one client at a time."},
    {CONFIG_SECTION_DISCOVER, CONFIG_DISCOVER_LIBVIRT, "libvirt", CONFIG_TEXT, 1, PATHS_SIZE - 1, 0, 0, NULL, 0,
     "none", false,
     "The guests of a libvirt daemon, by its URI, such as 'qemu:///system'. This version has no libvirt driver: the entry "
     "is read, and a warning says that it does nothing yet."},
    {CONFIG_SECTION_DISCOVER, CONFIG_DISCOVER_XEN, "xen", CONFIG_CHOICE, 0, 0, 0, 0, choices_boolean, 0, NULL, false,
     "The guests of the Xen host ballast runs on. This version has no Xen driver: the entry is read, and a warning says "
     "that it does nothing yet."},

    {CONFIG_SECTION_GUEST, CONFIG_GUEST_STARTUP, "startup", CONFIG_SIZE, GUEST_MEMORY_MIN, CONFIG_SIZE_MAX, 0, 0, NULL,
     0, "the guest's boot memory", false,
     "What the guest boots with. Lies between minimum and maximum."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_MINIMUM, "minimum", CONFIG_SIZE, GUEST_MEMORY_MIN, CONFIG_SIZE_MAX, 0, 0, NULL,
     0, "a quarter of the boot memory, and at least what its kernel needs", false,
     "The guest is never taken below this. The minimums of all guests named here must fit into the host."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_MAXIMUM, "maximum", CONFIG_SIZE, GUEST_MEMORY_MIN, CONFIG_SIZE_MAX, 0, 0, NULL,
     0, "boot memory and all that can be plugged", false,
     "The guest is never given more than this. It may exceed what the host has."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_BUFFER, "buffer", CONFIG_SHARE, 0, DEMAND_BUFFER_MAX_DEMAND, 0, 0, NULL,
     POLICY_BUFFER_DEFAULT, NULL, false,
     "Memory to keep free in the guest above its demand, so that it can grow without waiting. At most 90 % where "
     "buffer-of is total."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_BUFFER_OF, "buffer-of", CONFIG_CHOICE, 0, 0, 0, 0, choices_buffer_of,
     BUFFER_OF_DEMAND, NULL, false, "What the buffer is a share of."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_DEMAND, "demand", CONFIG_CHOICE, 0, 0, 0, 0, choices_demand, DEMAND_USED, NULL,
     false, "How the guest's demand is measured."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_PRIORITY, "priority", CONFIG_INTEGER, 1, WEIGHT_PRIORITY_MAX, 0, 0, NULL,
     POLICY_PRIORITY_DEFAULT, NULL, false,
     "Weight of the guest where memory is scarce: of two guests that lack the same, one of double priority gets double."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_MODE, "mode", CONFIG_CHOICE, 0, 0, 0, 0, choices_mode, GUEST_MODE_AUTO, NULL,
     false, "What ballast does with the guest. Without any configuration file it is watch."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_RECLAIM, "reclaim", CONFIG_CHOICE, 0, 0, 0, 0, choices_reclaim,
     GUEST_RECLAIM_EAGER, NULL, false, "When the guest gives memory that it does not need."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_BAND, "band", CONFIG_CHOICE, 0, 0, 0, 0, choices_band, 0, NULL, false,
     "What the band of pressure that the guest's own history draws is good for."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_SELF_MANAGING, "self-managing", CONFIG_CHOICE, 0, 0, 0, 0,
     choices_self_managing, GUEST_CHOICE_AUTO, NULL, false,
     "Whether the guest runs a program that takes whatever memory is there, such as a database or a JVM. Its use is then no "
     "proof of need."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_IDLE_TAX, "idle-tax", CONFIG_SHARE, 0, GUEST_TAX_MAX, 0, 0, NULL,
     POLICY_TAX_PPM_DEFAULT / 100, NULL, false,
     "How much of the weight of its idle memory a guest loses where memory is scarce. 0 % switches the tax off."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_OWNER, "owner", CONFIG_TEXT, 1, OWNER_MAX, 0, 0, NULL, 0, "nobody in particular",
     false, "Whose guest it is: a name for reports."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_QMP, "qmp", CONFIG_PATH, 1, PATHS_SOCKET_SIZE - 1, 0, 0, NULL, 0,
     "as found in a qmp-directory", true,
     "The socket of the guest's QEMU monitor, for a guest outside any qmp-directory. Only for an entry that names one guest."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_ACCESS, "access", CONFIG_CHOICE, 0, 0, 0, 0, choices_access, CONFIG_ACCESS_OWN,
     "as its qmp-directory has it, else own", true,
     "Whether ballast has the guest's monitor for itself. Only for an entry that names one guest."},
    {CONFIG_SECTION_GUEST, CONFIG_GUEST_AGENT, "agent", CONFIG_PATH, 1, PATHS_SOCKET_SIZE - 1, 0, 0, NULL, 0,
     "beside the monitor: NAME.agent for NAME.qmp, else the monitor's path with .agent behind it", true,
     "The socket behind the guest's port for ballast-agent. Only for an entry that names one guest."},

    {CONFIG_SECTION_NOTIFY, CONFIG_NOTIFY_COMMAND, "command", CONFIG_PATH, 1, PATHS_SIZE - 1, 0, 0, NULL, 0,
     "none: nobody is told", false,
     "The program that is run for each message, with no arguments and without a shell. It finds the facts in its environment "
     "(BALLAST_EVENT, BALLAST_TEXT ...) and as one JSON document on its standard input."},
    {CONFIG_SECTION_NOTIFY, CONFIG_NOTIFY_TIMEOUT, "timeout", CONFIG_TIME, SECOND, NOTIFY_TIMEOUT_MAX, 0, 0, NULL,
     NOTIFY_TIMEOUT_DEFAULT, NULL, false,
     "How long the program may run before it is ended, by SIGTERM and 5 s later by SIGKILL."},
    {CONFIG_SECTION_NOTIFY, CONFIG_NOTIFY_INTERVAL, "interval", CONFIG_TIME, SECOND, NOTIFY_INTERVAL_MAX, 0, 0, NULL,
     NOTIFY_INTERVAL_DEFAULT, NULL, false,
     "Least time between two messages that say the same of the same guest, or of the host."},
    {CONFIG_SECTION_NOTIFY, CONFIG_NOTIFY_STUCK_AFTER, "stuck-after", CONFIG_TIME, SECOND, NOTIFY_INTERVAL_MAX, 0, 0, NULL,
     NOTIFY_STUCK_AFTER_DEFAULT, NULL, false,
     "How long a guest must not have moved to its size before that is worth a message."},

    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_REPOSITORY, "repository", CONFIG_PATH, 1, PATHS_SIZE - 1, 0, 0, NULL, 0,
     "none", false,
     "The directory that backups go to, made by `ballast backup init`. The commands of `ballast backup` take it where "
     "--repository is not given."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_FREEZE, "freeze", CONFIG_CHOICE, 0, 0, 0, 0, choices_freeze, CONFIG_FREEZE_PREFER,
     NULL, false, "Whether file systems in the guest are frozen for the checkpoint, by qemu-guest-agent (its socket: "
     "NAME.qga beside NAME.qmp)."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_FREEZE_TIMEOUT, "freeze-timeout", CONFIG_TIME, SECOND, BACKUP_LIMIT_MAX, 0, 0,
     NULL, BACKUP_FREEZE_DEFAULT, NULL, false, "How long the guest may take to freeze. Later the backup fails, and the "
     "guest is thawed."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_CHECKPOINT_TIMEOUT, "checkpoint-timeout", CONFIG_TIME, SECOND / 10,
     BACKUP_LIMIT_MAX, 0, 0, NULL, BACKUP_CHECKPOINT_DEFAULT, NULL, false, "How long QEMU may take to switch all disks of "
     "the guest over while it stands still."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_FREEZE_LIMIT, "freeze-limit", CONFIG_TIME, SECOND, BACKUP_LIMIT_MAX, 0, 0, NULL,
     BACKUP_LIMIT_DEFAULT, NULL, false, "After this the guardian continues and thaws the guest, whatever ballastd does."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_FLEECE_TIMEOUT, "fleece-timeout", CONFIG_TIME, SECOND, BACKUP_LIMIT_MAX, 0, 0, NULL,
     BACKUP_FLEECE_DEFAULT, NULL, false, "How long a write of the guest may wait for the place where the old data is kept while "
     "it is copied (the state directory). Later the write goes on, and the backup fails. Whole seconds."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_STALL_TIMEOUT, "stall-timeout", CONFIG_TIME, SECOND, BACKUP_STALL_MAX, 0, 0, NULL,
     BACKUP_STALL_DEFAULT, NULL, false, "How long the repository may take nothing while data waits. Later the backup fails."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_BANDWIDTH, "bandwidth", CONFIG_SIZE, BACKUP_BANDWIDTH_MIN, CONFIG_SIZE_MAX, 0, 0,
     NULL, 0, "no limit", false, "How much of a guest's disks is copied in a second, at most. Zeroes do not count."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_CONCURRENCY, "concurrency", CONFIG_INTEGER, 1, BACKUP_CONCURRENCY_MAX, 0, 0, NULL, 1,
     NULL, false, "How many scheduled backups may run at once (those that are asked for by hand run beside them), and how many guests of a "
     "group, which were stopped at one instant, are copied at a time."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_QUIET_HOURS, "quiet-hours", CONFIG_TEXT, 1, CALENDAR_INPUT_MAX, 0, 0, NULL, 0,
     "none", false, "A time of the day in which no scheduled backup begins, such as 08:00-18:00. What becomes due in it begins "
     "when it ends."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_BEFORE_FREEZE, "before-freeze", CONFIG_PATH, 1, PATHS_SIZE - 1, 0, 0, NULL, 0, "none",
     false, "A command to run on the host before a guest is frozen for its checkpoint, such as one that tells a database. It gets "
     "BALLAST_GUEST and more in its environment (see HOOKS)."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_BEFORE_FREEZE_TIMEOUT, "before-freeze-timeout", CONFIG_TIME, SECOND, BACKUP_HOOK_MAX, 0,
     0, NULL, BACKUP_HOOK_DEFAULT, NULL, false, "How long it may take. Then it is stopped, and has failed."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_AFTER_THAW, "after-thaw", CONFIG_PATH, 1, PATHS_SIZE - 1, 0, 0, NULL, 0, "none", false,
     "A command to run on the host after the thaw, whatever became of the backup and of the command before it; where ballastd was "
     "killed in between, by the next one."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_AFTER_THAW_TIMEOUT, "after-thaw-timeout", CONFIG_TIME, SECOND, BACKUP_HOOK_MAX, 0, 0,
     NULL, BACKUP_HOOK_DEFAULT, NULL, false, "How long it may take. Then it is stopped, and has failed, which is told; the point is "
     "kept."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_HOOK_FAILURE, "hook-failure", CONFIG_CHOICE, 0, 0, 0, 0, choices_hook_failure, 0, NULL,
     false, "What comes of a command before the freeze that fails or takes too long."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_VERIFY_AT, "verify-at", CONFIG_TEXT, 1, CALENDAR_INPUT_MAX, 0, 0, NULL, 0, "never", false,
     "When the repository is read again to see that it is whole, as in a schedule: weekly, or 'Sun 04:00'. Damage is told by the "
     "notify command, also where `ballast backup verify` finds it."},
    {CONFIG_SECTION_BACKUP, CONFIG_BACKUP_VERIFY_SAMPLE, "verify-sample", CONFIG_SHARE, 1, 10000, 0, 0, NULL, 10000, NULL, false,
     "How much of it is read each time: other chunks with each."},

    {CONFIG_SECTION_SCHEDULE, CONFIG_SCHEDULE_GUESTS, "guests", CONFIG_TEXT, 1, SCHEDULE_GUESTS_MAX, 0, 0, NULL, 0,
     "none: it must be written", false, "The guests to back up: a name, or a shell pattern such as \"web*\" in quotes."},
    {CONFIG_SECTION_SCHEDULE, CONFIG_SCHEDULE_AT, "at", CONFIG_TEXT, 1, CALENDAR_INPUT_MAX, 0, 0, NULL, 0,
     "none: it must be written", false,
     "When, as systemd.time(7) writes it: hourly, daily, weekly, monthly, yearly, or weekdays, date and time such as 'Mon..Fri "
     "03:00' or '*:0/15'. What was missed while ballastd did not run is made up for once."},
    {CONFIG_SECTION_SCHEDULE, CONFIG_SCHEDULE_MAX_AGE, "max-age", CONFIG_TIME, SECOND, SCHEDULE_AGE_MAX, 0, 0, NULL, 0,
     "twice the time between two backups of the schedule", false,
     "A guest whose last point is older than this is told of by the notify command."},

    {CONFIG_SECTION_KEEP, CONFIG_KEEP_LAST, "last", CONFIG_INTEGER, 0, KEEP_MAX, 0, 0, NULL, 0, NULL, false,
     "How many of the newest points to keep. Where no count is given, nothing is ever removed."},
    {CONFIG_SECTION_KEEP, CONFIG_KEEP_HOURLY, "hourly", CONFIG_INTEGER, 0, KEEP_MAX, 0, 0, NULL, 0, NULL, false,
     "For how many hours that have points to keep the last one of each."},
    {CONFIG_SECTION_KEEP, CONFIG_KEEP_DAILY, "daily", CONFIG_INTEGER, 0, KEEP_MAX, 0, 0, NULL, 0, NULL, false,
     "The same for days."},
    {CONFIG_SECTION_KEEP, CONFIG_KEEP_WEEKLY, "weekly", CONFIG_INTEGER, 0, KEEP_MAX, 0, 0, NULL, 0, NULL, false,
     "The same for weeks."},
    {CONFIG_SECTION_KEEP, CONFIG_KEEP_MONTHLY, "monthly", CONFIG_INTEGER, 0, KEEP_MAX, 0, 0, NULL, 0, NULL, false,
     "The same for months."},
    {CONFIG_SECTION_KEEP, CONFIG_KEEP_YEARLY, "yearly", CONFIG_INTEGER, 0, KEEP_MAX, 0, 0, NULL, 0, NULL, false,
     "The same for years."},

    {CONFIG_SECTION_API, CONFIG_API_VIEW_GROUP, "view-group", CONFIG_TEXT, 1, GROUP_MAX, 0, 0, NULL, 0, CONFIG_VIEW_GROUP, false,
     "Members of this group of the host may open ballastd's socket and look at everything. Only where ballastd runs as root: a "
     "user's own obeys him and root."},
    {CONFIG_SECTION_API, CONFIG_API_OPERATE_GROUP, "operate-group", CONFIG_TEXT, 1, GROUP_MAX, 0, 0, NULL, 0,
     CONFIG_OPERATE_GROUP, false,
     "Members of this group may also change something: set, pause, release, reserve, backup. They need the view-group as well, to "
     "open the socket. Root may do all in any case."},
};
const size_t config_key_count = sizeof(config_keys) / sizeof(config_keys[0]);

const struct config_top config_tops[] = {
    {"host", true, "The host's own memory."},
    {"discover", true, "Where guests are found: a list, each entry with one of the keys qmp-directory, libvirt and xen."},
    {"defaults", true, "Values for every guest that its own entry does not set."},
    {"guests", true, "Values for guests by name or shell pattern."},
    {"meter", false, "Metering of what each guest held."},
    {"tariffs", false, "Prices of memory."},
    {"backup", true, "Live backup: where it goes, how, and when."},
    {"api", true, "Who may ask ballastd: two groups of the host."},
    {"notify", true, "A command that is run when something needs a person's eye."},
};
const size_t config_top_count = sizeof(config_tops) / sizeof(config_tops[0]);

const struct config_key *config_key_find(enum config_section section, const char *name, size_t len)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *k = &config_keys[i];

        if (k->section == section && strlen(k->name) == len && memcmp(k->name, name, len) == 0)
            return k;
    }
    return NULL;
}

const struct config_key *config_key_get(enum config_section section, unsigned id)
{
    const struct config_key *k = config_keys;

    while (k->section != section || k->id != id)
        k++; /* every id has its row: a test walks them all */
    return k;
}

static int refuse_range(const struct config_key *key, const char *text, size_t len, const char *what, struct err *e)
{
    char allowed[CONFIG_KEY_TEXT_SIZE];

    return err_set(e, ERANGE, "'%s' is %s: allowed is %s", text_show(text, len).s, what,
                   config_allowed_text(key, allowed));
}

static int check_range(const struct config_key *key, const char *text, size_t len, uint64_t value, uint64_t min,
                       uint64_t max, struct err *e)
{
    if (value < min)
        return refuse_range(key, text, len, "too small", e);
    if (value > max)
        return refuse_range(key, text, len, "too large", e);
    return 0;
}

static int parse_choice(const struct config_key *key, const char *text, size_t len, uint64_t *ret_value, struct err *e)
{
    for (const struct config_choice *c = key->choices; c->name; c++) {
        if (strlen(c->name) == len && memcmp(c->name, text, len) == 0) {
            *ret_value = c->value;
            return 0;
        }
    }
    return refuse_range(key, text, len, "not one of its values", e);
}

static int check_text(const struct config_key *key, const char *text, size_t len, struct err *e)
{
    char allowed[CONFIG_KEY_TEXT_SIZE];

    if (len == 0)
        return err_set(e, EINVAL, "nothing is written here: allowed is %s", config_allowed_text(key, allowed));
    if (len > key->max)
        return refuse_range(key, text, len, "too long", e);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return refuse_range(key, text, len, "not one line of printable text", e);
    }
    if (key->type == CONFIG_PATH && text[0] != '/')
        return err_set(e, EINVAL, "'%s' is not an absolute path: begin it with '/'", text_show(text, len).s);
    return 0;
}

static int parse_size(const struct config_key *key, const char *text, size_t len, uint64_t *ret_kib, struct err *e)
{
    uint64_t bytes;
    int r = units_parse_size(text, len, &bytes, e);

    if (r < 0 || (r = check_range(key, text, len, bytes, key->min, key->max, e)) < 0)
        return r;
    *ret_kib = bytes >> 10;
    return 0;
}

static int parse_share(const struct config_key *key, const char *text, size_t len, uint64_t min, uint64_t max,
                       uint64_t *ret, struct err *e)
{
    uint64_t share;
    int r = units_parse_share(text, len, &share, e);

    if (r < 0 || (r = check_range(key, text, len, share, min, max, e)) < 0)
        return r;
    *ret = share;
    return 0;
}

static int parse_plain(const struct config_key *key, const char *text, size_t len, uint64_t *ret, struct err *e)
{
    uint64_t value;
    int r = units_parse_number(text, len, key->type == CONFIG_FACTOR ? 3 : 0, &value, e);

    if (r < 0 || (r = check_range(key, text, len, value, key->min, key->max, e)) < 0)
        return r;
    *ret = value;
    return 0;
}

static int parse_time(const struct config_key *key, const char *text, size_t len, uint64_t *ret_usec, struct err *e)
{
    uint64_t usec;
    int r = units_parse_time(text, len, &usec, e);

    if (r < 0 || (r = check_range(key, text, len, usec, key->min, key->max, e)) < 0)
        return r;
    *ret_usec = usec;
    return 0;
}

/* A sentence of units.c has an example, but not what this key allows. */
static int add_allowed(const struct config_key *key, struct err *e)
{
    char allowed[CONFIG_KEY_TEXT_SIZE];
    struct err plain = *e;

    if (strstr(e->text, ": allowed is "))
        return -e->code;
    return err_set(e, plain.code, "%.300s (allowed is %s)", plain.text, config_allowed_text(key, allowed));
}

int config_value_parse(const struct config_key *key, const char *text, size_t len, uint64_t *ret_value,
                       bool *ret_is_share, struct err *e)
{
    bool is_share = false;
    uint64_t value = 0;
    int r = 0;

    switch (key->type) {
    case CONFIG_CHOICE:
        r = parse_choice(key, text, len, &value, e);
        break;
    case CONFIG_PATH:
    case CONFIG_TEXT:
        r = check_text(key, text, len, e);
        break;
    case CONFIG_SIZE_OR_SHARE:
        is_share = len > 0 && memchr(text, '%', len) != NULL;
        r = is_share ? parse_share(key, text, len, key->share_min, key->share_max, &value, e)
                     : parse_size(key, text, len, &value, e);
        break;
    case CONFIG_SIZE:
        r = parse_size(key, text, len, &value, e);
        break;
    case CONFIG_SHARE:
        is_share = true;
        r = parse_share(key, text, len, key->min, key->max, &value, e);
        break;
    case CONFIG_TIME:
        r = parse_time(key, text, len, &value, e);
        break;
    case CONFIG_FACTOR:
    case CONFIG_INTEGER:
        r = parse_plain(key, text, len, &value, e);
        break;
    case CONFIG_TYPE_COUNT:
        r = err_set(e, EINVAL, "key '%s' has no type", key->name); /* our own mistake; a test walks the table */
        break;
    }
    if (r < 0)
        return add_allowed(key, e);
    *ret_value = value;
    *ret_is_share = is_share;
    return 0;
}
