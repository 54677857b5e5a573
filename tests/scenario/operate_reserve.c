/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <inttypes.h>

#include "engine_reserve.h"
#include "scenario.h"

/* `ballast reserve`: guests give by priority, none below what it needs; what is held is kept from them, is handed to the new
 * guest, and goes back to them where nobody comes. Books hold throughout. */

#define GUESTS 3
#define ROOM (3 * GIB)

/* Three guests that fill the host; the first has double priority. Each uses 300 MiB and has 900. */
static struct world *crowd(const struct model_config *model)
{
    static const uint32_t priority[GUESTS] = {10000, 5000, 5000};
    static const char *const names[GUESTS] = {"first", "second", "third"};
    struct world_config wc = setup_host(ROOM, (GUESTS + 1) * SETUP_OVERHEAD_KIB, 1);
    struct world *w = world_new(&wc);

    for (size_t i = 0; i < GUESTS; i++) {
        struct guest_config config = setup_guest_config(256 * MIB, 2 * GIB);
        config.priority = priority[i];
        config.reclaim = GUEST_RECLAIM_LAZY; /* they keep what they have until somebody asks */
        (void)world_add(w, names[i], &config, model);
    }
    world_start(w);
    world_run(w, 30 * SEC);
    return w;
}

static uint64_t reserve(struct world *w, const struct engine_reserve_request *rq)
{
    uint64_t id = 0;
    struct err e = {0};

    (void)scenario_check(engine_reserve(world_engine(w), rq, world_host(w)->seen.time_usec, &id, &e) == 0, "refused: %s",
                         e.text);
    return id;
}

static enum reserve_state state_of(struct world *w, uint64_t id)
{
    const struct reserve *r = engine_reserve_find(world_engine(w), id);

    return r ? r->state : RESERVE_FREE;
}

static bool is(struct world *w, uint64_t id, enum reserve_state state, const char *when)
{
    return scenario_check(state_of(w, id) == state, "%s it is %s, not %s", when, reserve_state_text(state_of(w, id)),
                          reserve_state_text(state));
}

/* Runs until it is no longer gathering; what guests have then. Guests give at device speed, as for one that starves: taken
 * slowly it would be half a minute. */
static uint64_t gathered(struct world *w, uint64_t id)
{
    int i = 0;

    for (; i < 60 && state_of(w, id) == RESERVE_GATHERING; i++)
        world_run(w, SEC);
    (void)scenario_check(i <= 10, "it took %d s", i);
    return world_assigned_kib(w);
}

static void held_and_handed_over(void)
{
    struct model_config idle = scenario_idle(GIB, 900 * MIB), comes = scenario_idle(GIB, GIB);
    struct guest_config config = setup_guest_config(256 * MIB, GIB);
    struct world *w = crowd(&idle);
    uint64_t before = world_assigned_kib(w), id;

    id = reserve(w, &(struct engine_reserve_request){.kib = GIB});
    uint64_t after = gathered(w, id);
    world_report(w, stdout, "1 GiB reserved");
    (void)is(w, id, RESERVE_HELD, "after a minute at most");
    (void)scenario_check(after + GIB <= ROOM, "it is held, but guests have %" PRIu64 " MiB", after / MIB);
    (void)scenario_check(after < before, "nobody gave");
    for (size_t i = 0; i < GUESTS; i++)
        (void)scenario_check(model_assigned_kib(world_model(w, i)) >= 256 * MIB, "guest %zu is below its minimum", i);
    (void)scenario_check(model_assigned_kib(world_model(w, 0)) > model_assigned_kib(world_model(w, 1)),
                         "double priority did not count");
    world_run(w, MIN);
    (void)scenario_check(world_assigned_kib(w) + GIB <= ROOM, "what is held was given away");
    size_t new = world_add(w, "comes", &config, &comes);
    world_run(w, 2 * SEC);
    (void)is(w, id, RESERVE_CLAIMED, "a guest that fits came:");
    (void)scenario_check(strcmp(engine_reserve_find(world_engine(w), id)->claimed_by, "comes") == 0, "by somebody else");
    (void)scenario_check(world_host(w)->config.reservations_kib == 0, "it is still taken out of capacity");
    world_run(w, MIN);
    (void)scenario_check(model_assigned_kib(world_model(w, new)) > 0, "it did not boot");
    (void)scenario_check(world_killed(w) == 0, "a program was killed");
    scenario_check_world(w, "reserve and hand over");
    (void)world_free(w);
}

