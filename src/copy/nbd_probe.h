/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "err.h"

/* Can an NBD export be read? Connects to the server at the unix socket, reads the export's first 512 bytes and goes. Blocks,
 * each message NBD_PROBE_SEC at most. 0: yes; -EIO: the server answered with an error; other codes: it could not be asked. */
#define NBD_PROBE_SEC 5

int nbd_probe(const char *path, const char *export_name, struct err *e);
