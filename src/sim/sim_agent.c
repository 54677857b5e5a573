/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_agent.h"

#define MSEC 1000ULL
#define SEC 1000000ULL
#define MIB 1024ULL

#define HEARTBEAT_USEC SEC
#define FAR_USEC (100 * MSEC)       /* looks at MemAvailable this often while it is far from the watermark */
#define REPEAT_USEC (100 * MSEC)
#define LINE_GAP_USEC (20 * MSEC)   /* 50 lines a second */
#define FALL_KIB (8 * MIB)
#define WATERMARK_MIN_KIB (16 * MIB)
#define WATERMARK_MAX_KIB (64 * MIB)
#define UNTOLD_SHARE 16             /* 1/16 of visible until told */
#define PSI_WINDOW_USEC (500 * MSEC) /* trigger: 20 ms in 500 ms */
#define PSI_STALL_USEC (20 * MSEC)
#define BUFFER_WHOLE 10000

/* Half of the guest's buffer as ballastd tells it. */
static uint64_t watermark_kib(const struct model *m, bool told)
{
    uint64_t w = told ? model_need_kib(m) * m->config.buffer / BUFFER_WHOLE / 2 : model_total_kib(m) / UNTOLD_SHARE;

    if (w < WATERMARK_MIN_KIB)
        return WATERMARK_MIN_KIB;
    return w > WATERMARK_MAX_KIB ? WATERMARK_MAX_KIB : w;
}

static bool psi_fires(struct sim_agent *a, const struct model *m, uint64_t now_usec)
{
    if (now_usec - a->window_usec >= PSI_WINDOW_USEC || m->psi_some_usec < a->window_some_usec) {
        a->window_usec = now_usec;
        a->window_some_usec = m->psi_some_usec;
        a->tripped = false;
    }
    if (a->tripped || m->psi_some_usec - a->window_some_usec < PSI_STALL_USEC)
        return false;
    a->tripped = true;
    return true;
}

bool sim_agent_speaks(struct sim_agent *a, const struct model *m, uint64_t now_usec)
{
    uint64_t available = model_available_kib(m);
    bool psi, speaks;

    if (!m->driver_up) {
        *a = (struct sim_agent){0}; /* its port opens anew after boot */
        return false;
    }
    if (a->watermark_kib == 0)
        a->watermark_kib = watermark_kib(m, a->told_usec > 0);
    psi = psi_fires(a, m, now_usec);
    speaks = a->told_usec == 0 || psi || now_usec - a->told_usec >= HEARTBEAT_USEC;
    if (available < 2 * a->watermark_kib || now_usec - a->looked_usec >= FAR_USEC) {
        a->looked_usec = now_usec;
        if (available < a->watermark_kib)
            speaks |= a->told_kib >= a->watermark_kib || available + FALL_KIB <= a->told_kib;
    }
    if (available < a->watermark_kib / 2 && m->psi_some_usec > a->psi_some_usec)
        speaks |= now_usec - a->told_usec >= REPEAT_USEC;
    if (m->stall_alloc && m->stall_alloc >= m->stall_refault)
        speaks |= now_usec - a->told_usec >= REPEAT_USEC;
    if (!speaks || (a->told_usec && now_usec - a->told_usec < LINE_GAP_USEC))
        return false;
    if (a->told_usec == 0 || now_usec - a->told_usec >= HEARTBEAT_USEC / 2)
        a->watermark_kib = watermark_kib(m, a->told_usec > 0);
    a->told_usec = now_usec;
    a->told_kib = available;
    a->psi_some_usec = m->psi_some_usec;
    return true;
}
