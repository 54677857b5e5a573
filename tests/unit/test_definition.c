/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "definition.h"

/* What becomes of a command line for a restored guest, and what is told of it. */

static const char *expected_mac(const char *text, char ret[1024])
{
    size_t n = 0;

    for (; *text && n < 1023; text++) {
        if (strncmp(text, "52:54:00:", 9) == 0 && strlen(text) >= 17) { /* each new one: any will do */
            n += (size_t)snprintf(ret + n, 1024 - n, "MAC");
            text += 16;
        } else {
            ret[n++] = *text;
        }
    }
    ret[n] = '\0';
    return ret;
}

static int renew(const char *words, const struct repo_manifest *m, bool is_qcow2, struct json_object **ret, struct wire_text *notes,
                 struct err *e)
{
    const struct definition_wish wish = {.name = "new", .directory = "/d", .is_qcow2 = is_qcow2, .manifest = m};
    struct json_object *line = json_object_new_array();
    char copy[4096];
    int r;

    (void)snprintf(copy, sizeof(copy), "%s", words);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        (void)json_object_array_add(line, json_object_new_string(word));
    r = definition_renew(line, &wish, ret, notes, e);
    (void)json_object_put(line);
    return r;
}

#define BLOCKDEV(node, format) "-blockdev driver=" format ",node-name=" node ",discard=unmap,file.driver=file,file.discard=unmap,file.filename=/d/vda." format

static const struct {
    const char *name, *words, *expected; /* without the -uuid at its end, where it had none */
    const char *note;                    /* part of what is told; NULL: nothing is */
    bool is_qcow2;
} cases[] = {
    {"a disk by nodes, the lower one in a part",
     "q -name web1,debug-threads=on -blockdev driver=qcow2,node-name=n,file.driver=file,file.filename=/old/a.qcow2 -device virtio-blk-pci,id=vda,drive=n",
     "q -name new,debug-threads=on " BLOCKDEV("n", "qcow2") " -device virtio-blk-pci,id=vda,drive=n", NULL, true},
    {"by nodes, the lower one an argument of its own, which goes",
     "q -blockdev driver=file,node-name=p,filename=/old/a -blockdev driver=raw,node-name=n,file=p -device scsi-hd,id=vda,drive=n",
     "q " BLOCKDEV("n", "raw") " -device scsi-hd,id=vda,drive=n", NULL, false},
    {"in JSON", "q -blockdev {\"driver\":\"file\",\"node-name\":\"p\",\"filename\":\"/old/a\"} -blockdev "
     "{\"driver\":\"qcow2\",\"node-name\":\"n\",\"file\":\"p\"} -device {\"driver\":\"virtio-blk-pci\",\"id\":\"vda\",\"drive\":\"n\"}",
     "q " BLOCKDEV("n", "raw") " -device {\"driver\":\"virtio-blk-pci\",\"id\":\"vda\",\"drive\":\"n\"}", NULL, false},
    {"a drive with a device", "q -drive file=/old/a,if=none,id=d,cache=none -device virtio-blk-pci,id=vda,drive=d",
     "q -drive if=none,id=d,format=raw,discard=unmap,file=/d/vda.raw -device virtio-blk-pci,id=vda,drive=d", NULL, false},
    {"a drive named as the disk", "q --drive id=vda,if=virtio,file=/old/a", "q --drive if=virtio,id=vda,format=raw,discard=unmap,file=/d/vda.raw",
     NULL, false},
    {"MACs, also where QEMU would give its own",
     "q -drive id=vda,file=/x -device virtio-net-pci,netdev=n,mac=aa:bb:cc:dd:ee:ff -device e1000,netdev=m -nic user -nic none -net nic "
     "-device {\"driver\":\"virtio-net\",\"mac\":\"aa:bb:cc:dd:ee:ff\"}",
     "q -drive id=vda,format=raw,discard=unmap,file=/d/vda.raw -device virtio-net-pci,netdev=n,mac=MAC -device e1000,netdev=m,mac=MAC -nic "
     "user,mac=MAC -nic none -net nic,macaddr=MAC -device {\"driver\":\"virtio-net\",\"mac\":\"MAC\"}", NULL, false},
    {"what it listens on and writes to", "q -name guest=web1 -drive id=vda,file=/x -chardev socket,id=c,path=/run/g/web1.qmp,server=on,wait=off "
     "-chardev socket,id=t,path=/run/tpm -chardev file,id=l,path=/var/log/con,logfile=/y/z -qmp unix:/tmp/q,server=on -serial file:/a/s -pidfile "
     "/run/web1.pid -monitor stdio -D /l/og", "q -name guest=new -drive id=vda,format=raw,discard=unmap,file=/d/vda.raw -chardev "
     "socket,id=c,path=/d/new.qmp,server=on,wait=off -chardev socket,id=t,path=/run/tpm -chardev file,id=l,path=/d/con,logfile=/d/z -qmp "
     "unix:/d/q,server=on -serial file:/d/s -pidfile /d/new.pid -monitor stdio -D /d/og", NULL, false},
    {"how it began is over", "q -incoming tcp:0:1 -drive id=vda,file=/x --loadvm s -S", "q -drive id=vda,format=raw,discard=unmap,file=/d/vda.raw -S",
     NULL, false},
    {"a network device of the host", "q -drive id=vda,file=/x -netdev tap,id=n,ifname=tap7", "q -drive id=vda,format=raw,discard=unmap,file=/d/vda.raw"
     " -netdev tap,id=n,ifname=tap7", "'tap7'", false},
    {"firmware variables", "q -drive id=vda,file=/x -drive if=pflash,file=/o/VARS.fd", "q -drive id=vda,format=raw,discard=unmap,file=/d/vda.raw"
     " -drive if=pflash,file=/o/VARS.fd", "'/o/VARS.fd'", false},
};

