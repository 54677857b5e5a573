/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_link.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "agent_line.h"
#include "agent_stream.h"
#include "agent_view.h"
#include "own.h"

#define USEC_PER_SEC 1000000ULL

/* Read in one go before others get their turn. */
#define READ_SIZE 16384

/* Most guests without an agent have no socket for one, and never will: asked for less and less often, up to 16 s. */
#define RETRY_DOUBLINGS 3

/* Two asks are this far apart at least: a sample on its way answers both. */
#define ASK_SPACING_USEC 200000ULL

enum link_cause {
    LINK_CAUSE_DENIED,
    LINK_CAUSE_VERSION,
    LINK_CAUSE_NONSENSE,
    LINK_CAUSE_FLOOD,
    LINK_CAUSE_TWO,
    LINK_CAUSE_SILENT,
    LINK_CAUSE_IMPOSSIBLE,
};

struct agent_link {
    struct agent_link_config config;
    char guest[64];
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    int fd;
    struct sd_event_source *io;
    struct sd_event_source *timer;
    unsigned tries;           /* in vain, in a row; no more than RETRY_DOUBLINGS */
    uint32_t told;            /* bits of enum link_cause */
    uint64_t penalty_usec;    /* the last one; 0: none yet */
    uint64_t good_usec;       /* good samples without a complaint since */

    /* this connection */
    struct agent_stream stream;
    struct agent_rate rate;
    bool first_line;          /* none came yet: the first may be the end of one from before */
    bool greeted;             /* the agent said hello */
    bool quiet;               /* it fell silent: nothing is sent that would pile up for whoever comes */

    /* this agent */
    bool heard;               /* lost() is due when it falls silent */
    uint64_t heard_usec;      /* its last good sample */
    uint64_t seq;
    uint64_t view_usec;       /* time of the last view: never runs backwards */
    struct agent_clock clock;
    uint64_t guest_usec;      /* the guest's clock in its last sample, also of an earlier agent */
    uint64_t pinged_usec;     /* of the ping that is out; 0: none */
    uint64_t ping_due_usec;
    uint64_t asked_usec;
    bool paused;              /* the guest, not the agent */

    /* what it is to know */
    bool has_tell;
    struct hv_tell tell;
    bool stale_watermark, stale_heartbeat, stale_status; /* to be sent */
    uint64_t heartbeat_usec;  /* as sent last */
};

static uint64_t link_now(const struct agent_link *l)
{
    uint64_t now = 0;

    (void)sd_event_now(l->config.loop, CLOCK_MONOTONIC, &now); /* fails only after a fork */
    return now;
}

/* The loop's time stands still while an event is handled; a ping wants the real one. */
static uint64_t clock_now(void)
{
    struct timespec t = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* always exists */
    return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

static void link_schedule(struct agent_link *l, uint64_t wait_usec)
{
    (void)sd_event_source_set_time_relative(l->timer, wait_usec); /* fails only after a fork */
    (void)sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT);
}

/* Returns true where it was news. */
__attribute__((format(printf, 4, 5))) static bool link_trouble(struct agent_link *l, enum link_cause cause, int code,
                                                               const char *format, ...)
{
    char text[ERR_TEXT_SIZE];
    struct err e = {0};
    va_list ap;

    if (l->told & 1u << cause)
        return false;
    l->told |= 1u << cause;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof(text), format, ap); /* a cut sentence is better than none */
    va_end(ap);
    (void)err_set(&e, code, "guest '%s': %s", l->guest, text);
    l->config.trouble(l->config.user, &e);
    return true;
}

/* What was said last is over: nobody should read it as if it were so still. */
static void link_over(struct agent_link *l, uint32_t causes)
{
    bool was_told = l->told & causes;

    l->told &= ~causes;
    if (was_told)
        l->config.trouble(l->config.user, &(struct err){0});
}

static void link_lose(struct agent_link *l)
{
    if (!l->heard)
        return;
    l->heard = false;
    l->config.lost(l->config.user);
}

static void link_close(struct agent_link *l, uint64_t wait_usec)
{
    l->io = sd_event_source_disable_unref(l->io);
    if (l->fd >= 0)
        (void)close(l->fd); /* nothing of ours is buffered in it */
    l->fd = -1;
    l->greeted = false;
    link_schedule(l, wait_usec);
    link_lose(l);
}

