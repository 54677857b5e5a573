/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "wire_status.h"

#define PATH_ROOM 1024

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
    struct wire_text *body = user;

    if (body->length + size * n > WIRE_STATUS_SIZE_MAX)
        return 0; /* curl ends with CURLE_WRITE_ERROR */
    wire_text_add(body, data, size * n);
    return body->failed ? 0 : size * n;
}

/* "join the group 'ballast'": who may open the socket, as its mode says. */
static void permission_hint(const char *socket_path, char *hint, size_t size)
{
    const struct passwd *me = getpwuid(geteuid());
    const struct group *group;
    struct stat st;

    if (stat(socket_path, &st) == 0 && st.st_mode & S_IWGRP && st.st_gid != 0 && (group = getgrgid(st.st_gid)))
        (void)snprintf(hint, size, "run it as root (sudo ballast ...), or join group '%s': sudo usermod -aG %s %s, "
                                   "then log in anew", group->gr_name, group->gr_name, me ? me->pw_name : "USER");
    else
        (void)snprintf(hint, size, "run it as root: sudo ballast ...; to let others: sudo groupadd -r ballast, join "
                                   "that group, restart ballastd");
}

static int connect_problem(const char *socket_path, int code, struct cli_problem *p)
{
    static const char start[] = "start it (systemctl start ballastd), or name the socket of a running one: "
                                "ballast --socket PATH ...";
    char hint[WIRE_ERROR_TEXT_SIZE];
    struct stat st;

    if (code == 0 && stat(socket_path, &st) < 0)
        code = errno; /* curl did not tell */
    switch (code) {
    case EACCES:
    case EPERM:
        permission_hint(socket_path, hint, sizeof(hint));
        return cli_problem_set(p, CLI_UNREACHABLE, hint, "no permission to use the socket '%s'", socket_path);
    case ENOENT:
    case ENOTDIR:
        return cli_problem_set(p, CLI_UNREACHABLE, start,
                               "ballastd does not run: there is no socket '%s'", socket_path);
    case ECONNREFUSED:
        if (stat(socket_path, &st) == 0 && !S_ISSOCK(st.st_mode))
            return cli_problem_set(p, CLI_UNREACHABLE, "give --socket PATH with ballastd's socket, usually "
                                   "/run/ballast/api.sock", "'%s' is no socket", socket_path);
        return cli_problem_set(p, CLI_UNREACHABLE, start, "ballastd does not run: nobody serves the socket '%s'",
                               socket_path);
    case EAGAIN:
        return cli_problem_set(p, CLI_UNREACHABLE, "try again; if it stays so, look who floods it: ss -xp",
                               "ballastd is busy with other clients of '%s'", socket_path);
    default:
        return cli_problem_set(p, CLI_UNREACHABLE, start, "cannot connect to '%s': %s", socket_path,
                               code ? strerror(code) : "unknown reason");
    }
}

static int transfer_problem(const char *socket_path, CURLcode code, long os_errno, struct cli_problem *p)
{
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return connect_problem(socket_path, (int)os_errno, p);
    case CURLE_OPERATION_TIMEDOUT:
        return cli_problem_set(p, CLI_UNREACHABLE, "look what it does: journalctl -u ballastd -n 50",
                               "ballastd does not answer on '%s' in time", socket_path);
    case CURLE_WRITE_ERROR:
        return cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS,
                               "the answer on '%s' is longer than any of ballastd's", socket_path);
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
        return cli_problem_set(p, CLI_UNREACHABLE, "try again; if it stays so, look at its log: journalctl -u ballastd "
                                                   "-n 50",
                               "ballastd closed the connection on '%s' before its answer was complete", socket_path);
    default:
        return cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS,
                               "no HTTP answer on '%s': %s", socket_path, curl_easy_strerror(code));
    }
}

/* JSON of ours holds no control characters but line ends; anything else must not reach a terminal. */
static bool body_is_clean(const struct wire_text *body)
{
    for (size_t i = 0; i < body->length; i++) {
        unsigned char c = (unsigned char)body->data[i];

        if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f)
            return false;
    }
    return body->length > 0;
}

static int answer_check(const char *socket_path, long status, const struct wire_text *body, struct cli_problem *p)
{
    struct wire_error error;
    struct err e = {0};

    if (status == 200 && body_is_clean(body))
        return CLI_DONE;
    if (status >= 400 && body->length > 0 && wire_error_parse(body->data, body->length, &error, &e) == 0) {
        p->exit_code = CLI_FAILED;
        p->text = error;
        return CLI_FAILED;
    }
    return cli_problem_set(p, CLI_FAILED, CLIENT_NOT_OURS,
                           "the answer on '%s' is none of ballastd's (HTTP status %ld)", socket_path, status);
}

static CURLcode options_set(CURL *curl, const char *socket_path, const char *url, const char *post, long total_ms,
                            struct wire_text *body)
{
    CURLcode r = curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);

    r = r ? r : curl_easy_setopt(curl, CURLOPT_URL, url);
    r = r ? r : curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L); /* a guest may be called ".." */
    r = r ? r : curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    r = r ? r : curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever http_proxy says */
    r = r ? r : curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    r = r ? r : curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CLIENT_CONNECT_MS);
    r = r ? r : curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, total_ms);
    r = r ? r : curl_easy_setopt(curl, CURLOPT_USERAGENT, "ballast/" BALLAST_VERSION);
    if (post)
        r = r ? r : curl_easy_setopt(curl, CURLOPT_POSTFIELDS, post);
    r = r ? r : curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    return r ? r : curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
}

/* http://ballast/v1/..., with the name escaped. False: it does not fit (a name longer than any guest's). */
static bool url_make(CURL *curl, const struct client_request *rq, char *url, size_t size)
{
    char *escaped = rq->name ? curl_easy_escape(curl, rq->name, 0) : NULL;
    int length = snprintf(url, size, "http://ballast%s%s%s", rq->path, escaped ? escaped : "",
                          rq->suffix ? rq->suffix : "");

    curl_free(escaped);
    return length > 0 && (size_t)length < size;
}

int client_get(const struct cli *cli, const char *path, const char *name, struct wire_text *ret, struct cli_problem *p)
{
    return client_ask(cli, &(struct client_request){.path = path, .name = name}, ret, p);
}

int client_ask(const struct cli *cli, const struct client_request *rq, struct wire_text *ret, struct cli_problem *p)
{
    const char *socket_path = cli->socket_path;
    long total_ms = cli->total_ms ? cli->total_ms : CLIENT_TOTAL_MS;
    CURL *curl = curl_easy_init();
    char url[PATH_ROOM];
    CURLcode code = CURLE_FAILED_INIT;
    long os_errno = 0, status = 0;

    if (curl && !url_make(curl, rq, url, sizeof(url))) {
        curl_easy_cleanup(curl);
        return cli_problem_set(p, CLI_FAILED, "ballast status lists the guests", "no guest's name is that long");
    }
    if (curl)
        code = options_set(curl, socket_path, url, rq->body, total_ms, ret);
    if (code == CURLE_OK)
        code = curl_easy_perform(curl);
    if (curl) {
        (void)curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_cleanup(curl);
    }
    if (code != CURLE_OK)
        return transfer_problem(socket_path, code, os_errno, p);
    return answer_check(socket_path, status, ret, p);
}
