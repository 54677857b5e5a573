/* SPDX-License-Identifier: Apache-2.0 */
#include "proc_text.h"

#include <string.h>

/* Next line of the text, without its newline; false at the end. */
static bool line_next(const char **text, size_t *len, const char **ret_line, size_t *ret_len)
{
    if (*len == 0)
        return false;
    const char *end = memchr(*text, '\n', *len);
    size_t part = end ? (size_t)(end - *text) : *len;
    size_t taken = part + (end ? 1 : 0);

    *ret_line = *text;
    *ret_len = part;
    *text += taken;
    *len -= taken;
    return true;
}

/* A decimal number behind blanks; false where there is none or it does not fit. */
static bool number_read(const char *text, size_t len, uint64_t *ret)
{
    size_t at = 0;
    uint64_t value = 0;

    while (at < len && text[at] == ' ')
        at++;
    if (at == len || text[at] < '0' || text[at] > '9')
        return false;
    for (; at < len && text[at] >= '0' && text[at] <= '9'; at++)
        if (__builtin_mul_overflow(value, 10ULL, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[at] - '0'), &value))
            return false;
    *ret = value;
    return true;
}

/* "name value" or "name: value kB": true if the line is about `name`. */
static bool line_is(const char *line, size_t len, const char *name, uint64_t *ret)
{
    size_t n = strlen(name);

    if (len <= n || memcmp(line, name, n) != 0 || (line[n] != ':' && line[n] != ' '))
        return false;
    return number_read(line + n + 1, len - n - 1, ret);
}

struct proc_field {
    const char *name;
    enum agent_key key;
    bool add; /* to what the key has already */
};

static void field_set(const struct proc_field *field, uint64_t kib, struct agent_message *m)
{
    uint64_t *value = &m->value[field->key];

    if (kib > AGENT_KIB_MAX)
        return;
    *value = field->add && *value != AGENT_UNSET ? *value + kib : kib;
}

void proc_text_meminfo(const char *text, size_t len, struct agent_message *m)
{
    static const struct proc_field fields[] = {
        {"MemTotal", AGENT_KEY_MEM_TOTAL, false},
        {"MemFree", AGENT_KEY_MEM_FREE, false},
        {"MemAvailable", AGENT_KEY_MEM_AVAILABLE, false},
        {"Buffers", AGENT_KEY_CACHE, true},
        {"Cached", AGENT_KEY_CACHE, true},
        {"Shmem", AGENT_KEY_SHMEM, false},
        {"AnonPages", AGENT_KEY_ANON, false},
        {"Dirty", AGENT_KEY_DIRTY, false},
        {"Committed_AS", AGENT_KEY_COMMITTED, false},
        {"CommitLimit", AGENT_KEY_COMMIT_LIMIT, false},
        {"SwapTotal", AGENT_KEY_SWAP_TOTAL, false},
        {"SwapFree", AGENT_KEY_SWAP_FREE, false},
    };
    const char *line = NULL;
    size_t n = 0;
    uint64_t value = 0;

    while (line_next(&text, &len, &line, &n))
        for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
            if (line_is(line, n, fields[i].name, &value)) {
                field_set(&fields[i], value, m);
                break;
            }
}

bool proc_text_available(const char *text, size_t len, uint64_t *ret_total_kib, uint64_t *ret_free_kib,
                         uint64_t *ret_available_kib)
{
    static const char *const names[] = {"MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached"};
    uint64_t value[5] = {AGENT_UNSET, AGENT_UNSET, AGENT_UNSET, 0, 0};
    const char *line = NULL;
    size_t n = 0;

    /* They are the first lines of the file: no more of it is looked at. */
    for (size_t lines = 0; lines < 8 && value[2] == AGENT_UNSET && line_next(&text, &len, &line, &n); lines++)
        for (size_t i = 0; i < 5; i++)
            if (line_is(line, n, names[i], &value[i]))
                break;
    if (value[0] == AGENT_UNSET || value[1] == AGENT_UNSET || value[0] > AGENT_KIB_MAX)
        return false;
    *ret_total_kib = value[0];
    *ret_free_kib = value[1];
    *ret_available_kib = value[2] != AGENT_UNSET ? value[2] : value[1] + value[3] + value[4];
    return true;
}

