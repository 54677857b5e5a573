/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "err.h"
#include "hv.h"

/* From what the configuration says of where guests are found to the drivers that find them. */

struct sd_event;

/* The i-th directory of monitors: as configured, else default_dir. */
const char *discovery_directory(const struct config *config, const char *default_dir, size_t i);

/* Guests are found in the same way by both: a driver for the one need not be opened anew for the other. */
bool discovery_is_same(const struct config *a, const struct config *b);

/* Opens the driver; its errors are those of hv_qmp_open(). */
int discovery_open(const struct config *config, const char *default_dir, struct sd_event *loop,
                   const struct hv_listener *listener, struct hv **ret, struct err *e);