/* The guest's word can't be taken: it costs the guest its agent for a while, longer each time. */
static void link_punish(struct agent_link *l)
{
    const struct agent_link_times *t = &l->config.times;
    uint64_t next = l->penalty_usec * 2;

    if (next < t->penalty_usec)
        next = t->penalty_usec;
    l->penalty_usec = next < t->penalty_max_usec ? next : t->penalty_max_usec;
    l->good_usec = 0;
    link_close(l, l->penalty_usec);
}

static uint64_t link_interval(const struct agent_link *l)
{
    return l->heartbeat_usec ? l->heartbeat_usec : AGENT_LINK_HEARTBEAT_USEC;
}

/* --- to the agent --- */

static bool link_send(struct agent_link *l, const struct agent_message *m)
{
    char line[AGENT_LINE_MAX];
    int len = agent_line_print(m, line, sizeof(line));

    /* All or nothing: a socket takes a line of this size whole, or nothing of it. */
    return len > 0 && l->fd >= 0 && send(l->fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) == len;
}

static bool link_send_value(struct agent_link *l, enum agent_verb verb, enum agent_key key, uint64_t value)
{
    struct agent_message m;

    agent_message_init(&m, verb);
    m.value[key] = value;
    return link_send(l, &m);
}

static bool link_send_status(struct agent_link *l)
{
    const struct hv_tell *t = &l->tell;
    struct agent_message m;

    agent_message_init(&m, AGENT_VERB_STATUS);
    m.value[AGENT_KEY_LENT] = t->lent_bytes / 1024;
    m.value[AGENT_KEY_ASSIGNED] = t->assigned_bytes / 1024;
    m.value[AGENT_KEY_MAXIMUM] = t->maximum_bytes / 1024;
    _Static_assert(sizeof(t->why) <= sizeof(m.text), "the reason fits the line");
    memcpy(m.text, t->why, sizeof(t->why));
    m.text[sizeof(t->why) - 1] = '\0';
    return link_send(l, &m);
}

static void link_send_stale(struct agent_link *l)
{
    if (!l->greeted || l->quiet || !l->has_tell)
        return;
    if (l->stale_watermark && link_send_value(l, AGENT_VERB_WATERMARK, AGENT_KEY_SIZE, l->tell.watermark_bytes / 1024))
        l->stale_watermark = false;
    if (l->stale_heartbeat &&
        link_send_value(l, AGENT_VERB_HEARTBEAT, AGENT_KEY_INTERVAL, l->tell.heartbeat_usec)) {
        l->stale_heartbeat = false;
        l->heartbeat_usec = l->tell.heartbeat_usec;
    }
    if (l->stale_status && link_send_status(l))
        l->stale_status = false;
}

static void link_ping(struct agent_link *l)
{
    uint64_t now = clock_now();

    l->ping_due_usec = now + l->config.times.ping_usec;
    l->pinged_usec = link_send_value(l, AGENT_VERB_PING, AGENT_KEY_TIME, now) ? now : 0;
}

/* --- from the agent --- */

/* A new agent, or one that heard of us: it knows nothing. */
static void on_hello(struct agent_link *l)
{
    l->greeted = true;
    l->quiet = false;
    l->seq = 0;
    l->clock.known = false;
    l->heartbeat_usec = 0;
    l->stale_watermark = l->stale_heartbeat = l->stale_status = true;
    link_send_stale(l);
    link_ping(l);
}

static void on_pong(struct agent_link *l, const struct agent_message *m)
{
    if (l->pinged_usec == 0 || m->value[AGENT_KEY_TIME] != l->pinged_usec)
        return; /* the answer to a ping of an earlier connection */
    agent_clock_see(&l->clock, l->pinged_usec, m->value[AGENT_KEY_GUEST_TIME], clock_now());
    l->pinged_usec = 0;
}

static void on_sample(struct agent_link *l, const struct agent_message *m)
{
    struct obs_guest_view view;
    uint64_t now = link_now(l);
    uint64_t time = agent_clock_ours(&l->clock, m->value[AGENT_KEY_TIME], now);

    if (m->value[AGENT_KEY_TIME] < l->guest_usec && l->config.booted)
        l->config.booted(l->config.user);
    l->guest_usec = m->value[AGENT_KEY_TIME];
    l->seq = m->value[AGENT_KEY_SEQ];
    l->view_usec = time > l->view_usec ? time : l->view_usec;
    l->heard = true;
    l->heard_usec = now;
    link_over(l, 1u << LINK_CAUSE_SILENT);
    if (l->good_usec == 0)
        l->good_usec = now;
    if (now - l->good_usec >= l->config.times.steady_usec) { /* whatever comes now is news */
        link_over(l, UINT32_MAX);
        l->penalty_usec = 0;
    }
    if (l->quiet) {
        l->quiet = false;
        link_send_stale(l);
    }
    agent_view_fill(m, l->view_usec, now, link_interval(l), &view);
    l->config.view(l->config.user, &view);
}

