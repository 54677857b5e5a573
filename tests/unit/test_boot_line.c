/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot_line.h"

/* What a boot test takes over of a command line, and what it never does. */

static bool is_file(const char *path)
{
    return strncmp(path, "/boot/", 6) == 0;
}

static int build(const char *facts, bool has_kvm, struct boot_line **ret, struct err *e)
{
    const struct boot_host host = {.has_kvm = has_kvm, .cpus = 4, .is_file = is_file};
    const int fds[REPO_DISKS_MAX] = {11, 12, 13};
    char text[5120];
    struct repo_manifest *m = calloc(1, sizeof(*m));
    int r;

    assert_non_null(m);
    m->disk_count = 3;
    for (size_t i = 0; i < m->disk_count; i++)
        (void)snprintf(m->disks[i].name, sizeof(m->disks[i].name), "vd%c", (char)('a' + i));
    assert_true((size_t)snprintf(text, sizeof(text), "%s", facts) < sizeof(text));
    m->facts = text;
    r = boot_line_new(m, &host, fds, 9, ret, e);
    free(m);
    return r;
}

/* The whole line but what is the same in all of them (from -nodefaults to the agent's port). */
static void check_facts(const char *facts, bool has_kvm, const char *expected)
{
    struct boot_line *line = NULL;
    char got[4096] = "";
    struct err e = {0};
    bool is_fixed = false;

    if (build(facts, has_kvm, &line, &e) < 0)
        fail_msg("%s: %s", facts, e.text);
    for (size_t i = 0; i < line->count; i++) {
        is_fixed |= strcmp(line->argv[i], "-nodefaults") == 0;
        if (!is_fixed)
            (void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "", line->argv[i]);
        is_fixed &= strncmp(line->argv[i], "virtserialport,", 15) != 0;
    }
    assert_string_equal(got, expected);
    assert_null(line->argv[line->count]);
    (void)boot_line_free(line);
}

static void check_line(const char *words, bool has_kvm, const char *expected)
{
    char facts[4096];

    (void)snprintf(facts, sizeof(facts), "{\"command_line\":[%s]}", words);
    check_facts(facts, has_kvm, expected);
}

#define DISK(i, fd, bootindex) \
    " -blockdev driver=nbd,node-name=boot" i ",server.type=fd,server.str=" fd \
    " -device virtio-blk-pci,drive=boot" i ",bootindex=" bootindex
#define DISKS DISK("0", "11", "1") DISK("1", "12", "2") DISK("2", "13", "3")

static void taken_over(void **state)
{
    (void)state;
    check_line("\"/usr/bin/qemu-system-x86_64\"", false, "qemu-system-x86_64 -accel tcg -m size=131072k" DISKS);
    check_line("\"kvm\",\"-m\",\"1G,slots=4,maxmem=8G\",\"--smp\",\"16,sockets=2\",\"-cpu\",\"host,+vmx\"", true,
               "qemu-system-x86_64 -accel kvm -accel tcg -smp 4 -cpu host,+vmx -m size=1048576k" DISKS);
    check_line("\"qemu-system-x86_64\",\"-machine\",\"pc-q35-7.2,accel=kvm,memory-backend=ram,smm=on,hpet=off,dumpdtb=/x\","
               "\"-cpu\",\"host\",\"-kernel\",\"/boot/k\",\"-initrd\",\"/boot/i\",\"-append\",\"a,b -c\",\"-m\",\"size=64\"", false,
               "qemu-system-x86_64 -accel tcg -machine pc-q35-7.2,hpet=off,smm=on -cpu max -kernel /boot/k -initrd /boot/i"
               " -append a,b -c -m size=65536k" DISKS);
    check_line("\"qemu-system-x86_64\",\"-accel\",\"tcg\",\"-cpu\",\"host\"", true,
               "qemu-system-x86_64 -accel tcg -cpu max -m size=131072k" DISKS);
    check_line("\"qemu-system-x86_64\",\"-drive\",\"if=pflash,file=/boot/code,readonly=on\",\"-device\",\"ide-hd,drive=x,id=vdb\","
               "\"-device\",\"scsi-hd,id=vdc,drive=y\"", false,
               "qemu-system-x86_64 -accel tcg -drive if=pflash,unit=0,format=raw,snapshot=on,file=/boot/code -m size=131072k"
               DISK("0", "11", "1")
               " -blockdev driver=nbd,node-name=boot1,server.type=fd,server.str=12 -device ide-hd,drive=boot1,bootindex=2"
               " -device virtio-scsi-pci,id=scsi2 -blockdev driver=nbd,node-name=boot2,server.type=fd,server.str=13"
               " -device scsi-hd,drive=boot2,bus=scsi2.0,bootindex=3");
}

