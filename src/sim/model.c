/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#define SEC 1000000ULL
#define MSEC 1000ULL
#define MIB 1024ULL
#define GIB (1024 * MIB)
#define PERMILLE 1000U

const struct model_speed model_speed_hardware = {
    .inflate_kib_s = 95 * GIB / 100,
    .deflate_kib_s = 4 * GIB,
    .plug_kib_s = 4 * GIB,
    .unplug_kib_s = 345 * GIB / 10,
    .online_usec = 10 * MSEC,
    .reclaim_kib_s = 3 * GIB,
    .disk_kib_s = 500 * MIB,
    .swap_kib_s = 200 * MIB,
};

/* 128 MiB: inflate 60-100 ms, deflate 116-205 ms, plug and unplug 2-20 ms; the rest by the same factor. */
const struct model_speed model_speed_emulation = {
    .inflate_kib_s = 1600 * MIB,
    .deflate_kib_s = 800 * MIB,
    .plug_kib_s = 10 * GIB,
    .unplug_kib_s = 10 * GIB,
    .online_usec = 40 * MSEC,
    .reclaim_kib_s = GIB,
    .disk_kib_s = 200 * MIB,
    .swap_kib_s = 100 * MIB,
};

#define SLOW_FACTOR 64
/* Linux's balloon driver sleeps this long when the kernel has no page for it. */
#define PUFF_USEC (200 * MSEC)
/* The oom notifier lets 1 MiB go at a time; each round is one failed allocation of some milliseconds. */
#define OOM_DEFLATE_KIB_S (128 * MIB)
/* A killed program is started again by its supervisor. */
#define RESTART_USEC (5 * SEC)
/* Firmware and kernel image; struct page takes 1/64 of all memory (64 bytes for 4 KiB). */
#define HIDDEN_KIB (32 * MIB)
#define PAGE_TABLE_SHARE 64
/* A booting kernel with its compressed image and early user space. */
#define BOOT_TOUCHES_KIB (96 * MIB)
/* Nothing is allocated for a program with less progress than this share of what it wants. */
#define PROGRESS_SHARE 10

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t root(uint64_t x)
{
    uint64_t r = 0;

    for (uint64_t bit = 1ULL << 31; bit; bit >>= 1)
        if ((r + bit) * (r + bit) <= x)
            r += bit;
    return r;
}

static uint64_t in_time(uint64_t kib_s, uint64_t usec)
{
    return kib_s * usec / SEC;
}

/* ---- what it has ---- */

uint64_t model_assigned_kib(const struct model *m)
{
    return m->config.boot_kib - m->balloon_kib + m->online_kib;
}

static uint64_t used_kib(const struct model *m)
{
    return m->hidden_kib + m->kernel_kib + m->online_kib / PAGE_TABLE_SHARE + m->anon_kib + m->cold_kib + m->hot_kib;
}

uint64_t model_free_kib(const struct model *m)
{
    return less(model_assigned_kib(m), used_kib(m));
}

uint64_t model_total_kib(const struct model *m)
{
    uint64_t all = m->config.boot_kib + m->online_kib - (m->config.deflate_on_oom ? 0 : m->balloon_kib);

    return less(all, m->hidden_kib);
}

struct watermarks {
    uint64_t min, low, high;
};

/* mm/page_alloc.c: 4 x sqrt of low memory in KiB, raised by khugepaged (not below 512 MiB, at most 5 %) to 11 blocks of
 * 2 MiB for each of two zones. The balloon does not lower them. */
static struct watermarks watermarks(const struct model *m)
{
    uint64_t managed = less(m->config.boot_kib + m->online_kib, m->hidden_kib);
    uint64_t min = root(managed * 16), huge = least(44 * MIB, managed / 20), gap;

    if (managed >= 512 * MIB && min < huge)
        min = huge;
    gap = min / 4 > managed / 1000 ? min / 4 : managed / 1000;
    return (struct watermarks){min, min + gap, min + 2 * gap};
}

/* mm/show_mem.c, si_mem_available(). */
uint64_t model_available_kib(const struct model *m)
{
    struct watermarks w = watermarks(m);
    uint64_t cache = m->cold_kib + m->hot_kib;

    cache -= least(cache / 2, w.low);
    return less(model_free_kib(m) + cache, w.high);
}

uint64_t model_need_kib(const struct model *m)
{
    return less(model_assigned_kib(m), model_available_kib(m)) + m->waited_kib;
}

