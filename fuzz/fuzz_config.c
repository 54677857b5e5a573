/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

/* Any bytes are a configuration that keeps its promises, or get a printable sentence. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

static void check_sentence(const struct err *e)
{
    must(e->code > 0 && e->text[0] != '\0');
    for (const char *p = e->text; *p; p++)
        must((unsigned char)*p >= 0x20 && *p != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config_list problems;
    struct config *c = NULL;
    struct err e = {0};
    struct guest_config g;
    int r = config_parse((const char *)data, size, "fuzz", 16ULL << 30, &c, &problems, &e);

    for (size_t i = 0; i < problems.count; i++)
        check_sentence(&problems.items[i]);
    if (r < 0) {
        must(r == -e.code && !c);
        check_sentence(&e);
        return 0;
    }
    must(problems.count == 0);
    for (size_t i = 0; i < c->warnings.count; i++)
        check_sentence(&c->warnings.items[i]);
    config_guest(c, "web1", &g);
    must(g.priority >= 1 && g.priority <= 10000 && g.mode < GUEST_MODE_COUNT && g.tax_ppm < 1000000);
    must(!g.minimum_kib || !g.maximum_kib || g.minimum_kib <= g.maximum_kib);
    must(g.buffer <= (g.buffer_of == BUFFER_OF_TOTAL ? DEMAND_BUFFER_MAX_TOTAL : DEMAND_BUFFER_MAX_DEMAND));
    must(config_guest_owner(c, "web1") != NULL);
    (void)config_free(c);
    return 0;
}
