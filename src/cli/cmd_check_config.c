/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"
#include "config.h"
#include "units.h"

/* What the kernel has: minimums are checked against it. 0: not known, then they are not. */
static uint64_t host_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
}

static void list_json(struct wire_text *t, const char *name, const struct config_list *list)
{
    wire_text_format(t, "\"%s\":[", name);
    for (size_t i = 0; i < list->count; i++) {
        wire_text_adds(t, i > 0 ? ",\n" : "");
        wire_text_string(t, list->items[i].text);
    }
    wire_text_format(t, "],\"more_%s\":%zu", name, list->more);
}

static void print_json(struct wire_text *t, const char *path, const struct config *c,
                       const struct config_list *problems, const struct config_list *warnings)
{
    wire_text_format(t, "{\"ok\":%s,\"file\":", problems->count ? "false" : "true");
    wire_text_string(t, path);
    wire_text_format(t, ",\"exists\":%s", c && !c->is_file ? "false" : "true");
    if (c)
        wire_text_format(t, ",\"hash\":\"%016" PRIx64 "\",\"memory_bytes\":%" PRIu64 ",\"reserve_bytes\":%" PRIu64,
                         c->hash, c->host.memory_kib * 1024, c->host.reserve_kib * 1024);
    wire_text_adds(t, ",\n");
    list_json(t, "problems", problems);
    wire_text_adds(t, ",\n");
    list_json(t, "warnings", warnings);
    wire_text_adds(t, "}\n");
}

/* Each on a line of its own on err, so that `ballast check-config >/dev/null` still shows them. */
static void complain_list(const struct cli *cli, const char *what, const struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct wire_text t = {0};

        (void)term_text(&cli->term, &t, list->items[i].text, 0);
        (void)fprintf(cli->err, "%s: %s\n", what, t.data ? t.data : "");
        wire_text_done(&t);
    }
    if (list->more)
        (void)fprintf(cli->err, "%s: and %zu more\n", what, list->more);
}

static void print_text(struct wire_text *t, const struct term *term, const struct config *c)
{
    (void)term_text(term, t, c->path, 0);
    if (!c->is_file) {
        wire_text_adds(t, ": there is none; ballastd finds guests by itself and only watches them\n");
        return;
    }
    wire_text_adds(t, ": right\n");
    if (c->host.memory_kib)
        wire_text_format(t, "  manages %s of this host, ", units_show_kib(c->host.memory_kib).s);
    else
        wire_text_adds(t, "  manages all memory of this host, ");
    wire_text_format(t, "reserve %s\n", units_show_kib(c->host.reserve_kib).s);
    for (size_t i = 0; i < c->qmp_directory_count; i++) {
        wire_text_adds(t, "  looks for guests' monitors (NAME.qmp) in ");
        (void)term_text(term, t, c->qmp_directories[i], 0);
        wire_text_adds(t, c->qmp_directories_shared[i] ? " (shared with others)\n" : "\n");
    }
    for (size_t i = 0; i < c->socket_count; i++) {
        wire_text_adds(t, "  guest ");
        (void)term_text(term, t, c->sockets[i].name, 0);
        wire_text_adds(t, ": monitor ");
        (void)term_text(term, t, c->sockets[i].path ? c->sockets[i].path : "as found", 0);
        if (c->sockets[i].has_access)
            wire_text_adds(t, c->sockets[i].is_shared ? " (shared with others)" : " (ballast's own)");
        if (c->sockets[i].agent) {
            wire_text_adds(t, ", agent ");
            (void)term_text(term, t, c->sockets[i].agent, 0);
        }
        wire_text_adds(t, "\n");
    }
}

int cmd_check_config(struct cli *cli)
{
    static const struct config_list none;
    const char *path = cli->arg_count > 0 ? cli->args[0] : NULL;
    struct config_list *problems = calloc(1, sizeof(*problems));
    AUTO(config) struct config *c = NULL;
    struct wire_text t = {0};
    struct err e = {0};
    int r, written;

    if (!problems)
        abort(); /* so small a piece: nothing else would work either */
    r = config_load_all(path, host_memory_bytes(), &c, problems, &e);
    if (r < 0 && problems->count == 0)
        problems->items[problems->count++] = e; /* it could not be read at all */
    if (cli->options & CLI_OPTION_JSON)
        print_json(&t, c ? c->path : path ? path : "", c, problems, c ? &c->warnings : &none);
    else if (r == 0)
        print_text(&t, &cli->term, c);
    written = cli_write(cli, &t);
    wire_text_done(&t);
    if (!(cli->options & CLI_OPTION_JSON)) {
        complain_list(cli, "wrong", problems);
        if (c)
            complain_list(cli, "warning", &c->warnings);
    }
    free(problems);
    if (written != CLI_DONE)
        return written;
    return r < 0 ? CLI_USAGE : c->warnings.count ? CLI_WARNINGS : CLI_DONE;
}