/* The proof that it was needed: the same guest without a reservation takes memory that is not there. */
static void without_one_the_books_break(void)
{
    struct model_config idle = scenario_idle(GIB, 900 * MIB), comes = scenario_idle(GIB, GIB);
    struct guest_config config = setup_guest_config(256 * MIB, GIB);
    struct world *w = crowd(&idle);

    (void)world_add(w, "comes", &config, &comes);
    world_run(w, 2 * SEC);
    (void)scenario_check(world_broken(w, WORLD_S1) > 0, "it fitted without a reservation: the test shows nothing");
    (void)world_free(w);
}

static void expires_and_goes_back(void)
{
    struct model_config idle = scenario_idle(GIB, 900 * MIB), small = scenario_idle(512 * MIB, 512 * MIB);
    struct guest_config config = setup_guest_config(128 * MIB, 512 * MIB);
    struct world *w = crowd(&idle);
    uint64_t id, before;

    id = reserve(w, &(struct engine_reserve_request){.kib = GIB, .guest = "somebody", .keep_usec = 2 * MIN});
    (void)gathered(w, id);
    (void)is(w, id, RESERVE_HELD, "after a minute at most");
    before = world_assigned_kib(w);
    (void)world_add(w, "comes", &config, &small); /* it fits, but it is for somebody else */
    world_run(w, 10 * SEC);
    (void)is(w, id, RESERVE_HELD, "somebody else came:");
    world_run(w, 2 * MIN);
    (void)is(w, id, RESERVE_EXPIRED, "two minutes later");
    (void)scenario_check(world_host(w)->config.reservations_kib == 0, "it is still taken out of capacity");
    (void)scenario_check(world_host(w)->grantable_kib > (int64_t)(100 * MIB) || world_assigned_kib(w) > before,
                         "nobody can have it");
    scenario_check_world(w, "expires");
    (void)world_free(w);
}

/* More than guests can give is refused at once and moves nobody; with `most` it is what they can. */
static void too_much_is_refused(void)
{
    struct model_config idle = scenario_idle(GIB, 900 * MIB);
    struct world *w = crowd(&idle);
    struct err e = {0};
    uint64_t id = 0, before = world_assigned_kib(w);
    uint64_t most = engine_reserve_most_kib(world_engine(w));
    int r = engine_reserve(world_engine(w), &(struct engine_reserve_request){.kib = 3 * GIB},
                           world_host(w)->seen.time_usec, &id, &e);

    (void)scenario_check(r < 0 && strstr(e.text, "at most"), "3 GiB of 3 GiB: %d, '%s'", r, e.text);
    world_run(w, 10 * SEC);
    (void)scenario_check(world_assigned_kib(w) == before, "somebody gave for nothing");
    id = reserve(w, &(struct engine_reserve_request){.most = true});
    (void)gathered(w, id);
    (void)is(w, id, RESERVE_HELD, "as much as there is:");
    const struct reserve *got = engine_reserve_find(world_engine(w), id);
    (void)printf("most %" PRIu64 " MiB, got %" PRIu64 " MiB\n", most / MIB, got->kib / MIB);
    (void)scenario_check(got->kib > most / 2, "it is less than half of what guests could give");
    (void)scenario_check(world_assigned_kib(w) + got->kib <= ROOM, "it is not there");
    for (size_t i = 0; i < GUESTS; i++)
        (void)scenario_check(model_assigned_kib(world_model(w, i)) >= 256 * MIB, "guest %zu is below its minimum", i);
    (void)scenario_check(engine_reserve_cancel(world_engine(w), id, world_host(w)->seen.time_usec, &e) == 0, "%s", e.text);
    world_run(w, 5 * SEC);
    (void)scenario_check(world_host(w)->config.reservations_kib == 0, "cancelled, but still taken out of capacity");
    (void)scenario_check(world_killed(w) == 0, "a program was killed");
    scenario_check_world(w, "too much");
    (void)world_free(w);
}

