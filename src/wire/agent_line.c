/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_line.h"

#include <errno.h>
#include <string.h>

#include "text.h"

#define BIT(verb) (1u << (verb))

static const char *const agent_verbs[AGENT_VERB_COUNT] = {
    [AGENT_VERB_HELLO] = "hello",         [AGENT_VERB_SAMPLE] = "sample",       [AGENT_VERB_PONG] = "pong",
    [AGENT_VERB_PING] = "ping",           [AGENT_VERB_ASK] = "ask",             [AGENT_VERB_WATERMARK] = "watermark",
    [AGENT_VERB_HEARTBEAT] = "heartbeat", [AGENT_VERB_STATUS] = "status",
};

static const char *const agent_whys[AGENT_WHY_COUNT] = {
    [AGENT_WHY_HEARTBEAT] = "heartbeat", [AGENT_WHY_WATERMARK] = "watermark", [AGENT_WHY_FALL] = "fall",
    [AGENT_WHY_PRESSURE] = "pressure",   [AGENT_WHY_STALL] = "stall",         [AGENT_WHY_ASKED] = "asked",
};

enum agent_unit {
    AGENT_UNIT_COUNTER, /* any 64-bit number but the last: that one means unset */
    AGENT_UNIT_KIB,
    AGENT_UNIT_WHY,
};

#define SAMPLE BIT(AGENT_VERB_SAMPLE)
#define STATUS BIT(AGENT_VERB_STATUS)

/* The verbs a key belongs to and those that are worth nothing without it. */
static const struct agent_key_rule {
    const char *name;
    enum agent_unit unit;
    unsigned verbs;
    unsigned required;
} agent_keys[AGENT_KEY_COUNT] = {
    [AGENT_KEY_VERSION] = {"version", AGENT_UNIT_COUNTER, BIT(AGENT_VERB_HELLO), BIT(AGENT_VERB_HELLO)},
    [AGENT_KEY_SEQ] = {"seq", AGENT_UNIT_COUNTER, SAMPLE, SAMPLE},
    [AGENT_KEY_WHY] = {"why", AGENT_UNIT_WHY, SAMPLE, 0},
    [AGENT_KEY_TIME] = {"time", AGENT_UNIT_COUNTER, SAMPLE | BIT(AGENT_VERB_PING) | BIT(AGENT_VERB_PONG),
                        SAMPLE | BIT(AGENT_VERB_PING) | BIT(AGENT_VERB_PONG)},
    [AGENT_KEY_GUEST_TIME] = {"guest_time", AGENT_UNIT_COUNTER, BIT(AGENT_VERB_PONG), BIT(AGENT_VERB_PONG)},
    [AGENT_KEY_MEM_TOTAL] = {"mem_total", AGENT_UNIT_KIB, SAMPLE, SAMPLE},
    [AGENT_KEY_MEM_FREE] = {"mem_free", AGENT_UNIT_KIB, SAMPLE, SAMPLE},
    [AGENT_KEY_MEM_AVAILABLE] = {"mem_available", AGENT_UNIT_KIB, SAMPLE, 0},
    [AGENT_KEY_BALLOON] = {"balloon", AGENT_UNIT_KIB, SAMPLE, 0},
    [AGENT_KEY_KERNEL_FREE] = {"kernel_free", AGENT_UNIT_KIB, SAMPLE, 0},
    [AGENT_KEY_CACHE] = {"cache", AGENT_UNIT_KIB, SAMPLE, 0},
    [AGENT_KEY_SHMEM] = {"shmem", AGENT_UNIT_KIB, SAMPLE, 0},
    [AGENT_KEY_ANON] = {"anon", AGENT_UNIT_KIB, SAMPLE, 0},
    [AGENT_KEY_DIRTY] = {"dirty", AGENT_UNIT_KIB, SAMPLE, 0},
    [AGENT_KEY_COMMITTED] = {"committed", AGENT_UNIT_KIB, SAMPLE, 0},
    [AGENT_KEY_COMMIT_LIMIT] = {"commit_limit", AGENT_UNIT_KIB, SAMPLE, 0},
    [AGENT_KEY_SWAP_TOTAL] = {"swap_total", AGENT_UNIT_KIB, SAMPLE, 0},
    [AGENT_KEY_SWAP_FREE] = {"swap_free", AGENT_UNIT_KIB, SAMPLE, 0},
    [AGENT_KEY_SWAPPED_IN] = {"swapped_in", AGENT_UNIT_KIB, SAMPLE, 0},
    [AGENT_KEY_SWAPPED_OUT] = {"swapped_out", AGENT_UNIT_KIB, SAMPLE, 0},
    [AGENT_KEY_REFAULTED] = {"refaulted", AGENT_UNIT_KIB, SAMPLE, 0},
    [AGENT_KEY_PSI_SOME] = {"psi_some", AGENT_UNIT_COUNTER, SAMPLE, 0},
    [AGENT_KEY_PSI_FULL] = {"psi_full", AGENT_UNIT_COUNTER, SAMPLE, 0},
    [AGENT_KEY_OOM_KILLS] = {"oom_kills", AGENT_UNIT_COUNTER, SAMPLE, 0},
    [AGENT_KEY_SIZE] = {"size", AGENT_UNIT_KIB, BIT(AGENT_VERB_WATERMARK), BIT(AGENT_VERB_WATERMARK)},
    [AGENT_KEY_INTERVAL] = {"interval", AGENT_UNIT_COUNTER, BIT(AGENT_VERB_HEARTBEAT), BIT(AGENT_VERB_HEARTBEAT)},
    [AGENT_KEY_LENT] = {"lent", AGENT_UNIT_KIB, STATUS, STATUS},
    [AGENT_KEY_ASSIGNED] = {"assigned", AGENT_UNIT_KIB, STATUS, 0},
    [AGENT_KEY_MAXIMUM] = {"maximum", AGENT_UNIT_KIB, STATUS, 0},
};

