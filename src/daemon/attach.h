/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "api.h"
#include "engine.h"
#include "err.h"
#include "own.h"

/* `ballast attach`: asks a guest's driver for the agent's port, and keeps how that went until somebody looks. The answer
 * of the driver comes later than the request's, so a client asks again. Single-threaded, never blocks. */

/* Guests whose last attach is remembered; the oldest is forgotten first. */
#define ATTACH_KEPT_MAX 64

struct attach;

int attach_new(const struct engine *engine, struct attach **ret, struct err *e);
struct attach *attach_free(struct attach *a); /* after the drivers, whose answers may still come */
OWN_DEFINE(attach);

/* The operations ATTACH (starts one, or tells of the one under way) and ATTACH_STATE (tells). */
void attach_request(struct attach *a, enum api_operation what, const struct api_request *rq, struct api_reply *ret);
