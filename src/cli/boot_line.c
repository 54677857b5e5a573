/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "paths.h"
#include "text.h"
#include "wire_field.h"

#define WORD "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define CPU_WORD WORD "+=,:"
#define PROGRAM_PREFIX "qemu-system-"
#define PROGRAM_DEFAULT PROGRAM_PREFIX "x86_64" /* what "kvm" and "qemu-kvm" are */
#define FLASH_UNITS 2                           /* code, and variables */
#define PART_SIZE 512                           /* longest value rebuilt from parts; paths are shorter, too */

/* Of -machine: devices and tables a guest may need to be there, or away, each on or off. */
static const char *const machine_keys[] = {"vmport", "smbus", "sata", "i8042", "hpet", "acpi", "usb", "smm", "graphics"};

struct building {
    struct boot_line *line;
    struct json_object *from;
    const struct boot_host *host;
    const struct boot_stage *stage; /* NULL: a boot test */
    struct err *e;
    bool failed;
    bool is_kvm; /* the guest ran with it, and it is here */
    const struct repo_manifest *manifest;
    struct json_object *facts;
    size_t pflash_count;
};

static void give(struct building *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void give(struct building *b, const char *format, ...)
{
    char *text;
    va_list ap;

    if (b->failed)
        return;
    va_start(ap, format);
    if (b->line->count >= BOOT_ARGUMENTS_MAX || vasprintf(&text, format, ap) < 0) {
        b->failed = true;
        (void)err_set(b->e, ENOMEM, "no memory for QEMU's command line");
    } else {
        b->line->argv[b->line->count++] = text;
    }
    va_end(ap);
}

static void refuse(struct building *b, int code, const char *what, const char *value)
{
    if (!b->failed)
        (void)err_set(b->e, code, "the point's command line: %s '%s'", what, text_show(value, strlen(value)).s);
    b->failed = true;
}

static bool is_made_of(const char *text, const char *characters)
{
    return text[0] && strlen(text) < PART_SIZE && text[strspn(text, characters)] == '\0';
}

static const char *argument(const struct building *b, size_t i)
{
    struct json_object *item = i < json_object_array_length(b->from) ? json_object_array_get_idx(b->from, i) : NULL;

    return json_object_is_type(item, json_type_string) ? json_object_get_string(item) : "";
}

/* The value of key in "first,key=value,...", or the first part for key NULL (one with '=' only where it is `type`'s). False: none,
 * or too long. Doubled commas (QEMU's way to write one) are no part of anything taken over. */
static bool part(const char *text, const char *key, char ret[PART_SIZE])
{
    for (const char *at = text; ; at++) {
        size_t length = strcspn(at, ","), key_length = key ? strlen(key) : 0;
        bool is_it = key ? length > key_length && memcmp(at, key, key_length) == 0 && at[key_length] == '=' :
                           !memchr(at, '=', length);

        if (is_it) {
            size_t skip = key ? key_length + 1 : 0;

            if (length - skip >= PART_SIZE)
                return false;
            memcpy(ret, at + skip, length - skip);
            ret[length - skip] = '\0';
            return true;
        }
        if (!key || at[length] == '\0')
            return false;
        at += length;
    }
}

static bool kvm_was_used(const struct building *b)
{
    const char *path = argument(b, 0), *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    bool is_used = strcmp(name, "kvm") == 0;
    char accel[PART_SIZE];

    for (size_t i = 1; i < json_object_array_length(b->from); i++) {
        const char *word = argument(b, i), *before = argument(b, i - 1);

        is_used |= strcmp(word, "-enable-kvm") == 0;
        is_used |= strcmp(before, "-accel") == 0 && strncmp(word, "kvm", 3) == 0;
        is_used |= strcmp(before, "-machine") == 0 && part(word, "accel", accel) && strstr(accel, "kvm");
    }
    return is_used;
}

static void program(struct building *b)
{
    const char *path = argument(b, 0), *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    if (strcmp(name, "kvm") == 0 || strcmp(name, "qemu-kvm") == 0)
        name = PROGRAM_DEFAULT;
    if (strncmp(name, PROGRAM_PREFIX, strlen(PROGRAM_PREFIX)) != 0 || !is_made_of(name, WORD))
        refuse(b, EINVAL, "no QEMU of a whole system:", name);
    give(b, "%s", name);
}

static void machine(struct building *b, const char *value)
{
    char type[PART_SIZE], text[PART_SIZE * 2], on_off[PART_SIZE];
    int length;

    if (part(value, "pflash0", on_off) || part(value, "firmware", on_off))
        refuse(b, EOPNOTSUPP, "firmware that -machine names is not taken over:", value);
    if (!part(value, "type", type) && !part(value, NULL, type))
        return; /* only options: QEMU's own machine */
    if (!is_made_of(type, WORD)) {
        refuse(b, EINVAL, "no type of machine:", type);
        return;
    }
    length = snprintf(text, sizeof(text), "%s", type);
    for (size_t i = 0; i < sizeof(machine_keys) / sizeof(machine_keys[0]); i++)
        if (part(value, machine_keys[i], on_off) && (strcmp(on_off, "on") == 0 || strcmp(on_off, "off") == 0))
            length += snprintf(text + length, sizeof(text) - (size_t)length, ",%s=%s", machine_keys[i], on_off);
    give(b, "-machine");
    give(b, "%s", text);
}

static void cpu(struct building *b, const char *value)
{
    const bool is_host = strncmp(value, "host", 4) == 0 && (value[4] == '\0' || value[4] == ',');

    if (!is_made_of(value, CPU_WORD)) {
        refuse(b, EINVAL, "no CPU model:", value);
        return;
    }
    give(b, "-cpu");
    if (is_host && !b->is_kvm)
        give(b, "max%s", value + 4);
    else
        give(b, "%s", value);
}

static void cpus(struct building *b, const char *value)
{
    char text[PART_SIZE];
    unsigned long n;

    if (!part(value, "cpus", text) && !part(value, NULL, text))
        return;
    n = strtoul(text, NULL, 10);
    give(b, "-smp");
    give(b, "%lu", n < 1 ? 1 : n > b->host->cpus ? b->host->cpus : n);
}

/* Bytes of "-m 256", "256M", "size=1G,maxmem=4G": what the guest boots with; what was plugged later isn't needed to boot. */
static void memory(struct building *b, const char *value)
{
    static const char units[] = "bkmgt";
    char text[PART_SIZE], *end;
    const char *unit;
    unsigned shift = 20; /* QEMU's default is MiB */
    uint64_t n;

    if (!part(value, "size", text) && !part(value, NULL, text))
        return;
    n = strtoull(text, &end, 10);
    if (*end && (unit = strchr(units, *end | 0x20)))
        shift = 10 * (unsigned)(unit - units);
    if (text[0] < '0' || text[0] > '9' || n > BOOT_MEMORY_MAX_BYTES >> shift || n << shift < BOOT_MEMORY_MIN_BYTES) {
        refuse(b, EINVAL, "no size of a memory:", value);
        return;
    }
    b->line->memory_bytes = n << shift;
}

bool boot_file_may_be_read(const char *path)
{
    struct stat st;

    return path[0] == '/' && strlen(path) < PATHS_SIZE && !strchr(path, ',') && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           st.st_mode & S_IROTH && st.st_size > 0 && access(path, R_OK) == 0;
}

static void text(struct building *b, const char *option, const char *value)
{
    give(b, "%s", option);
    give(b, "%s", value);
}

static void file(struct building *b, const char *option, const char *path)
{
    if (!b->host->is_file(path)) {
        refuse(b, EINVAL, "no file that everybody may read, to boot with (it isn't part of the backup):", path);
        return;
    }
    text(b, option, path);
}

/* The unit of a disk of the point that is firmware's: its device's path ends in ".flash1". -1: it is another disk. */
static int flash_unit(const struct building *b, const char *disk)
{
    struct json_object *known, *device;
    const char *path, *flash;

    if (!json_object_object_get_ex(b->facts, "disks", &known) || !json_object_object_get_ex(known, disk, &known) ||
        !json_object_object_get_ex(known, "device", &device) || !json_object_is_type(device, json_type_string))
        return -1;
    path = json_object_get_string(device);
    flash = strstr(path, ".flash");
    if (strncmp(path, "/machine/", 9) != 0 || !flash || strlen(flash) != 7 || flash[6] < '0' || flash[6] >= '0' + FLASH_UNITS)
        return -1;
    return flash[6] - '0';
}

static bool is_in_point(const struct building *b, size_t unit)
{
    for (size_t i = 0; i < b->manifest->disk_count; i++)
        if (flash_unit(b, b->manifest->disks[i].name) == (int)unit)
            return true;
    return false;
}

/* Firmware as -drive if=pflash; whatever it writes is thrown away. What it keeps variables in is in the point. */
static void flash(struct building *b, const char *value)
{
    char kind[PART_SIZE], path[PART_SIZE], number[PART_SIZE];
    size_t unit = b->pflash_count;

    if (!part(value, "if", kind) || strcmp(kind, "pflash") != 0)
        return; /* a disk: those come from the manifest's list */
    if (part(value, "unit", number))
        unit = strcmp(number, "0") == 0 ? 0 : strcmp(number, "1") == 0 ? 1 : FLASH_UNITS;
    b->pflash_count++;
    if (is_in_point(b, unit))
        return;
    if (!part(value, "file", path) || strstr(value, ",,") || !b->host->is_file(path) || unit >= FLASH_UNITS) {
        refuse(b, EINVAL, "no firmware:", value);
        return;
    }
    give(b, "-drive");
    give(b, "if=pflash,unit=%zu,format=raw,snapshot=on,file=%s", unit, path);
}

static void option(struct building *b, const char *name, const char *value)
{
    if (strcmp(name, "machine") == 0 || strcmp(name, "M") == 0)
        machine(b, value);
    else if (strcmp(name, "cpu") == 0)
        cpu(b, value);
    else if (strcmp(name, "smp") == 0)
        cpus(b, value);
    else if (strcmp(name, "m") == 0)
        memory(b, value);
    else if (strcmp(name, "kernel") == 0)
        file(b, "-kernel", value);
    else if (strcmp(name, "initrd") == 0)
        file(b, "-initrd", value);
    else if (strcmp(name, "bios") == 0)
        file(b, "-bios", value);
    else if (strcmp(name, "drive") == 0)
        flash(b, value);
    else if (strcmp(name, "append") == 0)
        text(b, "-append", value);
}

/* The kind of the device that has the disk's name as its id: one of those we know, else virtio-blk. */
static const char *device_of(const struct building *b, const char *disk)
{
    static const char *const known[] = {"ide-hd", "scsi-hd"};
    char id[PART_SIZE], kind[PART_SIZE];

    for (size_t i = 1; i < json_object_array_length(b->from); i++) {
        const char *value = argument(b, i);

        if (!part(value, "id", id) || strcmp(id, disk) != 0 || !part(value, NULL, kind))
            continue;
        for (size_t k = 0; k < sizeof(known) / sizeof(known[0]); k++)
            if (strcmp(kind, known[k]) == 0)
                return known[k];
    }
    return "virtio-blk-pci";
}

/* Where the disk's content comes from. The point under an overlay is a node of its own: the overlay's file names another one, for
 * when it is opened without us. */
static void node(struct building *b, size_t i, const char *disk, int fd)
{
    const struct boot_stage *s = b->stage;
    char under[48] = "";

    if (s && s->has_overlays && !s->is_alone) {
        give(b, "-blockdev");
        give(b, "driver=nbd,node-name=" BOOT_POINT_NODE "%zu,read-only=on,server.type=fd,server.str=%d", i, fd);
        (void)snprintf(under, sizeof(under), ",backing=" BOOT_POINT_NODE "%zu", i);
    }
    give(b, "-blockdev");
    if (s && s->has_overlays)
        give(b, "driver=qcow2,node-name=" BOOT_NODE "%zu,discard=unmap,file.driver=file,file.discard=unmap,file.filename=%s/%s.qcow2%s",
             i, s->directory, disk, under);
    else
        give(b, "driver=nbd,node-name=" BOOT_NODE "%zu,server.type=fd,server.str=%d", i, fd);
}

static void disks(struct building *b, const struct repo_manifest *m, const int *fds)
{
    for (size_t i = 0; i < m->disk_count; i++) {
        const char *device = device_of(b, m->disks[i].name);
        int unit = flash_unit(b, m->disks[i].name);

        if (unit >= 0) {
            node(b, i, m->disks[i].name, fds[i]);
            give(b, "-machine");
            give(b, "pflash%d=" BOOT_NODE "%zu", unit, i);
            continue;
        }
        if (strcmp(device, "scsi-hd") == 0) {
            give(b, "-device");
            give(b, "virtio-scsi-pci,id=scsi%zu", i);
        }
        node(b, i, m->disks[i].name, fds[i]);
        give(b, "-device");
        if (strcmp(device, "scsi-hd") == 0)
            give(b, "scsi-hd,drive=boot%zu,bus=scsi%zu.0,bootindex=%zu", i, i, i + 1);
        else
            give(b, "%s,drive=boot%zu,bootindex=%zu", device, i, i + 1);
    }
}

static void accelerators(struct building *b)
{
    if (b->is_kvm) {
        give(b, "-accel");
        give(b, "kvm");
    }
    give(b, "-accel");
    give(b, "tcg");
}

/* A socket that QEMU listens on. */
static void listening(struct building *b, const char *id, const char *ending)
{
    give(b, "-chardev");
    give(b, "socket,id=%s,path=%s/%s.%s,server=on,wait=off", id, b->stage->directory, b->stage->name, ending);
}

static void screen(struct building *b)
{
    const char *name = b->line->argv[0];

    if (strcmp(name, PROGRAM_PREFIX "x86_64") != 0 && strcmp(name, PROGRAM_PREFIX "i386") != 0) {
        text(b, "-display", "none");
        return;
    }
    text(b, "-vga", "std");
    give(b, "-vnc");
    give(b, "unix:%s/%s.vnc", b->stage->directory, b->stage->name);
}

/* Its monitor is such that ballastd can have it. */
static void stage(struct building *b)
{
    const struct boot_stage *s = b->stage;

    if (b->failed)
        return;
    text(b, "-nodefaults", "-no-user-config");
    text(b, "-name", s->name);
    text(b, "-uuid", s->uuid);
    /* A bridge's helper is a program that gets root's rights. */
    text(b, "-sandbox", s->nic ? "on,obsolete=deny,resourcecontrol=deny" :
                                 "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    listening(b, "ballast", "qmp");
    text(b, "-mon", "chardev=ballast,mode=control");
    if (!s->is_alone) {
        give(b, "-chardev");
        give(b, "socket,id=start,fd=%d", s->qmp_fd);
        text(b, "-mon", "chardev=start,mode=control");
    }
    give(b, "-chardev");
    give(b, "socket,id=console,path=%s/%s.console,server=on,wait=off,logfile=%s/%s.log,logappend=on", s->directory, s->name,
         s->directory, s->name);
    text(b, "-serial", "chardev:console");
    text(b, "-device", "virtio-serial-pci,id=ports");
    listening(b, "qga", "qga");
    text(b, "-device", "virtserialport,bus=ports.0,chardev=qga,id=qga0,name=org.qemu.guest_agent.0");
    text(b, "-device", "virtio-balloon-pci,id=balloon0,deflate-on-oom=on");
    screen(b);
    give(b, "-nic");
    if (s->nic)
        give(b, "%s,mac=%s%s", s->nic, s->mac, strstr(s->nic, "model=") ? "" : ",model=virtio-net-pci");
    else
        give(b, "none");
    accelerators(b);
}

static void surroundings(struct building *b, int agent_fd)
{
    static const char *const fixed[] = {
        "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-nic", "none", "-monitor", "none",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console", "-device", "virtio-serial-pci,id=ports"};

    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        give(b, "%s", fixed[i]);
    give(b, "-chardev");
    give(b, "socket,id=agent,fd=%d", agent_fd);
    give(b, "-device");
    give(b, "virtserialport,bus=ports.0,chardev=agent,name=org.qemu.guest_agent.0");
    accelerators(b);
}

static int line_new(const struct repo_manifest *m, const struct boot_host *host, const int *disk_fds, int agent_fd,
                    const struct boot_stage *at_stage, struct boot_line **ret, struct err *e)
{
    AUTO(boot_line) struct boot_line *line = calloc(1, sizeof(*line));
    struct building b = {.line = line, .host = host, .stage = at_stage, .e = e};
    struct json_object *facts;
    int r;

    if (!line)
        return err_set(e, ENOMEM, "no memory for QEMU's command line");
    r = wire_json_parse(m->facts, strlen(m->facts), &facts, e);
    if (r < 0)
        return r;
    line->memory_bytes = 128ULL << 20; /* QEMU's default */
    if (!json_object_object_get_ex(facts, "command_line", &b.from) || !json_object_is_type(b.from, json_type_array)) {
        (void)json_object_put(facts);
        return err_set(e, ENODATA, "the point does not tell how its guest was started");
    }
    b.manifest = m;
    b.facts = facts;
    b.is_kvm = host->has_kvm && kvm_was_used(&b);
    program(&b);
    if (at_stage)
        stage(&b);
    else
        surroundings(&b, agent_fd);
    for (size_t i = 1; i < json_object_array_length(b.from); i++) {
        const char *word = argument(&b, i);

        if (word[0] == '-')
            option(&b, word + (word[1] == '-' ? 2 : 1), argument(&b, i + 1));
    }
    give(&b, "-m");
    give(&b, "size=%" PRIu64 "k", line->memory_bytes >> 10);
    disks(&b, m, disk_fds);
    (void)json_object_put(facts);
    if (b.failed)
        return -e->code;
    *ret = TAKE(line);
    return 0;
}

int boot_line_new(const struct repo_manifest *m, const struct boot_host *host, const int *disk_fds, int agent_fd,
                  struct boot_line **ret, struct err *e)
{
    return line_new(m, host, disk_fds, agent_fd, NULL, ret, e);
}

int boot_line_stage(const struct repo_manifest *m, const struct boot_host *host, const int *disk_fds,
                    const struct boot_stage *at_stage, struct boot_line **ret, struct err *e)
{
    return line_new(m, host, disk_fds, -1, at_stage, ret, e);
}

struct boot_line *boot_line_free(struct boot_line *line)
{
    for (size_t i = 0; line && i < line->count; i++)
        free(line->argv[i]);
    free(line);
    return NULL;
}
