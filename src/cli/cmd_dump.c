/* SPDX-License-Identifier: Apache-2.0 */
#include <json-c/json.h>

#include "client.h"
#include "wire_field.h"

/* Shown as it came, once it is sure to be a document: nobody here knows its fields. */
int cmd_dump(struct cli *cli)
{
    struct wire_text body = {0};
    struct json_object *json;
    struct cli_problem p;
    struct err e = {0};
    int r = client_get(cli, "/v1/dump", NULL, &body, &p);

    if (r == CLI_DONE && wire_json_parse(body.data, body.length, &json, &e) < 0)
        r = cli_problem_set(&p, CLI_FAILED, CLIENT_NOT_OURS,
                            "the answer on '%s' is none of ballastd's: %s", cli->socket_path, e.text);
    else if (r == CLI_DONE)
        (void)json_object_put(json);
    r = r == CLI_DONE ? cli_write(cli, &body) : cli_complain(cli, &p);
    wire_text_done(&body);
    return r;
}
