/* SPDX-License-Identifier: Apache-2.0 */
#include "motion.h"

#include "policy_defaults.h"

/* Balloons and virtio-mem that move at all move again within this. */
#define MOTION_REST_USEC (300 * USEC_PER_MSEC)

void motion_order(struct motion *m, uint64_t assigned_kib, uint64_t target_kib, uint64_t now_usec)
{
    bool same_way = m->active && (target_kib > assigned_kib) == (m->target_kib > m->from_kib);

    /* A newer target in the same direction does not restart the guest's patience: else a loop that adjusts its target
     * each second would never find anyone stuck. */
    if (!same_way)
        m->moved_usec = now_usec;
    m->active = true;
    m->target_kib = target_kib;
    m->from_kib = assigned_kib;
    m->last_kib = assigned_kib;
    m->ordered_usec = now_usec;
    if (motion_is_stuck(m))
        m->retry_usec = UINT64_MAX; /* the retry is under way */
}

static uint64_t motion_distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static void motion_forgive(struct motion *m)
{
    m->withdrawals = 0;
    m->still_usec = 0;
    m->stuck_since_usec = 0;
    m->retry_usec = 0;
    m->retry_wait_usec = 0;
}

void motion_see(struct motion *m, uint64_t assigned_kib, uint64_t tolerance_kib, uint64_t now_usec)
{
    if (!m->active) {
        m->last_kib = assigned_kib;
        return;
    }
    if (motion_distance(assigned_kib, m->target_kib) < motion_distance(m->last_kib, m->target_kib)) {
        m->moved_usec = now_usec;
        m->last_kib = assigned_kib;
        motion_forgive(m);
    }
    /* A grant counts whole until it is there or the guest rests: the last block of it is promised, too (S3). */
    bool resting = assigned_kib == m->target_kib || m->target_kib < m->from_kib ||
                   now_usec >= m->moved_usec + MOTION_REST_USEC;
    if (resting && motion_distance(assigned_kib, m->target_kib) <= tolerance_kib) {
        m->active = false;
        motion_forgive(m);
    }
}

bool motion_wants_withdrawal(const struct motion *m, uint64_t now_usec)
{
    return m->active && now_usec >= m->moved_usec + POLICY_WITHDRAW_USEC;
}

void motion_withdraw(struct motion *m, uint64_t now_usec)
{
    m->still_usec += now_usec - m->moved_usec;
    m->withdrawals++;
    m->active = false;
    if (m->withdrawals < 2 && m->still_usec < POLICY_STUCK_USEC && !motion_is_stuck(m))
        return;
    if (!motion_is_stuck(m)) {
        m->stuck_since_usec = now_usec;
        m->stuck_growing = m->target_kib > m->from_kib;
    }
    m->retry_wait_usec = m->retry_wait_usec ? m->retry_wait_usec * 2 : POLICY_RETRY_MIN_USEC;
    if (m->retry_wait_usec > POLICY_RETRY_MAX_USEC)
        m->retry_wait_usec = POLICY_RETRY_MAX_USEC;
    m->retry_usec = now_usec + m->retry_wait_usec;
}

void motion_cancel(struct motion *m)
{
    m->active = false;
}

bool motion_is_stuck(const struct motion *m)
{
    return m->stuck_since_usec != 0;
}

bool motion_is_held(const struct motion *m, uint64_t now_usec)
{
    return motion_is_stuck(m) && !m->active && now_usec < m->retry_usec;
}
