/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "api.h"
#include "wire_history.h"
#include "wire_status.h"
#include "wire_why.h"

/* A host with five guests of every kind the tables and sentences must tell apart, the same in each call. */
struct wire_status *fixture_status(void);

/* Five minutes of its first guest; start with a zeroed one. */
void fixture_history(struct wire_history_guest *g);

/* Why its first guest has the size it has. */
void fixture_why(struct wire_why *w);

/* Serves a struct wire_status (borrowed) by the API's callbacks. */
struct api_source fixture_source(struct wire_status *s);
