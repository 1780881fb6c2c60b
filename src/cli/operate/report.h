/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPERATE_REPORT_H
#define CLI_OPERATE_REPORT_H

/* Shared by the parts of `freehold report`. An exit code that is not CLI_DONE was reported. */

#include <jansson.h>

#include "base/text.h"
#include "cli/cli.h"

/* report_ask.c. Runs a report: *ret is {"columns", "rows"}, a new reference. */
int report_ask(struct cli_operator *asking, const char *service, const char *name,
               const json_t *given, json_t **ret);
/* A copy of a value as text, for report_cell_free; of a number as JSON has it. NULL: it is null. */
char *report_cell_text(const json_t *value);
void report_cell_free(const json_t *value, char *text);

/* report_csv.c. Appends a report, RFC 4180; its lines end with `line_end`. What is too long is told
 * by the text's `overflow`. */
void report_add_csv(struct text *csv, const json_t *report, const char *line_end);
/* All of a service's reports, or the one of this name (NULL: all), each as NAME.csv in the folder,
 * which is made if it is not there. Each gets what it takes of `given`. */
int report_write_folder(struct cli_operator *asking, const char *service, const char *name,
                        const json_t *given, const char *folder);

#endif
