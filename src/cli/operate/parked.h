/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPERATE_PARKED_H
#define CLI_OPERATE_PARKED_H

/* Shared by the parts of `freehold parked`. The words are {"edit", SERVICE, SOURCE, KEY}. */

#include "cli/cli.h"

/* parked_retry.c. Posts `wanted` (taken), and shows the outcome for the keys that it retried. */
int parked_retried(struct cli_operator *asking, char **words, const char *path, json_t *wanted,
                   bool as_json);

/* parked_edit.c. `given`: --data; NULL: open an editor. */
int parked_edit_run(struct cli_operator *asking, char **words, const char *given, bool as_json);

#endif
