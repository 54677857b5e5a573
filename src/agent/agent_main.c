/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "agent_loop.h"
#include "agent_options.h"
#include "agent_status.h"
#include "log.h"
#include "own.h"

/* Ahead of what takes the memory, not of the guest's own urgent work: it runs for a fraction of a millisecond. */
#define AGENT_NICE (-10)

/* It must survive what it reports: not paged out, not killed first, not waiting behind the hog for its turn. Each may
 * be denied to a user that is not root; then it works as well as it can. */
static void protect(void)
{
    AUTO_CLOSE int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, "-1000", 5) < 0)
        log_warning("cannot keep the kernel from killing ballast-agent when memory is out: %s; run it as root",
                    strerror(errno));
    /* On fault: what it uses stays, and it uses half of what static linking brings along. Before Linux 4.4: all. */
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0 && mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
        log_warning("cannot lock ballast-agent into memory: %s; it may be paged out just when it is needed",
                    strerror(errno));
    (void)setpriority(PRIO_PROCESS, 0, AGENT_NICE); /* a nicety */
}

static int show_status(void)
{
    char buf[AGENT_STATUS_SIZE];
    char text[2 * AGENT_STATUS_SIZE];
    struct agent_status s;
    struct err e = {0};
    struct timespec now = {0};
    AUTO_CLOSE int fd = open(AGENT_STATUS_PATH, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

    if (n < 0) {
        fprintf(stderr, "ballast-agent: no agent runs in this guest (%s: %s)\n"
                        "Start it with `systemctl start ballast-agent`, or by hand.\n",
                AGENT_STATUS_PATH, strerror(errno));
        return 1;
    }
    if (agent_status_parse(buf, (size_t)n, &s, &e) < 0) {
        fprintf(stderr, "ballast-agent: cannot read %s: %s\nRestart the agent.\n", AGENT_STATUS_PATH, e.text);
        return 1;
    }
    (void)clock_gettime(CLOCK_BOOTTIME, &now); /* always exists */
    bool running = s.pid > 0 && (kill(s.pid, 0) == 0 || errno == EPERM);
    (void)agent_status_tell(&s, running, (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000, text,
                            sizeof(text));
    (void)fputs(text, stdout); /* nobody to tell where stdout is gone */
    return running ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct agent_options options;
    struct err e = {0};
    int code = agent_options_parse(argc, argv, &options);

    if (code >= 0)
        return code;
    if (options.status)
        return show_status();
    (void)signal(SIGPIPE, SIG_IGN); /* a port that breaks is an error code to us */
    protect();
    (void)agent_loop_run(options.port, &e);
    log_error("%s", e.text);
    return 1;
}
