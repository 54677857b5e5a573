/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "units.h"

#define SHOWN_EVERY_USEC 200000ULL /* what the eye takes for moving */
#define RATE_AFTER_USEC 500000ULL  /* a rate from less is a guess */
#define USEC_PER_SEC 1000000ULL

static uint64_t now_usec(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

void progress_start(struct progress *p, const struct cli *cli, const char *what)
{
    *p = (struct progress){.out = cli->err, .term = cli->term, .start_usec = now_usec()};
    wire_text_copy(p->what, sizeof(p->what), what);
    p->is_shown = !(cli->options & CLI_OPTION_JSON) && isatty(fileno(cli->err)) == 1;
}

void progress_print(struct wire_text *t, const char *what, uint64_t done_bytes, uint64_t total_bytes, uint64_t usec)
{
    uint64_t rate = usec > RATE_AFTER_USEC ? (uint64_t)((unsigned __int128)done_bytes * USEC_PER_SEC / usec) : 0;

    if (done_bytes > total_bytes && total_bytes > 0)
        done_bytes = total_bytes;
    wire_text_adds(t, what);
    if (total_bytes > 0)
        wire_text_format(t, "  %3u %%  %s of %s", (unsigned)((unsigned __int128)done_bytes * 100 / total_bytes),
                         units_show_size(done_bytes).s, units_show_size(total_bytes).s);
    else
        wire_text_format(t, "  %s", units_show_size(done_bytes).s);
    if (rate > 0)
        wire_text_format(t, "  %s/s", units_show_size(rate).s);
    if (rate > 0 && total_bytes > 0)
        wire_text_format(t, "  %s left", units_show_time((total_bytes - done_bytes) / rate * USEC_PER_SEC).s);
}

void progress_update(struct progress *p, uint64_t done_bytes, uint64_t total_bytes)
{
    struct wire_text t = {0};
    uint64_t now = now_usec();

    if (!p->is_shown || now - p->shown_usec < SHOWN_EVERY_USEC)
        return;
    p->shown_usec = now;
    progress_print(&t, p->what, done_bytes, total_bytes, now - p->start_usec);
    if (!t.failed)
        (void)fprintf(p->out, "\r\033[K%s", t.data); /* a terminal that is gone: nothing to do about it */
    (void)fflush(p->out);
    wire_text_done(&t);
}

void progress_end(struct progress *p)
{
    if (p->is_shown && p->shown_usec)
        (void)fputs("\r\033[K", p->out);
    (void)fflush(p->out);
}