static void link_complain(struct agent_link *l, enum link_cause cause, int code, const char *what)
{
    (void)link_trouble(l, cause, code, "%s; its agent's port is left alone for a while, balloon statistics are used",
                       what);
    link_punish(l);
}

static void on_refused(struct agent_link *l, const struct err *e)
{
    char what[ERR_TEXT_SIZE];

    if (e->code == EPROTONOSUPPORT) {
        (void)snprintf(what, sizeof(what), "its agent speaks %.400s", e->text);
        link_complain(l, LINK_CAUSE_VERSION, e->code, what);
    } else {
        (void)snprintf(what, sizeof(what), "nonsense came through its agent's port (%.400s)", e->text);
        link_complain(l, LINK_CAUSE_NONSENSE, e->code, what);
    }
}

static void on_line(struct agent_link *l, const struct agent_piece *piece)
{
    struct agent_message m;
    struct err e = {0};
    bool first = l->first_line;
    int r = agent_line_parse(piece->line, piece->len, &m, &e);

    l->first_line = false;
    if (!agent_rate_allow(&l->rate, link_now(l))) {
        link_complain(l, LINK_CAUSE_FLOOD, E2BIG, "its agent's port is flooded with more than 50 lines a second");
        return;
    }
    if (piece->too_long)
        r = err_set(&e, EMSGSIZE, "a line longer than %d bytes", AGENT_LINE_MAX);
    else if (r == 0 && !agent_verb_is_guests(m.verb))
        r = err_set(&e, EPROTO, "'%s', which only the host sends", agent_verb_name(m.verb));
    if (r < 0) {
        if (!first || piece->too_long || e.code == EPROTONOSUPPORT)
            on_refused(l, &e); /* else: the end of a line from before this connection */
        return;
    }
    if (m.verb == AGENT_VERB_HELLO)
        on_hello(l);
    else if (!l->greeted)
        return; /* left over from an earlier conversation */
    else if (m.verb == AGENT_VERB_PONG)
        on_pong(l, &m);
    else if (m.value[AGENT_KEY_SEQ] <= l->seq)
        link_complain(l, LINK_CAUSE_TWO, EPROTO,
                      "two agents seem to write to its port (numbers of samples run backwards)");
    else
        on_sample(l, &m);
}

static int on_io(struct sd_event_source *s, int fd, uint32_t events, void *user)
{
    static char data[READ_SIZE]; /* one loop, one thread; nothing of it is kept */
    struct agent_link *l = user;
    ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

    (void)s;
    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        link_close(l, l->config.times.retry_usec);
        return 0;
    }
    for (size_t at = 0; at < (size_t)n && l->fd >= 0;) {
        struct agent_piece piece;

        at += agent_stream_take(&l->stream, data + at, (size_t)n - at, &piece);
        if (piece.line)
            on_line(l, &piece);
    }
    return 0;
}

/* --- connecting --- */

static int link_open(struct agent_link *l)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    memcpy(address.sun_path, l->path, sizeof(address.sun_path));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    int r = sd_event_add_io(l->config.loop, &l->io, fd, EPOLLIN, on_io, l);
    if (r < 0)
        return r;
    l->fd = fd;
    fd = -1;
    return 0;
}

static void link_connect(struct agent_link *l)
{
    int r = link_open(l);

    if (r == -EACCES || r == -EPERM)
        (void)link_trouble(l, LINK_CAUSE_DENIED, -r, "its agent can't be heard: no permission to connect to '%s'; run "
                           "ballastd as root or as the user of that QEMU", l->path);
    if (r < 0) { /* no such socket, nobody behind it, no descriptor left: later */
        link_schedule(l, l->config.times.retry_usec << l->tries);
        l->tries += l->tries < RETRY_DOUBLINGS ? 1 : 0;
        return;
    }
    l->tries = 0;
    agent_stream_init(&l->stream);
    l->rate = (struct agent_rate){0};
    l->first_line = true;
    (void)link_send_value(l, AGENT_VERB_HELLO, AGENT_KEY_VERSION, AGENT_PROTOCOL_VERSION); /* else silence, seen so */
    link_schedule(l, l->config.times.beat_usec);
}

