/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "replay.h"
#include "term.h"

/* What a replay came to: "N decisions, all the same", or the first that differs with its inputs: `ballast replay FILE`.
 * here_hash: of the configuration that ballastd would read here; "" where there is none. */
void view_replay_print(const struct term *term, struct wire_text *out, const struct replay_report *report,
                       const char *here_hash);

/* The same for programs. */
void view_replay_json(struct wire_text *out, const struct replay_report *report, const char *here_hash);

/* Something in it needs a look although all decisions came out the same: another version, another configuration, a cut end. */
bool view_replay_has_warnings(const struct replay_report *report, const char *here_hash);