/* A guest that boots may touch all it booted with: until it reports nothing is held. */
static void a_guest_that_reboots_blocks_it(void)
{
    struct world_config wc = setup_host(ROOM, 2 * SETUP_OVERHEAD_KIB, 1);
    struct guest_config config = setup_guest_config(256 * MIB, 2 * GIB);
    struct model_config idle = scenario_idle(2 * GIB, 512 * MIB), resets = idle;
    struct world *w = world_new(&wc);
    uint64_t id;

    resets.kind = MODEL_REBOOTING;
    resets.happens_usec = 40 * SEC;
    (void)world_add(w, "idle", &config, &idle);
    (void)world_add(w, "resets", &config, &resets);
    world_start(w);
    world_run(w, 39 * SEC + 500 * WORLD_MSEC);
    id = reserve(w, &(struct engine_reserve_request){.kib = 1700 * MIB}); /* there, but for what the reset brings */
    (void)is(w, id, RESERVE_GATHERING, "just asked for");
    world_run(w, SEC);
    (void)scenario_check(world_model(w, 1)->resets > 0, "it did not reset");
    for (int i = 0; i < 600 && !world_model(w, 1)->driver_up; i++) {
        if (state_of(w, id) == RESERVE_HELD && world_host(w)->grantable_kib < 0)
            break;
        world_run(w, 100 * WORLD_MSEC);
    }
    world_run(w, 30 * SEC);
    (void)is(w, id, RESERVE_HELD, "it reported again:");
    scenario_check_world(w, "a guest reboots");
    (void)world_free(w);
}

/* A reservation of which a guest of this kind has most, while another one grows. */
static struct world *one_grows(enum model_kind kind, uint64_t *ret_id)
{
    struct world_config wc = setup_host(ROOM, 2 * SETUP_OVERHEAD_KIB, 1);
    struct guest_config config = setup_guest_config(256 * MIB, 2 * GIB);
    struct model_config donor = scenario_idle(2 * GIB, 1500 * MIB);
    struct model_config grows = scenario_grower(GIB, 500 * MIB, 300 * MIB, 800 * MIB, 40 * SEC, 50 * MIB);
    struct world *w = world_new(&wc);

    donor.kind = kind;
    config.reclaim = GUEST_RECLAIM_LAZY;
    (void)world_add(w, "grows", &config, &grows);
    (void)world_add(w, "most", &config, &donor);
    world_start(w);
    world_run(w, 39 * SEC);
    *ret_id = reserve(w, &(struct engine_reserve_request){.kib = 1500 * MIB});
    return w;
}

static void check_grown(struct world *w, const char *what)
{
    (void)scenario_check(world_model(w, 0)->anon_kib == 800 * MIB, "%s: the guest that grows has %" PRIu64 " MiB only", what,
                         world_model(w, 0)->anon_kib / MIB);
    (void)scenario_check(world_killed(w) == 0, "%s: a program was killed", what);
    scenario_check_world(w, what);
}

/* Memory that is only being gathered serves a guest that starves: it does not wait for one that is slow. */
static void the_hungry_come_first(void)
{
    uint64_t id;
    struct world *w = one_grows(MODEL_SLOW, &id);

    world_run(w, 15 * SEC);
    (void)is(w, id, RESERVE_GATHERING, "a slow guest has what is missing:");
    check_grown(w, "slow");
    (void)world_free(w);
}

/* What a stuck guest has never comes: it fails as soon as that is known, and others have all of it again. */
static void the_hopeless_end_early(void)
{
    uint64_t id;
    struct world *w = one_grows(MODEL_STUCK, &id);

    world_run(w, 25 * SEC);
    (void)is(w, id, RESERVE_FAILED, "a stuck guest has what is missing:");
    (void)scenario_check(world_host(w)->config.reservations_kib == 0, "it is still taken out of capacity");
    check_grown(w, "stuck");
    (void)world_free(w);
}

int main(void)
{
    the_hungry_come_first();
    the_hopeless_end_early();
    held_and_handed_over();
    without_one_the_books_break();
    expires_and_goes_back();
    too_much_is_refused();
    a_guest_that_reboots_blocks_it();
    return scenario_end();
}
