/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "guest.h"
#include "hv.h"

/* What the engine is tested with: a core without policy and a driver that answers only what the test says. Both write
 * down what they are called for; what the core would decide is said in plan[]. */

#define MIB 1024ULL /* in KiB */
#define PLANS_MAX 8

extern char journal[16384]; /* each call as "what;" */

void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The orders of the next decisions. */
struct order_plan {
    const struct hv_vm *vm; /* NULL: end */
    enum guest_order order;
    uint64_t kib;
};
extern struct order_plan plan[PLANS_MAX];

extern struct hv_vm *vms[PLANS_MAX]; /* by which the core tells names */
extern struct hv_vm vm_a, vm_b, vm_c;

/* The call of the last set_target(): the test ends it. */
struct fake_call {
    hv_done_fn *done;
    void *user;
};
extern struct fake_call last_call;
extern int refuse;               /* errno of the next set_target() */
extern void (*during_set)(void); /* runs inside the next set_target() */
