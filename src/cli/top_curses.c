/* SPDX-License-Identifier: Apache-2.0 */
#include "top_curses.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <curses.h>

#include "own.h"

#define FETCH_USEC 1000000ULL   /* the daemon's own tick: more often shows nothing new */
#define HISTORY_ROUNDS 5        /* a point of the history comes each 5 s, ... */
#define HISTORY_GUESTS 200      /* ... but up to so many guests cost so little that moves are told at once */
#define KEY_DELAY_MS 50         /* an Escape that no sequence follows */

static volatile sig_atomic_t ended;

static void on_end(int number)
{
    (void)number;
    ended = 1;
}

/* Signals that end a program end the loop: then the terminal is given back by the one way out. */
static void watch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = on_end}; /* no SA_RESTART: a wait for a key is over */

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        (void)sigaction(numbers[i], &action, NULL);
}

static uint64_t now_usec(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- cells ---- */

/* Attributes of each style, with and without colour. */
static attr_t attribute(enum term_style style, bool colour)
{
    switch (style) {
    case TERM_HEAD:
        return A_BOLD;
    case TERM_DIM:
        return colour ? A_DIM : A_NORMAL;
    case TERM_GOOD:
        return colour ? (attr_t)COLOR_PAIR(1) : A_NORMAL;
    case TERM_WORRY:
        return colour ? (attr_t)COLOR_PAIR(2) : A_NORMAL;
    case TERM_BAD:
        return A_BOLD | (colour ? (attr_t)COLOR_PAIR(3) : A_NORMAL);
    case TERM_PLAIN:
    case TERM_STYLE_COUNT:
        break;
    }
    return A_NORMAL;
}

static void show(const struct top_screen *s)
{
    (void)erase();
    for (unsigned row = 0; row < s->rows; row++)
        for (unsigned column = 0; column < s->columns; column++) {
            const struct top_cell *cell = &s->cells[(size_t)row * s->columns + column];

            if (!cell->text[0])
                continue; /* the right half of a wide one */
            (void)attrset((int)(attribute(cell->style, s->term.colour) | (cell->selected ? A_REVERSE : A_NORMAL)));
            (void)mvaddstr((int)row, (int)column, cell->text); /* the last cell of all is refused: nothing stands there */
        }
    (void)attrset(A_NORMAL);
    (void)move((int)s->rows - 1, 0);
    (void)refresh();
}

static void draw(const struct cli *cli, struct top *t)
{
    struct term term = cli->term;
    AUTO(top_screen) struct top_screen *s = NULL;
    time_t now = time(NULL);
    struct tm local;
    char clock[16] = "";
    int rows = getmaxy(stdscr), wide = getmaxx(stdscr);

    term.colour = term.colour && has_colors();
    s = top_screen_new(&term, rows > 0 ? (unsigned)rows : 1, wide > 0 ? (unsigned)wide : 1);
    if (!s)
        return; /* no memory for a moment: the screen stays */
    if (localtime_r(&now, &local))
        (void)strftime(clock, sizeof(clock), "%H:%M:%S", &local);
    top_draw(t, clock, s);
    show(s);
}

/* ---- keys ---- */

static int key_of(int key)
{
    switch (key) {
    case KEY_UP:
        return TOP_KEY_UP;
    case KEY_DOWN:
        return TOP_KEY_DOWN;
    case KEY_PPAGE:
        return TOP_KEY_PAGE_UP;
    case KEY_NPAGE:
        return TOP_KEY_PAGE_DOWN;
    case KEY_HOME:
        return TOP_KEY_HOME;
    case KEY_END:
        return TOP_KEY_END;
    case KEY_BACKSPACE:
        return TOP_KEY_BACKSPACE;
    case KEY_ENTER:
        return TOP_KEY_ENTER;
    default:
        return key < KEY_MIN ? key : 0; /* a resize among them: it is drawn anew anyway */
    }
}

/* Takes all keys that are there. */
static enum top_answer take_keys(struct top *t, bool *ret_any)
{
    int key;

    while ((key = getch()) != ERR) {
        enum top_answer answer = top_press(t, key_of(key));

        *ret_any = true;
        if (answer != TOP_GO_ON)
            return answer;
    }
    return TOP_GO_ON;
}

/* Until there is a key, a signal (a resize is one) or it is time. False: the terminal is gone. */
static bool wait_for_key(uint64_t until_usec)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    uint64_t now = now_usec();
    int left_ms = until_usec > now ? (int)((until_usec - now + 999) / 1000) : 0;

    if (poll(&in, 1, left_ms) < 0)
        return errno == EINTR;
    return !(in.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* Also from a ballastd that was away: it may be another one. */
static bool wants_history(const struct top *t, unsigned round)
{
    return round % HISTORY_ROUNDS == 0 || !t->history || t->problem[0] || t->status->guest_count <= HISTORY_GUESTS;
}

static void loop(const struct cli *cli, struct top *t, top_fetch_fn *fetch)
{
    uint64_t due = now_usec() + FETCH_USEC;
    unsigned round = 0;
    struct cli_problem p;

    draw(cli, t);
    while (!ended && wait_for_key(due)) {
        bool any = false;
        enum top_answer answer = take_keys(t, &any);

        if (answer == TOP_QUIT)
            return;
        if (answer == TOP_REFRESH || now_usec() >= due) {
            if (fetch(cli, t, wants_history(t, ++round), &p) != CLI_DONE)
                top_see_problem(t, p.exit_code == CLI_UNREACHABLE ? "ballastd does not answer, trying again"
                                                                  : p.text.error);
            due = now_usec() + FETCH_USEC;
        }
        draw(cli, t);
    }
}

/* "dumb" and its kind can't. */
static bool can_place_cursor(void)
{
    const char *how = tigetstr("cup");

    return how && how != (const char *)-1;
}

int top_curses_run(const struct cli *cli, struct top *t, top_fetch_fn *fetch, struct cli_problem *p)
{
    static const char hint[] = "ballast status --watch needs no such terminal; or set TERM to what yours is";
    const char *name = getenv("TERM");
    SCREEN *screen = newterm(NULL, stdout, stdin); /* initscr() would end the program */

    if (!screen)
        return cli_problem_set(p, CLI_FAILED, hint, "the terminal '%s' is not known", name ? name : "");
    if (!can_place_cursor()) {
        (void)endwin();
        delscreen(screen);
        return cli_problem_set(p, CLI_FAILED, hint, "the terminal '%s' can't place its cursor", name ? name : "");
    }
    watch_signals();
    if (cli->term.colour && has_colors() && start_color() == OK) {
        (void)use_default_colors();
        (void)init_pair(1, COLOR_GREEN, -1);
        (void)init_pair(2, COLOR_YELLOW, -1);
        (void)init_pair(3, COLOR_RED, -1);
    }
    (void)cbreak();
    (void)noecho();
    (void)set_escdelay(KEY_DELAY_MS);
    (void)keypad(stdscr, TRUE);
    (void)nodelay(stdscr, TRUE);
    (void)curs_set(0);
    loop(cli, t, fetch);
    (void)curs_set(1);
    (void)endwin();
    delscreen(screen);
    return CLI_DONE;
}
