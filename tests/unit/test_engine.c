/* SPDX-License-Identifier: Apache-2.0 */
#include "testing.h"

#include <errno.h>
#include <string.h>

#include "engine.h"
#include "fixture_engine.h"

/* The engine alone: a tiny driver and a core without policy write down what is called, in which order. What the core
 * would decide is said by the test (plan[]), so that a change of policy changes nothing here. */

#define START 1000000000ULL
#define MSEC 1000ULL
#define SEC 1000000ULL

/* ---- the world around the engine ---- */

static struct engine *engine;
static const struct hv_listener *tell;
static int host_error;
static unsigned int wakes;
static uint32_t priority;

static void env_configure(void *user, const struct hv_vm *vm, struct guest_config *ret_config)
{
    (void)user;
    (void)vm;
    ret_config->priority = priority;
}

static int env_read_host(void *user, struct obs_host *ret_seen, struct err *e)
{
    (void)user;
    if (host_error)
        return err_set(e, host_error, "cannot read the host");
    *ret_seen = (struct obs_host){.time_usec = 1, .total_bytes = 1ULL << 33, .available_bytes = 1ULL << 32};
    return 0;
}

static void env_wake(void *user)
{
    (void)user;
    wakes++;
}

static void env_ordered(void *user, const struct engine_guest *g)
{
    (void)user;
    note("told %s;", g->vm->name);
}

static void env_trouble(void *user, const struct engine_guest *g, const struct err *e)
{
    (void)user;
    note("trouble %s '%s';", g ? g->vm->name : "-", e->text);
}

static void env_vanished(void *user, const struct engine_guest *g, const char *reason)
{
    (void)user;
    note("gone %s '%s';", g->vm->name, reason);
}

static void env_happened(void *user, const struct engine_guest *g, enum hv_happening what)
{
    (void)user;
    if (what == HV_HAPPENED_RESET)
        note("told reset %s;", g->vm->name);
}

static bool env_remember(void *user, const struct hv_vm *vm, struct learned *ret_learned)
{
    (void)user;
    if (strcmp(vm->name, "b") != 0)
        return false;
    ret_learned->rise.value = 42;
    return true;
}

static const struct engine_env env = {
    .remember = env_remember,
    .configure = env_configure,
    .read_host = env_read_host,
    .wake = env_wake,
    .ordered = env_ordered,
    .trouble = env_trouble,
    .vanished = env_vanished,
    .happened = env_happened,
};

static void start(bool dry_run, size_t room)
{
    struct engine_config config = {.dry_run = dry_run};
    struct err e = {0};

    assert_int_equal(engine_new(&config, &env, room, &engine, &e), 0);
    tell = engine_listener(engine);
}

static int setup(void **state)
{
    (void)state;
    journal[0] = '\0';
    memset(plan, 0, sizeof(plan));
    memset(vms, 0, sizeof(vms));
    refuse = host_error = 0;
    during_set = NULL;
    wakes = 0;
    priority = 1;
    vm_a.uuid[0] = vm_b.uuid[0] = vm_c.uuid[0] = '\0';
    vm_a.user = vm_b.user = vm_c.user = NULL;
    vms[0] = &vm_a;
    vms[1] = &vm_b;
    vms[2] = &vm_c;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    engine = engine_free(engine);
    return 0;
}

static void see_levers(struct hv_vm *vm, uint64_t mib, uint64_t now_usec)
{
    struct obs_levers seen = {.time_usec = now_usec, .boot_bytes = 1 << 30, .balloon_actual_bytes = mib << 20};

    tell->levers(tell->user, vm, &seen);
}

static void see_view(struct hv_vm *vm, uint64_t available_mib, uint64_t now_usec)
{
    struct obs_guest_view seen = {.source = OBS_SOURCE_STATISTICS, .time_usec = now_usec, .heard_usec = now_usec,
                                  .available_bytes = available_mib << 20};

    tell->view(tell->user, vm, &seen);
}

static void see_host(struct hv_vm *vm, uint64_t now_usec)
{
    struct obs_host_view seen = {.time_usec = now_usec, .resident_bytes = 1 << 20};

    tell->host_view(tell->user, vm, &seen);
}

static void expect(const char *text)
{
    assert_string_equal(journal, text);
    journal[0] = '\0';
}