/* The one key whose value goes to the end of the line. */
static const char agent_text_key[] = "text=";
#define TEXT_VERBS (BIT(AGENT_VERB_HELLO) | STATUS)

const char *agent_verb_name(enum agent_verb verb)
{
    return (unsigned)verb < AGENT_VERB_COUNT ? agent_verbs[verb] : NULL;
}

const char *agent_key_name(enum agent_key key)
{
    return (unsigned)key < AGENT_KEY_COUNT ? agent_keys[key].name : NULL;
}

const char *agent_why_name(enum agent_why why)
{
    return (unsigned)why < AGENT_WHY_COUNT ? agent_whys[why] : NULL;
}

bool agent_verb_is_guests(enum agent_verb verb)
{
    return verb == AGENT_VERB_HELLO || verb == AGENT_VERB_SAMPLE || verb == AGENT_VERB_PONG;
}

bool agent_verb_is_hosts(enum agent_verb verb)
{
    return verb == AGENT_VERB_HELLO || ((unsigned)verb < AGENT_VERB_COUNT && !agent_verb_is_guests(verb));
}

void agent_message_init(struct agent_message *m, enum agent_verb verb)
{
    m->verb = verb;
    for (size_t i = 0; i < AGENT_KEY_COUNT; i++)
        m->value[i] = AGENT_UNSET;
    m->text[0] = '\0';
}

static bool agent_word_is(const char *word, size_t len, const char *name)
{
    return strlen(name) == len && memcmp(word, name, len) == 0;
}

/* Control characters nowhere; bytes beyond ASCII only behind text=, where people's words stand. */
static int agent_check_bytes(const char *buf, size_t len, size_t text_at, struct err *e)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)buf[i];

        if (c < 0x20 || c == 0x7f || (c >= 0x80 && i < text_at))
            return err_set(e, EBADMSG, "byte 0x%02x in a line of text ('%s')", c, text_show(buf, len).s);
    }
    return 0;
}

/* Where the value of text= starts; len: nowhere. */
static size_t agent_find_text(const char *buf, size_t len)
{
    const size_t key = sizeof(agent_text_key) - 1;

    for (size_t i = 1; i + key <= len; i++)
        if (buf[i - 1] == ' ' && memcmp(buf + i, agent_text_key, key) == 0)
            return i + key;
    return len;
}

static int agent_parse_number(const char *word, size_t len, const struct agent_key_rule *rule, uint64_t *ret,
                              struct err *e)
{
    size_t at = strlen(rule->name) + 1;
    uint64_t most = rule->unit == AGENT_UNIT_KIB ? AGENT_KIB_MAX : AGENT_UNSET - 1;
    uint64_t value = 0;

    if (at < len && word[at] == '-')
        return err_set(e, ERANGE, "'%s' is negative", text_show(word, len).s);
    if (at == len)
        return err_set(e, EBADMSG, "'%s' has no value", rule->name);
    for (; at < len; at++) {
        if (word[at] < '0' || word[at] > '9')
            return err_set(e, EBADMSG, "'%s' is no whole number", text_show(word, len).s);
        uint64_t digit = (uint64_t)(word[at] - '0');
        if (value > (most - digit) / 10)
            return err_set(e, ERANGE, "'%s' is impossible: more than %llu", text_show(word, len).s,
                           (unsigned long long)most);
        value = value * 10 + digit;
    }
    *ret = value;
    return 0;
}

