/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a running service for a report, and what its values are as texts. */

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "cli/operate/report.h"

#define REPORT_WAIT_MS 65000 /* a little more than the service gives it */

int report_ask(struct cli_operator *asking, const char *service, const char *name,
               const json_t *given, json_t **ret)
{
    char *with = json_text(given);
    int code = cli_operator_get_within(asking, service, "/_freehold/report?name={name}&with={with}",
                                       json_pack("{s:s, s:s}", "name", name, "with", with),
                                       REPORT_WAIT_MS, ret);
    json_text_free(with);
    return code;
}

char *report_cell_text(const json_t *value)
{
    if (json_is_null(value))
        return NULL;
    if (!json_is_string(value))
        return json_text(value);
    char *text = malloc(json_string_length(value) + 1);
    FH_ASSERT(text != NULL);
    memcpy(text, json_string_value(value), json_string_length(value) + 1);
    return text;
}

void report_cell_free(const json_t *value, char *text)
{
    if (json_is_string(value))
        free(text);
    else
        json_text_free(text);
}
