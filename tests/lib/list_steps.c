/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "window.h"

/* The steps of a backup, for the tests that kill something at each of them: name, phase, and how often it occurs. */
int main(void)
{
    static const char *const phases[WINDOW_PHASE_COUNT] = {"prepare", "window", "close", "copy", "teardown", "settle"};

    for (unsigned i = 1; window_step_name(i); i++)
        printf("%s %s %s\n", window_step_name(i), phases[window_step_phase(i)], window_step_is_each_disk(i) ? "each-disk" : "once");
    return 0;
}