static int agent_parse_why(const char *value, size_t len, uint64_t *ret)
{
    for (size_t i = 0; i < AGENT_WHY_COUNT; i++)
        if (agent_word_is(value, len, agent_whys[i]))
            *ret = i;
    return 0; /* a reason of a newer agent: the sample counts all the same */
}

/* One word behind the verb. `seen`: which keys the line had so far, also those whose value stays unset. */
static int agent_parse_word(const char *word, size_t len, struct agent_message *m, uint64_t *seen, struct err *e)
{
    const char *equals = memchr(word, '=', len);

    if (!equals || equals == word)
        return err_set(e, EBADMSG, "'%s' is no key=value: half a line?", text_show(word, len).s);
    for (size_t i = 0; i < AGENT_KEY_COUNT; i++) {
        const struct agent_key_rule *rule = &agent_keys[i];

        if (!(rule->verbs & BIT(m->verb)) || !agent_word_is(word, (size_t)(equals - word), rule->name))
            continue;
        if (*seen & (1ULL << i))
            return err_set(e, EBADMSG, "'%s' stands twice in one line", rule->name);
        *seen |= 1ULL << i;
        if (rule->unit == AGENT_UNIT_WHY)
            return agent_parse_why(equals + 1, len - (size_t)(equals + 1 - word), &m->value[i]);
        return agent_parse_number(word, len, rule, &m->value[i], e);
    }
    return 0; /* of a newer peer */
}

static int agent_check_pair(const struct agent_message *m, enum agent_key small, enum agent_key large, struct err *e)
{
    uint64_t s = m->value[small];
    uint64_t l = m->value[large];

    if (s == AGENT_UNSET || l == AGENT_UNSET || s <= l)
        return 0;
    return err_set(e, ERANGE, "'%s=%llu' is impossible: more than '%s=%llu'", agent_keys[small].name,
                   (unsigned long long)s, agent_keys[large].name, (unsigned long long)l);
}

static int agent_check_message(const struct agent_message *m, struct err *e)
{
    int r = 0;

    for (size_t i = 0; i < AGENT_KEY_COUNT; i++)
        if (agent_keys[i].required & BIT(m->verb) && m->value[i] == AGENT_UNSET)
            return err_set(e, EBADMSG, "'%s' without '%s': half a line?", agent_verbs[m->verb], agent_keys[i].name);
    if (m->verb == AGENT_VERB_HELLO && m->value[AGENT_KEY_VERSION] != AGENT_PROTOCOL_VERSION)
        return err_set(e, EPROTONOSUPPORT,
                       "protocol version %llu, this side speaks version %d: install ballast-agent and ballastd of the "
                       "same release",
                       (unsigned long long)m->value[AGENT_KEY_VERSION], AGENT_PROTOCOL_VERSION);
    if (m->verb == AGENT_VERB_HEARTBEAT && (m->value[AGENT_KEY_INTERVAL] < AGENT_INTERVAL_MIN_USEC ||
                                            m->value[AGENT_KEY_INTERVAL] > AGENT_INTERVAL_MAX_USEC))
        return err_set(e, ERANGE, "'interval=%llu' is impossible: %llu to %llu microseconds are allowed",
                       (unsigned long long)m->value[AGENT_KEY_INTERVAL], AGENT_INTERVAL_MIN_USEC,
                       AGENT_INTERVAL_MAX_USEC);
    if (m->verb != AGENT_VERB_SAMPLE)
        return 0;
    r = agent_check_pair(m, AGENT_KEY_MEM_FREE, AGENT_KEY_MEM_TOTAL, e);
    if (r == 0)
        r = agent_check_pair(m, AGENT_KEY_MEM_AVAILABLE, AGENT_KEY_MEM_TOTAL, e);
    if (r == 0)
        r = agent_check_pair(m, AGENT_KEY_SWAP_FREE, AGENT_KEY_SWAP_TOTAL, e);
    return r;
}

