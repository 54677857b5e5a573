/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "config_store.h"

/* Whether what holds for a guest makes sense by itself and with the minimums of the others that are named: -EINVAL with a
 * sentence. After config_check(). */
int config_check_guest(const struct config_store *s, const struct host_config *host, const char *name,
                       const struct guest_config *g, struct err *e);

/* What no single key shows: things written twice, values that contradict each other or the host. Sorts the entries.
 * host_memory_bytes 0: not known. Writes the host's part, resolved. */
void config_check(struct config_store *s, uint64_t host_memory_bytes, struct config_list *problems,
                  struct config_list *warnings, struct host_config *ret_host);

/* The section `notify` with its defaults. A command that can't be run now is a warning: it may be installed later. */
void config_check_notify(const struct config_store *s, struct config_list *warnings, struct config_notify *ret);
