/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "wire_text.h"

/* What an administrator sees, as files: GOLDEN_UPDATE=1 writes them anew; look at the difference before committing
 * it. */
void golden_check(const char *name, const struct wire_text *t);
