/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A fuzz target without libFuzzer: runs the inputs it is given, files or directories of them. Every find of the fuzzer
 * is kept in the corpus and runs in here as an ordinary test. */

#define INPUT_MAX (4u << 20) /* as much as any parser of ours takes */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An exact allocation, so that a sanitizer sees one byte too far. Returns 0, or -1 with a line on stderr. */
static int run_file(const char *path)
{
    static uint8_t room[INPUT_MAX];
    FILE *f = fopen(path, "re");

    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    size_t size = fread(room, 1, sizeof(room), f);
    (void)fclose(f); /* only read */
    uint8_t *data = malloc(size ? size : 1);
    if (!data)
        return -1;
    memcpy(data, room, size);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

static int run_directory(DIR *directory, const char *path, unsigned *count)
{
    struct dirent *entry;
    int r = 0;

    while ((entry = readdir(directory))) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        r |= run_file(file);
        (*count)++;
    }
    return r;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    int r = 0;

    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        if (directory) {
            r |= run_directory(directory, argv[i], &count);
            (void)closedir(directory);
        } else {
            r |= run_file(argv[i]);
            count++;
        }
    }
    printf("%u inputs\n", count);
    return r == 0 && count > 0 ? 0 : 1;
}