static int agent_parse_verb(const char *word, size_t len, struct agent_message *m, struct err *e)
{
    if (len == 0)
        return err_set(e, EBADMSG, "an empty line, or one that starts with a blank");
    for (size_t i = 0; i < AGENT_VERB_COUNT; i++)
        if (agent_word_is(word, len, agent_verbs[i])) {
            agent_message_init(m, (enum agent_verb)i);
            return 0;
        }
    return err_set(e, EPROTO, "'%s' is no message of this protocol", text_show(word, len).s);
}

static size_t agent_word_length(const char *buf, size_t len)
{
    const char *blank = memchr(buf, ' ', len);

    return blank ? (size_t)(blank - buf) : len;
}

static int agent_take_text(struct agent_message *m, const char *text, size_t len, struct err *e)
{
    if (!(TEXT_VERBS & BIT(m->verb)))
        return 0; /* of a newer peer */
    if (len >= sizeof(m->text))
        return err_set(e, EMSGSIZE, "a text of %zu bytes: %zu are the most", len, sizeof(m->text) - 1);
    memcpy(m->text, text, len);
    m->text[len] = '\0';
    return 0;
}

int agent_line_parse(const char *buf, size_t len, struct agent_message *ret, struct err *e)
{
    struct agent_message m;
    uint64_t seen = 0;
    int r = 0;

    if (len >= AGENT_LINE_MAX)
        return err_set(e, EMSGSIZE, "a line of %zu bytes or more: %d are the most", len, AGENT_LINE_MAX - 1);
    size_t text = agent_find_text(buf, len);
    size_t end = text < len ? text - (sizeof(agent_text_key) - 1) : len;
    r = agent_check_bytes(buf, len, text, e);
    if (r < 0)
        return r;
    size_t at = agent_word_length(buf, end);
    r = agent_parse_verb(buf, at, &m, e);
    while (r == 0 && at < end) {
        size_t word = buf[at] == ' ' ? 0 : agent_word_length(buf + at, end - at);

        if (word > 0)
            r = agent_parse_word(buf + at, word, &m, &seen, e);
        at += word > 0 ? word : 1;
    }
    if (r == 0 && text < len)
        r = agent_take_text(&m, buf + text, len - text, e);
    if (r == 0)
        r = agent_check_message(&m, e);
    if (r == 0)
        *ret = m;
    return r;
}

/* Where the printer is; `full` once something did not fit. */
struct agent_out {
    char *buf;
    size_t used, size;
    bool full;
};

static void agent_put(struct agent_out *out, const char *data, size_t len)
{
    if (len > out->size - out->used) {
        out->full = true;
        return;
    }
    memcpy(out->buf + out->used, data, len);
    out->used += len;
}

static void agent_put_name(struct agent_out *out, const char *name)
{
    agent_put(out, " ", 1);
    agent_put(out, name, strlen(name));
    agent_put(out, "=", 1);
}

/* Without printf: this runs in a guest that has no memory left, and printf may want some. */
static void agent_put_number(struct agent_out *out, uint64_t value)
{
    char digits[20];
    size_t n = sizeof(digits);

    do {
        digits[--n] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    agent_put(out, digits + n, sizeof(digits) - n);
}

static void agent_put_text(struct agent_out *out, const char *text)
{
    for (const char *p = text; *p; p++)
        agent_put(out, (unsigned char)*p < 0x20 || *p == 0x7f ? "?" : p, 1);
}

int agent_line_print(const struct agent_message *m, char *buf, size_t size)
{
    struct agent_out out = {.buf = buf, .size = size < AGENT_LINE_MAX ? size : AGENT_LINE_MAX};

    if ((unsigned)m->verb >= AGENT_VERB_COUNT)
        return -EMSGSIZE;
    agent_put(&out, agent_verbs[m->verb], strlen(agent_verbs[m->verb]));
    for (size_t i = 0; i < AGENT_KEY_COUNT; i++) {
        const struct agent_key_rule *rule = &agent_keys[i];

        if (!(rule->verbs & BIT(m->verb)) || m->value[i] == AGENT_UNSET)
            continue;
        if (rule->unit == AGENT_UNIT_WHY && m->value[i] >= AGENT_WHY_COUNT)
            continue;
        agent_put_name(&out, rule->name);
        if (rule->unit == AGENT_UNIT_WHY)
            agent_put(&out, agent_whys[m->value[i]], strlen(agent_whys[m->value[i]]));
        else
            agent_put_number(&out, m->value[i]);
    }
    if (TEXT_VERBS & BIT(m->verb) && m->text[0]) {
        agent_put_name(&out, "text");
        agent_put_text(&out, m->text);
    }
    agent_put(&out, "\n", 1);
    return out.full ? -EMSGSIZE : (int)out.used;
}