static void every_case(void **state)
{
    const struct repo_manifest m = {.disk_count = 1, .disks = {{.name = "vda"}}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wire_text got = {0}, notes = {0};
        struct json_object *line = NULL;
        struct err e = {0};
        char text[1024];
        size_t n;

        if (renew(cases[i].words, &m, cases[i].is_qcow2, &line, &notes, &e) < 0)
            fail_msg("%s: %s", cases[i].name, e.text);
        n = json_object_array_length(line);
        assert_string_equal(json_object_get_string(json_object_array_get_idx(line, n - 2)), "-uuid"); /* it had none */
        for (size_t k = 0; k < n - 2; k++)
            wire_text_format(&got, "%s%s", k ? " " : "", json_object_get_string(json_object_array_get_idx(line, k)));
        if (strcmp(expected_mac(got.data, text), cases[i].expected) != 0)
            fail_msg("%s:\n%s\n%s", cases[i].name, text, cases[i].expected);
        if (cases[i].note ? !notes.data || !strstr(notes.data, cases[i].note) : notes.length > 0)
            fail_msg("%s: told '%s'", cases[i].name, notes.data);
        (void)json_object_put(line);
        wire_text_done(&got);
        wire_text_done(&notes);
    }
}

static void virtio_by_its_number(void **state)
{
    const struct repo_manifest m = {.disk_count = 2, .disks = {{.name = "virtio0"}, {.name = "virtio1"}}};
    struct wire_text notes = {0};
    struct json_object *line = NULL;
    struct err e = {0};

    (void)state;
    assert_int_equal(renew("q -uuid x -drive if=virtio,file=/a -drive if=none,file=/c -drive file=/b,,c,if=virtio", &m, false, &line, &notes, &e), 0);
    assert_string_equal(json_object_get_string(json_object_array_get_idx(line, 4)), "if=virtio,format=raw,discard=unmap,file=/d/virtio0.raw");
    assert_string_equal(json_object_get_string(json_object_array_get_idx(line, 8)), "if=virtio,format=raw,discard=unmap,file=/d/virtio1.raw");
    assert_int_equal(strlen(json_object_get_string(json_object_array_get_idx(line, 2))), 36);
    assert_int_equal(json_object_array_length(line), 9);
    (void)json_object_put(line);
    wire_text_done(&notes);
}

static void refused(void **state)
{
    static const char *const lines[] = {"q -hda /old/a", "q -drive if=virtio,file=/a,id=x", "q -device virtio-blk-pci,id=vda,drive=gone", "q -blockdev",
                                        "q -device id=vda"};
    const struct repo_manifest m = {.disk_count = 1, .disks = {{.name = "vda"}}};
    struct wire_text notes = {0};
    struct json_object *line = NULL;
    struct err e = {0};

    (void)state;
    assert_int_equal(renew("", &m, false, &line, &notes, &e), -EINVAL);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (renew(lines[i], &m, false, &line, &notes, &e) != -EOPNOTSUPP)
            fail_msg("%s is taken", lines[i]);
    assert_null(line);
    wire_text_done(&notes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case), cmocka_unit_test(virtio_by_its_number), cmocka_unit_test(refused)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
