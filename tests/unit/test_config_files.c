/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "paths.h"

#define HOST_16 (16ULL << 30)

/* Each test has a directory of its own. */
struct room {
    char dir[PATHS_SIZE];
    char main[PATHS_SIZE + 32];
    struct config_list problems;
    struct config *c;
    struct err e;
};

static int room_setup(void **state)
{
    struct room *room = calloc(1, sizeof(*room));
    const char *tmp = getenv("TMPDIR");

    if (!room)
        return -1;
    (void)snprintf(room->dir, sizeof(room->dir), "%s/ballast-test-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(room->dir))
        return -1;
    (void)snprintf(room->main, sizeof(room->main), "%s/ballast.yaml", room->dir);
    *state = room;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

static int room_teardown(void **state)
{
    struct room *room = *state;
    int r = nftw(room->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);

    (void)config_free(room->c);
    free(room);
    return r;
}

static void put(const struct room *room, const char *name, const char *text)
{
    char path[2 * PATHS_SIZE];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/guests.d", room->dir);
    if (strchr(name, '/'))
        (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof(path), "%s/%s", room->dir, name);
    f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int load(struct room *room)
{
    return config_load_all(room->main, HOST_16, &room->c, &room->problems, &room->e);
}

/* The sentence is "<dir>/<piece>". */
static void assert_sentence(const struct room *room, const char *text, const char *piece)
{
    char expected[2 * ERR_TEXT_SIZE];

    (void)snprintf(expected, sizeof(expected), "%s/%s", room->dir, piece);
    assert_string_equal(text, expected);
}

static void files_add_up(void **state)
{
    struct room *room = *state;
    struct guest_config g;

    put(room, "ballast.yaml", "defaults: {priority: 7}\nguests: {a: {mode: watch}}\n");
    put(room, "guests.d/20.yaml", "guests: {b: {minimum: 2 GiB}}\n");
    put(room, "guests.d/10.yaml", "guests:\n  c: {priority: 9}\n");
    put(room, "guests.d/.hidden.yaml", "nonsense: [\n");
    put(room, "guests.d/README", "nonsense: [\n");
    put(room, "guests.d/old.yaml~", "nonsense: [\n");
    put(room, "guests.d/.yaml", "nonsense: [\n");
    assert_int_equal(load(room), 0);
    assert_true(room->c->is_file);
    assert_string_equal(room->c->path, room->main);
    config_guest(room->c, "a", &g);
    assert_int_equal(g.mode, GUEST_MODE_WATCH);
    config_guest(room->c, "b", &g);
    assert_int_equal(g.minimum_kib, 2 << 20);
    assert_int_equal(g.priority, 7);
    config_guest(room->c, "c", &g);
    assert_int_equal(g.priority, 9);
}

static void duplicates_name_both_places(void **state)
{
    struct room *room = *state;
    char expected[ERR_TEXT_SIZE];

    put(room, "ballast.yaml", "guests:\n  x: {}\n  a: {}\n");
    put(room, "guests.d/one.yaml", "# one\nguests:\n  a: {}\n");
    assert_true(load(room) < 0);
    assert_int_equal(room->problems.count, 1);
    (void)snprintf(expected, sizeof(expected), "guests.d/one.yaml:3:3: guest 'a' is written twice, first in %s:3: keep one",
                   room->main);
    assert_sentence(room, room->e.text, expected);
}

static void drop_ins_hold_guests_only(void **state)
{
    struct room *room = *state;
    char expected[ERR_TEXT_SIZE];

    put(room, "ballast.yaml", "");
    put(room, "guests.d/one.yaml", "host: {memory: 1 GiB}\n");
    assert_true(load(room) < 0);
    (void)snprintf(expected, sizeof(expected),
                   "guests.d/one.yaml:1:1: key 'host' belongs into the main file '%s': a file of guests.d holds 'guests' only",
                   room->main);
    assert_sentence(room, room->e.text, expected);
}

static void problems_of_all_files_are_found(void **state)
{
    struct room *room = *state;

    put(room, "ballast.yaml", "x: 1\n");
    put(room, "guests.d/1.yaml", "guests: [\n");
    put(room, "guests.d/2.yaml", "guests: {a: {minimum: 4}}\n");
    assert_true(load(room) < 0);
    assert_int_equal(room->problems.count, 3);
    assert_non_null(strstr(room->problems.items[1].text, "guests.d/1.yaml:2:1: this is not YAML"));
    assert_non_null(strstr(room->problems.items[2].text, "guests.d/2.yaml:1:23: key 'guests.a.minimum': '4' has no unit"));
}

static void a_named_file_must_be_there(void **state)
{
    struct room *room = *state;
    char expected[2 * ERR_TEXT_SIZE];

    assert_int_equal(load(room), -ENOENT);
    (void)snprintf(expected, sizeof(expected), "cannot read the configuration '%s': No such file or directory", room->main);
    assert_string_equal(room->e.text, expected);
    assert_int_equal(room->problems.count, 1);
    assert_int_equal(config_load(room->main, HOST_16, &room->c, &room->e), -ENOENT);
    assert_string_equal(room->e.text, expected);
}

static void only_files_are_read(void **state)
{
    struct room *room = *state;

    assert_int_equal(mkfifo(room->main, 0600), 0); /* nobody writes to it: opening it must not wait */
    assert_int_equal(load(room), -EINVAL);
    assert_non_null(strstr(room->e.text, "is not a regular file"));
    assert_int_equal(unlink(room->main), 0);
    assert_int_equal(mkdir(room->main, 0700), 0);
    assert_int_equal(load(room), -EINVAL);
    assert_non_null(strstr(room->e.text, "is not a regular file"));
}

static void large_files_are_refused(void **state)
{
    struct room *room = *state;

    put(room, "ballast.yaml", "");
    assert_int_equal(truncate(room->main, (off_t)CONFIG_FILE_SIZE_MAX + 1), 0);
    assert_int_equal(load(room), -EFBIG);
    assert_non_null(strstr(room->e.text, "is larger than 4 MiB"));
}

static void forbidden_files_are_said(void **state)
{
    struct room *room = *state;

    if (geteuid() == 0)
        skip(); /* root may read everything */
    put(room, "ballast.yaml", "");
    assert_int_equal(chmod(room->main, 0), 0);
    assert_int_equal(load(room), -EACCES);
    assert_non_null(strstr(room->e.text, "Permission denied"));
}

static void loose_files_are_warned_about(void **state)
{
    struct room *room = *state;

    put(room, "ballast.yaml", "");
    assert_int_equal(chmod(room->main, 0666), 0);
    assert_int_equal(load(room), 0);
    assert_int_equal(room->c->warnings.count, 1);
    assert_sentence(room, room->c->warnings.items[0].text,
                    "ballast.yaml: anyone may write this file, and so decide over guests' memory: chmod o-w it");
}

/* Without any file every guest is watched only; an entry of guests.d may say else. */
static void no_file_means_watch(void **state)
{
    struct room *room = *state;
    struct guest_config g;

    assert_int_equal(setenv("XDG_CONFIG_HOME", room->dir, 1), 0);
    assert_int_equal(setenv("HOME", room->dir, 1), 0);
    if (geteuid() == 0 && access("/etc/ballast", F_OK) == 0)
        skip(); /* this machine has a configuration of its own */
    assert_int_equal(config_load_all(NULL, HOST_16, &room->c, &room->problems, &room->e), 0);
    assert_false(room->c->is_file);
    config_guest(room->c, "a", &g);
    assert_int_equal(g.mode, GUEST_MODE_WATCH);
    assert_int_equal(room->c->qmp_directory_count, 1);
    assert_int_equal(room->c->host.reserve_kib, 1 << 20);
    assert_int_equal(room->c->warnings.count, 0);
    room->c = config_free(room->c);
    if (geteuid() == 0)
        return; /* root's files lie outside the test's directory */
    (void)snprintf(room->main, sizeof(room->main), "%s/ballast", room->dir);
    assert_int_equal(mkdir(room->main, 0700), 0);
    put(room, "ballast/ballast.yaml", "host: {memory: 1 GiB}\n");
    assert_int_equal(config_load_all(NULL, HOST_16, &room->c, &room->problems, &room->e), 0);
    assert_true(room->c->is_file);
    config_guest(room->c, "a", &g);
    assert_int_equal(g.mode, GUEST_MODE_AUTO);
}

static const char *test_config_home, *test_runtime_dir, *test_state_home, *test_home;

static char *test_getenv(const char *name)
{
    const char *value = strcmp(name, "XDG_CONFIG_HOME") == 0   ? test_config_home
                        : strcmp(name, "XDG_RUNTIME_DIR") == 0 ? test_runtime_dir
                        : strcmp(name, "XDG_STATE_HOME") == 0  ? test_state_home
                        : strcmp(name, "HOME") == 0            ? test_home
                                                               : NULL;
    return (char *)(uintptr_t)value; /* as getenv(3), which nobody writes to */
}

static void everyone_has_paths(void **state)
{
    static const struct {
        bool is_root;
        const char *config_home, *runtime_dir, *state_home, *home; /* environment */
        const char *config, *runtime, *state;                      /* NULL: refused */
    } cases[] = {
        {true, "/c", "/r", "/s", "/h", "/etc/ballast/ballast.yaml", "/run/ballast", "/var/lib/ballast"},
        {false, "/c", "/r", "/s", "/h", "/c/ballast/ballast.yaml", "/r/ballast", "/s/ballast"},
        {false, NULL, "/r", NULL, "/h", "/h/.config/ballast/ballast.yaml", "/r/ballast", "/h/.local/state/ballast"},
        {false, NULL, NULL, NULL, "/h", "/h/.config/ballast/ballast.yaml", "/h/.local/state/ballast/run/ballast",
         "/h/.local/state/ballast"},
        {false, "relative", "", "", "/h", "/h/.config/ballast/ballast.yaml", "/h/.local/state/ballast/run/ballast",
         "/h/.local/state/ballast"},
        {false, NULL, NULL, NULL, NULL, NULL, NULL, NULL},
        {false, "/c", "/r", NULL, "relative", NULL, NULL, NULL},
    };
    char longer[PATHS_SIZE + 8];
    struct paths p;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = {0};

        test_config_home = cases[i].config_home;
        test_runtime_dir = cases[i].runtime_dir;
        test_state_home = cases[i].state_home;
        test_home = cases[i].home;
        int r = paths_find(cases[i].is_root, test_getenv, &p, &e);
        if (!cases[i].config) {
            assert_int_equal(r, -ENOENT);
            assert_non_null(strstr(e.text, "nor HOME is set"));
            continue;
        }
        assert_int_equal(r, 0);
        assert_string_equal(p.config, cases[i].config);
        assert_string_equal(p.runtime_dir, cases[i].runtime);
        assert_string_equal(p.state_dir, cases[i].state);
    }
    memset(longer, 'x', sizeof(longer) - 1);
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    struct err e = {0};
    assert_int_equal(paths_join(longer, "a", p.config, &e), -ENAMETOOLONG);
    test_home = longer;
    test_config_home = NULL;
    assert_int_equal(paths_find(false, test_getenv, &p, &e), -ENAMETOOLONG);
}

#define room_test(f) cmocka_unit_test_setup_teardown(f, room_setup, room_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        room_test(files_add_up),
        room_test(duplicates_name_both_places),
        room_test(drop_ins_hold_guests_only),
        room_test(problems_of_all_files_are_found),
        room_test(a_named_file_must_be_there),
        room_test(only_files_are_read),
        room_test(large_files_are_refused),
        room_test(forbidden_files_are_said),
        room_test(loose_files_are_warned_about),
        room_test(no_file_means_watch),
        cmocka_unit_test(everyone_has_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