/* Two guests of 256 MiB that were seen once; the first tick is over and nothing is due but the next beat. */
static void start_two(void)
{
    start(/* dry_run= */ false, 3);
    tell->appeared(tell->user, &vm_b, START);
    tell->appeared(tell->user, &vm_a, START);
    (void)engine_run(engine, START);
    see_levers(&vm_a, 256, START);
    see_levers(&vm_b, 256, START);
    see_view(&vm_a, 100, START);
    see_view(&vm_b, 100, START);
    see_host(&vm_a, START);
    see_host(&vm_b, START);
    (void)engine_run(engine, START + 50 * MSEC);
    (void)engine_run(engine, START + 100 * MSEC);
    journal[0] = '\0';
    wakes = 0;
}

static void samples_then_decides(void **state)
{
    (void)state;
    start(false, 2);
    tell->appeared(tell->user, &vm_a, START);
    assert_true(wakes > 0);
    assert_true(engine_run(engine, START) <= START + 100 * MSEC);
    expect("ask a LVH;event a;");
    (void)engine_run(engine, START + 99 * MSEC);
    expect("");
    (void)engine_run(engine, START + 100 * MSEC);
    expect("tick a;");
    assert_int_equal(engine_run(engine, START + 101 * MSEC), START + SEC);
}

static void beat_keeps_its_phase(void **state)
{
    uint64_t due;

    (void)state;
    start_two();
    due = engine_run(engine, START + SEC + 7 * MSEC); /* 7 ms late */
    assert_int_equal(due, START + SEC + 100 * MSEC);
    (void)engine_run(engine, due);
    assert_int_equal(engine_run(engine, due + MSEC), START + 2 * SEC);
}

static void time_does_not_run_backwards(void **state)
{
    (void)state;
    start_two();
    (void)engine_run(engine, START + SEC);
    journal[0] = '\0';
    (void)engine_run(engine, START);
    (void)engine_run(engine, START + SEC);
    expect(""); /* no second beat of the same second */
    (void)engine_run(engine, START + SEC + 100 * MSEC);
    expect("tick a b;");
}

static void sleep_is_no_burst(void **state)
{
    (void)state;
    start_two();
    (void)engine_run(engine, START + 600 * SEC + 300 * MSEC); /* ten minutes later: ask first, decide on the answers */
    expect("ask a LVH;ask b LVH;");
    (void)engine_run(engine, START + 600 * SEC + 400 * MSEC);
    expect("tick a b;");
    assert_int_equal(engine_run(engine, START + 600 * SEC + 401 * MSEC), START + 601 * SEC);
    expect("");
}

static void donors_first_then_grants(void **state)
{
    (void)state;
    start_two();
    plan[0] = (struct order_plan){&vm_a, GUEST_ORDER_GROW, 300 * MIB};
    plan[1] = (struct order_plan){&vm_b, GUEST_ORDER_SHRINK, 200 * MIB};
    (void)engine_run(engine, START + SEC);
    (void)engine_run(engine, START + SEC + 100 * MSEC);
    expect("ask a LVH;ask b LVH;tick a b;set b 200;ordered b;told b;set a 300;ordered a;told a;");
    assert_int_equal(engine_find(engine, "a")->orders, 1);
}

static void late_numbers_are_asked_for_before_a_take(void **state)
{
    uint64_t now = START + SEC + 100 * MSEC;

    (void)state;
    start_two();
    (void)engine_run(engine, START + SEC);
    ((struct engine_guest *)vm_b.user)->core.verdict.wants_view = true; /* as the next decision finds it */
    journal[0] = '\0';
    (void)engine_run(engine, now);
    (void)engine_run(engine, now + 100 * MSEC); /* 200 ms after it was asked last */
    expect("tick a b;ask b V;");
    see_view(&vm_b, 99, now + 101 * MSEC);
    (void)engine_run(engine, now + 101 * MSEC);
    expect("event a b;"); /* its answer does not wait for the tick */
}

