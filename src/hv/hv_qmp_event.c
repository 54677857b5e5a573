/* SPDX-License-Identifier: Apache-2.0 */
#include "hv_qmp_guest.h"

#include <string.h>

#include "agent_link.h"
#include "qmp_message.h"

/* What QEMU tells unasked. */

static void tell(struct qmp_guest *g, enum hv_happening what)
{
    const struct hv_listener *l = qmp_guest_listener(g);

    l->happened(l->user, &g->vm, what, qmp_guest_now(g));
}

/* What was ordered before belongs to a machine that is gone. `actual` stays at its old value for seconds while the
 * booting kernel owns all of it; the engine counts that (S1b). */
void qmp_guest_see_reset(struct qmp_guest *g)
{
    online_see_reset(&g->online);
    qmp_guest_forget_kernel(g); /* its agent told of the kernel before */
    qmp_guest_limit_boot(g);
    g->plug_blocked_usec = 0;
    g->told &= ~(1U << QMP_CAUSE_OFFLINE);
    qmp_guest_stop_moving(g);
    agent_link_see_break(g->agent, /* paused= */ false);
    tell(g, HV_HAPPENED_RESET);
}

static void on_reset(struct qmp_guest *g, struct json_object *data)
{
    (void)data;
    qmp_guest_see_reset(g);
}

static void on_shutdown(struct qmp_guest *g, struct json_object *data)
{
    const char *reason = "";

    (void)qmp_get_string(data, "reason", &reason);
    if (strstr(reason, "reset"))
        on_reset(g, data);
    else
        tell(g, HV_HAPPENED_SHUTDOWN);
}

static void on_panic(struct qmp_guest *g, struct json_object *data)
{
    (void)data;
    tell(g, HV_HAPPENED_PANIC);
}

static void on_stop(struct qmp_guest *g, struct json_object *data)
{
    (void)data;
    g->running = false;
    if (g->backup.frozen)
        return;
    g->told_paused = true;
    agent_link_see_break(g->agent, /* paused= */ true);
    tell(g, HV_HAPPENED_PAUSED);
}

static void on_resume(struct qmp_guest *g, struct json_object *data)
{
    (void)data;
    g->running = true;
    if (g->backup.frozen)
        return;
    g->told_paused = false;
    agent_link_see_break(g->agent, /* paused= */ false);
    tell(g, HV_HAPPENED_RESUMED);
}

/* Limited to one a second and without all numbers: a reason to look, no more. */
static void on_lever(struct qmp_guest *g, struct json_object *data)
{
    struct err e = {0};

    (void)data;
    if (g->share.on)
        return; /* this batch looks at them anyway, and ends then */
    (void)qmp_guest_sample(g, HV_SAMPLE_LEVERS, &e); /* a failure shows at the next look */
}

static void on_device_gone(struct qmp_guest *g, struct json_object *data)
{
    (void)data;
    qmp_guest_probe_again(g);
}

void qmp_guest_event(struct qmp_guest *g, const char *name, struct json_object *data)
{
    static const struct {
        const char *name;
        void (*take)(struct qmp_guest *g, struct json_object *data);
    } table[] = {
        {"RESET", on_reset},
        {"SHUTDOWN", on_shutdown},
        {"GUEST_PANICKED", on_panic},
        {"STOP", on_stop},
        {"RESUME", on_resume},
        {"BALLOON_CHANGE", on_lever},
        {"MEMORY_DEVICE_SIZE_CHANGE", on_lever},
        {"DEVICE_DELETED", on_device_gone},
    };

    if (!g->attached) /* being probed: that sees the outcome */
        return;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(table[i].name, name) == 0)
            table[i].take(g, data);
}
