/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "config_keys.h"

/* config_manual < ballast.yaml.5.in > ballast.yaml.5: the line @KEYS@ becomes the keys of the table, @VERSION@ the version.
 * `meson compile -C build manual` writes docs/man/ballast.yaml.5; a test sees that it was done. */
int main(void)
{
    static const char mark[] = "@VERSION@";
    char line[1024];

    while (fgets(line, sizeof(line), stdin)) {
        char *version = strstr(line, mark);

        if (strcmp(line, "@KEYS@\n") == 0)
            config_manual_print(stdout);
        else if (version)
            printf("%.*s" BALLAST_VERSION "%s", (int)(version - line), line, version + strlen(mark));
        else
            (void)fputs(line, stdout);
    }
    return ferror(stdin) || fflush(stdout) != 0;
}
