/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "expose.h"
#include "qmp_message.h"
#include "wire_error.h"
#include "wire_field.h"

#define LINE_MAX_BYTES (64U << 10) /* of ballastd: 32 disks with two paths each */

static const char help[] =
    "Usage: ballast-expose     stand between an exposure and its clients; started by ballastd\n"
    "\n"
    "  -h, --help       this text\n"
    "  -V, --version    version of the program\n"
    "\n"
    "Takes one JSON object a line on stdin and answers so on stdout. Exit codes: 0 its standard input ended, 1 it failed, 2 wrong\n"
    "usage.\n";

static struct expose expose;

static bool say(const struct wire_text *t)
{
    return !t->failed && fwrite(t->data, 1, t->length, stdout) == t->length && fflush(stdout) == 0;
}

static int say_failed(const struct err *e, const char *hint)
{
    struct wire_text t = {0};

    wire_text_adds(&t, "{\"failed\":");
    wire_text_string(&t, e->text);
    wire_text_adds(&t, ",\"hint\":");
    wire_text_string(&t, hint);
    wire_text_adds(&t, "}\n");
    (void)say(&t); /* ballastd sees our end, too */
    wire_text_done(&t);
    return -e->code;
}

/* One line of ballastd's. -errno: it is over. */
static int take_line(const char *line, size_t len, bool *has_begun)
{
    char hint[512] = "see ballastd's log";
    struct json_object *order = NULL;
    struct wire_text t = {0};
    struct err e = {0};
    int r = wire_json_parse(line, len, &order, &e);

    if (r == 0 && *has_begun) {
        r = expose_status(&expose, &t, &e);
    } else if (r == 0) {
        *has_begun = true;
        r = expose_begin(&expose, order, hint, &e);
        wire_text_adds(&t, "{\"ready\":true}\n");
    }
    json_object_put(order);
    if (r == 0 && !say(&t))
        r = -EPIPE;
    else if (r < 0)
        r = say_failed(&e, hint);
    wire_text_done(&t);
    return r;
}

/* What ballastd has sent. 0: go on; 1: it has ended; -errno. */
static int read_orders(char *buffer, size_t *len, bool *has_begun)
{
    ssize_t n = read(STDIN_FILENO, buffer + *len, LINE_MAX_BYTES - *len);
    char *end;
    int r = 0;

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n <= 0)
        return 1;
    *len += (size_t)n;
    while (r == 0 && (end = memchr(buffer, '\n', *len))) {
        size_t used = (size_t)(end - buffer) + 1;

        r = take_line(buffer, used - 1, has_begun);
        *len -= used;
        memmove(buffer, buffer + used, *len);
    }
    return r == 0 && *len == LINE_MAX_BYTES ? -EMSGSIZE : r;
}

static int run(void)
{
    static char buffer[LINE_MAX_BYTES];
    struct pollfd polled[RELAY_POLLS + 1];
    bool has_begun = false;
    size_t len = 0;
    int r = 0;

    relay_init(&expose.relay, NULL, -1);
    while (r == 0) {
        relay_poll(&expose.relay, polled);
        polled[RELAY_POLLS] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(polled, RELAY_POLLS + 1, -1) < 0) {
            r = errno == EINTR ? 0 : -errno;
            continue;
        }
        if (has_begun)
            relay_serve(&expose.relay, polled);
        if (polled[RELAY_POLLS].revents)
            r = read_orders(buffer, &len, &has_begun);
    }
    expose_end(&expose);
    return r < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        (void)fputs(help, stdout); /* nobody to tell where stdout is gone */
        return 0;
    }
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        printf("ballast-expose %s\n", BALLAST_VERSION);
        return 0;
    }
    if (argc > 1) {
        fprintf(stderr, "ballast-expose: unknown option '%s'\nTry `ballast-expose --help`.\n", argv[1]);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* a client that is gone is an error code to us */
    return run();
}
