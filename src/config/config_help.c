/* SPDX-License-Identifier: Apache-2.0 */
#include "config_keys.h"

#include <inttypes.h>
#include <string.h>

#include "units.h"

/* "1.25", "1.0" */
static void print_factor(char *text, size_t size, uint64_t thousandths)
{
    uint64_t part = thousandths % 1000;
    int digits = 3;

    while (digits > 1 && part % 10 == 0) {
        part /= 10;
        digits--;
    }
    (void)snprintf(text, size, "%" PRIu64 ".%0*" PRIu64, thousandths / 1000, digits, part);
}

/* "a, b or c" of the main spellings; synonyms are taken, not advertised. */
static void print_choices(char *text, size_t size, const struct config_choice *choices)
{
    size_t count = 0, seen = 0, used = 0;

    for (const struct config_choice *c = choices; c->name; c++)
        count += c->help != NULL;
    text[0] = '\0';
    for (const struct config_choice *c = choices; c->name; c++) {
        if (!c->help)
            continue;
        seen++;
        int n = snprintf(text + used, size - used, "%s%s", seen == 1 ? "" : seen == count ? " or " : ", ", c->name);
        if (n < 0 || (size_t)n >= size - used)
            return; /* cut; a test sees that no list of ours is so long */
        used += (size_t)n;
    }
}

const char *config_allowed_text(const struct config_key *key, char text[CONFIG_KEY_TEXT_SIZE])
{
    const size_t size = CONFIG_KEY_TEXT_SIZE;
    char min[48], max[48];

    switch (key->type) {
    case CONFIG_SIZE:
        (void)snprintf(text, size, "%s to %s", units_show_size_exact(key->min).s, units_show_size_exact(key->max).s);
        break;
    case CONFIG_SIZE_OR_SHARE:
        (void)snprintf(text, size, "%s to %s, or %s to %s", units_show_size_exact(key->min).s,
                       units_show_size_exact(key->max).s, units_show_share(key->share_min).s,
                       units_show_share(key->share_max).s);
        break;
    case CONFIG_SHARE:
        (void)snprintf(text, size, "%s to %s", units_show_share(key->min).s, units_show_share(key->max).s);
        break;
    case CONFIG_FACTOR:
        print_factor(min, sizeof(min), key->min);
        print_factor(max, sizeof(max), key->max);
        (void)snprintf(text, size, "%s to %s", min, max);
        break;
    case CONFIG_INTEGER:
        (void)snprintf(text, size, "%" PRIu64 " to %" PRIu64, key->min, key->max);
        break;
    case CONFIG_TIME:
        (void)snprintf(text, size, "%s to %s", units_show_time_exact(key->min).s, units_show_time_exact(key->max).s);
        break;
    case CONFIG_CHOICE:
        print_choices(text, size, key->choices);
        break;
    case CONFIG_PATH:
        (void)snprintf(text, size, "an absolute path of at most %" PRIu64 " bytes", key->max);
        break;
    case CONFIG_TEXT:
        (void)snprintf(text, size, "one line of at most %" PRIu64 " bytes", key->max);
        break;
    case CONFIG_TYPE_COUNT:
        text[0] = '\0';
        break;
    }
    return text;
}

const char *config_fallback_text(const struct config_key *key, char text[CONFIG_KEY_TEXT_SIZE])
{
    const size_t size = CONFIG_KEY_TEXT_SIZE;

    if (key->fallback_text) {
        (void)snprintf(text, size, "%s", key->fallback_text);
    } else if (key->type == CONFIG_CHOICE) {
        const struct config_choice *c = key->choices;

        while (c->value != key->fallback && c[1].name)
            c++;
        (void)snprintf(text, size, "%s", c->name);
    } else if (key->type == CONFIG_FACTOR) {
        print_factor(text, size, key->fallback);
    } else if (key->type == CONFIG_SHARE) {
        (void)snprintf(text, size, "%s", units_show_share(key->fallback).s);
    } else if (key->type == CONFIG_SIZE || key->type == CONFIG_SIZE_OR_SHARE) {
        (void)snprintf(text, size, "%s", units_show_size_exact(key->fallback << 10).s);
    } else if (key->type == CONFIG_TIME) {
        (void)snprintf(text, size, "%s", units_show_time_exact(key->fallback).s);
    } else {
        (void)snprintf(text, size, "%" PRIu64, key->fallback);
    }
    return text;
}

