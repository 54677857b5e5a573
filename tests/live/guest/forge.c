/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile guest can do to its balloon device, for the tests:
 *
 *     forge SIZE_MIB      claim that the balloon holds SIZE_MIB, by writing the device's configuration space
 *                         (unload its driver first)
 *
 * The registers are those of a virtio 1.x PCI device ("4.1.4 Virtio Structure PCI Capabilities"). With iomem=relaxed
 * the kernel lets a program map them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEVICES "/sys/bus/pci/devices"
#define VENDOR_VIRTIO 0x1af4
#define DEVICE_BALLOON_TRANSITIONAL 0x1002
#define DEVICE_BALLOON 0x1045
#define PCI_CAPABILITY_FIRST 0x34
#define PCI_CAPABILITY_VENDOR 0x09
#define CFG_DEVICE 4
#define BALLOON_ACTUAL 4      /* uint32: pages of 4 KiB in the balloon, written by the guest */
#define PAGES_PER_MIB 256

static uint8_t config[256];

static uint32_t get32(unsigned at)
{
    return (uint32_t)config[at] | (uint32_t)config[at + 1] << 8 | (uint32_t)config[at + 2] << 16 |
           (uint32_t)config[at + 3] << 24;
}

/* Reads the configuration of the balloon device into config and its directory into ret_path. */
static int balloon_find(char *ret_path, size_t cap)
{
    DIR *d = opendir(DEVICES);

    if (!d)
        return -1;
    for (struct dirent *e; (e = readdir(d));) {
        char path[512];
        uint32_t id;

        snprintf(path, sizeof path, DEVICES "/%s/config", e->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        ssize_t n = read(fd, config, sizeof config);
        close(fd);
        id = get32(0);
        if (n != sizeof config || (id & 0xffff) != VENDOR_VIRTIO ||
            (id >> 16 != DEVICE_BALLOON && id >> 16 != DEVICE_BALLOON_TRANSITIONAL))
            continue;
        snprintf(ret_path, cap, DEVICES "/%s", e->d_name);
        closedir(d);
        return 0;
    }
    closedir(d);
    return -1;
}

/* Maps the structure of this type; NULL and a message if that fails. */
static volatile uint8_t *structure_map(const char *device, unsigned type)
{
    for (unsigned at = config[PCI_CAPABILITY_FIRST]; at >= 0x40 && at < 0xf0; at = config[at + 1]) {
        char path[600];
        uint32_t offset;

        if (config[at] != PCI_CAPABILITY_VENDOR || config[at + 3] != type)
            continue;
        offset = get32(at + 8);
        snprintf(path, sizeof path, "%s/resource%u", device, config[at + 4]);
        int fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
        if (fd < 0) {
            perror(path);
            return NULL;
        }
        uint8_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(offset & ~4095U));
        close(fd);
        if (p == MAP_FAILED) {
            perror(path);
            return NULL;
        }
        return p + (offset & 4095U);
    }
    fprintf(stderr, "forge: the balloon device has no such structure\n");
    return NULL;
}

int main(int argc, char **argv)
{
    char device[512];
    volatile uint8_t *at;

    if (argc != 2 || argv[1][0] < '0' || argv[1][0] > '9') {
        fprintf(stderr, "usage: forge SIZE_MIB\n");
        return 2;
    }
    if (balloon_find(device, sizeof device) < 0) {
        fprintf(stderr, "forge: no balloon device\n");
        return 1;
    }
    at = structure_map(device, CFG_DEVICE);
    if (!at)
        return 1;
    *(volatile uint32_t *)(at + BALLOON_ACTUAL) = (uint32_t)strtoul(argv[1], NULL, 10) * PAGES_PER_MIB;
    puts("forged");
    return 0;
}
