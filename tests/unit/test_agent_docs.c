/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent_line.h"

/* test_agent_docs DOCUMENT: every verb, key and reason of the agent's protocol stands in it as `word`. */

#define DOCUMENT_MAX 65536

static char document[DOCUMENT_MAX];

static bool is_missing(const char *word)
{
    char quoted[64];

    (void)snprintf(quoted, sizeof(quoted), "`%s`", word);
    if (strstr(document, quoted))
        return false;
    printf("%s is not in the document\n", quoted);
    return true;
}

int main(int argc, char **argv)
{
    FILE *f = argc == 2 ? fopen(argv[1], "re") : NULL;
    bool missing = false;

    if (!f) {
        printf("usage: test_agent_docs DOCUMENT\n");
        return 2;
    }
    document[fread(document, 1, sizeof(document) - 1, f)] = '\0';
    (void)fclose(f); /* only read */
    for (enum agent_verb v = 0; v < AGENT_VERB_COUNT; v++)
        missing |= is_missing(agent_verb_name(v));
    for (enum agent_key k = 0; k < AGENT_KEY_COUNT; k++)
        missing |= is_missing(agent_key_name(k));
    for (enum agent_why w = 0; w < AGENT_WHY_COUNT; w++)
        missing |= is_missing(agent_why_name(w));
    return missing ? 1 : 0;
}
