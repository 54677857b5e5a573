/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "repo.h"

/* A repository for tests that want nothing but bytes back:
 *     repo_tool init DIRECTORY CHUNK_BYTES
 *     repo_tool restore DIRECTORY IDENTITY TIME DISK FILE      writes the whole disk, zeroes too
 *     repo_tool points DIRECTORY                               one "IDENTITY/TIME" a line */

static int restore(struct repo *repo, char **argv, struct err *e)
{
    AUTO(repo_manifest) struct repo_manifest *m = NULL;
    AUTO(repo_index) struct repo_index *index = NULL;
    AUTO_FREE uint8_t *chunk = malloc(repo_chunk_bytes(repo));
    AUTO_CLOSE int fd = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int r = repo_manifest_load(repo, argv[0], argv[1], &m, e);

    if (r < 0)
        return r;
    const struct repo_disk *disk = repo_manifest_disk(m, argv[2]);
    if (!disk || !chunk || fd < 0)
        return err_set(e, EINVAL, "no disk '%s', no memory, or no file '%s'", argv[2], argv[3]);
    r = repo_index_load(repo, disk, &index, e);
    for (size_t n = 0; r == 0 && n < index->count; n++) {
        uint32_t length = repo_index_chunk_length(index, n);

        r = repo_chunk_get(repo, &index->ids[n], chunk, length, e);
        if (r == 0 && write(fd, chunk, length) != (ssize_t)length)
            r = err_set(e, EIO, "cannot write '%s'", argv[3]);
    }
    return r;
}

static int points(struct repo *repo, struct err *e)
{
    AUTO(repo_point_list) struct repo_point_list *list = NULL;
    int r = repo_points_list(repo, NULL, &list, e);

    for (size_t i = 0; r == 0 && i < list->count; i++)
        printf("%s/%s\n", list->items[i].identity, list->items[i].time);
    return r;
}

int main(int argc, char **argv)
{
    AUTO(repo) struct repo *repo = NULL;
    struct err e = {0};
    int r;

    if (argc == 4 && strcmp(argv[1], "init") == 0)
        r = repo_init(argv[2], (uint32_t)strtoul(argv[3], NULL, 10), &e);
    else if (argc == 7 && strcmp(argv[1], "restore") == 0)
        r = repo_open(argv[2], &repo, &e) < 0 ? -1 : restore(repo, argv + 3, &e);
    else if (argc == 3 && strcmp(argv[1], "points") == 0)
        r = repo_open(argv[2], &repo, &e) < 0 ? -1 : points(repo, &e);
    else
        r = err_set(&e, EINVAL, "wrong usage");
    if (r < 0)
        fprintf(stderr, "repo_tool: %s\n", e.text);
    return r < 0;
}
