/* SPDX-License-Identifier: Apache-2.0 */
#include "repo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "repo_private.h"
#include "repo_version.h"

uint32_t repo_chunk_bytes(const struct repo *repo)
{
    return repo->chunk_bytes;
}

const char *repo_name(const struct repo *repo)
{
    return repo->name;
}

int repo_random_name(char text[REPO_NAME_SIZE], struct err *e)
{
    uint8_t bytes[(REPO_NAME_SIZE - 1) / 2];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return err_set(e, EIO, "the kernel gives no random bytes");
    repo_hex_print(bytes, sizeof(bytes), text);
    return 0;
}

const char *repo_point_path(const char *identity, const char *time, const char *name, char path[REPO_PATH_SIZE])
{
    (void)snprintf(path, REPO_PATH_SIZE, REPO_VM "/%s/%s%s%s", identity, time, name ? "/" : "", name ? name : "");
    return path;
}

/* Only as it is on disk. */
bool repo_time_is_valid(const char *text)
{
    int64_t seconds;

    return text[0] && text[4] != '-' && repo_time_parse(text, &seconds);
}

void repo_time_print(int64_t seconds, char text[REPO_TIME_SIZE])
{
    const int64_t last = 253402300799; /* the end of year 9999: four digits are all there is room for */
    time_t t = (time_t)(seconds < 0 ? 0 : seconds > last ? last : seconds);
    struct tm tm;

    if (!gmtime_r(&t, &tm) || strftime(text, REPO_TIME_SIZE, "%Y%m%dT%H%M%SZ", &tm) != REPO_TIME_SIZE - 1)
        (void)snprintf(text, REPO_TIME_SIZE, "19700101T000000Z"); /* cannot be: the value is in range */
}

/* The digits of either form, in the one without separators; false where it is neither. */
static bool time_plain(const char *text, char plain[REPO_TIME_SIZE])
{
    static const char forms[][24] = {"ddddddddTddddddZ", "dddd-dd-ddTdd:dd:ddZ"};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        const char *form = forms[i], *t = text;
        char *to = plain;

        while (*form && (*form == 'd' ? *t >= '0' && *t <= '9' : *t == *form)) {
            if (*form != '-' && *form != ':')
                *to++ = *t;
            form++;
            t++;
        }
        *to = '\0';
        if (!*form && !*t)
            return true;
    }
    return false;
}

bool repo_time_parse(const char *text, int64_t *ret_seconds)
{
    char plain[REPO_TIME_SIZE], again[REPO_TIME_SIZE];
    struct tm tm = {0};
    time_t t;

    if (!time_plain(text, plain) ||
        sscanf(plain, "%4d%2d%2dT%2d%2d%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
               &tm.tm_sec) != 6)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    t = timegm(&tm);
    if (t < 0)
        return false;
    repo_time_print(t, again);
    if (strcmp(again, plain) != 0)
        return false; /* 30 February */
    *ret_seconds = t;
    return true;
}

int repo_file_read(struct repo *repo, const char *path, size_t room, char **ret, size_t *ret_len, struct err *e)
{
    AUTO_FREE char *text = NULL;
    struct repo_stat st;
    size_t len = 0;
    int r = repo->fs->ops->stat(repo->fs, path, &st, e);

    if (r < 0)
        return r;
    if (st.size_bytes > room)
        return err_set(e, EBADMSG, "'%s' is larger than any of ours", path);
    text = malloc((size_t)st.size_bytes + 1);
    if (!text)
        return err_set(e, ENOMEM, "no memory to read '%s'", path);
    r = repo->fs->ops->read(repo->fs, path, text, (size_t)st.size_bytes, &len, e);
    if (r < 0)
        return r;
    text[len] = '\0';
    *ret = TAKE(text);
    *ret_len = len;
    return 0;
}

int repo_file_replace(struct repo *repo, const char *path, const char *data, size_t len, struct err *e)
{
    const struct repo_fs_ops *ops = repo->fs->ops;
    const char *slash = strrchr(path, '/');
    char temporary[REPO_PATH_SIZE], directory[REPO_PATH_SIZE], unique[REPO_NAME_SIZE];
    int r = repo_random_name(unique, e);

    if (r < 0)
        return r;
    if (snprintf(directory, sizeof(directory), "%.*s", (int)(slash ? slash - path : 1), slash ? path : ".") < 0 ||
        (size_t)snprintf(temporary, sizeof(temporary), "%s/.new-%s", directory, unique) >= sizeof(temporary))
        return err_set(e, ENAMETOOLONG, "the path '%.60s...' is too long", path);
    r = ops->write(repo->fs, temporary, data, len, 0, REPO_WRITE_SYNC, e);
    if (r < 0)
        return r;
    r = ops->rename(repo->fs, temporary, path, e);
    if (r < 0) {
        struct err ignored = {0};

        (void)ops->remove(repo->fs, temporary, &ignored); /* the failure above is what counts */
        return r;
    }
    return ops->sync_directory(repo->fs, directory, e);
}

struct repo *repo_free(struct repo *repo)
{
    if (!repo)
        return NULL;
    while (repo->idle) {
        struct repo_codec *codec = repo->idle;

        repo->idle = codec->next;
        (void)repo_codec_free(codec);
    }
    (void)pthread_mutex_destroy(&repo->mutex); /* nobody has it */
    (void)repo_fs_free(repo->fs);
    free(repo);
    return NULL;
}

int repo_open_on(struct repo_fs *fs, struct repo **ret, struct err *e)
{
    AUTO(repo) struct repo *repo = calloc(1, sizeof(*repo));
    char text[REPO_VERSION_BYTES_MAX];
    struct repo_version v;
    size_t len;
    int r;

    if (!repo) {
        (void)repo_fs_free(fs);
        return err_set(e, ENOMEM, "no memory to open a repository");
    }
    repo->fs = fs;
    if (pthread_mutex_init(&repo->mutex, NULL) != 0)
        return err_set(e, ENOMEM, "no memory to open a repository");
    r = fs->ops->read(fs, REPO_VERSION_FILE, text, sizeof(text), &len, e);
    if (r == -ENOENT)
        return err_set(e, ENOENT, "it is no repository: it has no " REPO_VERSION_FILE);
    if (r == 0)
        r = repo_version_parse(text, len, &v, e);
    if (r == -EBADMSG)
        return err_wrap(e, "its " REPO_VERSION_FILE " cannot be read");
    if (r < 0)
        return r;
    repo->chunk_bytes = v.chunk_bytes;
    memcpy(repo->name, v.name, sizeof(repo->name));
    atomic_store(&repo->is_sync_each, !fs->ops->is_sync_all_trusted(fs));
    *ret = TAKE(repo);
    return 0;
}

int repo_open(const char *path, struct repo **ret, struct err *e)
{
    struct repo_fs *fs;
    int r = repo_fs_open(path, &fs, e);

    if (r < 0)
        return r;
    r = repo_open_on(fs, ret, e);
    return r < 0 ? err_wrap(e, "repository '%s'", path) : 0;
}
