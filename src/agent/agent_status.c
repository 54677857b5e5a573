/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "text.h"
#include "units.h"

void agent_status_print(const struct agent_status *s, char buf[AGENT_STATUS_SIZE])
{
    int used = snprintf(buf, AGENT_STATUS_SIZE, "agent pid=%d connected=%d heard=%llu\n", (int)s->pid,
                        s->connected ? 1 : 0, (unsigned long long)s->heard_usec);

    if (s->heard_usec) {
        int len = agent_line_print(&s->said, buf + used, AGENT_STATUS_SIZE - (size_t)used);
        used += len > 0 ? len : 0;
    }
    memset(buf + used, '\n', AGENT_STATUS_SIZE - (size_t)used);
}

int agent_status_parse(const char *buf, size_t len, struct agent_status *ret, struct err *e)
{
    struct agent_status s = {0};
    char head[128] = "";
    unsigned long long heard = 0;
    int pid = 0;
    int connected = 0;
    const char *end = memchr(buf, '\n', len);

    if (!end || (size_t)(end - buf) >= sizeof(head))
        return err_set(e, EBADMSG, "it was not written by ballast-agent");
    memcpy(head, buf, (size_t)(end - buf));
    if (sscanf(head, "agent pid=%9d connected=%1d heard=%20llu", &pid, &connected, &heard) != 3)
        return err_set(e, EBADMSG, "it was not written by ballast-agent ('%s')", text_show(head, strlen(head)).s);
    s.pid = (pid_t)pid;
    s.connected = connected != 0;
    s.heard_usec = heard;
    agent_message_init(&s.said, AGENT_VERB_STATUS);
    if (s.heard_usec) {
        const char *line = end + 1;
        const char *line_end = memchr(line, '\n', len - (size_t)(line - buf));
        int r = agent_line_parse(line, line_end ? (size_t)(line_end - line) : 0, &s.said, e);
        if (r < 0)
            return r;
        if (s.said.verb != AGENT_VERB_STATUS)
            return err_set(e, EBADMSG, "it holds no status");
    }
    *ret = s;
    return 0;
}

static int tell_lent(const struct agent_status *s, char *buf, size_t size)
{
    const uint64_t *v = s->said.value;
    struct units_text lent = units_show_kib(v[AGENT_KEY_LENT]);
    const char *why = s->said.text[0] ? s->said.text : "the host did not say";

    if (v[AGENT_KEY_ASSIGNED] == AGENT_UNSET)
        return snprintf(buf, size, "lent to the host: %s\nwhy: %s\n", lent.s, why);
    struct units_text whole = units_show_kib(v[AGENT_KEY_ASSIGNED] + v[AGENT_KEY_LENT]);
    if (v[AGENT_KEY_LENT] == 0)
        return snprintf(buf, size, "lent to the host: nothing, this guest has all its %s\nwhy: %s\n", whole.s, why);
    return snprintf(buf, size, "lent to the host: %s of %s\nwhy: %s\n", lent.s, whole.s, why);
}

int agent_status_tell(const struct agent_status *s, bool running, uint64_t now_usec, char *buf, size_t size)
{
    char lent[AGENT_TEXT_SIZE + 128] = "lent to the host: not known, it has not said so\n";
    char most[64] = "";
    char heard[96] = "";
    const char *state = "connected to the host";

    if (s->heard_usec) {
        (void)tell_lent(s, lent, sizeof(lent));
        uint64_t age = now_usec > s->heard_usec ? now_usec - s->heard_usec : 0;
        (void)snprintf(heard, sizeof(heard), "said by the host: %s ago\n", units_show_time(age).s);
        if (s->said.value[AGENT_KEY_MAXIMUM] != AGENT_UNSET)
            (void)snprintf(most, sizeof(most), "it can have up to: %s\n",
                           units_show_kib(s->said.value[AGENT_KEY_MAXIMUM]).s);
    }
    if (!running)
        state = "not running: start it with `systemctl start ballast-agent`, or by hand";
    else if (!s->connected)
        state = "running, but nobody on the host listens: ballastd does not run, or does not know this guest";
    return snprintf(buf, size, "%s%s%sagent: %s\n", lent, most, heard, state);
}
