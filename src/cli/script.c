/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "own.h"

static void quote(struct wire_text *t, const char *argument)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";

    if (argument[0] && argument[strspn(argument, safe)] == '\0') {
        wire_text_adds(t, argument);
        return;
    }
    wire_text_adds(t, "'");
    for (const char *at; (at = strchr(argument, '\'')); argument = at + 1) {
        wire_text_add(t, argument, (size_t)(at - argument));
        wire_text_adds(t, "'\\''");
    }
    wire_text_adds(t, argument);
    wire_text_adds(t, "'");
}

void script_print(struct wire_text *t, const char *comment, const char *const *argv, size_t argc)
{
    wire_text_adds(t, "#!/bin/sh\n");
    while (*comment) {
        size_t length = strcspn(comment, "\n\r");

        wire_text_adds(t, "# ");
        wire_text_add(t, comment, length);
        wire_text_adds(t, "\n");
        comment += length + (comment[length] != '\0');
    }
    wire_text_adds(t, "exec");
    for (size_t i = 0; i < argc; i++) {
        /* An option and its values share a line. */
        wire_text_adds(t, i > 0 && argv[i][0] == '-' ? " \\\n    " : " ");
        quote(t, argv[i]);
    }
    wire_text_adds(t, "\n");
}

int script_write(const char *path, const char *comment, const char *const *argv, size_t argc, struct err *e)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    struct wire_text t = {0};
    int r = 0;

    if (fd < 0)
        return err_set(e, errno, "cannot create '%s': %s", path, strerror(errno));
    script_print(&t, comment, argv, argc);
    if (t.failed)
        r = err_set(e, ENOMEM, "no memory for '%s'", path);
    else if (write(fd, t.data, t.length) != (ssize_t)t.length || fsync(fd) < 0)
        r = err_set(e, errno ? errno : ENOSPC, "cannot write '%s': %s", path, strerror(errno ? errno : ENOSPC));
    wire_text_done(&t);
    if (r < 0)
        (void)unlink(path); /* the failure above is what counts */
    return r;
}