static void polls_while_in_flight(void **state)
{
    uint64_t now = START + SEC + 100 * MSEC;

    (void)state;
    start_two();
    plan[0] = (struct order_plan){&vm_b, GUEST_ORDER_SHRINK, 200 * MIB};
    (void)engine_run(engine, START + SEC);
    journal[0] = '\0';
    assert_int_equal(engine_run(engine, now), now + 50 * MSEC);
    expect("tick a b;set b 200;ordered b;told b;");
    memset(plan, 0, sizeof(plan));
    (void)engine_run(engine, now + 50 * MSEC);
    expect("ask b L;");
    see_levers(&vm_b, 220, now + 51 * MSEC); /* it moves: what left its process is looked at, and a decision made */
    assert_int_equal(wakes > 0, 1);
    (void)engine_run(engine, now + 51 * MSEC);
    expect("event a b;");
    (void)engine_run(engine, now + 100 * MSEC);
    expect("ask b LH;");
    see_levers(&vm_b, 200, now + 101 * MSEC); /* there */
    see_host(&vm_b, now + 102 * MSEC);
    (void)engine_run(engine, now + 111 * MSEC);
    expect("event a b;");
    (void)engine_run(engine, now + 200 * MSEC);
    expect("ask b H;"); /* once more, after the last movement */
    (void)engine_run(engine, now + 250 * MSEC);
    (void)engine_run(engine, now + 300 * MSEC);
    expect("");
    assert_int_equal(engine_find(engine, "b")->moved_kib, 56 * MIB);
}

static void pressed_guest_is_asked_more_often(void **state)
{
    (void)state;
    start_two();
    (void)engine_run(engine, START + SEC);
    see_view(&vm_a, 95, START + SEC); /* 5 MiB less: not urgent, but worth a closer look for 3 s */
    (void)engine_run(engine, START + SEC + 100 * MSEC);
    expect("ask a LVH;ask b LVH;tick a b;");
    for (unsigned int i = 1; i <= 8; i++)
        (void)engine_run(engine, START + SEC + i * 50 * MSEC);
    expect("ask a V;ask a V;");
    (void)engine_run(engine, START + 4 * SEC);
    journal[0] = '\0';
    for (unsigned int i = 3; i <= 18; i++)
        (void)engine_run(engine, START + 4 * SEC + i * 50 * MSEC);
    expect("tick a b;");
}

/* Agents hear on the tick, each only what is news to it; guests without agent hear nothing. */
static void tells_agents(void **state)
{
    (void)state;
    start_two();
    vm_b.caps = HV_CAP_AGENT;
    (void)engine_run(engine, START + SEC);
    (void)engine_run(engine, START + SEC + 100 * MSEC);
    expect("ask a LVH;ask b LVH;tick a b;agent b 1000000;");
    see_view(&vm_b, 10, START + SEC + 200 * MSEC);
    (void)engine_run(engine, START + SEC + 200 * MSEC);
    (void)engine_run(engine, START + 2 * SEC);
    (void)engine_run(engine, START + 2 * SEC + 100 * MSEC);
    assert_non_null(strstr(journal, "tick"));
    assert_null(strstr(journal, "agent"));
    see_levers(&vm_b, 200, START + 2 * SEC + 200 * MSEC); /* another size is news */
    (void)engine_run(engine, START + 2 * SEC + 200 * MSEC);
    assert_null(strstr(journal, "agent"));
    (void)engine_run(engine, START + 3 * SEC);
    (void)engine_run(engine, START + 3 * SEC + 100 * MSEC);
    assert_non_null(strstr(journal, "agent b 1000000;"));
    vm_b.caps = 0;
}

static void tells_no_agent_in_a_dry_run(void **state)
{
    (void)state;
    start(/* dry_run= */ true, 8);
    vm_a.caps = HV_CAP_AGENT;
    tell->appeared(tell->user, &vm_a, START);
    see_levers(&vm_a, 256, START);
    (void)engine_run(engine, START);
    (void)engine_run(engine, START + 100 * MSEC);
    assert_non_null(strstr(journal, "tick"));
    assert_null(strstr(journal, "agent"));
    vm_a.caps = 0;
}

static void urgent_view_does_not_wait(void **state)
{
    uint64_t now = START + 500 * MSEC;

    (void)state;
    start_two();
    see_view(&vm_a, 97, now); /* a little less: can wait */
    (void)engine_run(engine, now);
    expect("");
    see_view(&vm_a, 60, now + MSEC);
    (void)engine_run(engine, now + MSEC);
    expect("event a b;");
    see_view(&vm_a, 30, now + 2 * MSEC); /* a flood costs one decision every 10 ms */
    see_view(&vm_a, 10, now + 3 * MSEC);
    see_view(&vm_a, 1, now + 4 * MSEC);
    assert_int_equal(engine_run(engine, now + 4 * MSEC), now + 11 * MSEC);
    expect("");
    (void)engine_run(engine, now + 11 * MSEC);
    expect("event a b;");
}

