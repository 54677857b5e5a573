/* SPDX-License-Identifier: Apache-2.0 */
#include "hv.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "text.h"

struct hv *hv_close(struct hv *hv)
{
    if (hv)
        hv->ops->close(hv);
    return NULL;
}

int hv_sample(struct hv_vm *vm, uint32_t what, struct err *e)
{
    return vm->hv->ops->sample(vm->hv, vm, what, e);
}

int hv_set_target(struct hv_vm *vm, uint64_t target_bytes, hv_done_fn *done, void *user, struct err *e)
{
    /* QEMU reads a balloon of 0 as "all of it": the guest would be gone. No rule of ours asks for that. */
    if (!target_bytes)
        return err_set(e, EINVAL, "refusing to set the memory of guest '%s' to 0", vm->name);
    log_debug("%s: guest '%s': target %llu MiB", vm->hv->ops->name, vm->name,
              (unsigned long long)(target_bytes >> 20));
    return vm->hv->ops->set_target(vm->hv, vm, target_bytes, done, user, e);
}

int hv_attach(struct hv_vm *vm, hv_attach_fn *done, void *user, struct err *e)
{
    if (!vm->hv->ops->attach)
        return err_set(e, ENOTSUP, "guest '%s': the driver '%s' can't give a guest the agent's port", vm->name,
                       vm->hv->ops->name);
    return vm->hv->ops->attach(vm->hv, vm, done, user, e);
}

int hv_disk_add(struct hv_vm *vm, const struct hv_disk *disk, hv_disk_fn *done, void *user, struct err *e)
{
    if (!vm->hv->ops->disk_add)
        return err_set(e, ENOTSUP, "guest '%s': the driver '%s' can't give a guest a disk", vm->name, vm->hv->ops->name);
    return vm->hv->ops->disk_add(vm->hv, vm, disk, done, user, e);
}

int hv_disk_remove(struct hv_vm *vm, const char *id, hv_disk_fn *done, void *user, struct err *e)
{
    if (!vm->hv->ops->disk_remove)
        return err_set(e, ENOTSUP, "guest '%s': the driver '%s' can't take a disk from a guest", vm->name, vm->hv->ops->name);
    return vm->hv->ops->disk_remove(vm->hv, vm, id, done, user, e);
}

void hv_tell(struct hv_vm *vm, const struct hv_tell *tell)
{
    if (vm->hv->ops->tell)
        vm->hv->ops->tell(vm->hv, vm, tell);
}

bool hv_name_is_valid(const char *name)
{
    return text_is_name(name, strlen(name));
}
