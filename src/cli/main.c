/* SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>
#include <stdio.h>
#include <unistd.h>

#include <curl/curl.h>

#include "cli.h"
#include "paths.h"

#define HOST_SOCKET "/run/ballast/api.sock"

/* Someone who runs a ballastd of his own talks to that one, everybody else to the host's. */
static const char *default_socket(char *path)
{
    struct paths paths;
    struct err e = {0};

    if (paths_default(&paths, &e) < 0 || paths_join(paths.runtime_dir, PATHS_API_SOCKET, path, &e) < 0)
        return HOST_SOCKET;
    return geteuid() == 0 || access(path, F_OK) == 0 ? path : HOST_SOCKET;
}

int main(int argc, char **argv)
{
    char path[PATHS_SIZE];
    struct cli cli = {.out = stdout, .err = stderr};
    int r;

    (void)setlocale(LC_CTYPE, ""); /* an unknown locale leaves "C": plain ASCII then */
    cli.term = term_of(stdout);
    cli.socket_path = default_socket(path);
    if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK) {
        (void)fprintf(stderr, "ballast: libcurl does not start\nballast: reinstall libcurl4\n");
        return CLI_FAILED;
    }
    r = cli_run(&cli, argc, argv);
    curl_global_cleanup();
    return r;
}
