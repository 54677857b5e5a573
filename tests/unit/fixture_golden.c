/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture_golden.h"

#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"

void golden_check(const char *name, const struct wire_text *t)
{
    char path[512], *want = NULL;
    size_t size = 0;
    FILE *f;

    assert_false(t->failed);
    (void)snprintf(path, sizeof(path), "%s/%s", GOLDEN_DIR, name);
    if (getenv("GOLDEN_UPDATE")) {
        f = fopen(path, "w");
        assert_non_null(f);
        assert_int_equal(fwrite(t->data, 1, t->length, f), t->length);
        assert_int_equal(fclose(f), 0);
        return;
    }
    f = fopen(path, "r");
    if (!f)
        fail_msg("no golden file '%s'", path);
    if (getdelim(&want, &size, '\0', f) < 0)
        fail_msg("cannot read '%s'", path);
    (void)fclose(f);
    if (strcmp(want, t->data) != 0)
        fail_msg("%s differs; this is what came:\n%s", name, t->data);
    free(want);
}
