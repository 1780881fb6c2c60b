/* SPDX-License-Identifier: Apache-2.0 */
/* The outcome of a retry, for `freehold parked retry` and for an edit, which is followed by one. */

#include "base/json.h"
#include "cli/operate/parked.h"

int parked_retried(struct cli_operator *asking, char **words, const char *path, json_t *wanted,
                   bool as_json)
{
    json_t *body, *one;
    size_t i;
    bool left = false;
    int code = cli_operator_ask(asking, words[1], "POST", path, wanted, &body);
    if (code != CLI_DONE)
        return code;
    json_array_foreach (json_object_get(body, "keys"), i, one) {
        left |= cli_number(one, "left") > 0;
        if (as_json)
            continue;
        printf("%s %s: %lld applied, %lld left%s%s\n", cli_text(one, "source"),
               cli_text(one, "key"), cli_number(one, "applied"), cli_number(one, "left"),
               json_object_get(one, "error") ? ": " : "",
               json_object_get(one, "error") ? cli_text(one, "error") : "");
    }
    if (as_json)
        cli_print_json(body);
    else if (json_array_size(json_object_get(body, "keys")) == 0)
        printf("Nothing is parked.\n");
    json_decref(body);
    return left ? CLI_FAILED : CLI_DONE;
}
