/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator of the test guests: keeps memory filled with a pattern it can verify, on command.
 *
 *     load [PORT]        reads commands from PORT (a virtio-serial port) or standard input, one a line
 *
 *     ping [WORD]                        answers at once, with that word
 *     grow SIZE [RATE]                   fill SIZE more, at RATE a second (default: as fast as it goes)
 *     burst SIZE RATE TIMES [HOLD PAUSE] TIMES times: fill SIZE, hold it HOLD ms, release it, wait PAUSE ms
 *     hold                               stop growing, keep what is there
 *     release [SIZE]                     give SIZE (default: all) back to the kernel
 *     touch                              write each page once more, unchanged
 *     checksum                           verify each word that should be there
 *     pin                                lock what is held into memory
 *     state                              what is held, what it grows to, what it is doing
 *     meminfo                            the guest's own view of its memory
 *
 * SIZE and RATE are a number with K, M or G (also KiB, MiB, GiB). Growing goes on in the background. Each answer ends
 * with one line "ok ..." or "error ...". */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096ULL
#define PAGE_WORDS (PAGE_BYTES / sizeof(uint64_t))
#define REGION_BYTES (64ULL << 30) /* address space only: more than any test guest has */
#define SLICE_PAGES 16ULL          /* filled between two looks at the clock and at the stop flag */
#define LINE_BYTES 256
#define NSEC_PER_SEC 1000000000ULL
#define IDLE_NSEC 50000000L /* a port nobody has opened on the host reads as its end: look again after 50 ms */

struct job {
    enum { JOB_IDLE, JOB_GROW, JOB_BURST } what;
    uint64_t pages;           /* to add, each time */
    uint64_t pages_per_sec;   /* 0: as fast as it goes */
    unsigned times;
    unsigned hold_ms, pause_ms;
};

static uint64_t *region;
static _Atomic uint64_t held_pages; /* grown by the worker, shrunk by it or while there is no worker */
static _Atomic uint64_t goal_pages;
static atomic_bool stop;
static atomic_bool busy;
static pthread_t worker;
static bool worker_started;
static struct job job;
static FILE *out;

