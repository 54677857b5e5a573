/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdlib.h>
#include <unistd.h>

/* Ownership in one look: AUTO* locals are released at the end of their scope, TAKE() hands them over.
 *
 *     AUTO(vm) struct vm *v = vm_new();     calls vm_free(v)
 *     AUTO_FREE char *text = strdup("x");   calls free(text)
 *     AUTO_CLOSE int fd = open(...);        calls close(fd) where fd >= 0
 *
 * OWN_DEFINE(vm) makes AUTO(vm) available for a type with `struct vm *vm_free(struct vm *)` (returns NULL). */

#define OWN_DEFINE(type)                                                                                               \
    static inline __attribute__((unused)) void own_##type##_release(struct type **p)                                                           \
    {                                                                                                                  \
        (void)type##_free(*p);                                                                                         \
    }                                                                                                                  \
    struct type

#define AUTO(type) __attribute__((cleanup(own_##type##_release)))

static inline void own_free_release(void *p)
{
    free(*(void **)p);
}

static inline void own_close_release(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* nothing was written through it that a failing close could lose */
}

#define AUTO_FREE __attribute__((cleanup(own_free_release)))
#define AUTO_CLOSE __attribute__((cleanup(own_close_release)))

/* The pointer's value; the variable is NULL afterwards. */
#define TAKE(p)                                                                                                        \
    __extension__({                                                                                                    \
        __typeof__(p) own_taken_ = (p);                                                                                \
        (p) = NULL;                                                                                                    \
        own_taken_;                                                                                                    \
    })
