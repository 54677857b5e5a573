/* SPDX-License-Identifier: Apache-2.0 */
#include "config_set.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "config_check.h"
#include "config_store.h"
#include "paths.h"
#include "text.h"
#include "units.h"

/* Not what belongs to a guest's entry and never to a moment: where its monitor is, and whose it is. */
static bool is_settable(const struct config_key *key)
{
    return key->section == CONFIG_SECTION_GUEST && key->type != CONFIG_PATH && key->type != CONFIG_TEXT &&
           !key->entry_only; /* how its sockets are used: the driver reads that when it starts */
}

/* "known are startup minimum ...", or the one that was meant. */
static int refuse_key(const char *name, struct err *e)
{
    const char *best = NULL;
    unsigned least = TEXT_SUGGEST_DISTANCE + 1;
    char known[256] = "";
    size_t used = 0;

    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *k = &config_keys[i];
        unsigned distance = is_settable(k) ? text_distance(name, k->name) : TEXT_DISTANCE_MAX;

        if (is_settable(k) && used < sizeof(known))
            used += (size_t)snprintf(known + used, sizeof(known) - used, " %s", k->name);
        if (distance < least) {
            least = distance;
            best = k->name;
        }
    }
    if (best)
        return err_set(e, EINVAL, "there is no key '%s': did you mean '%s'?", text_show(name, strlen(name)).s, best);
    return err_set(e, EINVAL, "there is no key '%s' to set: known are%s", text_show(name, strlen(name)).s, known);
}

int config_set_parse(struct config_set *set, const char *key, const char *value, unsigned *ret_key, struct err *e)
{
    const struct config_key *k = config_key_find(CONFIG_SECTION_GUEST, key, strlen(key));
    uint64_t number = 0;
    bool is_share;
    int r;

    if (!k)
        return refuse_key(key, e);
    if (!is_settable(k))
        return err_set(e, EINVAL, "key '%s' can't be set at run time: write it into the configuration, then reload", key);
    *ret_key = k->id;
    if (!value[0]) {
        set->set &= ~(1U << k->id);
        set->number[k->id] = 0;
        return 0;
    }
    r = config_value_parse(k, value, strlen(value), &number, &is_share, e);
    if (r < 0)
        return err_wrap(e, "key '%s'", key);
    set->set |= 1U << k->id;
    set->number[k->id] = number;
    return 0;
}

void config_guest_with(const struct config *config, const char *name, const struct config_set *saved,
                       const struct config_set *set, struct guest_config *ret)
{
    config_store_merge(config->store, config_store_match(config->store, name), ret);
    if (saved)
        config_store_apply(saved->set, saved->number, ret);
    if (set)
        config_store_apply(set->set, set->number, ret);
}

int config_guest_check(const struct config *config, const char *name, const struct guest_config *g, struct err *e)
{
    return config_check_guest(config->store, &config->host, name, g, e);
}

void config_value_text(unsigned guest_key, uint64_t value, char to[CONFIG_VALUE_TEXT_SIZE])
{
    const struct config_key *k = config_key_get(CONFIG_SECTION_GUEST, guest_key);
    const struct config_choice *c = k->choices;

    switch (k->type) {
    case CONFIG_SIZE:
        (void)snprintf(to, CONFIG_VALUE_TEXT_SIZE, "%s", units_show_size_exact(value << 10).s);
        return;
    case CONFIG_SHARE:
        (void)snprintf(to, CONFIG_VALUE_TEXT_SIZE, "%s", units_show_share(value).s);
        return;
    case CONFIG_CHOICE:
        while (c->name && c->value != value)
            c++;
        (void)snprintf(to, CONFIG_VALUE_TEXT_SIZE, "%s", c->name ? c->name : "");
        return;
    default:
        (void)snprintf(to, CONFIG_VALUE_TEXT_SIZE, "%" PRIu64, value);
        return;
    }
}

void config_guest_value_text(unsigned guest_key, const struct guest_config *g, char to[CONFIG_VALUE_TEXT_SIZE])
{
    uint64_t value = config_store_value(guest_key, g);

    if (value || config_key_get(CONFIG_SECTION_GUEST, guest_key)->type != CONFIG_SIZE)
        config_value_text(guest_key, value, to);
    else
        (void)snprintf(to, CONFIG_VALUE_TEXT_SIZE, "as found");
}

const char *config_saved_at(const struct config *config, size_t i, struct config_set *ret)
{
    const struct config_entry *entry = i < config->store->saved_count ? &config->store->saved[i] : NULL;

    if (!entry)
        return NULL;
    ret->set = entry->values.set;
    memcpy(ret->number, entry->values.number, sizeof(ret->number));
    return entry->name;
}

int config_set_path(const struct config *config, char *ret, struct err *e)
{
    const char *slash = strrchr(config->path, '/');
    int length = snprintf(ret, PATHS_SIZE, "%.*sguests.d/" CONFIG_SET_FILE, slash ? (int)(slash - config->path) + 1 : 0,
                          config->path);

    return length < PATHS_SIZE ? 0 : err_set(e, ENAMETOOLONG, "the path of '%s' beside '%.100s...' is too long",
                                             CONFIG_SET_FILE, config->path);
}

void config_set_contradiction(const struct config *config, const char *name, const struct config_set *set, char *to,
                              size_t size)
{
    const struct config_store *s = config->store;
    const struct config_entry *entry = config_store_match(s, name);

    to[0] = '\0';
    if (!entry || entry->is_pattern)
        return;
    for (unsigned id = 0; id < CONFIG_GUEST_KEYS; id++) {
        const struct config_place *place = &entry->values.place[id];
        char text[CONFIG_VALUE_TEXT_SIZE];

        if (!(set->set & entry->values.set & (1U << id)) || set->number[id] == entry->values.number[id])
            continue;
        config_value_text(id, entry->values.number[id], text);
        (void)snprintf(to, size, "key '%s' of guest '%s' is %s in %s:%u; what was set holds", config_key_get(
                       CONFIG_SECTION_GUEST, id)->name, name, text, s->files[place->file], place->line);
        return;
    }
}