static uint64_t clock_nsec(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t when_nsec)
{
    struct timespec t = {.tv_sec = (time_t)(when_nsec / NSEC_PER_SEC), .tv_nsec = (long)(when_nsec % NSEC_PER_SEC)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

/* Words that differ from page to page and word to word: nothing merges or compresses them away. */
static uint64_t pattern_next(uint64_t word)
{
    return word * 6364136223846793005ULL + 1442695040888963407ULL;
}

static uint64_t pattern_first(uint64_t page)
{
    return (page + 1) * 0x9E3779B97F4A7C15ULL;
}

static void page_fill(uint64_t page)
{
    uint64_t *p = region + page * PAGE_WORDS;
    uint64_t word = pattern_first(page);

    for (size_t i = 0; i < PAGE_WORDS; i++, word = pattern_next(word))
        p[i] = word;
}

static bool page_is_intact(uint64_t page)
{
    const uint64_t *p = region + page * PAGE_WORDS;
    uint64_t word = pattern_first(page);

    for (size_t i = 0; i < PAGE_WORDS; i++, word = pattern_next(word))
        if (p[i] != word)
            return false;
    return true;
}

static void fill_more(uint64_t pages, uint64_t pages_per_sec)
{
    uint64_t start_nsec = clock_nsec(), first = held_pages;

    goal_pages = first + pages;
    for (uint64_t done = 0; done < pages && !stop;) {
        uint64_t n = pages - done < SLICE_PAGES ? pages - done : SLICE_PAGES;

        for (uint64_t i = 0; i < n; i++)
            page_fill(first + done + i);
        done += n;
        held_pages = first + done;
        if (pages_per_sec)
            sleep_until(start_nsec + done * NSEC_PER_SEC / pages_per_sec);
    }
    goal_pages = held_pages;
}

static void drop_last(uint64_t pages)
{
    uint64_t left = held_pages - pages;
    uint8_t *from = (uint8_t *)region + left * PAGE_BYTES;

    held_pages = left;
    goal_pages = left;
    munlock(from, pages * PAGE_BYTES);
    madvise(from, pages * PAGE_BYTES, MADV_DONTNEED);
}

static void pause_ms(unsigned ms)
{
    uint64_t end_nsec = clock_nsec() + ms * 1000000ULL;

    while (!stop && clock_nsec() < end_nsec)
        sleep_until(clock_nsec() + 10000000ULL);
}

static void *worker_run(void *unused)
{
    (void)unused;
    if (job.what == JOB_GROW)
        fill_more(job.pages, job.pages_per_sec);
    for (unsigned i = 0; job.what == JOB_BURST && i < job.times && !stop; i++) {
        uint64_t before = held_pages;

        fill_more(job.pages, job.pages_per_sec);
        pause_ms(job.hold_ms);
        drop_last(held_pages - before);
        pause_ms(job.pause_ms);
    }
    busy = false;
    return NULL;
}

static void worker_stop(void)
{
    if (!worker_started)
        return;
    stop = true;
    pthread_join(worker, NULL);
    worker_started = false;
    stop = false;
}

static bool worker_start(const struct job *what)
{
    worker_stop();
    job = *what;
    busy = true;
    worker_started = pthread_create(&worker, NULL, worker_run, NULL) == 0;
    if (!worker_started)
        busy = false;
    return worker_started;
}

__attribute__((format(printf, 1, 2))) static void answer(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vfprintf(out, format, ap);
    va_end(ap);
    fputc('\n', out);
    fflush(out);
}

/* "100M", "100MiB", "4096" (bytes): pages, or false. */
static bool pages_parse(const char *text, uint64_t *ret_pages)
{
    char *end;
    unsigned shift = 0;

    if (!text || *text < '0' || *text > '9')
        return false;
    errno = 0;
    uint64_t n = strtoull(text, &end, 10);
    switch (*end) {
    case 'K': shift = 10; break;
    case 'M': shift = 20; break;
    case 'G': shift = 30; break;
    case '\0': break;
    default: return false;
    }
    if (shift && strcmp(end + 1, "") != 0 && strcmp(end + 1, "iB") != 0)
        return false;
    if (errno || n > REGION_BYTES >> shift)
        return false;
    *ret_pages = (n << shift) / PAGE_BYTES;
    return true;
}

static unsigned long long kib(uint64_t pages)
{
    return pages * PAGE_BYTES / 1024;
}

static void command_grow(char *const *word)
{
    struct job j = {.what = JOB_GROW};

    if (!pages_parse(word[1], &j.pages) || (word[2] && !pages_parse(word[2], &j.pages_per_sec))) {
        answer("error usage: grow SIZE [RATE]");
        return;
    }
    worker_stop();
    if (held_pages + j.pages > REGION_BYTES / PAGE_BYTES)
        answer("error more than this program can address");
    else if (!worker_start(&j))
        answer("error no thread: %s", strerror(errno));
    else
        answer("ok growing by %llu KiB", kib(j.pages));
}

static void command_burst(char *const *word)
{
    struct job j = {.what = JOB_BURST, .hold_ms = 1000, .pause_ms = 1000};

    if (!pages_parse(word[1], &j.pages) || !pages_parse(word[2], &j.pages_per_sec) || !word[3]) {
        answer("error usage: burst SIZE RATE TIMES [HOLD PAUSE]");
        return;
    }
    j.times = (unsigned)strtoul(word[3], NULL, 10);
    if (word[4] && word[5]) {
        j.hold_ms = (unsigned)strtoul(word[4], NULL, 10);
        j.pause_ms = (unsigned)strtoul(word[5], NULL, 10);
    }
    if (!worker_start(&j))
        answer("error no thread: %s", strerror(errno));
    else
        answer("ok %u bursts of %llu KiB", j.times, kib(j.pages));
}

static void command_hold(char *const *word)
{
    (void)word;
    worker_stop();
    answer("ok holding %llu KiB", kib(held_pages));
}

static void command_release(char *const *word)
{
    uint64_t pages;

    worker_stop();
    pages = held_pages;
    if (word[1] && !pages_parse(word[1], &pages)) {
        answer("error usage: release [SIZE]");
        return;
    }
    if (pages > held_pages)
        pages = held_pages;
    drop_last(pages);
    answer("ok released %llu KiB, holding %llu KiB", kib(pages), kib(held_pages));
}

static void command_touch(char *const *word)
{
    uint64_t n = held_pages;

    (void)word;
    for (uint64_t page = 0; page < n; page++) {
        volatile uint64_t *p = region + page * PAGE_WORDS;

        *p = *p;
    }
    answer("ok touched %llu KiB", kib(n));
}

static void command_checksum(char *const *word)
{
    uint64_t n = held_pages;

    (void)word;
    for (uint64_t page = 0; page < n; page++)
        if (!page_is_intact(page)) {
            answer("error damaged: page %llu of %llu", (unsigned long long)page, (unsigned long long)n);
            return;
        }
    answer("ok %llu KiB intact", kib(n));
}

static void command_pin(char *const *word)
{
    (void)word;
    if (mlock(region, held_pages * PAGE_BYTES) != 0)
        answer("error cannot lock: %s", strerror(errno));
    else
        answer("ok locked %llu KiB", kib(held_pages));
}

static void command_state(char *const *word)
{
    (void)word;
    answer("ok held=%llu goal=%llu busy=%d", kib(held_pages), kib(goal_pages), busy ? 1 : 0);
}

static void command_ping(char *const *word)
{
    answer("ok pong %s", word[1] ? word[1] : "");
}

/* One number of a "Name value" file; 0 where there is none. */
static unsigned long long field_read(const char *path, const char *name)
{
    char line[LINE_BYTES];
    size_t len = strlen(name);
    unsigned long long value = 0;
    FILE *f = fopen(path, "re");

    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, name, len) == 0 && (line[len] == ':' || line[len] == ' ')) {
            value = strtoull(line + len + 1, NULL, 10);
            break;
        }
    fclose(f);
    return value;
}

