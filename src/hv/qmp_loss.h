/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Why there is no connection (any more). */
enum qmp_loss {
    QMP_LOSS_ABSENT,   /* no such socket */
    QMP_LOSS_REFUSED,  /* a socket that nobody listens on */
    QMP_LOSS_DENIED,   /* permission */
    QMP_LOSS_BUSY,     /* connected but not greeted: in use by another client (one at a time) */
    QMP_LOSS_NOT_QMP,  /* greeted with something else */
    QMP_LOSS_NONSENSE, /* garbage, flood, oversize: our side ended it */
    QMP_LOSS_ENDED,    /* the peer closed it */
    QMP_LOSS_OTHER,    /* socket errors, no memory */
    QMP_LOSS_COUNT
};

/* Of a connect() that failed with this errno value. */
enum qmp_loss qmp_loss_of(int code);