static void refused_order_is_told(void **state)
{
    (void)state;
    start_two();
    plan[0] = (struct order_plan){&vm_a, GUEST_ORDER_SHRINK, 200 * MIB};
    refuse = EBUSY;
    (void)engine_run(engine, START + SEC + 200 * MSEC);
    journal[0] = '\0';
    (void)engine_run(engine, START + SEC + 300 * MSEC);
    expect("tick a b;set a 200;failed a;trouble a 'guest 'a' refuses';");
    assert_string_equal(engine_find(engine, "a")->reason, "guest 'a' refuses");
    assert_int_equal(engine_find(engine, "a")->orders, 0);
}

static void late_failure_is_told_and_cleared(void **state)
{
    struct err e = {.code = ETIMEDOUT, .text = "no answer"}, cancelled = {.code = ECANCELED, .text = "replaced"};

    (void)state;
    start_two();
    plan[0] = (struct order_plan){&vm_a, GUEST_ORDER_SHRINK, 200 * MIB};
    (void)engine_run(engine, START + SEC);
    (void)engine_run(engine, START + SEC + 100 * MSEC);
    journal[0] = '\0';
    last_call.done(last_call.user, &e);
    expect("failed a;trouble a 'no answer';");
    (void)engine_run(engine, START + SEC + 110 * MSEC);
    expect("event a b;set a 200;ordered a;told a;");
    struct fake_call first = last_call;
    (void)engine_run(engine, START + 2 * SEC);
    (void)engine_run(engine, START + 2 * SEC + 100 * MSEC);
    journal[0] = '\0';
    first.done(first.user, &cancelled); /* replaced by a newer one: no trouble */
    expect("");
    last_call.done(last_call.user, NULL);
    expect("");
    assert_string_equal(engine_find(engine, "a")->reason, "");
}

static void vanish_a(void)
{
    tell->vanished(tell->user, &vm_a, "killed", START + SEC);
}

static void vanish_during_call(void **state)
{
    struct err e = {.code = ECANCELED, .text = "closed"};

    (void)state;
    start_two();
    plan[0] = (struct order_plan){&vm_a, GUEST_ORDER_SHRINK, 200 * MIB};
    plan[1] = (struct order_plan){&vm_b, GUEST_ORDER_GROW, 300 * MIB};
    during_set = vanish_a;
    (void)engine_run(engine, START + SEC);
    journal[0] = '\0';
    (void)engine_run(engine, START + SEC + 100 * MSEC);
    expect("tick a b;set a 200;gone a 'killed';set b 300;ordered b;told b;");
    assert_int_equal(engine_count(engine), 1);
    assert_null(engine_find(engine, "a"));
    /* its late answer finds nobody, and its place is not given away before */
    tell->appeared(tell->user, &vm_c, START + SEC + 200 * MSEC);
    struct fake_call of_b = last_call;
    of_b.done(of_b.user, &e);
    (void)engine_run(engine, START + 2 * SEC);
    assert_int_equal(engine_count(engine), 2);
}

static void answer_after_vanishing(void **state)
{
    struct err e = {.code = ETIMEDOUT, .text = "no answer"};

    (void)state;
    start_two();
    plan[0] = (struct order_plan){&vm_a, GUEST_ORDER_SHRINK, 200 * MIB};
    (void)engine_run(engine, START + SEC);
    (void)engine_run(engine, START + SEC + 100 * MSEC);
    struct fake_call of_a = last_call;
    vanish_a();
    for (unsigned int i = 0; i < 3; i++) { /* others come and go meanwhile: none of them gets a's place */
        tell->appeared(tell->user, &vm_c, START + 2 * SEC);
        (void)engine_run(engine, START + 2 * SEC + i * MSEC);
        tell->vanished(tell->user, &vm_c, "ended", START + 2 * SEC);
        (void)engine_run(engine, START + 2 * SEC + i * MSEC);
    }
    tell->appeared(tell->user, &vm_c, START + 2 * SEC);
    journal[0] = '\0';
    of_a.done(of_a.user, &e);
    expect("");
}

