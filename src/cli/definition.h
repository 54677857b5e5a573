/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "err.h"
#include "repo.h"
#include "wire_text.h"

struct json_object;

/* The command line of a guest's QEMU, as its point has it, for a guest restored from it: another name, UUID and MACs, the restored
 * disks, and what it listens on or writes to in the directory. Pure: looks at no file. All else stays as it was, and is told where
 * the guest it was would be disturbed by it. */

struct definition_wish {
    const char *name, *directory; /* absolute */
    bool is_qcow2;                /* the disks are DIRECTORY/DISK.qcow2, else .raw */
    const struct repo_manifest *manifest;
};

/* `line`: the old one, an array of strings (what is none is passed over). *ret: the new one, the caller's (json_object_put()). notes:
 * lines, each with its newline. -EOPNOTSUPP: a disk whose argument can't be told; -EINVAL: no command line. */
int definition_renew(struct json_object *line, const struct definition_wish *wish, struct json_object **ret,
                     struct wire_text *notes, struct err *e);

/* One argument with every MAC in it made a new one. */
void definition_renew_macs(struct wire_text *t, const char *argument);

/* The value of -name with another name, what stands behind it kept. */
void definition_rename(struct wire_text *t, const char *value, const char *name);