/* Pages the host has to back: a used page was touched, a ballooned or unplugged one is gone. */
static void touch(struct model *m)
{
    uint64_t used = least(used_kib(m), model_assigned_kib(m));

    if (m->touched_kib < used)
        m->touched_kib = used;
    m->touched_kib = least(m->touched_kib, model_assigned_kib(m));
}

/* ---- reclaim ---- */

static uint64_t inactive_anon_kib(const struct model *m)
{
    uint64_t all = m->anon_kib + m->swapped_kib;

    return less(all, m->load.config.active_permille * all / PERMILLE);
}

/* Frees up to want_kib: cold cache, hot cache, inactive anonymous memory. Returns what came free. */
static uint64_t reclaim(struct model *m, uint64_t want_kib)
{
    uint64_t got, part, inactive;

    got = part = least(want_kib, least(m->cold_kib, m->reclaim_left_kib));
    m->cold_kib -= part;
    m->reclaim_left_kib -= part;

    /* where there is swap, anonymous memory that nobody touches goes before files in constant use */
    inactive = less(inactive_anon_kib(m), m->swapped_kib);
    part = least(want_kib - got, least(less(m->config.swap_kib, m->swapped_kib), m->swap_left_kib));
    part = least(part, inactive + (m->hot_kib < want_kib - got ? less(m->anon_kib, inactive) : 0));
    m->anon_kib -= part;
    m->swapped_kib += part;
    m->swap_left_kib -= part;
    got += part;

    part = least(want_kib - got, least(m->hot_kib, m->reclaim_left_kib));
    m->hot_kib -= part;
    m->reclaim_left_kib -= part;
    return got + part;
}

static void kswapd(struct model *m)
{
    struct watermarks w = watermarks(m);
    uint64_t free_kib = model_free_kib(m);

    if (free_kib < w.low)
        (void)reclaim(m, w.high - free_kib);
}

/* Takes up to want_kib of free memory above the min watermark, reclaiming where that is not enough. The caller books it. */
static uint64_t obtain(struct model *m, uint64_t want_kib, uint64_t *ret_reclaimed)
{
    uint64_t spare = less(model_free_kib(m), watermarks(m).min);

    *ret_reclaimed = 0;
    if (want_kib <= spare)
        return want_kib;
    *ret_reclaimed = reclaim(m, want_kib - spare);
    return least(want_kib, less(model_free_kib(m), watermarks(m).min));
}

/* ---- devices ---- */

static bool device_moves(struct model *m)
{
    if (!m->driver_up || m->config.kind == MODEL_STUCK)
        return false;
    if (m->config.kind == MODEL_MUTE && m->now_usec >= m->config.happens_usec)
        return false;
    if (m->config.kind == MODEL_SOMETIMES_STUCK) {
        if (m->now_usec >= m->phase_usec) {
            m->phase_stuck = !m->phase_stuck;
            m->phase_usec = m->now_usec + chance_between(&m->chance, 3 * SEC, 15 * SEC);
        }
        return !m->phase_stuck;
    }
    return true;
}

static uint64_t device_kib(const struct model *m, uint64_t kib_s, uint64_t dt_usec)
{
    return in_time(m->config.kind == MODEL_SLOW ? kib_s / SLOW_FACTOR : kib_s, dt_usec);
}

static void run_balloon(struct model *m, uint64_t dt_usec)
{
    uint64_t goal = less(m->config.boot_kib, m->balloon_target_kib), part, reclaimed;

    if (m->balloon_idle || m->config.no_balloon)
        return;
    if (m->balloon_kib > goal) {
        m->balloon_kib -= least(m->balloon_kib - goal, device_kib(m, m->config.speed.deflate_kib_s, dt_usec));
    } else if (m->balloon_kib < goal && m->now_usec >= m->puff_usec) {
        uint64_t free_kib = model_free_kib(m), fresh = least(less(model_assigned_kib(m), m->touched_kib), free_kib);
        part = least(goal - m->balloon_kib, device_kib(m, m->config.speed.inflate_kib_s, dt_usec));
        if (m->config.kind == MODEL_LIMITED_BELOW)
            part = least(part, less(m->config.boot_kib - m->balloon_kib, m->config.limit_kib));
        part = obtain(m, part, &reclaimed);
        if (!part)
            m->puff_usec = m->now_usec + PUFF_USEC;
        m->balloon_kib += part;
        /* of the free pages taken, the untouched share cost the host nothing before */
        fresh = free_kib ? least(part, free_kib) * fresh / free_kib : 0;
        m->touched_kib -= least(m->touched_kib, part - fresh);
    }
    m->actual_kib = m->config.boot_kib - m->balloon_kib;
}

