/* SPDX-License-Identifier: Apache-2.0 */
#include "view_linux.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "view_rows.h"

/* What the source did not tell, for one sentence at the end. */
struct missing {
    char names[256];
    size_t used;
};

/* True where all values are known; else the row is left out and its name kept. */
static bool has(struct missing *m, const char *name, uint64_t a, uint64_t b)
{
    int n;

    if (a != WIRE_UNKNOWN && b != WIRE_UNKNOWN)
        return true;
    n = snprintf(m->names + m->used, sizeof(m->names) - m->used, "%s%s", m->used ? ", " : "", name);
    if (n > 0 && m->used + (size_t)n < sizeof(m->names))
        m->used += (size_t)n;
    return false;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static bool is_heard(const struct wire_guest *g)
{
    return g->demand_source[0] && strcmp(g->demand_source, "none") != 0;
}

static void print_whole(const struct term *term, struct wire_text *out, const struct wire_guest *g, struct missing *m)
{
    if (has(m, "total", g->visible_bytes, 0))
        view_row(term, out, "total", view_size(g->visible_bytes).s, "MemTotal");
    if (has(m, "free", g->unused_bytes, 0))
        view_row(term, out, "free", view_size(g->unused_bytes).s, "MemFree: holds nothing at all");
    if (has(m, "available", g->available_bytes, 0))
        view_row(term, out, "available", view_size(g->available_bytes).s, "MemAvailable: free, and what its kernel can "
                 "drop without swapping");
    if (has(m, "working set", g->used_bytes, 0))
        view_row(term, out, "working set", view_size(g->used_bytes).s, "derived: assigned - available, and what it just "
                 "read back or needs of its disk cache; Linux does not measure it");
}

static void print_parts(const struct term *term, struct wire_text *out, const struct wire_guest *g, struct missing *m)
{
    if (has(m, "anonymous", g->anon_bytes, 0))
        view_row(term, out, "anonymous", view_size(g->anon_bytes).s, "AnonPages: its programs' own memory; can only be "
                 "swapped out");
    if (has(m, "shared", g->shmem_bytes, 0))
        view_row(term, out, "shared", view_size(g->shmem_bytes).s, "Shmem: tmpfs and shared memory; counted as cache, but "
                 "can only be swapped out");
    if (has(m, "clean cache", g->cache_bytes, g->shmem_bytes == WIRE_UNKNOWN ? WIRE_UNKNOWN : g->dirty_bytes))
        view_row(term, out, "clean cache", view_size(less(less(g->cache_bytes, g->shmem_bytes), g->dirty_bytes)).s,
                 "Cached + Buffers - Shmem - Dirty: copies of its disks, dropped at once (standby)");
    else if (g->cache_bytes != WIRE_UNKNOWN)
        view_row(term, out, "cache", view_size(g->cache_bytes).s, "Cached + Buffers, clean, dirty and shared together");
    if (has(m, "dirty", g->dirty_bytes, 0))
        view_row(term, out, "dirty", view_size(g->dirty_bytes).s, "Dirty: must be written to its disks first (modified)");
    if (has(m, "kernel free", g->kernel_free_bytes, 0))
        view_row(term, out, "kernel free", view_size(g->kernel_free_bytes).s, "free where its kernel can use it itself, not "
                 "in movable memory");
}

static void print_committed(const struct term *term, struct wire_text *out, const struct wire_guest *g, struct missing *m)
{
    if (!has(m, "committed", g->committed_bytes, g->commit_limit_bytes))
        return;
    if (g->commit_limit_bytes == 0)
        view_row(term, out, "committed", view_size(g->committed_bytes).s, "Committed_AS: what its programs were promised "
                 "(commit charge); its kernel knows no limit");
    else
        view_row(term, out, "committed", view_size(g->committed_bytes).s, "Committed_AS: what its programs were promised "
                 "(commit charge); %" PRIu64 " %% of CommitLimit %s",
                 (uint64_t)((unsigned __int128)g->committed_bytes * 100 / g->commit_limit_bytes),
                 view_size(g->commit_limit_bytes).s);
}

/* "0 B/s in, 4 KiB/s out over the last 5 s" */
static void rates_text(const struct wire_guest *g, char *to, size_t size)
{
    if (g->rate_ms == WIRE_UNKNOWN || g->swap_in_rate_bytes == WIRE_UNKNOWN)
        (void)snprintf(to, size, "rates are not known yet");
    else
        (void)snprintf(to, size, "%s/s in%s%s%s over the last %s", units_show_size(g->swap_in_rate_bytes).s,
                       g->swap_out_rate_bytes == WIRE_UNKNOWN ? "" : ", ",
                       g->swap_out_rate_bytes == WIRE_UNKNOWN ? "" : units_show_size(g->swap_out_rate_bytes).s,
                       g->swap_out_rate_bytes == WIRE_UNKNOWN ? "" : "/s out", view_age(g->rate_ms).s);
}

static void print_swap(const struct term *term, struct wire_text *out, const struct wire_guest *g, struct missing *m)
{
    char rates[128];

    rates_text(g, rates, sizeof(rates));
    if (!has(m, "swap", g->swap_total_bytes, 0)) {
        if (g->swapped_in_bytes != WIRE_UNKNOWN)
            view_row(term, out, "swapped in", view_size(g->swapped_in_bytes).s, "since its boot; %s", rates);
        return;
    }
    if (g->swap_total_bytes == 0) {
        view_row(term, out, "swap", "none", "it has none: what it needs beyond its memory is killed, not swapped out");
        return;
    }
    view_row(term, out, "swap", view_size(g->swap_used_bytes).s, "of %s is in use; %s; %s in and %s out since its boot",
             view_size(g->swap_total_bytes).s, rates, view_size(g->swapped_in_bytes).s,
             view_size(g->swapped_out_bytes).s);
}

static void print_stalls(const struct term *term, struct wire_text *out, const struct wire_guest *g, struct missing *m)
{
    char number[24], share[96] = "not known yet how much lately";

    if (has(m, "stalls", g->psi_some_usec, g->psi_full_usec)) {
        if (g->psi_some_percent != WIRE_UNKNOWN && g->psi_full_percent != WIRE_UNKNOWN)
            (void)snprintf(share, sizeof(share), "%s of the last %s", units_show_share(g->psi_full_percent).s,
                           view_age(g->rate_ms).s);
        view_row(term, out, "stalls", g->psi_some_percent == WIRE_UNKNOWN ? "-"
                 : units_show_share(g->psi_some_percent).s, "PSI some: programs waited for memory; all of them (full): "
                 "%s; %s and %s since its boot", share, units_show_time(g->psi_some_usec).s,
                 units_show_time(g->psi_full_usec).s);
    }
    if (has(m, "refaults", g->refaulted_bytes, 0))
        view_row(term, out, "refaults", g->refault_rate_bytes == WIRE_UNKNOWN ? "-" : view_size(g->refault_rate_bytes).s,
                 "a second: read from disk again though it would have fit; %s since its boot",
                 view_size(g->refaulted_bytes).s);
    if (has(m, "OOM kills", g->oom_kills, 0)) {
        (void)snprintf(number, sizeof(number), "%" PRIu64, g->oom_kills);
        view_row(term, out, "OOM kills", number, "programs its kernel killed for want of memory since its boot");
    }
}

void view_linux_print(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    struct missing m = {0};
    char line[VIEW_LINE_ROOM];

    view_head(term, out, "Inside, in Linux's words");
    if (!is_heard(g)) {
        wire_text_adds(out, "  ");
        term_wrap(term, out, "not known: it has not reported its memory yet", 2, 2);
        return;
    }
    print_whole(term, out, g, &m);
    print_parts(term, out, g, &m);
    print_committed(term, out, g, &m);
    print_swap(term, out, g, &m);
    print_stalls(term, out, g, &m);
    if (!m.used)
        return;
    (void)snprintf(line, sizeof(line), "not known: %s; %s", m.names, strcmp(g->demand_source, "agent") == 0
                   ? "its kernel does not tell" : "the guest has no agent, and balloon statistics do not tell");
    wire_text_adds(out, "  ");
    term_wrap(term, out, line, 2, 4);
}

void view_sources_print(const struct term *term, struct wire_text *out, const struct wire_guest *g)
{
    const char *source = strcmp(g->demand_source, "agent") == 0 ? "agent" : "balloon";

    view_head(term, out, "Sources");
    if (g->levers_age_ms != WIRE_UNKNOWN)
        view_row(term, out, "its size", g->driver, "what the hypervisor says, %s ago", view_age(g->levers_age_ms).s);
    else
        view_row(term, out, "its size", "-", "not known: the hypervisor has not told yet");
    if (is_heard(g))
        view_row(term, out, "inside", source, "%s, %s ago", strcmp(source, "agent") == 0
                 ? "what ballast-agent sent" : "virtio-balloon statistics; the guest has no agent",
                 view_age(g->sample_age_ms).s);
    else
        view_row(term, out, "inside", "-", "not known: neither an agent nor balloon statistics were heard");
    if (g->host_age_ms != WIRE_UNKNOWN)
        view_row(term, out, "on the host", "smaps", "what its process holds, /proc/PID/smaps, %s ago",
                 view_age(g->host_age_ms).s);
    else
        view_row(term, out, "on the host", "-", "not known: its process has not been looked at");
}
