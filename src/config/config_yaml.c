/* SPDX-License-Identifier: Apache-2.0 */
#include "config_read.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#include "config_list.h"

/* Events instead of a document: nothing is kept, so a hostile text costs its length and no more. */
struct survey {
    size_t documents, depth, anchors, aliases;
};

static struct config_place place_of(const struct config_reader *r, yaml_mark_t mark)
{
    return (struct config_place){r->file, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

/* libyaml tells where a wrong character stands as an offset only. */
static struct config_place place_of_offset(const struct config_reader *r, const char *text, size_t len, size_t offset)
{
    struct config_place place = {r->file, 1, 1};

    for (size_t i = 0; i < offset && i < len; i++) {
        place.column++;
        if (text[i] == '\n') {
            place.line++;
            place.column = 1;
        }
    }
    return place;
}

/* A tab in front of a line's first word: YAML's most common mistake, and libyaml's least helpful sentence. */
static bool is_tab_indented(const char *text, size_t len, size_t line)
{
    const char *end = text + len;

    for (; line > 0 && text; line--) {
        text = memchr(text, '\n', (size_t)(end - text));
        text = text ? text + 1 : NULL;
    }
    while (text && text < end && *text == ' ')
        text++;
    return text && text < end && *text == '\t';
}

void config_yaml_refuse(struct config_reader *r, const struct yaml_parser_s *parser, const char *text, size_t len)
{
    const char *what = parser->problem ? parser->problem : "unreadable";
    struct config_place place = place_of(r, parser->problem_mark);

    if (parser->error == YAML_READER_ERROR)
        place = place_of_offset(r, text, len, parser->problem_offset);
    if (parser->error == YAML_MEMORY_ERROR)
        config_list_add(r->problems, r->store, (struct config_place){.file = r->file}, ENOMEM, "no memory to read it");
    else if (parser->error == YAML_SCANNER_ERROR && is_tab_indented(text, len, parser->problem_mark.line))
        config_list_add(r->problems, r->store, place, EINVAL, "a tab stands here: indent with blanks only");
    else if (parser->error == YAML_READER_ERROR)
        config_list_add(r->problems, r->store, place, EINVAL, "this is not text: %s; write it in UTF-8", what);
    else
        config_list_add(r->problems, r->store, place, EINVAL,
                        "this is not YAML: %s%s%s; look for a missing colon, quote or blank here or in the line before",
                        what, parser->context ? " " : "", parser->context ? parser->context : "");
}

static bool refuse(struct config_reader *r, yaml_mark_t mark, const char *what, int limit, const char *instead)
{
    config_list_add(r->problems, r->store, place_of(r, mark), EINVAL, "more than %d %s: %s", limit, what, instead);
    return false;
}

/* One event; false: refused. */
static bool see_event(struct config_reader *r, struct survey *s, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL;

    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++s->documents > 1) {
            config_list_add(r->problems, r->store, place_of(r, event->start_mark), EINVAL,
                            "a second YAML document begins here ('---'): put everything into one");
            return false;
        }
        return true;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        s->depth--;
        return true;
    case YAML_MAPPING_START_EVENT:
        s->depth++;
        anchor = event->data.mapping_start.anchor;
        break;
    case YAML_SEQUENCE_START_EVENT:
        s->depth++;
        anchor = event->data.sequence_start.anchor;
        break;
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        break;
    case YAML_ALIAS_EVENT:
        s->aliases++;
        break;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    }
    s->anchors += anchor != NULL;
    if (s->depth > CONFIG_NESTING_MAX)
        return refuse(r, event->start_mark, "levels of nesting", CONFIG_NESTING_MAX,
                      "no key of ballast lies so deep");
    if (s->anchors > CONFIG_ANCHORS_MAX)
        return refuse(r, event->start_mark, "anchors ('&name')", CONFIG_ANCHORS_MAX,
                      "use 'defaults' or a pattern instead");
    if (s->aliases > CONFIG_ALIASES_MAX)
        return refuse(r, event->start_mark, "aliases ('*name')", CONFIG_ALIASES_MAX,
                      "use 'defaults' or a pattern instead");
    return true;
}

/* Tag directives are compared with each other one by one while reading, before any event tells of them. */
static bool has_directive(const char *text, size_t len)
{
    for (const char *line = text; line && line < text + len;) {
        if (*line == '%')
            return true;
        line = memchr(line, '\n', (size_t)(text + len - line));
        line = line ? line + 1 : NULL;
    }
    return false;
}

bool config_yaml_survey(struct config_reader *r, const char *text, size_t len)
{
    struct survey s = {0};
    yaml_parser_t parser;
    bool is_fine = true;

    if (has_directive(text, len)) {
        config_list_add(r->problems, r->store, (struct config_place){.file = r->file}, EINVAL,
                        "a line begins with '%%': YAML directives are not used here, and a value such as '20 %%' begins with "
                        "its number");
        return false;
    }
    if (!yaml_parser_initialize(&parser)) {
        config_list_add(r->problems, r->store, (struct config_place){.file = r->file}, ENOMEM, "no memory to read it");
        return false;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    for (bool is_end = false; is_fine && !is_end;) {
        yaml_event_t event;

        if (!yaml_parser_parse(&parser, &event)) {
            config_yaml_refuse(r, &parser, text, len);
            is_fine = false;
            break;
        }
        is_end = event.type == YAML_STREAM_END_EVENT;
        is_fine = see_event(r, &s, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return is_fine;
}
