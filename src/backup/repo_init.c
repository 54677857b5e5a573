/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo_private.h"
#include "repo_version.h"
#include "restore_sh.h"

/* What the probe asks of a file system. Any whole number of seconds does; this one no clock shows by chance. */
#define PROBE_TIME 1000000000

#define PROBE ".probe"
static const char old_text[] = "old\n", new_text[] = "new, and longer\n";

static int lacks(const char *what, const struct err *why, struct err *e)
{
    return err_set(e, EOPNOTSUPP, "the file system can't hold a repository: %s%s%s", what, why->text[0] ? ": " : "",
                   why->text);
}

static int probe_content(struct repo_fs *fs, const char *path, const char *wanted, const char *what, struct err *e)
{
    char got[64];
    size_t len = 0;
    struct err why = {0};

    if (fs->ops->read(fs, path, got, sizeof(got), &len, &why) < 0 || len != strlen(wanted) ||
        memcmp(got, wanted, len) != 0)
        return lacks(what, &why, e);
    return 0;
}

/* A rename replaces at once, and the old name is gone; one that must not replace doesn't. */
static int probe_rename(struct repo_fs *fs, struct err *e)
{
    struct repo_stat st;
    struct err why = {0};
    int r;

    if (fs->ops->write(fs, PROBE "/a", old_text, strlen(old_text), PROBE_TIME, REPO_WRITE_PLAIN, &why) < 0 ||
        fs->ops->write(fs, PROBE "/b", new_text, strlen(new_text), 0, REPO_WRITE_SYNC, &why) < 0)
        return lacks("a file can't be written and synced", &why, e);
    if (fs->ops->write(fs, PROBE "/a", new_text, strlen(new_text), 0, REPO_WRITE_PLAIN, &why) != -EEXIST)
        return lacks("a file that is there is created once more", &(struct err){0}, e);
    if (fs->ops->stat(fs, PROBE "/a", &st, &why) < 0 || st.mtime_sec != PROBE_TIME)
        return lacks("it does not keep the time that a file is given", &(struct err){0}, e);
    if (fs->ops->touch(fs, PROBE "/a", PROBE_TIME + 1, &why) < 0 || fs->ops->stat(fs, PROBE "/a", &st, &why) < 0 ||
        st.mtime_sec != PROBE_TIME + 1)
        return lacks("a file's time can't be set", &why, e);
    why = (struct err){0};
    r = fs->ops->rename_new(fs, PROBE "/b", PROBE "/a", &why);
    if (r == 0)
        return lacks("a rename replaces a file where it was told not to", &(struct err){0}, e);
    if (r != -EEXIST && r != -EINVAL)
        return lacks("a file can't be renamed", &why, e);
    r = probe_content(fs, PROBE "/a", old_text, "a rename that was refused changed the file", e);
    if (r < 0)
        return r;
    why = (struct err){0};
    if (fs->ops->rename(fs, PROBE "/b", PROBE "/a", &why) < 0)
        return lacks("a rename can't replace a file", &why, e);
    if (fs->ops->stat(fs, PROBE "/b", &st, &why) != -ENOENT)
        return lacks("a rename leaves the old name behind", &(struct err){0}, e);
    return probe_content(fs, PROBE "/a", new_text, "a rename that replaced left the old content", e);
}

static int probe_sync(struct repo_fs *fs, struct err *e)
{
    struct err why = {0};

    if (fs->ops->sync_directory(fs, PROBE, &why) < 0 || fs->ops->sync_all(fs, &why) < 0)
        return lacks("what was written can't be made durable", &why, e);
    return 0;
}

static int probe_lock(struct repo_fs *fs, struct err *e)
{
    struct err why = {0};
    int first, second, r;

    if (fs->ops->lock(fs, PROBE "/a", REPO_LOCK_EXCLUSIVE, &first, &why) < 0)
        return lacks("a file can't be locked", &why, e);
    r = fs->ops->lock(fs, PROBE "/a", REPO_LOCK_EXCLUSIVE, &second, &why);
    if (r == 0)
        fs->ops->unlock(fs, second);
    if (r == -EWOULDBLOCK && (r = fs->ops->lock(fs, PROBE "/a", REPO_LOCK_SHARED, &second, &why)) == 0)
        fs->ops->unlock(fs, second);
    fs->ops->unlock(fs, first);
    if (r == 0)
        return lacks("a lock does not keep others out", &(struct err){0}, e);
    if (r != -EWOULDBLOCK)
        return lacks("a lock that somebody has is answered wrongly", &why, e);
    why = (struct err){0};
    if (fs->ops->lock(fs, PROBE "/a", REPO_LOCK_EXCLUSIVE, &first, &why) < 0)
        return lacks("a lock is not given back", &why, e);
    fs->ops->unlock(fs, first);
    return 0;
}

static void probe_clean(struct repo_fs *fs)
{
    struct err ignored = {0};

    (void)fs->ops->remove(fs, PROBE "/a", &ignored); /* whatever is there */
    (void)fs->ops->remove(fs, PROBE "/b", &ignored);
    (void)fs->ops->rmdir(fs, PROBE, &ignored);
}

