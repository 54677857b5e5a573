/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_qmp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct fake_qmp {
    struct fake_qmp_config config;
    char path[108];
    int listener, fd;
    sd_event_source *listener_io, *io;
    char in[65536];
    size_t in_len;
    char *out;
    size_t out_len;
    unsigned accepted;
};

static void flush(struct fake_qmp *f)
{
    while (f->fd >= 0 && f->out_len > 0) {
        ssize_t n = send(f->fd, f->out, f->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0)
            break;
        memmove(f->out, f->out + n, f->out_len - (size_t)n);
        f->out_len -= (size_t)n;
    }
    if (f->io)
        (void)sd_event_source_set_io_events(f->io, f->out_len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void fake_qmp_send(struct fake_qmp *f, const char *bytes, size_t len)
{
    f->out = realloc(f->out, f->out_len + len + 1);
    if (!f->out)
        abort();
    memcpy(f->out + f->out_len, bytes, len);
    f->out_len += len;
    flush(f);
}

void fake_qmp_send_text(struct fake_qmp *f, const char *text)
{
    fake_qmp_send(f, text, strlen(text));
}

void fake_qmp_reply(struct fake_qmp *f, unsigned long long id, const char *json)
{
    char end[64];

    (void)snprintf(end, sizeof(end), ", \"id\": %llu}\r\n", id);
    fake_qmp_send_text(f, "{\"return\": ");
    fake_qmp_send_text(f, json);
    fake_qmp_send_text(f, end);
}

void fake_qmp_refuse(struct fake_qmp *f, unsigned long long id, const char *class, const char *desc)
{
    char line[512];

    (void)snprintf(line, sizeof(line), "{\"id\": %llu, \"error\": {\"class\": \"%s\", \"desc\": \"%s\"}}\r\n", id,
                   class, desc);
    fake_qmp_send_text(f, line);
}

void fake_qmp_hang_up(struct fake_qmp *f)
{
    f->io = sd_event_source_disable_unref(f->io);
    if (f->fd >= 0)
        (void)close(f->fd);
    f->fd = -1;
    f->in_len = f->out_len = 0;
    if (f->listener_io)
        (void)sd_event_source_set_enabled(f->listener_io, SD_EVENT_ON);
}

static void take_line(struct fake_qmp *f, const char *line)
{
    static const char key[] = "\"execute\":\"";
    const char *start = strstr(line, key), *id = strstr(line, "\"id\":");
    char command[64];

    if (!start || sscanf(start + strlen(key), "%63[^\"]", command) != 1)
        return;
    if (strcmp(command, "qmp_capabilities") == 0 || !f->config.command)
        fake_qmp_reply(f, strtoull(id + 5, NULL, 10), "{}");
    else
        f->config.command(f->config.user, f, command, line, strtoull(id + 5, NULL, 10));
}

static int on_io(sd_event_source *s, int fd, uint32_t events, void *user)
{
    struct fake_qmp *f = user;
    char *end;
    ssize_t n;

    (void)s;
    if (events & EPOLLOUT)
        flush(f);
    if (!(events & (EPOLLIN | EPOLLHUP)))
        return 0;
    n = recv(fd, f->in + f->in_len, sizeof(f->in) - f->in_len - 1, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0) {
        fake_qmp_hang_up(f);
        return 0;
    }
    f->in_len += (size_t)n;
    f->in[f->in_len] = '\0';
    while (f->fd >= 0 && (end = strchr(f->in, '\n'))) {
        char *line;

        *end = '\0';
        line = strdup(f->in);
        if (!line)
            abort();
        f->in_len -= (size_t)(end + 1 - f->in);
        memmove(f->in, end + 1, f->in_len + 1);
        take_line(f, line);
        free(line);
    }
    return 0;
}

static int on_client(sd_event_source *s, int fd, uint32_t events, void *user)
{
    struct fake_qmp *f = user;

    (void)events;
    f->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (f->fd < 0)
        return 0;
    f->accepted++;
    (void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
    if (sd_event_add_io(f->config.loop, &f->io, f->fd, EPOLLIN, on_io, f) < 0)
        abort();
    fake_qmp_send_text(f, f->config.greeting ? f->config.greeting : FAKE_QMP_GREETING);
    return 0;
}

struct fake_qmp *fake_qmp_new(const struct fake_qmp_config *config)
{
    struct fake_qmp *f = calloc(1, sizeof(*f));
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (!f)
        abort();
    f->config = *config;
    f->fd = -1;
    (void)snprintf(f->path, sizeof(f->path), "%s", config->path);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", config->path);
    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (f->listener < 0 || bind(f->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(f->listener, 1) < 0 ||
        sd_event_add_io(config->loop, &f->listener_io, f->listener, EPOLLIN, on_client, f) < 0) {
        perror(config->path);
        abort();
    }
    return f;
}

struct fake_qmp *fake_qmp_free(struct fake_qmp *f)
{
    if (!f)
        return NULL;
    fake_qmp_hang_up(f);
    f->listener_io = sd_event_source_disable_unref(f->listener_io);
    (void)close(f->listener);
    (void)unlink(f->path);
    free(f->out);
    free(f);
    return NULL;
}

unsigned fake_qmp_accepted(const struct fake_qmp *f)
{
    return f->accepted;
}

bool fake_qmp_has_client(const struct fake_qmp *f)
{
    return f->fd >= 0;
}
