/* SPDX-License-Identifier: Apache-2.0 */
#include "harm.h"

#include "policy_defaults.h"

/* docs/design.md 3.5: a take did harm if a rate exceeds twice its average by more than this, or PSI full > 2 %. */
static const uint64_t harm_excess[HARM_SIGNAL_COUNT] = {
    [HARM_SWAP_IN] = 512 * 1024,           /* 0.5 MiB/s */
    [HARM_REFAULT] = 1024 * 1024,          /* 1 MiB/s */
    [HARM_PSI_SOME] = 10000,               /* 1 %, in ppm */
    [HARM_DISK_READ] = 2 * 1024 * 1024,    /* 2 MiB/s */
};
#define HARM_FULL_PPM 20000  /* 2 % */
#define HARM_QUIET_PPM 1000  /* 0.1 %: the step may double */
/* Shorter distances give rates too coarse to compare with an average of a minute. */
#define HARM_SPACING_USEC (USEC_PER_SEC / 4)

static bool harm_in_window(const struct harm *h, uint64_t now_usec)
{
    return h->take_usec && now_usec < h->take_usec + POLICY_HARM_WINDOW_USEC;
}

void harm_took(struct harm *h, uint64_t now_usec)
{
    if (!harm_in_window(h, now_usec))
        h->done = false;
    h->take_usec = now_usec;
}

/* per_sec = units x 10^6 / usec, saturating. */
static uint64_t harm_rate(uint64_t units, uint64_t usec)
{
    unsigned __int128 rate = (unsigned __int128)units * USEC_PER_SEC / usec;
    return rate > UINT64_MAX / 4 ? UINT64_MAX / 4 : (uint64_t)rate;
}

static void harm_see(struct harm *h, enum harm_signal s, uint64_t counter, uint64_t now_usec)
{
    if (counter == OBS_UNSET)
        return;
    if (!h->counter_usec[s] || counter < h->counter[s]) { /* first, or the guest booted: counters begin anew */
        h->counter[s] = counter;
        h->counter_usec[s] = now_usec;
        h->rate[s] = 0;
        return;
    }
    uint64_t elapsed = now_usec > h->counter_usec[s] ? now_usec - h->counter_usec[s] : 0;
    if (elapsed < HARM_SPACING_USEC)
        return;
    h->rate[s] = harm_rate(counter - h->counter[s], elapsed);
    h->counter[s] = counter;
    h->counter_usec[s] = now_usec;
    if (harm_in_window(h, now_usec))
        return;
    uint64_t part = elapsed < POLICY_HARM_AVERAGE_USEC ? elapsed : POLICY_HARM_AVERAGE_USEC;
    unsigned __int128 sum = (unsigned __int128)h->average[s] * (POLICY_HARM_AVERAGE_USEC - part) +
                            (unsigned __int128)h->rate[s] * part;
    h->average[s] = (uint64_t)(sum / POLICY_HARM_AVERAGE_USEC);
}

void harm_see_view(struct harm *h, const struct obs_guest_view *v, uint64_t now_usec)
{
    harm_see(h, HARM_SWAP_IN, v->swapped_in_bytes, now_usec);
    if (v->source != OBS_SOURCE_AGENT)
        return;
    harm_see(h, HARM_REFAULT, v->refaulted_bytes, now_usec);
    harm_see(h, HARM_PSI_SOME, v->psi_some_usec, now_usec);
    if (v->psi_full_usec == OBS_UNSET)
        return;
    uint64_t elapsed = now_usec > h->psi_full_usec ? now_usec - h->psi_full_usec : 0;
    if (!h->psi_full_usec || v->psi_full_usec < h->psi_full) {
        h->full_ppm = 0;
    } else {
        if (elapsed < HARM_SPACING_USEC)
            return;
        h->full_ppm = harm_rate(v->psi_full_usec - h->psi_full, elapsed);
    }
    h->psi_full = v->psi_full_usec;
    h->psi_full_usec = now_usec;
}

void harm_see_host(struct harm *h, const struct obs_host_view *v, bool has_refaults, uint64_t now_usec)
{
    if (has_refaults)
        h->rate[HARM_DISK_READ] = 0; /* the better signal speaks */
    else
        harm_see(h, HARM_DISK_READ, v->disk_read_bytes, now_usec);
}

bool harm_check(struct harm *h, uint64_t now_usec)
{
    if (!harm_in_window(h, now_usec) || h->done)
        return false;
    bool harmed = h->full_ppm > HARM_FULL_PPM && h->psi_full_usec > h->take_usec;
    for (unsigned s = 0; s < HARM_SIGNAL_COUNT; s++) {
        if (h->counter_usec[s] <= h->take_usec)
            continue; /* this rate is from before the take */
        harmed = harmed || h->rate[s] > 2 * h->average[s] + harm_excess[s];
    }
    h->done = harmed;
    return harmed;
}

void harm_mark(struct harm *h, uint64_t assigned_before_kib, uint64_t now_usec)
{
    bool held = h->mark_kib && now_usec < h->mark_until_usec;

    if (!h->hold_usec || (!held && now_usec > h->mark_until_usec + POLICY_HARM_HOLD_MAX_USEC))
        h->hold_usec = POLICY_HARM_HOLD_USEC;
    else
        h->hold_usec *= 2;
    if (h->hold_usec > POLICY_HARM_HOLD_MAX_USEC)
        h->hold_usec = POLICY_HARM_HOLD_MAX_USEC;
    if (!held || assigned_before_kib > h->mark_kib)
        h->mark_kib = assigned_before_kib;
    h->mark_until_usec = now_usec + h->hold_usec;
}

uint64_t harm_mark_kib(const struct harm *h, uint64_t now_usec)
{
    return now_usec < h->mark_until_usec ? h->mark_kib : 0;
}

bool harm_quiet(const struct harm *h)
{
    return h->rate[HARM_PSI_SOME] < HARM_QUIET_PPM && h->rate[HARM_REFAULT] <= 2 * h->average[HARM_REFAULT] &&
           h->rate[HARM_SWAP_IN] == 0 &&
           h->rate[HARM_DISK_READ] <= 2 * h->average[HARM_DISK_READ] + harm_excess[HARM_DISK_READ];
}