static void link_beat(struct agent_link *l)
{
    uint64_t now = link_now(l);

    if (l->heard && !l->paused && now > l->heard_usec + 2 * link_interval(l) + l->config.times.slack_usec) {
        l->quiet = true;
        (void)link_trouble(l, LINK_CAUSE_SILENT, ETIMEDOUT,
                           "its agent is silent; balloon statistics are used until it is back");
        link_lose(l);
    }
    if (l->greeted && !l->quiet && now >= l->ping_due_usec)
        link_ping(l);
    link_send_stale(l);
    link_schedule(l, l->config.times.beat_usec);
}

static int on_timer(struct sd_event_source *s, uint64_t usec, void *user)
{
    struct agent_link *l = user;

    (void)s;
    (void)usec;
    if (l->fd < 0)
        link_connect(l);
    else
        link_beat(l);
    return 0;
}

/* --- agent_link.h --- */

int agent_link_new(const struct agent_link_config *config, struct agent_link **ret, struct err *e)
{
    struct agent_link *l = calloc(1, sizeof(*l));
    int r = 0;

    if (!l)
        return err_set(e, ENOMEM, "no memory for the agent of guest '%s'", config->guest);
    l->config = *config;
    l->config.loop = sd_event_ref(config->loop);
    l->fd = -1;
    (void)snprintf(l->guest, sizeof(l->guest), "%s", config->guest);
    if (strlen(config->path) >= sizeof(l->path))
        r = err_set(e, ENAMETOOLONG, "the socket path '%.200s' of guest '%s' is longer than %zu bytes", config->path,
                    config->guest, sizeof(l->path) - 1);
    else
        memcpy(l->path, config->path, strlen(config->path));
    if (r == 0) {
        r = sd_event_add_time_relative(l->config.loop, &l->timer, CLOCK_MONOTONIC, 0, /* accuracy= */ 10000, on_timer,
                                       l);
        if (r < 0)
            r = err_set(e, -r, "no timer for the agent of guest '%s': %s", config->guest, strerror(-r));
    }
    if (r < 0) {
        (void)agent_link_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

struct agent_link *agent_link_free(struct agent_link *l)
{
    if (!l)
        return NULL;
    (void)sd_event_source_disable_unref(l->io);
    (void)sd_event_source_disable_unref(l->timer);
    if (l->fd >= 0)
        (void)close(l->fd); /* as in link_close() */
    (void)sd_event_unref(l->config.loop);
    free(l);
    return NULL;
}

bool agent_link_is_connected(const struct agent_link *l)
{
    return l && l->fd >= 0;
}

bool agent_link_is_heard(const struct agent_link *l)
{
    return l && l->heard;
}

void agent_link_refuse(struct agent_link *l, const char *what)
{
    link_complain(l, LINK_CAUSE_IMPOSSIBLE, ERANGE, what);
}

void agent_link_ask(struct agent_link *l)
{
    struct agent_message m;
    uint64_t now = link_now(l);

    if (!l->greeted || l->quiet || now - l->asked_usec < ASK_SPACING_USEC)
        return;
    /* A heartbeat is on its way anyway. */
    if (l->heard && now - l->heard_usec < link_interval(l) + link_interval(l) / 4)
        return;
    l->asked_usec = now;
    agent_message_init(&m, AGENT_VERB_ASK);
    (void)link_send(l, &m); /* a port that takes nothing shows as silence */
}

void agent_link_tell(struct agent_link *l, const struct hv_tell *tell)
{
    const struct hv_tell *old = &l->tell;

    l->stale_watermark |= !l->has_tell || tell->watermark_bytes / 1024 != old->watermark_bytes / 1024;
    l->stale_heartbeat |= !l->has_tell || tell->heartbeat_usec != old->heartbeat_usec;
    l->stale_status |= !l->has_tell || tell->lent_bytes / 1024 != old->lent_bytes / 1024 ||
                       tell->assigned_bytes / 1024 != old->assigned_bytes / 1024 ||
                       tell->maximum_bytes / 1024 != old->maximum_bytes / 1024 || strcmp(tell->why, old->why) != 0;
    l->tell = *tell;
    l->has_tell = true;
    link_send_stale(l);
}

void agent_link_see_break(struct agent_link *l, bool paused)
{
    if (!l)
        return;
    l->paused = paused;
    l->clock.known = false;
    l->heard_usec = link_now(l);
    if (l->greeted && !l->quiet && !paused)
        link_ping(l);
}
