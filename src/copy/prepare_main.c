/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <json-c/json.h>

#include "hook.h"
#include "own.h"
#include "prepare.h"
#include "qmp_message.h"
#include "wire_error.h"
#include "wire_field.h"

/* ballast-prepare: all before a freeze window that may block. Started by ballastd for one order, a JSON object on its
 * standard input; answers with one line. Of no use by hand.
 *
 *     {"repository":PATH,"identity":NAME,"note":PATH,"pid":N,"fleece":[{"path":PATH,"size_bytes":N}]}
 *     {"identity":NAME,"expose":PATH,"note":PATH,...}   before an exposure; with "repository" where its newest point is asked for
 *     {"remove":[PATH,...]}
 *     {"verify":PATH,"sample":N}, {"verified":PATH}
 *     {"probe":STATE_DIR}  hangs where the place of fleecing images does
 *     {"hook":NAME,"note":PATH,...}  hook.h
 *     {"tidy":PATH,"identity":NAME,"keep":RULES,"sweep":BOOL}  after a backup by schedule */

#define ORDER_MAX (64U << 10)
#define SAMPLE_ALL 10000U

static int prepare(struct json_object *order, pid_t parent, struct wire_text *t, struct wire_error *ret, struct err *e)
{
    const char *repository = NULL, *identity, *note, *keep, *expose = NULL;
    bool sweep = false;
    struct json_object *list;
    uint64_t pid = 0, sample;
    int r;

    if (qmp_get_array(order, "remove", &list))
        return prepare_remove(list, e);
    if (qmp_get_string(order, "probe", &repository))
        return prepare_probe(repository, e);
    if (json_object_object_get_ex(order, "hook", NULL))
        return hook_order(order, STDOUT_FILENO, t, e);
    if (qmp_get_string(order, "verified", &repository))
        return prepare_verified(repository, t, e);
    if (qmp_get_string(order, "verify", &repository))
        return qmp_get_u64(order, "sample", &sample) && sample > 0 && sample <= SAMPLE_ALL
                   ? prepare_verify(repository, (unsigned)sample, t, e)
                   : err_set(e, EINVAL, "an order without its sample");
    if (qmp_get_string(order, "tidy", &repository)) {
        (void)qmp_get_bool(order, "sweep", &sweep);
        if (!qmp_get_string(order, "identity", &identity) || !qmp_get_string(order, "keep", &keep))
            return err_set(e, EINVAL, "an order that lacks something");
        return prepare_tidy(repository, identity, keep, sweep, t, e);
    }
    (void)qmp_get_u64(order, "pid", &pid);
    (void)qmp_get_string(order, "expose", &expose);
    if ((!qmp_get_string(order, "repository", &repository) && !expose) || !qmp_get_string(order, "identity", &identity) ||
        !qmp_get_string(order, "note", &note) || !qmp_get_array(order, "fleece", &list))
        return err_set(e, EINVAL, "an order that lacks something");
    r = repository ? prepare_repository(repository, identity, t, e) : 0;
    if (r < 0) {
        (void)snprintf(ret->hint, sizeof(ret->hint), "see the repository: ballast backup list; a new one is made by ballast "
                       "backup init");
        return r;
    }
    prepare_definition((pid_t)pid, t);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* what it would make after ballastd's end nobody would look for */
    if (getppid() != parent)
        return err_set(e, ECANCELED, "ballastd has ended");
    r = prepare_note(note, e);
    if (r == 0 && expose)
        r = prepare_expose(expose, (pid_t)pid, e);
    if (r == 0)
        r = prepare_fleece(list, (pid_t)pid, e);
    if (r == -ENOSPC)
        (void)snprintf(ret->hint, sizeof(ret->hint), "free some space there, or give ballastd another --state-dir");
    return r;
}

int main(void)
{
    struct wire_text t = {0}, answer = {0};
    struct wire_error error = {0};
    struct json_object *order = NULL;
    pid_t parent = getppid();
    AUTO_FREE char *text = malloc(ORDER_MAX);
    struct err e = {0};
    size_t len = 0;
    ssize_t n;
    int r;

    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is a full disk: told, not died of */
    while (text && len < ORDER_MAX && (n = read(STDIN_FILENO, text + len, ORDER_MAX - len)) > 0) {
        len += (size_t)n;
        if (memchr(text, '\n', len))
            break;
    }
    r = text ? wire_json_parse(text, len, &order, &e) : -ENOMEM;
    if (r == 0)
        r = prepare(order, parent, &t, &error, &e);
    if (r < 0) {
        (void)snprintf(error.error, sizeof(error.error), "%s", e.text);
        wire_error_print(&answer, &error);
    } else {
        wire_text_adds(&answer, "{\"done\":true");
        wire_text_adds(&answer, t.length ? t.data : "");
        wire_text_adds(&answer, "}\n");
    }
    json_object_put(order);
    if (answer.failed || fwrite(answer.data, 1, answer.length, stdout) != answer.length || fflush(stdout) != 0)
        return 1;
    wire_text_done(&t);
    wire_text_done(&answer);
    return r < 0 ? 1 : 0;
}