void proc_text_vmstat(const char *text, size_t len, uint64_t page_kib, struct agent_message *m)
{
    enum { INFLATE, DEFLATE, IN, OUT, REFAULTED_FILE, REFAULTED, OOM, COUNT };
    static const char *const names[COUNT] = {
        [INFLATE] = "balloon_inflate",
        [DEFLATE] = "balloon_deflate",
        [IN] = "pswpin",
        [OUT] = "pswpout",
        [REFAULTED_FILE] = "workingset_activate_file",
        [REFAULTED] = "workingset_activate", /* before Linux 5.9 */
        [OOM] = "oom_kill",
    };
    uint64_t value[COUNT];
    const char *line = NULL;
    size_t n = 0;

    for (size_t i = 0; i < COUNT; i++)
        value[i] = AGENT_UNSET;
    while (line_next(&text, &len, &line, &n))
        for (size_t i = 0; i < COUNT; i++)
            if (line_is(line, n, names[i], &value[i]))
                break;
    for (size_t i = 0; i < OOM; i++)
        value[i] = value[i] <= AGENT_KIB_MAX / page_kib ? value[i] * page_kib : AGENT_UNSET;
    if (value[INFLATE] != AGENT_UNSET && value[DEFLATE] != AGENT_UNSET && value[INFLATE] >= value[DEFLATE])
        m->value[AGENT_KEY_BALLOON] = value[INFLATE] - value[DEFLATE];
    m->value[AGENT_KEY_SWAPPED_IN] = value[IN];
    m->value[AGENT_KEY_SWAPPED_OUT] = value[OUT];
    m->value[AGENT_KEY_REFAULTED] = value[REFAULTED_FILE] != AGENT_UNSET ? value[REFAULTED_FILE] : value[REFAULTED];
    m->value[AGENT_KEY_OOM_KILLS] = value[OOM];
}

void proc_text_pressure(const char *text, size_t len, struct agent_message *m)
{
    static const char total[] = "total=";
    const char *line = NULL;
    size_t n = 0;

    while (line_next(&text, &len, &line, &n)) {
        const char *at = memmem(line, n, total, sizeof(total) - 1);
        uint64_t value = 0;

        if (!at)
            continue;
        at += sizeof(total) - 1;
        if (!number_read(at, n - (size_t)(at - line), &value))
            continue;
        if (n > 5 && memcmp(line, "some ", 5) == 0)
            m->value[AGENT_KEY_PSI_SOME] = value;
        else if (n > 5 && memcmp(line, "full ", 5) == 0)
            m->value[AGENT_KEY_PSI_FULL] = value;
    }
}

static bool zone_field(const char *line, size_t len, const char *mark, uint64_t *ret)
{
    size_t n = strlen(mark);

    return len > n && memcmp(line, mark, n) == 0 && number_read(line + n, len - n, ret) && *ret <= AGENT_KIB_MAX;
}

/* "Node 0, zone   Normal" -> "Normal". */
static bool zone_name(const char *line, size_t len, const char **ret, size_t *ret_len)
{
    static const char mark[] = ", zone ";
    const char *at = len > 5 && memcmp(line, "Node ", 5) == 0 ? memmem(line, len, mark, sizeof(mark) - 1) : NULL;

    if (!at)
        return false;
    at += sizeof(mark) - 1;
    while (at < line + len && *at == ' ')
        at++;
    *ret = at;
    *ret_len = (size_t)(line + len - at);
    return true;
}

void proc_text_zones(const char *text, size_t len, struct proc_zones *z)
{
    const char *line = NULL;
    const char *name = NULL;
    size_t n = 0;
    size_t name_len = 0;
    uint64_t pages = 0;

    while (line_next(&text, &len, &line, &n)) {
        if (zone_name(line, n, &name, &name_len)) {
            z->kernel = !(name_len == 7 && memcmp(name, "Movable", 7) == 0) &&
                        !(name_len == 6 && memcmp(name, "Device", 6) == 0);
            z->known |= z->kernel;
        } else if (z->kernel && zone_field(line, n, "  pages free ", &pages)) {
            z->free_pages += pages;
        } else if (zone_field(line, n, "        high ", &pages)) {
            z->high_pages += pages;
        }
    }
}

static bool hex_read(const char *text, size_t len, char end, size_t *ret_used, uint64_t *ret)
{
    uint64_t value = 0;
    size_t at = 0;

    for (; at < len && text[at] != end; at++) {
        char c = text[at];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) || at == 16)
            return false;
        value = value * 16 + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (at == 0 || at == len)
        return false;
    *ret_used = at + 1;
    *ret = value;
    return true;
}

bool proc_text_virtio_mem(const char *text, size_t len, unsigned n, uint64_t *ret_first, uint64_t *ret_last)
{
    static const char mark[] = ": System RAM (virtio_mem)";
    const char *line = NULL;
    size_t line_len = 0;

    while (line_next(&text, &len, &line, &line_len)) {
        uint64_t first = 0;
        uint64_t last = 0;
        size_t used = 0;

        if (!memmem(line, line_len, mark, sizeof(mark) - 1))
            continue;
        for (; line_len > 0 && *line == ' '; line++, line_len--)
            ;
        if (!hex_read(line, line_len, '-', &used, &first))
            continue;
        line += used;
        line_len -= used;
        if (!hex_read(line, line_len, ' ', &used, &last) || last < first || n-- > 0)
            continue;
        *ret_first = first;
        *ret_last = last;
        return true;
    }
    return false;
}
