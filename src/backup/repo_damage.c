/* SPDX-License-Identifier: Apache-2.0 */
#include "repo_damage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"
#include "repo_private.h"
#include "wire_text.h"

#define DAMAGE_FILE "state/damaged"
#define LINE_LEN (REPO_ID_TEXT_SIZE - 1 + 1) /* the digits and the line's end */

/* Verified or not: put aside and missing chunks have no file under their name. */
static bool is_there(struct repo *repo, const struct repo_id *id)
{
    char path[REPO_PATH_SIZE];
    struct repo_stat st;
    struct err ignored = {0};

    return repo->fs->ops->stat(repo->fs, repo_chunk_path(id, "", path), &st, &ignored) == 0 && st.is_file;
}

int repo_damage_load(struct repo *repo, struct repo_marks *ret, struct err *e)
{
    AUTO_FREE char *text = NULL;
    struct err why = {0};
    size_t len = 0;
    int r = repo_file_read(repo, DAMAGE_FILE, (size_t)REPO_DAMAGE_MAX * LINE_LEN, &text, &len, &why);

    *ret = (struct repo_marks){0};
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return err_set(e, why.code, "%s", why.text);
    for (size_t at = 0; r == 0 && at < len; at += LINE_LEN) {
        struct repo_id id;

        if (len - at < LINE_LEN || text[at + LINE_LEN - 1] != '\n' || !repo_id_parse(text + at, LINE_LEN - 1, &id))
            r = err_set(e, EBADMSG, "'" DAMAGE_FILE "' is none of ours: remove it and run ballast backup verify");
        else
            r = repo_marks_add(ret, &id, 1, e);
    }
    if (r < 0)
        repo_marks_done(ret);
    else
        repo_marks_sort(ret);
    return r;
}

static int list_write(struct repo *repo, const struct repo_marks *damaged, struct err *e)
{
    struct wire_text t = {0};
    char id[REPO_ID_TEXT_SIZE];
    int r;

    for (size_t i = 0; i < damaged->count && i < REPO_DAMAGE_MAX; i++)
        wire_text_format(&t, "%s\n", repo_id_text(&damaged->ids[i], id));
    r = t.failed ? err_set(e, ENOMEM, "no memory for the list of damaged chunks")
                 : repo_file_replace(repo, DAMAGE_FILE, t.length ? t.data : "", t.length, e);
    wire_text_done(&t);
    return r;
}

int repo_damage_update(struct repo *repo, const struct repo_verification *v, struct err *e)
{
    struct repo_marks before = {0}, now = {0};
    struct err ignored = {0};
    int r = 0;

    if (repo_damage_load(repo, &before, &ignored) < 0)
        before = (struct repo_marks){0}; /* it is written anew */
    for (size_t i = 0; r == 0 && i < before.count; i++)
        if (!is_there(repo, &before.ids[i]))
            r = repo_marks_add(&now, &before.ids[i], 1, e);
    for (size_t i = 0; r == 0 && i < v->damaged_count; i++)
        r = repo_marks_add(&now, &v->damaged[i].id, 1, e);
    if (r == 0) {
        repo_marks_sort(&now);
        if (now.count > 0 || before.count > 0)
            r = list_write(repo, &now, e);
    }
    repo_marks_done(&before);
    repo_marks_done(&now);
    return r;
}

int repo_damage_check(struct repo *repo, const struct repo_marks *damaged, const struct repo_disk *disk, struct err *e)
{
    AUTO(repo_index) struct repo_index *index = NULL;
    struct err why = {0};
    int r = repo_index_load(repo, disk, &index, &why);

    if (r < 0)
        return err_set(e, r == -ENOMEM ? ENOMEM : EBADMSG, "%s", why.text);
    for (size_t i = 0; damaged->count > 0 && i < index->count; i++) {
        char id[REPO_ID_TEXT_SIZE];

        if (!repo_id_is_zero(&index->ids[i]) && repo_marks_has(damaged, &index->ids[i]) && !is_there(repo, &index->ids[i]))
            return err_set(e, EBADMSG, "chunk %.16s of it is damaged", repo_id_text(&index->ids[i], id));
    }
    return 0;
}