static void a_trouble_that_is_over_is_forgotten(void **state)
{
    struct err e = {0};

    (void)state;
    start(false, 1);
    tell->appeared(tell->user, &vm_a, START);
    (void)err_set(&e, EBUSY, "held by another");
    journal[0] = '\0';
    tell->trouble(tell->user, &vm_a, &e);
    expect("trouble a 'held by another';");
    assert_string_equal(engine_guest_at(engine, 0)->reason, "held by another");
    tell->trouble(tell->user, &vm_a, &(struct err){0});
    expect("");
    assert_string_equal(engine_guest_at(engine, 0)->reason, "");
}

static void full_house_is_said(void **state)
{
    (void)state;
    start(false, 1);
    tell->appeared(tell->user, &vm_a, START);
    tell->appeared(tell->user, &vm_b, START);
    expect("trouble - 'guest 'b' is left alone: this process keeps 1 guests at most';");
    see_levers(&vm_b, 100, START); /* nothing of it is kept */
    see_view(&vm_b, 100, START);
    see_host(&vm_b, START);
    tell->happened(tell->user, &vm_b, HV_HAPPENED_RESET, START);
    tell->vanished(tell->user, &vm_b, "ended", START);
    assert_int_equal(engine_count(engine), 1);
    expect("");
}

static void dry_run_sends_nothing(void **state)
{
    (void)state;
    start(/* dry_run= */ true, 2);
    tell->appeared(tell->user, &vm_a, START);
    plan[0] = (struct order_plan){&vm_a, GUEST_ORDER_SHRINK, 200 * MIB};
    (void)engine_run(engine, START);
    (void)engine_run(engine, START + 100 * MSEC);
    (void)engine_run(engine, START + SEC);
    (void)engine_run(engine, START + SEC + 100 * MSEC);
    expect("ask a LVH;event a;told a;tick a;ask a LVH;tick a;"); /* said once, sent never */
    assert_int_equal(engine_find(engine, "a")->orders, 0);
}

static void unknown_host_grants_nothing(void **state)
{
    (void)state;
    start_two();
    plan[0] = (struct order_plan){&vm_a, GUEST_ORDER_GROW, 300 * MIB};
    plan[1] = (struct order_plan){&vm_b, GUEST_ORDER_SHRINK, 200 * MIB};
    host_error = EIO;
    (void)engine_run(engine, START + SEC);
    (void)engine_run(engine, START + SEC + 100 * MSEC);
    expect("ask a LVH;ask b LVH;trouble - 'cannot read the host';tick a b;set b 200;ordered b;told b;");
}

static void paused_guest_is_not_asked_for_numbers(void **state)
{
    (void)state;
    start_two();
    tell->happened(tell->user, &vm_a, HV_HAPPENED_PAUSED, START + 500 * MSEC);
    assert_true(engine_find(engine, "a")->paused);
    (void)engine_run(engine, START + SEC);
    expect("ask a LH;ask b LVH;event a b;");
    tell->happened(tell->user, &vm_a, HV_HAPPENED_RESUMED, START + SEC + MSEC);
    (void)engine_run(engine, START + 2 * SEC);
    expect("ask a LVH;ask b LVH;event a b;");
    tell->happened(tell->user, &vm_a, HV_HAPPENED_RESET, START + 2 * SEC);
    tell->happened(tell->user, &vm_b, HV_HAPPENED_FOREIGN_HAND, START + 2 * SEC);
    expect("reset a;told reset a;foreign b;");
}

/* A PC's firmware resets a dozen times within half a second of one reset: seen each time, told once. */
static void one_reset_is_told_once(void **state)
{
    (void)state;
    start_two();
    tell->happened(tell->user, &vm_a, HV_HAPPENED_RESET, START + SEC);
    tell->happened(tell->user, &vm_a, HV_HAPPENED_RESET, START + SEC + MSEC);
    expect("reset a;told reset a;reset a;");
}

