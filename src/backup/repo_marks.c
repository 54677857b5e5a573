/* SPDX-License-Identifier: Apache-2.0 */
#include "repo_marks.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_ROOM 1024

void repo_marks_sort(struct repo_marks *m)
{
    size_t kept = 0;

    if (m->count > 1)
        qsort(m->ids, m->count, sizeof(*m->ids), repo_id_compare);
    for (size_t i = 0; i < m->count; i++)
        if (kept == 0 || !repo_id_is_equal(&m->ids[kept - 1], &m->ids[i]))
            m->ids[kept++] = m->ids[i];
    m->count = kept;
    m->sorted = kept;
}

static int room_make(struct repo_marks *m, size_t more, struct err *e)
{
    size_t room = m->room ? m->room : FIRST_ROOM;
    struct repo_id *ids;

    if (m->count + more <= m->room)
        return 0;
    repo_marks_sort(m); /* points share most of their chunks: that is what makes room */
    while (room < m->count + more || room < 2 * m->count)
        room *= 2;
    if (room <= m->room)
        return 0;
    ids = realloc(m->ids, room * sizeof(*ids));
    if (!ids)
        return err_set(e, ENOMEM, "no memory for the list of chunks");
    m->ids = ids;
    m->room = room;
    return 0;
}

int repo_marks_add(struct repo_marks *m, const struct repo_id *ids, size_t n, struct err *e)
{
    int r = room_make(m, n, e);

    for (size_t i = 0; r == 0 && i < n; i++)
        if (!repo_id_is_zero(&ids[i]))
            m->ids[m->count++] = ids[i];
    return r;
}

int repo_marks_add_point(struct repo_marks *m, struct repo *repo, const struct repo_manifest *manifest,
                         repo_marks_failed_fn *failed, void *user, struct err *e)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < manifest->disk_count; i++) {
        const struct repo_disk *d = &manifest->disks[i];
        AUTO(repo_index) struct repo_index *index = NULL;
        struct err why = {0};

        r = repo_marks_add(m, d->parts, d->part_count, e);
        if (r < 0)
            return r;
        r = repo_index_load(repo, d, &index, &why);
        if (r < 0 && failed && r != -ENOMEM) {
            failed(user, d->name, &why);
            r = 0;
            continue;
        }
        if (r < 0)
            return err_set(e, why.code, "%s", why.text);
        r = repo_marks_add(m, index->ids, index->count, e);
    }
    return r;
}

bool repo_marks_has(const struct repo_marks *m, const struct repo_id *id)
{
    return m->count > 0 && bsearch(id, m->ids, m->count, sizeof(*m->ids), repo_id_compare) != NULL;
}

void repo_marks_done(struct repo_marks *m)
{
    free(m->ids);
    *m = (struct repo_marks){0};
}
