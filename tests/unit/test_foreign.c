/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include "foreign.h"
#include "policy_defaults.h"

/* S11 on a plain balloon: which movements are another program's. */

#define MIB KIB_PER_MIB
#define ZONE (16 * MIB)

struct step {
    uint64_t at_sec;
    uint64_t actual_mib, touched_mib;
    bool ours;
};

static const struct {
    const char *name;
    bool is_foreign;
    struct step steps[8]; /* up to the one at 0 after the first */
} cases[] = {
    {"another program inflates", true, {{1, 256, 250, 0}, {5, 256, 250, 0}, {6, 192, 190, 0}}},
    {"in small steps", true, {{1, 256, 250, 0}, {5, 246, 240, 0}, {6, 241, 236, 0}, {8, 234, 230, 0}}},
    {"a page after the other leaves", true, {{1, 256, 250, 0}, {5, 192, 240, 0}, {6, 192, 225, 0}, {7, 192, 200, 0}}},
    {"part of it was never touched", true, {{1, 256, 200, 0}, {5, 128, 126, 0}}},
    {"less than the dead zone", false, {{1, 256, 250, 0}, {5, 242, 236, 0}, {9, 242, 236, 0}}},
    {"a command of ours", false, {{1, 256, 250, 0}, {5, 256, 250, 1}, {6, 192, 190, 1}, {7, 192, 190, 0}}},
    {"what follows a command of ours", false, {{1, 256, 250, 1}, {2, 200, 190, 0}, {3, 180, 170, 0}, {9, 180, 170, 0}}},
    {"and somebody else, later", true, {{1, 256, 250, 1}, {2, 200, 190, 0}, {9, 200, 190, 0}, {10, 150, 140, 0}}},
    {"a rise", false, {{1, 128, 120, 0}, {5, 256, 250, 0}, {6, 256, 250, 0}}},
    {"a register that is written: forged", false, {{1, 256, 250, 0}, {5, 56, 250, 0}, {6, 56, 250, 0}, {12, 56, 250, 0}}},
    {"forged, and later memory leaves by itself", false,
     {{1, 256, 250, 0}, {5, 56, 250, 0}, {6, 56, 250, 0}, {12, 56, 250, 0}, {20, 56, 100, 0}}},
    {"memory leaves, the balloon stays (page reporting)", false, {{1, 256, 250, 0}, {5, 256, 100, 0}, {6, 256, 100, 0}}},
    {"never touched memory in the balloon", false, {{1, 256, 60, 0}, {5, 192, 60, 0}, {12, 192, 60, 0}}},
    {"a rise, then down again to where it was", true, {{1, 128, 120, 0}, {5, 256, 250, 0}, {6, 256, 250, 0}, {9, 128, 120, 0}}},
    {"answered by us before it is seen to be one", true, {{1, 256, 250, 0}, {5, 128, 250, 0}, {6, 250, 130, 1}}},
    {"a fall that we answer, and nothing left", false, {{1, 256, 250, 0}, {5, 128, 250, 0}, {6, 250, 250, 1}, {7, 250, 250, 0}}},
};

static void every_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct foreign f = {0};
        bool found = false;

        for (const struct step *s = cases[i].steps; s->at_sec; s++) {
            uint64_t now = s->at_sec * USEC_PER_SEC;

            foreign_see_balloon(&f, s->actual_mib * MIB, f.ours_usec ? s[-1].touched_mib * MIB : s->touched_mib * MIB, ZONE,
                                s->ours, now);
            found = foreign_see_host(&f, s->touched_mib * MIB, now + 1000) || found;
        }
        if (found != cases[i].is_foreign)
            fail_msg("%s: %s", cases[i].name, found ? "taken for a foreign hand" : "not found");
    }
}

/* A view from before the fall proves nothing. */
static void views_must_be_newer(void **state)
{
    struct foreign f = {0};

    (void)state;
    foreign_see_balloon(&f, 256 * MIB, 250 * MIB, ZONE, false, USEC_PER_SEC);
    foreign_see_balloon(&f, 256 * MIB, 250 * MIB, ZONE, false, 5 * USEC_PER_SEC);
    foreign_see_balloon(&f, 128 * MIB, 250 * MIB, ZONE, false, 6 * USEC_PER_SEC);
    assert_false(foreign_see_host(&f, 100 * MIB, 5 * USEC_PER_SEC));
    assert_true(foreign_see_host(&f, 100 * MIB, 7 * USEC_PER_SEC));
    assert_false(foreign_see_host(&f, 100 * MIB, 8 * USEC_PER_SEC)); /* once */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case),
        cmocka_unit_test(views_must_be_newer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
