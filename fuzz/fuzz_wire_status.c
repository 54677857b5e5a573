/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire_error.h"
#include "wire_history.h"
#include "wire_status.h"
#include "wire_why.h"

/* What an impostor on ballastd's socket may answer: it is refused with a sentence, or read to something that prints to
 * a document which reads to the same again. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

static void check_refusal(int r, const struct err *e)
{
    must(r == -e->code && e->text[0] != '\0');
}

static void check_status(const char *text, size_t size)
{
    struct wire_text first = {0}, second = {0};
    struct wire_status *s = NULL, *again = NULL;
    struct err e = {0};
    int r = wire_status_parse(text, size, &s, &e);

    if (r < 0) {
        check_refusal(r, &e);
        must(!s);
        return;
    }
    must(s->guest_count <= WIRE_GUESTS_MAX && s->warning_count <= WIRE_WARNINGS_MAX);
    wire_status_print(&first, s);
    must(wire_status_parse(first.data, first.length, &again, &e) == 0);
    wire_status_print(&second, again);
    must(first.length == second.length && memcmp(first.data, second.data, first.length) == 0);
    wire_text_done(&first);
    wire_text_done(&second);
    (void)wire_status_free(s);
    (void)wire_status_free(again);
}

static void check_why(const char *text, size_t size)
{
    static struct wire_why w, again;
    struct wire_text first = {0}, second = {0};
    struct err e = {0};
    int r = wire_why_parse(text, size, &w, &e);

    if (r < 0) {
        check_refusal(r, &e);
        return;
    }
    must(w.because_count <= WIRE_WHY_BECAUSE_MAX && w.decision_count <= WIRE_WHY_DECISIONS_MAX);
    wire_why_print(&first, &w);
    must(wire_why_parse(first.data, first.length, &again, &e) == 0);
    wire_why_print(&second, &again);
    must(first.length == second.length && memcmp(first.data, second.data, first.length) == 0);
    wire_text_done(&first);
    wire_text_done(&second);
}

static void history_print_again(const struct wire_history *h, struct wire_text *out)
{
    wire_history_begin(out, h->step_ms);
    for (size_t i = 0; i < h->guest_count; i++)
        wire_history_guest(out, &h->guests[i], i == 0);
    wire_history_end(out);
}

static void check_history(const char *text, size_t size)
{
    struct wire_text first = {0}, second = {0};
    struct wire_history *h = NULL, *again = NULL;
    struct err e = {0};
    int r = wire_history_parse(text, size, &h, &e);

    if (r < 0) {
        check_refusal(r, &e);
        must(!h);
        return;
    }
    history_print_again(h, &first);
    must(h->step_ms == WIRE_UNKNOWN || wire_history_parse(first.data, first.length, &again, &e) == 0);
    if (again) {
        history_print_again(again, &second);
        must(first.length == second.length && memcmp(first.data, second.data, first.length) == 0);
    }
    wire_text_done(&first);
    wire_text_done(&second);
    (void)wire_history_free(h);
    (void)wire_history_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct wire_error error;
    struct wire_daemon d;
    struct wire_guest g;
    struct wire_host h;
    struct err e = {0};
    int r;

    check_status(text, size);
    check_why(text, size);
    check_history(text, size);
    r = wire_guest_parse(text, size, &g, &h, &e);
    if (r < 0)
        check_refusal(r, &e);
    else
        must(g.name[0] && g.flag_count <= WIRE_FLAGS_MAX);
    r = wire_error_parse(text, size, &error, &e);
    if (r < 0)
        check_refusal(r, &e);
    r = wire_daemon_parse(text, size, &d, &e);
    if (r < 0)
        check_refusal(r, &e);
    return 0;
}
