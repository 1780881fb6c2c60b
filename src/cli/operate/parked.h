/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPERATE_PARKED_H
#define CLI_OPERATE_PARKED_H

/* Shared by the parts of `freehold parked`. The words are {"edit", SERVICE, SOURCE, KEY}. */

#include "cli/cli.h"

/* parked_retry.c: a service's answer, and its members; 0 or "-" for those that are missing */
long long parked_number(const json_t *object, const char *name);
const char *parked_text(const json_t *object, const char *name);
/* Posts `wanted` (taken), and shows the outcome for the keys that it retried. */
int parked_retried(struct cli_operator *asking, char **words, const char *path, json_t *wanted,
                   bool as_json);

/* parked_edit.c. `given`: --data; NULL: open an editor. */
int parked_edit_run(struct cli_operator *asking, char **words, const char *given, bool as_json);

#endif
