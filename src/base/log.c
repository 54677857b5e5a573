/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_int log_max_level = LOG_LEVEL_INFO;

static void (*_Atomic log_sink)(const char *line, size_t len);

void log_set_sink(void (*sink)(const char *line, size_t len))
{
    atomic_store(&log_sink, sink);
}

void log_set_level(enum log_level level)
{
    atomic_store(&log_max_level, (int)level);
}

void log_line(enum log_level level, const char *format, ...)
{
    /* syslog priorities, as sd-daemon(3) reads them from a service's stderr */
    static const char *const journal_prefix[LOG_LEVEL_COUNT] = {"<3>", "<4>", "<6>", "<7>"};
    static const char *const plain_prefix[LOG_LEVEL_COUNT] = {"error: ", "warning: ", "", "debug: "};
    char line[LOG_LINE_SIZE];
    va_list ap;
    int used;

    if ((int)level > atomic_load(&log_max_level))
        return;
    used = snprintf(line, sizeof(line), "%s",
                    getenv("JOURNAL_STREAM") ? journal_prefix[level] : plain_prefix[level]);
    va_start(ap, format);
    int more = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, ap);
    va_end(ap);
    if (more < 0)
        return;
    size_t len = (size_t)used + (size_t)more;
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    line[len] = '\n';
    void (*sink)(const char *, size_t) = atomic_load(&log_sink);
    if (sink) {
        sink(line, len + 1);
        return;
    }
    if (write(STDERR_FILENO, line, len + 1) < 0)
        return; /* nowhere left to complain */
}