static void run_plug(struct model *m, uint64_t dt_usec)
{
    uint64_t block = m->config.block_kib, part, reclaimed;

    if (!block)
        return;
    if (m->plugged_kib < m->requested_kib) {
        part = device_kib(m, m->config.speed.plug_kib_s, dt_usec) + block;
        m->plugged_kib += least(m->requested_kib - m->plugged_kib, part / block * block);
        m->online_usec = m->now_usec + m->config.speed.online_usec;
    } else if (m->plugged_kib > m->requested_kib) {
        part = (device_kib(m, m->config.speed.unplug_kib_s, dt_usec) + block) / block * block;
        part = least(m->plugged_kib - m->requested_kib, part);
        /* what is offline goes at once, what is online must be emptied */
        if (m->online_kib > m->plugged_kib - part) {
            uint64_t want = m->online_kib - (m->plugged_kib - part);
            uint64_t got = obtain(m, want, &reclaimed) / block * block;
            m->online_kib -= got;
            part -= want - got;
            m->touched_kib -= least(m->touched_kib, got);
        }
        m->plugged_kib -= part;
    }
    if (m->online_kib < m->plugged_kib && m->now_usec >= m->online_usec && !m->config.stays_offline)
        m->online_kib = m->plugged_kib;
}

void model_set_balloon(struct model *m, uint64_t target_kib)
{
    m->balloon_target_kib = least(target_kib, m->config.boot_kib);
    m->balloon_idle = false;
    m->puff_usec = 0;
}

void model_set_requested(struct model *m, uint64_t requested_kib)
{
    m->requested_kib = least(requested_kib, m->config.pluggable_kib);
}

/* ---- boot ---- */

static void boot(struct model *m)
{
    m->driver_up = false;
    m->booted_usec = m->now_usec + m->config.boot_usec;
    m->anon_kib = m->swapped_kib = m->cold_kib = m->hot_kib = m->hot_seen_kib = 0;
    m->swapped_in_kib = m->refaulted_kib = m->oom_kills = m->psi_some_usec = m->psi_full_usec = 0;
    m->hungry_usec = m->waited_kib = 0;
    load_restart(&m->load, m->now_usec, m->config.boot_usec);
}

void model_reset(struct model *m, uint64_t now_usec)
{
    uint64_t fresh;

    m->now_usec = now_usec;
    m->resets++;
    m->balloon_kib = m->plugged_kib = m->online_kib = 0; /* m->actual_kib stays: nobody has written it */
    m->touched_kib = least(m->touched_kib, m->config.boot_kib);
    /* the kernel lands anywhere: as much of it on untouched pages as there are of them */
    fresh = m->config.boot_kib - m->touched_kib;
    m->touched_kib += least(fresh, BOOT_TOUCHES_KIB * fresh / m->config.boot_kib);
    boot(m);
}

static void driver_came(struct model *m)
{
    m->driver_up = true;
    m->actual_kib = m->config.boot_kib;
    m->balloon_idle = false;
}

void model_init(struct model *m, const struct model_config *config, uint64_t seed, uint64_t now_usec)
{
    struct model_config *c = &m->config;

    *m = (struct model){.config = *config, .now_usec = now_usec};
    if (!c->kernel_kib)
        c->kernel_kib = MODEL_KERNEL_KIB;
    if (!c->boot_usec)
        c->boot_usec = MODEL_BOOT_USEC;
    if (!c->speed.reclaim_kib_s)
        c->speed = model_speed_emulation;
    chance_seed(&m->chance, seed);
    load_init(&m->load, &c->load, chance_next(&m->chance), now_usec);
    m->hidden_kib = HIDDEN_KIB + c->boot_kib / PAGE_TABLE_SHARE;
    m->kernel_kib = c->kernel_kib;
    m->balloon_target_kib = c->balloon_target_kib ? c->balloon_target_kib : c->boot_kib;
    m->balloon_kib = less(c->boot_kib, m->balloon_target_kib);
    m->actual_kib = c->boot_kib - m->balloon_kib;
    m->driver_up = true;
    m->anon_kib = least(c->load.base_kib, less(model_free_kib(m), watermarks(m).high));
    touch(m);
}

/* ---- programs ---- */

