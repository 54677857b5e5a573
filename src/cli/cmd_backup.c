/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "backup_cli.h"
#include "text.h"
#include "units.h"

#define COMMON (CLI_OPTION_JSON | CLI_OPTION_REPOSITORY)
#define NAME_SKIP (sizeof("backup ") - 1)

const struct cli_command cli_backup_commands[] = {
    {"backup init", cmd_backup_init, COMMON | CLI_OPTION_CHUNK_SIZE, 0, 0,
     "[--repository PATH] [--chunk-size SIZE] [--json]", "makes a repository",
     "Makes the directory (an empty one may be there) and tries whether its file system can hold a repository: locks, "
     "renames that replace at once, times that stay, writes that get durable. Refuses with the reason where it can't."},
    {"backup run", cmd_backup_run, COMMON | CLI_OPTION_FREEZE | CLI_OPTION_EACH | CLI_OPTION_OFF | CLI_OPTION_DISK, 1, 1000,
     "GUEST... [--each] [--freeze require|prefer|never] [--json], or --off GUEST [--disk NAME=FILE,...] [--repository PATH] [--json]",
     "backs up running guests, all their disks at one instant, or one that is switched off",
     "ballastd freezes the guest's file systems (by qemu-guest-agent), stops it for some tens of milliseconds, and copies its "
     "disks as they were at that instant while it runs on; what did not change since the newest point is not read. Several guests "
     "meet at one instant: all are frozen, then all are stopped, and none goes on before all have their checkpoint; where one "
     "can't, none gets a point. With --each they go one after the other, each by itself. With --off the guest's images are read, as its last point or --disk "
     "names them: it may be started meanwhile, then the backup fails. Ctrl-C gives up. Exit code 4: done, but not frozen, or something was left in QEMU."},
    {"backup list", cmd_backup_list, COMMON, 0, 1, "[GUEST] [--repository PATH] [--json]", "the points there are",
     "All points, oldest first within each guest: how consistent, what they hold, and what each added to the repository."},
    {"backup show", cmd_backup_show, COMMON, 1, 1, "POINT [--repository PATH] [--json]", "everything about one point",
     "Disks, consistency, how long the guest was frozen, and the guest's definition: what its manifest says."},
    {"backup restore", cmd_backup_restore, COMMON | CLI_OPTION_FORMAT | CLI_OPTION_FORCE | CLI_OPTION_NAME, 2, 3,
     "POINT [DISK] TARGET [--format raw|qcow2] [--force] [--name NAME] [--repository PATH] [--json]",
     "writes the disks of a point, or one of them",
     "With DISK, TARGET is a file or (with --force) a block device; without, a directory that gets one file for each disk. "
     "Every chunk is proven by its hash. Nothing is overwritten without --force. What is known of how the guest was started is "
     "printed; with --name, and without DISK, TARGET gets a script start.sh for a new guest: another name, UUID and MACs, the restored "
     "disks, sockets beside them."},
    {"backup serve", cmd_backup_serve, COMMON | CLI_OPTION_WRITABLE, 3, 3, "POINT DISK SOCKET [--writable] [--repository PATH] [--json]",
     "offers a disk of a point to NBD clients",
     "Until Ctrl-C, at a unix socket that only this user may open: for qemu-nbd, guestfish, qemu-img, or a QEMU that boots from it at "
     "once. Read-only; with --writable what is written goes into a temporary file and is thrown away at the end."},
    {"backup attach", cmd_backup_attach, COMMON | CLI_OPTION_WRITABLE, 3, 3,
     "POINT DISK GUEST [--writable] [--repository PATH] [--json]", "plugs a disk of a point into a running guest",
     "As a further virtio-blk disk, without a copy: a Linux guest has it as /dev/disk/by-id/virtio-ballast-NUMBER-DISK. Until "
     "Ctrl-C: unmount it in the guest before. Read-only; with --writable what is written goes into a temporary file and is "
     "thrown away at the end. The guest needs a free PCI slot for it (type q35: a pcie-root-port). It is left out of backups."},
    {"backup detach", cmd_backup_detach, CLI_OPTION_JSON, 1, 1, "GUEST [--json]",
     "takes disks of points from a guest whose backup attach was killed",
     "All of them; one that is still served gives I/O errors from then on. Unmount them in the guest before."},
    {"backup start", cmd_backup_start, COMMON | CLI_OPTION_INTO | CLI_OPTION_NIC, 2, 2,
     "POINT NAME [--into DIRECTORY] [--nic NIC] [--repository PATH] [--json]", "runs a guest from the repository at once, as another one",
     "Without copying it first, under that name, with a new UUID and MAC, and without network unless --nic (as QEMU's -nic: user; "
     "bridge,br=br0) gives it one. Until Ctrl-C, and what it writes is thrown away. With --into it is kept: what it writes goes to "
     "DIRECTORY, its disks are copied there while it runs, and it runs on without this command. Only machine, CPUs, memory, kernel, "
     "firmware and disks are taken from its definition."},
    {"backup expose", cmd_backup_expose, CLI_OPTION_JSON | CLI_OPTION_FREEZE | CLI_OPTION_SINCE | CLI_OPTION_CHECKPOINT | CLI_OPTION_LEASE,
     1, 1, "GUEST [--since POINT|CHECKPOINT] [--checkpoint NAME] [--lease TIME] [--freeze require|prefer|never] [--json]",
     "offers a running guest's disks as they are now to other backup programs",
     "One read-only NBD export for each disk, all of the same instant, frozen as for a backup; it prints their URIs. Until "
     "`ballast backup release`, or the end of the lease (1 h, or --lease; `ballast backup renew` begins it anew). With --checkpoint QEMU "
     "records under that name what changes from now on; with --since clients see what changed since then, or since the newest point of the "
     "repository, as metadata context qemu:dirty-bitmap:ballast-since. Disks in an iothread are copied to the repository first and exposed "
     "from there. Exit code 4: exposed, but not frozen."},
    {"backup exposed", cmd_backup_exposed, CLI_OPTION_JSON, 0, 0, "[--json]", "what is exposed now",
     "With URIs, age, what is left of the lease, and how much old data is kept for it."},
    {"backup renew", cmd_backup_renew, CLI_OPTION_JSON | CLI_OPTION_LEASE, 1, 1, "GUEST|ID [--lease TIME] [--json]",
     "begins the lease of an exposure anew", "With its length from now on: 1 h, or --lease."},
    {"backup release", cmd_backup_release, CLI_OPTION_JSON | CLI_OPTION_FORGET, 1, 1, "GUEST|ID [--forget CHECKPOINT] [--json]",
     "ends an exposure",
     "Also where a client still reads, or hangs. Returns when nothing of it is left in QEMU. With --forget QEMU no longer records what "
     "changes since that checkpoint: name the old one when its copy is whole."},
    {"backup boot", cmd_backup_boot, COMMON | CLI_OPTION_WAIT | CLI_OPTION_EXPECT, 1, 1,
     "POINT [--expect TEXT] [--wait TIME] [--repository PATH] [--json]", "proves that a point boots",
     "Starts the guest from the repository without copying it first, without network, and waits until qemu-guest-agent answers "
     "or \"login:\" (with --expect: TEXT) is on its serial console, at most 5 minutes (--wait). What it writes is thrown away. "
     "Only machine, CPUs, memory, kernel, firmware and disks are taken from its definition. Where ballastd runs, the memory is "
     "reserved first. The same as ballast backup verify --boot POINT. Exit code 1: it did not come up."},
    {"backup verify", cmd_backup_verify, COMMON | CLI_OPTION_SAMPLE | CLI_OPTION_BOOT | CLI_OPTION_WAIT | CLI_OPTION_EXPECT, 0, 1,
     "[--sample SHARE] | --boot [POINT] [--expect TEXT] [--wait TIME] [--repository PATH] [--json]",
     "reads the chunks again and proves them, or boots points",
     "Says which chunks are damaged or missing, and which points need them; they are put aside, and the next full backup stores "
     "them again. With --boot nothing of this: the point, else the newest one of each guest, is started instead, as ballast backup "
     "boot does. Exit code 1: something is damaged, or a guest did not come up."},
    {"backup check", cmd_backup_check, COMMON | CLI_OPTION_MAX_AGE, 0, 1, "[GUEST] [--max-age TIME] [--repository PATH] [--json]",
     "for monitoring: is the last point young enough, did the last backup end well",
     "Exit code 0: fine; 4: a last backup failed, but there is a point young enough; 1: a guest's last point is older than "
     "--max-age or there is none, its last backup failed (without --max-age), or the last verify found damage."},
    {"backup prune", cmd_backup_prune, COMMON | CLI_OPTION_KEEP | CLI_OPTION_DRY_RUN, 0, 1,
     "[GUEST] --keep RULES [--dry-run] [--repository PATH] [--json]", "removes points that no rule keeps, and says why",
     "--keep last=3,hourly=24,daily=7,weekly=4,monthly=12,yearly=2, any of them: each keeps the newest point of a period until it "
     "has so many; a period in which an earlier rule kept one does not count. Protected points, and those a running backup builds upon, "
     "stay. The space comes back with `ballast backup sweep`."},
    {"backup sweep", cmd_backup_sweep, COMMON | CLI_OPTION_DRY_RUN, 0, 0, "[--dry-run] [--repository PATH] [--json]",
     "removes chunks that no point needs",
     "May run beside backups, and blocks none: what they may want stays until the next sweep. Also removes what killed backups left."},
    {"backup protect", cmd_backup_protect, COMMON, 1, 1, "POINT [--repository PATH] [--json]", "keeps a point from being pruned",
     "Until `ballast backup unprotect POINT`."},
    {"backup unprotect", cmd_backup_unprotect, COMMON, 1, 1, "POINT [--repository PATH] [--json]",
     "lets prune remove a point again", "Ends `ballast backup protect POINT`."},
    {0}, /* the end */
};

