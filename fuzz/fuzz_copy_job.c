/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "copy_job.h"

/* What may stand in a line to ballast-copy: any bytes at all. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

static void check_job(const struct copy_job *job)
{
    must(job->disks_n > 0 && job->disks_n <= COPY_DISKS_MAX);
    must(job->stall_msec >= COPY_STALL_MSEC_MIN && job->stall_msec <= COPY_STALL_MSEC_MAX);
    must(job->repository[0] == '\0' || job->repository[0] == '/');
    for (size_t i = 0; i < job->disks_n; i++) {
        const struct copy_disk *d = &job->disks[i];

        must(text_is_name(d->name, strlen(d->name)));
        must(d->size_bytes > 0 && d->size_bytes <= COPY_DISK_BYTES_MAX && d->size_bytes % COPY_SECTOR_BYTES == 0);
        must(d->socket[0] == '/' && strlen(d->socket) < sizeof(d->socket));
        must((d->raw[0] == '\0') == (job->repository[0] != '\0'));
        must(d->kind == COPY_KIND_FULL || d->parent[0]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct copy_order o;
    struct err e = {0};
    int r = copy_order_parse((const char *)data, size, &o, &e);

    if (r < 0) {
        struct wire_text t = {0};

        must(r == -e.code && e.text[0] != '\0');
        copy_print_failed(&t, e.text, "");
        must(!t.failed && t.length <= COPY_LINE_OUT_MAX && strchr(t.data, '\n') == t.data + t.length - 1);
        wire_text_done(&t);
        return 0;
    }
    must((o.verb == COPY_VERB_JOB) == (o.job != NULL));
    must((o.verb == COPY_VERB_FINISH) == (o.manifest != NULL));
    if (o.job)
        check_job(o.job);
    copy_order_done(&o);
    return 0;
}
