/* SPDX-License-Identifier: Apache-2.0 */
#include "qmp_loss.h"

#include <errno.h>

enum qmp_loss qmp_loss_of(int code)
{
    switch (code) {
    case ENOENT:
    case ENOTDIR:
        return QMP_LOSS_ABSENT;
    case ECONNREFUSED:
        return QMP_LOSS_REFUSED;
    case EACCES:
    case EPERM:
        return QMP_LOSS_DENIED;
    case EAGAIN: /* the listener's queue is full of clients that wait for the monitor */
        return QMP_LOSS_BUSY;
    default:
        return QMP_LOSS_OTHER;
    }
}