/* Variables of the firmware are a disk of the point, and stay out of its disks; where they were is of no interest any more. */
static void firmware(void **state)
{
    static const char *const others[] = {"/machine/peripheral/vdb.flash1/x", "/machine/system.flash2", "/machine/system.flash12",
                                         "/machine/system.flash", ".flash1", ""};
    char words[512];

    (void)state;
    check_facts("{\"command_line\":[\"qemu-system-x86_64\",\"-drive\",\"if=pflash,unit=0,file=/boot/code,readonly=on\",\"-drive\","
                "\"if=pflash,unit=1,file=/srv/secret\"],\"disks\":{\"vdb\":{\"device\":\"/machine/system.flash1\"}}}", false,
                "qemu-system-x86_64 -accel tcg -drive if=pflash,unit=0,format=raw,snapshot=on,file=/boot/code -m size=131072k"
                DISK("0", "11", "1") " -blockdev driver=nbd,node-name=boot1,server.type=fd,server.str=12 -machine pflash1=boot1"
                DISK("2", "13", "3"));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        (void)snprintf(words, sizeof(words), "{\"command_line\":[\"qemu-system-x86_64\"],\"disks\":{\"vdb\":{\"device\":\"%s\"}}}",
                       others[i]);
        check_facts(words, false, "qemu-system-x86_64 -accel tcg -m size=131072k" DISKS);
    }
    check_facts("{\"command_line\":[\"qemu-system-x86_64\"],\"disks\":[1]}", false, "qemu-system-x86_64 -accel tcg -m size=131072k" DISKS);
    check_facts("{\"command_line\":[\"qemu-system-x86_64\"],\"disks\":{\"vdb\":7}}", false,
                "qemu-system-x86_64 -accel tcg -m size=131072k" DISKS);
}

/* Nothing of these reaches QEMU. */
static void dropped(void **state)
{
    (void)state;
    check_line("\"qemu-system-x86_64\",\"-netdev\",\"tap,id=n,script=/tmp/evil\",\"-device\",\"vfio-pci,host=01:00.0\",\"-chardev\","
               "\"socket,id=c,path=/run/x,server=on\",\"-qmp\",\"unix:/run/q,server=on\",\"-object\",\"memory-backend-file,id=m,"
               "mem-path=/etc/passwd,size=1G\",\"-drive\",\"file=/etc/shadow,if=virtio\",\"-readconfig\",\"/tmp/c\",\"-incoming\","
               "\"exec:touch /tmp/x\",\"-daemonize\",\"-pidfile\",\"/etc/x\",\"-plugin\",\"/tmp/x.so\",\"-D\",\"/etc/y\",\"-S\","
               "\"-vnc\",\":1\",\"-runas\",\"root\",\"-blockdev\",\"driver=host_device,node-name=h,filename=/dev/sda\",\"-cdrom\",\"/dev/sr0\","
               "\"-smbios\",\"file=/etc/shadow\",\"-acpitable\",\"file=/etc/shadow\",\"-dtb\",\"/etc/shadow\",\"-fw_cfg\",\"name=x,"
               "file=/etc/shadow\",\"-global\",\"x.rom=/etc/shadow\",\"-set\",\"a.b.c=/etc/shadow\",\"-option-rom\",\"/etc/shadow\","
               "\"-device\",\"loader,file=/etc/shadow\",\"-device\",\"virtio-net-pci,romfile=/etc/shadow\",\"-mem-path\",\"/dev/shm\","
               "\"-virtfs\",\"local,path=/\",\"-chroot\",\"/\",\"-semihosting-config\",\"chardev=c\",\"-tpmdev\",\"x\",\"-L\",\"/tmp/evil\","
               "\"-hda\",\"/dev/sda\",\"-fsdev\",\"local,id=f,path=/\",\"-loadvm\",\"x\",7,null,{}",
               false, "qemu-system-x86_64 -accel tcg -m size=131072k" DISKS);
}

static void stage_line(const struct boot_stage *stage, char *ret, size_t size)
{
    const struct boot_host host = {.cpus = 4, .is_file = is_file};
    struct repo_manifest m = {.disk_count = 1, .disks = {{.name = "vda"}},
                              .facts = (char *)"{\"command_line\":[\"qemu-system-x86_64\",\"-name\",\"web1\",\"-uuid\",\"x\","
                                               "\"-netdev\",\"tap,id=n\",\"-qmp\",\"unix:/run/q,server=on\"]}"};
    const int fds[REPO_DISKS_MAX] = {11};
    struct boot_line *line = NULL;
    struct err e = {0};

    ret[0] = '\0';
    if (boot_line_stage(&m, &host, fds, stage, &line, &e) < 0)
        fail_msg("%s", e.text);
    for (size_t i = 0; i < line->count; i++)
        (void)snprintf(ret + strlen(ret), size - strlen(ret), "%s ", line->argv[i]);
    (void)boot_line_free(line);
}

static void has(const char *line, const char *part, bool wanted)
{
    if ((strstr(line, part) != NULL) != wanted)
        fail_msg("'%s' %s '%s'", line, wanted ? "lacks" : "has", part);
}

