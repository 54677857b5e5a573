/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli.h"

/* Usage and help of one command. Returns an exit code. */
int cli_help_command(const struct cli *cli, const struct cli_command *command);