static const char *const section_titles[CONFIG_SECTION_COUNT] = {
    "host: the host's own memory",
    "discover: where guests are found (a list; each entry has one of these keys, and access)",
    "defaults, and each entry of guests: one guest's memory",
    "notify: a command that is run when something needs a person's eye",
    "backup: live backup",
    "backup.schedules: backups made by themselves (a list; each entry has these keys, and keep)",
    "backup.schedules.keep: which points of a guest stay when a new one is made",
    "api: who may ask ballastd",
};

/* Words of help, broken at 100 columns behind an indent of four. */
static void print_wrapped(FILE *out, const char *text)
{
    size_t column = 0;

    while (*text) {
        size_t word = strcspn(text, " ");

        if (column > 0 && column + word > 96) {
            (void)fputc('\n', out);
            column = 0;
        }
        (void)fprintf(out, "%s%.*s", column == 0 ? "    " : " ", (int)word, text);
        column += word + 1;
        text += word + (text[word] == ' ');
    }
    (void)fputc('\n', out);
}

void config_help_print(FILE *out)
{
    char text[CONFIG_KEY_TEXT_SIZE];

    (void)fputs("Keys of ballast.yaml, section by section; ballast.yaml(5) has examples.\n", out);
    for (unsigned section = 0; section < CONFIG_SECTION_COUNT; section++) {
        (void)fprintf(out, "\n%s\n", section_titles[section]);
        for (size_t i = 0; i < config_key_count; i++) {
            const struct config_key *k = &config_keys[i];

            if (k->section != section)
                continue;
            (void)fprintf(out, "  %s: %s\n", k->name, config_allowed_text(k, text));
            (void)fprintf(out, "    default: %s\n", config_fallback_text(k, text));
            print_wrapped(out, k->help);
        }
    }
    (void)fputs("\nSections known, but not active in this version:\n ", out);
    for (size_t i = 0; i < config_top_count; i++) {
        if (!config_tops[i].is_active)
            (void)fprintf(out, " %s", config_tops[i].name);
    }
    (void)fputc('\n', out);
}

/* Text in roff: hyphens and quotes as they are typed, and no line that begins with a control character. */
static void print_roff(FILE *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\'')
            (void)fputs("\\(aq", out);
        else if (*c == '\\')
            (void)fputs("\\e", out);
        else
            (void)fprintf(out, "%s%s%c", c == text && *c == '.' ? "\\&" : "", *c == '-' ? "\\" : "", *c);
    }
}

static void print_manual_choices(FILE *out, const struct config_choice *choices)
{
    (void)fputs(".RS\n", out);
    for (const struct config_choice *c = choices; c->name; c++) {
        if (!c->help)
            continue;
        (void)fputs(".IP \"\\fB", out);
        print_roff(out, c->name);
        (void)fputs("\\fR\" 12\n", out);
        print_roff(out, c->help);
        (void)fputc('\n', out);
    }
    (void)fputs(".RE\n", out);
}

static void print_manual_key(FILE *out, const struct config_key *k)
{
    char text[CONFIG_KEY_TEXT_SIZE];

    (void)fputs(".TP\n.B ", out);
    print_roff(out, k->name);
    (void)fputc('\n', out);
    print_roff(out, k->help);
    (void)fputs("\n.br\nAllowed: ", out);
    print_roff(out, config_allowed_text(k, text));
    (void)fputs(". Default: ", out);
    print_roff(out, config_fallback_text(k, text));
    (void)fputs(".\n", out);
    if (k->type == CONFIG_CHOICE && strcmp(k->choices[0].name, k->choices[0].help) != 0)
        print_manual_choices(out, k->choices);
}

void config_manual_print(FILE *out)
{
    static const char *const titles[CONFIG_SECTION_COUNT] = {"HOST", "DISCOVER", "DEFAULTS AND GUESTS", "NOTIFY",
                                                             "BACKUP", "BACKUP SCHEDULES", "KEEP", "API"};

    for (unsigned section = 0; section < CONFIG_SECTION_COUNT; section++) {
        (void)fprintf(out, ".SH %s\n", titles[section]);
        for (size_t i = 0; i < config_key_count; i++) {
            if (config_keys[i].section == section)
                print_manual_key(out, &config_keys[i]);
        }
    }
    (void)fputs(".SH \"SECTIONS OF LATER VERSIONS\"\nThese are known by name; a warning says that they do nothing yet.\n",
                out);
    for (size_t i = 0; i < config_top_count; i++) {
        if (config_tops[i].is_active)
            continue;
        (void)fprintf(out, ".TP\n.B %s\n", config_tops[i].name);
        print_roff(out, config_tops[i].help);
        (void)fputc('\n', out);
    }
}
