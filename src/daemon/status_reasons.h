/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "wire_status.h"

/* The sentences of the status: why a guest is flagged, what the host's step of sharing means, what is wrong with the
 * host now. Written for somebody who has not read the design. */

/* Adds ret's flags with their reasons; the numbers of `ret` are filled already. */
void status_reasons_fill(const struct engine_guest *g, uint64_t now_usec, struct wire_guest *ret);

/* Fills share_text from share_step. */
void status_share_text(struct wire_host *ret);

/* What holds now and should worry somebody; returns how many were written (at most cap). */
size_t status_host_warnings(const struct wire_host *h, struct wire_warning *ret, size_t cap);
