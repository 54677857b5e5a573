/* SPDX-License-Identifier: Apache-2.0 */
#include "psi.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "number.h"
#include "readfile.h"

#define PSI_SIZE 512 /* two lines of at most 100 bytes */

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345". */
static bool take_total(const char *buf, size_t len, const char *kind, uint64_t *ret)
{
    static const char key[] = "total=";
    const char *line = memmem(buf, len, kind, strlen(kind)), *end, *p;

    if (!line)
        return false;
    end = memchr(line, '\n', (size_t)(buf + len - line));
    end = end ? end : buf + len;
    p = memmem(line, (size_t)(end - line), key, sizeof(key) - 1);
    if (!p)
        return false;
    p += sizeof(key) - 1;
    return number_take_u64(&p, end, ret) == 0;
}

int psi_parse(const char *buf, size_t len, struct psi *ret, struct err *e)
{
    struct psi p = {0};

    if (!take_total(buf, len, "some ", &p.some_usec) || !take_total(buf, len, "full ", &p.full_usec))
        return err_set(e, EPROTO, "no totals of 'some' and 'full'");
    *ret = p;
    return 0;
}

int psi_read(const char *path, struct psi *ret, struct err *e)
{
    char buf[PSI_SIZE];
    size_t len;
    int r;

    r = readfile_into(path, buf, sizeof(buf), &len, e);
    if (r < 0)
        return r;
    r = psi_parse(buf, len, ret, e);
    if (r < 0)
        return err_wrap(e, "%s", path);
    return 0;
}