static void command_meminfo(char *const *word)
{
    static const char *const memory[] = {"MemTotal", "MemFree", "MemAvailable", "Buffers",
                                         "Cached",   "Shmem",   "SwapTotal",    "SwapFree"};
    static const char *const events[] = {"oom_kill", "pswpin", "pswpout", "workingset_refault_file", "balloon_inflate",
                                         "balloon_deflate"};
    unsigned long long total = field_read("/proc/meminfo", "MemTotal"), idle = field_read("/proc/meminfo", "MemFree");
    unsigned long long cache = field_read("/proc/meminfo", "Buffers") + field_read("/proc/meminfo", "Cached") +
                               field_read("/proc/meminfo", "SReclaimable");

    (void)word;
    fprintf(out, "%-7s%12s%12s%12s%12s%12s\n", "", "total", "used", "free", "buff/cache", "available");
    fprintf(out, "%-7s%12llu%12llu%12llu%12llu%12llu\n", "Mem:", total / 1024,
            (total > idle + cache ? total - idle - cache : 0) / 1024, idle / 1024, cache / 1024,
            field_read("/proc/meminfo", "MemAvailable") / 1024);
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        fprintf(out, "%s: %llu kB\n", memory[i], field_read("/proc/meminfo", memory[i]));
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        fprintf(out, "%s: %llu\n", events[i], field_read("/proc/vmstat", events[i]));
    answer("ok");
}

static void command_run(char *line)
{
    static const struct {
        const char *name;
        void (*run)(char *const *word);
    } commands[] = {
        {"ping", command_ping},     {"grow", command_grow},       {"burst", command_burst},
        {"hold", command_hold},     {"release", command_release}, {"touch", command_touch},
        {"pin", command_pin},       {"state", command_state},     {"meminfo", command_meminfo},
        {"checksum", command_checksum},
    };
    char *word[8] = {NULL}, *rest = NULL;
    size_t n = 0;

    for (char *w = strtok_r(line, " \t\r\n", &rest); w && n < 7; w = strtok_r(NULL, " \t\r\n", &rest))
        word[n++] = w;
    if (n == 0)
        return;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(word[0], commands[i].name) == 0) {
            commands[i].run(word);
            return;
        }
    answer("error unknown command '%s'", word[0]);
}

int main(int argc, char **argv)
{
    char line[LINE_BYTES];
    size_t len = 0;
    int in = argc > 1 ? open(argv[1], O_RDWR | O_CLOEXEC) : STDIN_FILENO;

    if (in < 0) {
        fprintf(stderr, "load: cannot open %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    out = fdopen(dup(argc > 1 ? in : STDOUT_FILENO), "w");
    region = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!out || region == MAP_FAILED) {
        fprintf(stderr, "load: %s\n", strerror(errno));
        return 1;
    }
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* what is released is released page by page, exactly */
    for (;;) {
        char c;
        ssize_t r = read(in, &c, 1);

        if (r < 0 && errno != EINTR)
            return 1;
        if (r == 0) {
            if (argc <= 1)
                return 0;
            nanosleep(&(struct timespec){.tv_nsec = IDLE_NSEC}, NULL);
        }
        if (r != 1)
            continue;
        if (c != '\n') {
            if (len < sizeof line - 1)
                line[len++] = c;
            continue;
        }
        line[len] = '\0';
        len = 0;
        command_run(line);
    }
}
