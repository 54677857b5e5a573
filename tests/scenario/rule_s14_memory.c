/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <stdlib.h>

/* S14: nothing is allocated on the emergency path. All that the engine does after its start, with guests that stall,
 * reset, vanish, appear late, lie and get stuck on an over-full host, is done with what was taken at the start. The
 * counting is seen to work by an allocation put into the same path. */

static unsigned long counted;
static bool counting;

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static void on_malloc(const volatile void *p, size_t size)
{
    (void)p;
    (void)size;
    counted += counting;
}

static void on_free(const volatile void *p)
{
    (void)p;
}

static void count_allocations(void)
{
    (void)__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
}
#else
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

void *malloc(size_t size)
{
    counted += counting;
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    counted += counting;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    counted += counting;
    return __libc_realloc(p, size);
}

static void count_allocations(void)
{
}
#endif

static void wasteful(struct world *w, void *user)
{
    void *volatile p;

    (void)user;
    if (world_now(w) % SEC)
        return;
    p = malloc(16);
    free(p);
}

static struct world *emergency(void)
{
    static const enum model_kind kinds[] = {MODEL_IDEAL, MODEL_REBOOTING, MODEL_STUCK, MODEL_LYING_NONSENSE,
                                            MODEL_VANISHING, MODEL_MUTE, MODEL_SOMETIMES_STUCK, MODEL_IDEAL};
    struct world_config wc = setup_host(3 * GIB, 8 * SETUP_OVERHEAD_KIB, 3);
    struct world *w = world_new(&wc);
    char name[16];

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        struct guest_config config = setup_guest_config(128 * MIB, 2 * GIB);
        struct model_config m = scenario_grower(2 * GIB, 370 * MIB, 150 * MIB, 900 * MIB, (5 + i) * SEC, 40 * MIB);
        m.agent = i % 2;
        m.deflate_on_oom = true;
        m.kind = kinds[i];
        m.happens_usec = (20 + i) * SEC;
        (void)snprintf(name, sizeof(name), "guest%zu", i);
        (void)world_add(w, name, &config, &m);
    }
    world_start(w);
    return w;
}

static unsigned long allocations(bool waste)
{
    struct world *w = emergency();

    if (waste)
        world_watch(w, wasteful, NULL);
    counted = 0;
    counting = true;
    world_run(w, 3 * MIN);
    counting = false;
    (void)scenario_check(world_stalled_usec(w) > SEC, "that was no emergency");
    if (!waste)
        world_report(w, stdout, "emergency");
    (void)world_free(w);
    return counted;
}

int main(void)
{
    count_allocations();
    unsigned long n = allocations(false);
    (void)scenario_check(n == 0, "%lu allocations after the start", n);
    (void)scenario_check(allocations(true) > 0, "an allocation was not seen");
    return scenario_end();
}
