/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* Lines for people and for the journal, on stderr. Under systemd each line carries its level as "<N>"; a terminal gets
 * plain text. `base core host hv wire backup` log at debug only; the daemon and the CLI speak to people.
 * Names stand in single quotes; one failure is one line; a line says what happens next. Never call from a signal handler. */

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_COUNT
};

/* Longest line, with its end; longer ones are cut. */
#define LOG_LINE_SIZE 1024

/* Lines above this level are dropped. Default: LOG_LEVEL_INFO. One setting for the process. */
void log_set_level(enum log_level level);

/* Where lines go instead of stderr; NULL: to stderr again. The sink must not block or keep the line. For the daemon, whose
 * loop must not wait for a journal that hangs (S12). */
void log_set_sink(void (*sink)(const char *line, size_t len));

/* Writes one line (the newline is added) with a single write(2); an unwritable stderr is ignored. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
