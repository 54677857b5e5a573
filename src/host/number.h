/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* Whole numbers in text that may end anywhere (no NUL needed). */

/* Skips blanks, then takes decimal digits; *p is left behind them. Returns 0, or -EINVAL (no digit, or too large) with
 * *p and *ret untouched. No error text: the caller knows what the number is. */
int number_take_u64(const char **p, const char *end, uint64_t *ret);
int number_take_hex(const char **p, const char *end, uint64_t *ret);