int cmd_backup(struct cli *cli)
{
    char hint[WIRE_ERROR_TEXT_SIZE] = "ballast backup --help lists them";
    const char *close = NULL;
    unsigned least = TEXT_SUGGEST_DISTANCE;
    struct cli_problem p;

    if (cli->arg_count == 0) {
        (void)cli_problem_set(&p, CLI_USAGE, hint, "a command of 'ballast backup' is missing");
        return cli_complain(cli, &p);
    }
    for (const struct cli_command *c = cli_backup_commands; c->name; c++) {
        unsigned distance = text_distance(cli->args[0], c->name + NAME_SKIP);

        if (distance <= least) {
            least = distance;
            close = c->name;
        }
    }
    if (close)
        (void)snprintf(hint, sizeof(hint), "did you mean 'ballast %s'? ballast backup --help lists all", close);
    (void)cli_problem_set(&p, CLI_USAGE, hint, "there is no command 'backup %s'",
                          text_show(cli->args[0], strlen(cli->args[0])).s);
    return cli_complain(cli, &p);
}

int cmd_backup_init(struct cli *cli)
{
    const char *size = cli_value(cli, CLI_OPTION_CHUNK_SIZE);
    uint64_t chunk_bytes = REPO_CHUNK_BYTES_DEFAULT;
    AUTO(repo) struct repo *repo = NULL;
    char path[PATHS_SIZE];
    struct wire_text t = {0};
    struct err e = {0};
    struct cli_problem p;
    int r = backup_path(cli, path);

    if (r != CLI_DONE)
        return r;
    if (size && (units_parse_size(size, strlen(size), &chunk_bytes, &e) < 0 || chunk_bytes > REPO_CHUNK_BYTES_MAX)) {
        (void)cli_problem_set(&p, CLI_USAGE, "a power of two from 64 KiB to 4 MiB is allowed: --chunk-size '1 MiB'",
                              "--chunk-size: %s", e.text[0] ? e.text : "it is too large");
        return cli_complain(cli, &p);
    }
    if (repo_init(path, (uint32_t)chunk_bytes, &e) < 0 || repo_open(path, &repo, &e) < 0)
        return backup_fail(cli, &e, e.code == EEXIST ? "it can be used as it is: ballast backup list" :
                                    e.code == EOPNOTSUPP ? "take a directory on a local disk (ext4, xfs, btrfs), or mount "
                                                           "this one with working locks and syncs" :
                                    e.code == ENOTEMPTY ? "name a directory that is empty or not there yet" : NULL,
                           "init failed");
    if (cli->options & CLI_OPTION_JSON) {
        wire_text_adds(&t, "{\"repository\":");
        wire_text_string(&t, path);
        wire_text_format(&t, ",\"id\":\"%s\",\"chunk_bytes\":%u}\n", repo_name(repo), repo_chunk_bytes(repo));
    } else {
        (void)term_text(&cli->term, &t, path, 0);
        wire_text_format(&t, ": a new repository with chunks of %s. Back up next: ballast backup run GUEST\n",
                         units_show_size(chunk_bytes).s);
    }
    return backup_write(cli, &t);
}