static void deflate_on_oom(struct model *m, uint64_t dt_usec)
{
    uint64_t part = least(m->balloon_kib, in_time(OOM_DEFLATE_KIB_S, dt_usec));

    /* with swap left the kernel pages out instead, and never calls its notifier (seen) */
    if (!m->config.deflate_on_oom || m->swapped_kib < m->config.swap_kib || !m->driver_up || !part)
        return;
    m->balloon_kib -= part;
    m->actual_kib = m->config.boot_kib - m->balloon_kib;
    m->balloon_idle = true; /* until the target is sent again (seen) */
    m->hungry_usec = MODEL_DEFLATE_USEC;
}

static void kill_largest(struct model *m)
{
    m->oom_kills++;
    m->killed++;
    m->hungry_usec = 0;
    m->anon_kib = m->swapped_kib = 0;
    load_restart(&m->load, m->now_usec, RESTART_USEC);
}

static void allocate(struct model *m, const struct load_want *want, uint64_t dt_usec)
{
    uint64_t has = m->anon_kib + m->swapped_kib, wanted, got, reclaimed;

    m->stall_alloc = 0;
    m->waited_kib = 0;
    if (want->anon_kib <= has) {
        uint64_t part = has - want->anon_kib, swapped = has ? part * m->swapped_kib / has : 0;
        m->swapped_kib -= swapped;
        m->anon_kib -= part - swapped;
        m->hungry_usec = 0;
        return;
    }
    wanted = least(want->anon_kib - has, in_time(want->rate_kib_s, dt_usec));
    if (!wanted)
        return;
    got = obtain(m, wanted, &reclaimed);
    m->anon_kib += got;
    m->waited_kib = wanted - got;
    /* who reclaims for himself waits while he does, who gets nothing waits all the time */
    m->stall_alloc = (uint32_t)(PERMILLE * (wanted - got) / wanted);
    if (reclaimed)
        m->stall_alloc += (uint32_t)(PERMILLE * least(reclaimed, in_time(m->config.speed.reclaim_kib_s, dt_usec)) /
                                     (in_time(m->config.speed.reclaim_kib_s, dt_usec) + 1));
    m->stall_alloc = m->stall_alloc > PERMILLE ? PERMILLE : m->stall_alloc;
    if (got * PROGRESS_SHARE >= wanted) {
        m->hungry_usec = less(m->hungry_usec, dt_usec); /* a trickle is no relief */
        return;
    }
    m->hungry_usec += dt_usec;
    if (m->hungry_usec >= MODEL_DEFLATE_USEC)
        deflate_on_oom(m, dt_usec);
    if (m->hungry_usec >= MODEL_OOM_USEC)
        kill_largest(m);
}

/* Reads part KiB of files into the cache: into free memory, else in place of colder pages. Returns what stays cached. */
static uint64_t cache_in(struct model *m, uint64_t part, bool hot)
{
    uint64_t spare = less(model_free_kib(m), watermarks(m).low), cold;

    if (part <= spare)
        return part;
    if (!hot)
        return spare; /* the rest replaces other cold pages */
    cold = least(part - spare, m->cold_kib);
    m->cold_kib -= cold;
    return spare + cold; /* the rest replaces other hot pages: thrashing */
}

/* mm/workingset.c: a refault counts, and its wait is a stall of memory, if the page would have stayed, had all memory of
 * its kind been one list: if fewer pages were evicted since than are active (with swap: anonymous ones included). Hot files
 * touched at random return after a distance that is spread around the part of them that is out; fit / (fit + missing)
 * approaches that distribution, 1 - exp(-fit / missing), from below. */
static uint64_t would_have_fit(const struct model *m, uint64_t refaults_kib, uint64_t missing_kib)
{
    uint64_t fit = m->hot_kib + (m->config.swap_kib ? m->anon_kib : 0);

    return refaults_kib * fit / (fit + missing_kib);
}

