/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "client.h"
#include "operate_client.h"
#include "text.h"

/* set: key=value words become {"values":{...},"save":...}; ballastd knows the keys. */
int cmd_set(struct cli *cli)
{
    struct client_request rq = {.path = "/v1/guests/", .name = cli->args[0], .suffix = "/set"};
    struct wire_text body = {0};
    struct cli_problem p;
    int r;

    wire_text_adds(&body, "{\"values\":{");
    for (int i = 1; i < cli->arg_count; i++) {
        const char *word = cli->args[i], *equals = strchr(word, '=');
        char key[64];

        if (!equals || equals == word || (size_t)(equals - word) >= sizeof(key)) {
            wire_text_done(&body);
            (void)cli_problem_set(&p, CLI_USAGE, "write KEY=VALUE, such as minimum=512MiB or \"minimum=512 MiB\"; KEY= takes "
                                  "back what was set", "'%s' is no KEY=VALUE", text_show(word, strlen(word)).s);
            return cli_complain(cli, &p);
        }
        memcpy(key, word, (size_t)(equals - word));
        key[equals - word] = '\0';
        wire_text_adds(&body, i > 1 ? "," : "");
        wire_text_string(&body, key);
        wire_text_adds(&body, ":");
        wire_text_string(&body, equals + 1);
    }
    wire_text_adds(&body, cli->options & CLI_OPTION_SAVE ? "},\"save\":true}" : "},\"save\":false}");
    rq.body = body.failed ? "{}" : body.data;
    r = operate_run(cli, &rq);
    wire_text_done(&body);
    return r;
}