static void balloon_back_at_once_is_a_lost_driver(void **state)
{
    static const struct {
        uint64_t before_mib, after_mib;
        bool growing, lost;
    } cases[] = {
        {512, 1024, false, true},
        {512, 1023, false, false}, /* not all of it: deflate-on-oom, or a hand */
        {1010, 1024, false, false}, /* not worth speaking of */
        {512, 1024, true, false}, /* ordered */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start_two();
        see_levers(&vm_a, cases[i].before_mib, START + 200 * MSEC);
        ((struct engine_guest *)vm_a.user)->core.motion =
            (struct motion){.active = cases[i].growing, .target_kib = 1024 * MIB};
        see_levers(&vm_a, cases[i].after_mib, START + 300 * MSEC);
        expect(cases[i].lost ? "reset a;" : "");
        (void)teardown(state);
        (void)setup(state);
    }
}

static void order_is_by_identity(void **state)
{
    (void)state;
    start(false, 3);
    (void)strcpy(vm_a.uuid, "ffffffff-0000-0000-0000-000000000000");
    (void)strcpy(vm_c.uuid, "00000000-0000-0000-0000-000000000001");
    tell->appeared(tell->user, &vm_a, START);
    tell->appeared(tell->user, &vm_b, START);
    tell->appeared(tell->user, &vm_c, START);
    assert_string_equal(engine_guest_at(engine, 0)->vm->name, "c");
    assert_string_equal(engine_guest_at(engine, 1)->vm->name, "b");
    assert_string_equal(engine_guest_at(engine, 2)->vm->name, "a");
    assert_null(engine_guest_at(engine, 3));
    tell->vanished(tell->user, &vm_b, "ended", START);
    assert_string_equal(engine_guest_at(engine, 1)->vm->name, "a");
}

static void known_guest_is_remembered(void **state)
{
    (void)state;
    start(false, 2);
    tell->appeared(tell->user, &vm_a, START);
    tell->appeared(tell->user, &vm_b, START);
    assert_int_equal(engine_find(engine, "a")->core.rise.value, 0);
    assert_int_equal(engine_find(engine, "b")->core.rise.value, 42);
}

static void reconfigure_reaches_every_guest(void **state)
{
    struct engine_config config = {.host = {.reserve_kib = 77}};

    (void)state;
    start_two();
    priority = 9;
    engine_reconfigure(engine, &config, START + SEC);
    expect("configure a 9;configure b 9;");
    assert_int_equal(engine_host(engine)->config.reserve_kib, 77);
}

static void room_is_checked(void **state)
{
    struct engine_config config = {0};
    struct engine *none = NULL;
    struct err e = {0};

    (void)state;
    assert_int_equal(engine_new(&config, &env, 0, &none, &e), -EINVAL);
    assert_int_equal(engine_new(&config, &env, ENGINE_GUESTS_MAX + 1, &none, &e), -EINVAL);
    assert_null(none);
}

#define ENGINE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_TEST(samples_then_decides),
        ENGINE_TEST(beat_keeps_its_phase),
        ENGINE_TEST(time_does_not_run_backwards),
        ENGINE_TEST(sleep_is_no_burst),
        ENGINE_TEST(donors_first_then_grants),
        ENGINE_TEST(late_numbers_are_asked_for_before_a_take),
        ENGINE_TEST(polls_while_in_flight),
        ENGINE_TEST(pressed_guest_is_asked_more_often),
        ENGINE_TEST(tells_agents),
        ENGINE_TEST(tells_no_agent_in_a_dry_run),
        ENGINE_TEST(urgent_view_does_not_wait),
        ENGINE_TEST(refused_order_is_told),
        ENGINE_TEST(late_failure_is_told_and_cleared),
        ENGINE_TEST(vanish_during_call),
        ENGINE_TEST(answer_after_vanishing),
        ENGINE_TEST(full_house_is_said),
        ENGINE_TEST(a_trouble_that_is_over_is_forgotten),
        ENGINE_TEST(dry_run_sends_nothing),
        ENGINE_TEST(unknown_host_grants_nothing),
        ENGINE_TEST(paused_guest_is_not_asked_for_numbers),
        ENGINE_TEST(one_reset_is_told_once),
        ENGINE_TEST(balloon_back_at_once_is_a_lost_driver),
        ENGINE_TEST(order_is_by_identity),
        ENGINE_TEST(known_guest_is_remembered),
        ENGINE_TEST(reconfigure_reaches_every_guest),
        ENGINE_TEST(room_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
