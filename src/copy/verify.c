/* SPDX-License-Identifier: Apache-2.0 */
#include "prepare.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <time.h>

#include "repo_verify.h"

#define VERIFY_NICE 10 /* it has all day, guests have not */

int prepare_verified(const char *repository, struct wire_text *t, struct err *e)
{
    AUTO(repo) struct repo *repo = NULL;
    struct repo_verified v;
    int64_t seconds = 0;
    int r = repo_open(repository, &repo, e);

    if (r >= 0)
        r = repo_verified_load(repo, &v, e);
    if (r == -ENOENT && repo) {
        wire_text_adds(t, ",\"verified\":null");
        return 0;
    }
    if (r < 0)
        return r;
    (void)repo_time_parse(v.time, &seconds); /* it was looked at when it was loaded */
    wire_text_format(t, ",\"verified\":{\"time_sec\":%" PRId64 ",\"damaged\":%" PRIu64 ",\"victims\":%" PRIu64 "}", seconds, v.damaged,
                     v.victims);
    return 0;
}

int prepare_verify(const char *repository, unsigned sample, struct wire_text *t, struct err *e)
{
    AUTO(repo) struct repo *repo = NULL;
    AUTO(repo_verification) struct repo_verification *v = NULL;
    struct timespec now = {0};
    struct err unsaved = {0};
    int r;

    (void)setpriority(PRIO_PROCESS, 0, VERIFY_NICE); /* where it may not, it only is in the way a little more */
    r = repo_open(repository, &repo, e);
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail; another time, other chunks */
    if (r >= 0)
        r = repo_verify(repo, sample, (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20, NULL, NULL, &v, e);
    if (r < 0)
        return r;
    (void)repo_verification_save(repo, v, sample, &unsaved); /* a full disk is no reason not to tell */
    wire_text_format(t, ",\"verified\":{\"time_sec\":%" PRId64 ",\"damaged\":%zu,\"victims\":%zu}", (int64_t)now.tv_sec,
                     v->damaged_count, v->victim_count);
    return 0;
}
