/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo.h"

/* repo_fill REPOSITORY GUEST TIME PARENT NAME=FILE...
 * Stores image files as a point, as ballast-copy would: for tests and benchmarks. PARENT "-": full; else chunks that are the
 * same as in the parent's index are not put. REPO_FILL_FACTS: the facts, as JSON. Prints the point's name. */

static int complain(const struct err *e)
{
    fprintf(stderr, "repo_fill: %s\n", e->text);
    return 1;
}

/* The parent's index, as if all chunks were clean; a changed file then says which are dirty. */
static int index_make(struct repo *repo, const char *guest, const char *parent, const char *disk, uint64_t size,
                      struct repo_index **ret, struct err *e)
{
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    int r;

    if (!parent)
        return repo_index_new(repo, size, ret, e);
    r = repo_manifest_load(repo, guest, parent, &m, e);
    return r < 0 ? r : repo_index_load(repo, repo_manifest_disk(m, disk), ret, e);
}

static int disk_fill(struct repo *repo, struct repo_point *point, const char *guest, const char *parent, char *disk,
                     struct err *e)
{
    AUTO(repo_index) struct repo_index *index = NULL;
    char *file = strchr(disk, '=');
    uint64_t stored = 0, read_bytes = 0, more;
    struct stat st;
    int fd, r;

    if (!file)
        return err_set(e, 22, "NAME=FILE is wanted");
    *file++ = '\0';
    fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(e, 2, "cannot open %s", file);
    r = index_make(repo, guest, parent, disk, (uint64_t)st.st_size, &index, e);
    char *data = malloc(repo_chunk_bytes(repo)), *old = malloc(repo_chunk_bytes(repo));
    for (size_t n = 0; r == 0 && data && old && n < index->count; n++) {
        uint32_t len = repo_index_chunk_length(index, n);

        if (pread(fd, data, len, (off_t)(n * index->chunk_bytes)) != (ssize_t)len)
            r = err_set(e, 5, "cannot read %s", file);
        else if (parent && repo_chunk_get(repo, &index->ids[n], old, len, e) == 0 && memcmp(old, data, len) == 0)
            continue;
        else {
            r = repo_chunk_put(point, data, len, &index->ids[n], &more, e);
            stored += r == 0 ? more : 0;
            read_bytes += len;
        }
    }
    free(data);
    free(old);
    (void)close(fd);
    return r < 0 ? r : repo_point_add_disk(point, disk, parent ? REPO_KIND_INCREMENTAL : REPO_KIND_FULL, parent, index,
                                           read_bytes, stored, e);
}

int main(int argc, char **argv)
{
    AUTO(repo) struct repo *repo = NULL;
    struct repo_point *point;
    struct err e = {0};
    char name[REPO_POINT_NAME_SIZE];

    if (argc < 6)
        return 2;
    const char *parent = strcmp(argv[4], "-") == 0 ? NULL : argv[4];
    if (repo_open(argv[1], &repo, &e) < 0 ||
        repo_point_begin(repo, argv[2], argv[2], argv[3], &parent, parent ? 1 : 0, &point, &e) < 0)
        return complain(&e);
    for (int i = 5; i < argc; i++) {
        if (disk_fill(repo, point, argv[2], parent, argv[i], &e) < 0) {
            (void)repo_point_abort(point, e.text);
            return complain(&e);
        }
    }
    (void)snprintf(name, sizeof(name), "%s", repo_point_name(point));
    if (repo_point_commit(point, getenv("REPO_FILL_FACTS"), &e) < 0)
        return complain(&e);
    printf("%s\n", name);
    return 0;
}