static int probe(struct repo_fs *fs, struct err *e)
{
    struct err why = {0};
    int r;

    probe_clean(fs); /* of an init that was killed */
    if (fs->ops->mkdir(fs, PROBE, &why) < 0)
        return lacks("nothing can be created", &why, e);
    r = probe_rename(fs, e);
    if (r == 0)
        r = probe_sync(fs, e);
    if (r == 0)
        r = probe_lock(fs, e);
    probe_clean(fs);
    return r;
}

/* Nothing but what an init that was killed may have left. */
static int empty_check(void *user, const char *name, struct err *e)
{
    static const char *const ours[] = {REPO_CHUNKS, REPO_LOCKS, REPO_VM, "restore.sh", PROBE, "lost+found"};

    if (strcmp(name, REPO_VERSION_FILE) == 0)
        return err_set(e, EEXIST, "there is a repository already");
    if (strncmp(name, ".new-", 5) == 0)
        return 0;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strcmp(name, ours[i]) == 0)
            return 0;
    return err_set(e, ENOTEMPTY, "the directory is not empty: it has '%s'", text_show(name, strlen(name)).s);
}

static int directory_make(struct repo_fs *fs, const char *path, struct err *e)
{
    struct err why = {0};
    int r = fs->ops->mkdir(fs, path, &why);

    return r < 0 && r != -EEXIST ? err_set(e, why.code, "%s", why.text) : 0;
}

static int directories_make(struct repo_fs *fs, struct err *e)
{
    char path[REPO_PATH_SIZE];
    int r = directory_make(fs, REPO_CHUNKS, e);

    for (unsigned i = 0; i < 256 && r == 0; i++) {
        (void)snprintf(path, sizeof(path), REPO_CHUNKS "/%02x", i);
        r = directory_make(fs, path, e);
    }
    if (r == 0)
        r = directory_make(fs, REPO_LOCKS, e);
    return r == 0 ? directory_make(fs, REPO_VM, e) : r;
}

/* The version file comes last, when all before it is durable: it makes the repository. */
static int files_make(struct repo *repo, const struct repo_version *v, struct err *e)
{
    struct repo_fs *fs = repo->fs;
    struct wire_text t = {0};
    struct err why = {0};
    int r = fs->ops->write(fs, REPO_SWEEP_LOCK, "", 0, 0, REPO_WRITE_SYNC, &why);

    if (r < 0 && r != -EEXIST)
        return err_set(e, why.code, "%s", why.text);
    r = repo_file_replace(repo, "restore.sh", restore_sh, strlen(restore_sh), e);
    if (r == 0)
        r = fs->ops->sync_directory(fs, REPO_CHUNKS, e);
    if (r == 0)
        r = fs->ops->sync_directory(fs, REPO_LOCKS, e);
    if (r == 0)
        r = fs->ops->sync_all(fs, e);
    if (r < 0)
        return r;
    repo_version_print(&t, v);
    r = t.failed ? err_set(e, ENOMEM, "no memory for a new repository")
                 : repo_file_replace(repo, REPO_VERSION_FILE, t.data, t.length, e);
    wire_text_done(&t);
    return r;
}

static int init_on(struct repo *repo, uint32_t chunk_bytes, struct err *e)
{
    struct repo_version v = {.version = REPO_VERSION, .chunk_bytes = chunk_bytes ? chunk_bytes : REPO_CHUNK_BYTES_DEFAULT};
    int r;

    if (v.chunk_bytes < REPO_CHUNK_BYTES_MIN || v.chunk_bytes > REPO_CHUNK_BYTES_MAX ||
        (v.chunk_bytes & (v.chunk_bytes - 1)) != 0)
        return err_set(e, EINVAL, "chunks have a power of two from 64 KiB to 4 MiB, not %u bytes", v.chunk_bytes);
    r = repo_random_name(v.name, e);
    if (r == 0)
        r = repo->fs->ops->list(repo->fs, ".", empty_check, NULL, e);
    if (r == 0)
        r = probe(repo->fs, e);
    if (r == 0)
        r = directories_make(repo->fs, e);
    return r == 0 ? files_make(repo, &v, e) : r;
}

int repo_init_on(struct repo_fs *fs, uint32_t chunk_bytes, struct err *e)
{
    struct repo repo = {.fs = fs};
    int r = init_on(&repo, chunk_bytes, e);

    (void)repo_fs_free(fs);
    return r;
}

int repo_init(const char *path, uint32_t chunk_bytes, struct err *e)
{
    bool is_made = mkdir(path, 0700) == 0;
    struct repo_fs *fs;
    int r;

    if (!is_made && errno != EEXIST)
        return err_set(e, errno, "cannot create '%s': %s", path, strerror(errno));
    r = repo_fs_open(path, &fs, e);
    if (r == 0)
        r = repo_init_on(fs, chunk_bytes, e);
    if (r == 0)
        return 0;
    if (is_made)
        (void)rmdir(path); /* fails where something was made in it: init goes on there next time */
    return err_wrap(e, "no repository made in '%s'", path);
}