static void read_files(struct model *m, uint64_t dt_usec)
{
    const struct load_config *l = &m->load.config;
    uint64_t missing = less(l->hot_kib, m->hot_kib), unseen = less(l->hot_kib, m->hot_seen_kib), miss, again, part;
    uint64_t disk = in_time(m->config.speed.disk_kib_s, dt_usec) + 1;

    m->stall_refault = 0;
    if (m->now_usec < m->load.down_usec)
        return;
    if (missing) {
        uint64_t touched = in_time(l->hot_kib_s, dt_usec);
        miss = least(touched * missing / l->hot_kib, missing);
        part = least(miss, m->disk_left_kib);
        again = part - least(part, part * least(unseen, missing) / missing);
        m->hot_seen_kib = least(l->hot_kib, m->hot_seen_kib + part - again);
        again = would_have_fit(m, again, missing);
        m->refaulted_kib += again;
        /* the disk's time for these, and their part of the queue at a disk that can do no more */
        if (again)
            m->stall_refault = (uint32_t)(PERMILLE * again / disk + PERMILLE * (miss - part) / miss * again / part);
        m->stall_refault = m->stall_refault > PERMILLE ? PERMILLE : m->stall_refault;
        m->disk_left_kib -= part;
        m->disk_read_kib += part;
        m->hot_kib += least(cache_in(m, part, true), missing);
    }
    if (l->file_kib > l->hot_kib + m->cold_kib) {
        part = least(in_time(l->read_kib_s, dt_usec), m->disk_left_kib);
        part = least(part, l->file_kib - l->hot_kib - m->cold_kib);
        m->disk_left_kib -= part;
        m->disk_read_kib += part;
        m->cold_kib += cache_in(m, part, false);
    }
}

/* Programs touch their active memory all the time: what of it is swapped out comes back, the waiting included. */
static void swap_in(struct model *m)
{
    uint64_t out, part, reclaimed;

    m->stall_swap = 0;
    if (!m->swapped_kib)
        return;
    out = less(m->swapped_kib, inactive_anon_kib(m));
    part = least(out, m->swap_left_kib);
    if (part) {
        uint64_t got = obtain(m, part, &reclaimed);
        got = least(got, m->swapped_kib);
        m->swapped_kib -= got;
        m->anon_kib += got;
        m->swapped_in_kib += part; /* read, whether or not it stays */
        m->swap_left_kib -= part;
    }
    if (out)
        m->stall_swap = (uint32_t)(PERMILLE * least(out, in_time(m->config.speed.swap_kib_s, MODEL_STEP_USEC)) /
                                   (in_time(m->config.speed.swap_kib_s, MODEL_STEP_USEC) + 1));
}

static void account_stalls(struct model *m, uint64_t dt_usec)
{
    uint32_t some = m->stall_alloc, full;

    if (some < m->stall_refault)
        some = m->stall_refault;
    if (some < m->stall_swap)
        some = m->stall_swap;
    /* several tasks wait for files independently of each other: all of them at once less often */
    full = m->stall_refault * m->stall_refault / PERMILLE;
    if (full < m->stall_alloc)
        full = m->stall_alloc;
    if (full < m->stall_swap)
        full = m->stall_swap;
    full = full * (PERMILLE - m->config.busy_permille) / PERMILLE;
    m->psi_some_usec += some * dt_usec / PERMILLE;
    m->psi_full_usec += full * dt_usec / PERMILLE;
    m->stalled_usec += some * dt_usec / PERMILLE;
    m->stalled_full_usec += full * dt_usec / PERMILLE;
}

static void run_happenings(struct model *m)
{
    if (!m->config.happens_usec || m->now_usec < m->config.happens_usec)
        return;
    if (m->config.kind == MODEL_VANISHING)
        m->gone = true;
    if (m->config.kind == MODEL_REBOOTING) {
        m->config.happens_usec = m->config.again_usec ? m->now_usec + m->config.again_usec : 0;
        model_reset(m, m->now_usec);
    }
}

void model_run(struct model *m, uint64_t now_usec)
{
    uint64_t dt_usec = now_usec - m->now_usec;
    struct load_seen seen;
    struct load_want want;

    m->now_usec = now_usec;
    run_happenings(m);
    if (m->gone || !dt_usec)
        return;
    if (!m->driver_up && now_usec >= m->booted_usec)
        driver_came(m);
    m->reclaim_left_kib = in_time(m->config.speed.reclaim_kib_s, dt_usec);
    m->disk_left_kib = in_time(m->config.speed.disk_kib_s, dt_usec);
    m->swap_left_kib = in_time(m->config.speed.swap_kib_s, dt_usec);
    kswapd(m);
    if (device_moves(m)) {
        run_balloon(m, dt_usec);
        run_plug(m, dt_usec);
    }
    seen = (struct load_seen){model_total_kib(m), model_available_kib(m), m->anon_kib + m->swapped_kib};
    load_run(&m->load, &seen, now_usec, &want);
    allocate(m, &want, dt_usec);
    swap_in(m);
    read_files(m, dt_usec);
    account_stalls(m, dt_usec);
    touch(m);
}