/* A guest that stays is another one, with sockets of its own, and no network but what is asked for. */
static void on_stage(void **state)
{
    struct boot_stage stage = {.name = "old", .uuid = "1-2", .mac = "52:54:00:00:00:01", .directory = "/x", .qmp_fd = 7};
    char line[8192];

    (void)state;
    stage_line(&stage, line, sizeof(line));
    has(line, "-name old -uuid 1-2 ", true);
    has(line, "web1", false);
    has(line, "/run/q", false);
    has(line, "-nic none ", true);
    has(line, "spawn=deny", true);
    has(line, "socket,id=ballast,path=/x/old.qmp,server=on,wait=off ", true);
    has(line, "socket,id=start,fd=7 ", true);
    has(line, "driver=nbd,node-name=boot0,server.type=fd,server.str=11 ", true);
    stage.nic = "bridge,br=br0";
    stage.has_overlays = true;
    stage_line(&stage, line, sizeof(line));
    has(line, "-nic bridge,br=br0,mac=52:54:00:00:00:01,model=virtio-net-pci ", true);
    has(line, "spawn=deny", false); /* the bridge's helper */
    has(line, "driver=nbd,node-name=point0,read-only=on,server.type=fd,server.str=11 ", true);
    has(line, "file.filename=/x/vda.qcow2,backing=point0 ", true);
    stage.is_alone = true;
    stage.nic = "user,model=e1000";
    stage_line(&stage, line, sizeof(line));
    has(line, "-nic user,model=e1000,mac=52:54:00:00:00:01 ", true);
    has(line, "fd", false); /* nothing of the process that started it first */
    has(line, "file.filename=/x/vda.qcow2 ", true);
}

/* What of the host a path may be: that of a file that holds no secret. */
static void files(void **state)
{
    char directory[] = "/tmp/ballast-boot-XXXXXX", path[64], name[64], comma[64];
    const char *const never[] = {"/dev/null", "/dev/zero", "/proc/self/environ", "/proc/cpuinfo", "/tmp", "", "relative", "/nowhere"};
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/file", directory);
    (void)snprintf(name, sizeof(name), "%s/name", directory);
    (void)snprintf(comma, sizeof(comma), "%s/file,x", directory);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_false(boot_file_may_be_read(path)); /* nothing in it */
    assert_true(fputs("kernel", f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(symlink(path, name), 0);
    assert_int_equal(link(path, comma), 0);
    assert_true(boot_file_may_be_read(path));
    assert_true(boot_file_may_be_read(name));
    assert_false(boot_file_may_be_read(comma)); /* QEMU would take two names */
    assert_int_equal(chmod(path, 0640), 0);
    assert_false(boot_file_may_be_read(path));
    assert_false(boot_file_may_be_read(name));
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        if (boot_file_may_be_read(never[i]))
            fail_msg("'%s' may be read", never[i]);
    assert_int_equal(unlink(path) + unlink(name) + unlink(comma) + rmdir(directory), 0);
}

static const struct bad {
    const char *facts;
    int code;
} bads[] = {
    {"{}", ENODATA},
    {"{\"command_line\":null}", ENODATA},
    {"{\"command_line\":[]}", EINVAL},
    {"{\"command_line\":[\"/bin/sh\",\"-c\",\"x\"]}", EINVAL},
    {"{\"command_line\":[\"/tmp/qemu-system-x86_64 x\"]}", EINVAL},
    {"{\"command_line\":[\"qemu-system-x86_64\",\"-m\",\"-1\"]}", EINVAL},
    {"{\"command_line\":[\"qemu-system-x86_64\",\"-m\",\"99999999999T\"]}", EINVAL},
    {"{\"command_line\":[\"qemu-system-x86_64\",\"-m\",\"1k\"]}", EINVAL},
    {"{\"command_line\":[\"qemu-system-x86_64\",\"-cpu\",\"a b\"]}", EINVAL},
    {"{\"command_line\":[\"qemu-system-x86_64\",\"-machine\",\"q35 ,x=1\"]}", EINVAL},
    {"{\"command_line\":[\"qemu-system-x86_64\",\"-machine\",\"q35,pflash0=code\"]}", EOPNOTSUPP},
    {"{\"command_line\":[\"qemu-system-x86_64\",\"-kernel\",\"/dev/zero\"]}", EINVAL},
    {"{\"command_line\":[\"qemu-system-x86_64\",\"-kernel\"]}", EINVAL},
    {"{\"command_line\":[\"qemu-system-x86_64\",\"-drive\",\"if=pflash,file=/boot/x,,y\"]}", EINVAL},
    {"{\"command_line\":[\"qemu-system-x86_64\",\"-drive\",\"if=pflash,file=nbd://host/x\"]}", EINVAL},
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        struct boot_line *line = NULL;
        struct err e = {0};

        if (build(bads[i].facts, false, &line, &e) != -bads[i].code || line || !e.text[0])
            fail_msg("%s: %d %s", bads[i].facts, e.code, e.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(taken_over), cmocka_unit_test(firmware), cmocka_unit_test(dropped), cmocka_unit_test(on_stage), cmocka_unit_test(files), cmocka_unit_test(refused)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
