/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPERATE_PARKED_H
#define CLI_OPERATE_PARKED_H

/* What the parts of `freehold parked` share. Words are {"edit", SERVICE, SOURCE, KEY}. */

#include "cli/cli.h"

/* Posts `wanted` (taken), and says what came of the keys that were retried by it. */
int parked_retried(struct cli_operator *asking, char **words, const char *path, json_t *wanted,
                   bool as_json);
/* `given`: --data; NULL: a person edits it. */
int parked_edit_run(struct cli_operator *asking, char **words, const char *given, bool as_json);

#endif
