/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "api_routes.h"
#include "recorder.h"

/* Recordings by the API: starts one, gives a piece of it, stops it. A client polls: each piece is a short request like any
 * other, and asking again for the same piece gives the same. */
void record_request(struct recorder *r, enum api_operation what, uint64_t now_usec, const struct api_request *rq,
                    struct api_reply *ret);
