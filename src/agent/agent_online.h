/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "err.h"

/* Hot-added memory counts for nothing until the guest has onlined it, and some distributions leave that to somebody
 * else. */

/* Sets the kernel up to online what is plugged from now on: auto_online_blocks = online where it is offline,
 * memory_hotplug.online_policy = auto-movable where it is the kernel's default. Other settings are somebody's will and
 * stay. Returns 0 if plugged memory will come online by itself or can't come at all (no hot-add in this kernel), or
 * -errno with a sentence. */
int agent_online_setup(struct err *e);

/* Onlines the blocks of virtio-mem that are offline now; returns how many. Blocks of other origin are left alone: their
 * owner may have put them offline. */
unsigned agent_online_blocks(void);
