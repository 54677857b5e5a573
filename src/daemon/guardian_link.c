/* SPDX-License-Identifier: Apache-2.0 */
#include "guardian_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "child.h"
#include "log.h"
#include "paths.h"

struct guardian_link {
    struct guardian_link_config config;
    char directory[PATHS_SIZE];
    struct child *child; /* NULL: not started yet */
    int fd;
    struct sd_event_source *io;
};

static void leave(struct guardian_link *l)
{
    l->io = sd_event_source_disable_unref(l->io);
    if (l->fd >= 0)
        (void)close(l->fd); /* a socket: nothing is lost by a failing close */
    l->fd = -1;
}

static int on_io(struct sd_event_source *s, int fd, uint32_t events, void *user)
{
    struct guardian_link *l = user;
    struct guardian_word word;
    struct err e = {0};
    int r = 0;

    (void)s;
    (void)events;
    while (l->fd == fd && (r = guardian_receive_word(fd, &word, &e)) > 0)
        l->config.word(l->config.user, &word);
    if (l->fd == fd && r != -EAGAIN && r != -EPROTO)
        leave(l); /* it ends: on_ended() starts another */
    return 0;
}

static void on_line(void *user, const char *line, size_t len)
{
    (void)user;
    (void)line;
    (void)len; /* it speaks on its socket only */
}

static int start(struct guardian_link *l, struct err *e);

static void on_ended(void *user, int status)
{
    struct guardian_link *l = user;
    struct err e = {0};

    (void)status;
    l->child = child_free(l->child);
    leave(l);
    log_warning("the guardian process has ended; it is started again");
    if (start(l, &e) < 0)
        log_error("backups are not possible, as nobody would end a freeze: %s", e.text);
    else
        l->config.restarted(l->config.user);
}

static int start(struct guardian_link *l, struct err *e)
{
    struct child_config config = {.loop = l->config.loop, .program = "ballast-guardian", .argument = l->directory, .is_irreplaceable = true,
                                  .line = on_line, .ended = on_ended, .user = l};
    int pair[2], r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(e, errno, "no socket for the guardian process: %s", strerror(errno));
    config.input_fd = pair[1]; /* closed by child_start() */
    l->fd = pair[0];
    r = child_start(&config, &l->child, e);
    if (r >= 0) {
        r = sd_event_add_io(l->config.loop, &l->io, l->fd, EPOLLIN, on_io, l);
        if (r < 0)
            (void)err_set(e, -r, "cannot watch the guardian process: %s", strerror(-r));
    }
    if (r < 0) {
        l->child = child_free(l->child);
        leave(l);
        return r;
    }
    return 0;
}

int guardian_link_new(const struct guardian_link_config *config, struct guardian_link **ret, struct err *e)
{
    struct guardian_link *l = calloc(1, sizeof(*l));

    if (!l)
        return err_set(e, ENOMEM, "no memory for the guardian process");
    l->config = *config;
    l->fd = -1;
    (void)snprintf(l->directory, sizeof(l->directory), "%s", config->directory);
    *ret = l;
    return 0;
}

struct guardian_link *guardian_link_free(struct guardian_link *l)
{
    if (!l)
        return NULL;
    leave(l); /* it sees that, ends what is open, and then itself: it is not killed here */
    child_forget(l->child);
    free(l);
    return NULL;
}

int guardian_link_send(struct guardian_link *l, const struct guardian_order *order, int monitor_fd, int agent_fd,
                       struct err *e)
{
    int r = l->child ? 0 : start(l, e);

    if (r == 0 && l->fd >= 0)
        r = guardian_send_order(l->fd, order, monitor_fd, agent_fd, e);
    if (r == -EPIPE || r == -ECONNRESET || r == -ENOTCONN) {
        leave(l); /* it was killed: on_ended() starts another, which is asked anew */
        e->code = r = 0;
    }
    return r;
}
