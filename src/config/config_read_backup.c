/* SPDX-License-Identifier: Apache-2.0 */
#include "config_walk.h"

#include <errno.h>
#include <stdlib.h>

/* The section `backup`: where backups go, how, and when. */

static bool read_keep_pair(struct walk *w, const struct walk_pair *p, void *user)
{
    struct config_schedule *schedule = user;
    uint64_t value;
    bool is_share;
    const struct config_key *key = walk_known(w, CONFIG_SECTION_KEEP, p, "backup.schedules.keep", &value, &is_share);

    if (!key)
        return true;
    schedule->keep[key->id] = (unsigned)value;
    schedule->keeps = schedule->keeps || value > 0;
    return true;
}

static bool read_schedule_pair(struct walk *w, const struct walk_pair *p, void *user)
{
    struct config_schedule *schedule = user;
    const struct config_key *key;
    uint64_t value;
    bool is_share;
    struct err e = {0};

    if (walk_is(p->key, "keep"))
        return walk_section(w, p->value, "backup.schedules.keep", "counts such as '{last: 3, daily: 7}'", read_keep_pair,
                            schedule);
    key = walk_known(w, CONFIG_SECTION_SCHEDULE, p, "backup.schedules", &value, &is_share);
    if (!key)
        return true;
    if (key->id == CONFIG_SCHEDULE_MAX_AGE) {
        schedule->max_age_usec = value;
        return true;
    }
    if (key->id == CONFIG_SCHEDULE_AT && calendar_parse(walk_text(p->value), walk_len(p->value), &schedule->at, &e) < 0) {
        walk_problem(w, p->value, "key 'backup.schedules.at': %s", e.text);
        return true;
    }
    char **text = key->id == CONFIG_SCHEDULE_AT ? &schedule->at_text : &schedule->guests;
    *text = walk_copy(w, p->value);
    return *text != NULL;
}

static bool read_schedule(struct walk *w, const yaml_node_t *item)
{
    size_t problems = w->r->problems->count + w->r->problems->more;
    struct config_schedule *schedule;
    struct err e = {0};
    int r = config_store_add_schedule(w->r->store, &schedule, &e);

    if (r == -E2BIG) {
        walk_problem(w, item, "%s: let one entry serve several guests by a pattern", e.text);
        return true;
    }
    if (r < 0) {
        *w->hard = e;
        return false;
    }
    if (!walk_section(w, item, "backup.schedules", "in each entry keys such as '{guests: \"web*\", at: daily}'",
                      read_schedule_pair, schedule))
        return false;
    if (problems == w->r->problems->count + w->r->problems->more && (!schedule->guests || !schedule->at_text))
        walk_problem(w, item, "an entry of 'backup.schedules' lacks '%s': write for example {guests: \"web*\", at: daily}",
                     schedule->guests ? "at" : "guests");
    return true;
}

static bool read_backup_pair(struct walk *w, const struct walk_pair *p, void *user)
{
    struct config_store *store = user;
    const struct config_key *key;
    uint64_t value;
    bool is_share;
    struct err e = {0};

    if (walk_is(p->key, "schedules"))
        return walk_list(w, p->value, "backup.schedules", read_schedule);
    key = walk_known(w, CONFIG_SECTION_BACKUP, p, "backup", &value, &is_share);
    if (!key)
        return true;
    store->backup[key->id] = value;
    store->backup_set |= 1U << key->id;
    if (key->id == CONFIG_BACKUP_REPOSITORY)
        return (store->repository = walk_copy(w, p->value)) != NULL;
    if (key->id == CONFIG_BACKUP_BEFORE_FREEZE)
        return (store->before_freeze = walk_copy(w, p->value)) != NULL;
    if (key->id == CONFIG_BACKUP_AFTER_THAW)
        return (store->after_thaw = walk_copy(w, p->value)) != NULL;
    if (key->id == CONFIG_BACKUP_QUIET_HOURS &&
        calendar_parse_hours(walk_text(p->value), walk_len(p->value), &store->quiet_from_min, &store->quiet_to_min, &e) < 0)
        walk_problem(w, p->value, "key 'backup.quiet-hours': %s", e.text);
    if (key->id == CONFIG_BACKUP_VERIFY_AT && calendar_parse(walk_text(p->value), walk_len(p->value), &store->verify_at, &e) < 0)
        walk_problem(w, p->value, "key 'backup.verify-at': %s", e.text);
    return true;
}

bool config_read_backup(struct walk *w, const yaml_node_t *map)
{
    if (!walk_section(w, map, "backup", "keys such as 'repository: /srv/backup'", read_backup_pair, w->r->store))
        return false;
    if (w->r->store->schedule_count > 0 && !w->r->store->repository)
        config_list_add(w->r->warnings, w->r->store, walk_place(w, map), EINVAL,
                        "'backup' has schedules, but no key 'repository': nothing is backed up");
    return true;
}
