/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPERATE_PARKED_H
#define CLI_OPERATE_PARKED_H

/* Shared by the parts of `freehold parked`. The words are {"edit", SERVICE, SOURCE, KEY}. */

#include "cli/cli.h"

/* parked_retry.c. Posts `wanted` (taken), and shows the outcome for the keys that it retried. */
int parked_retried(struct cli_operator *asking, char **words, const char *path, json_t *wanted,
                   bool as_json);

/* Which keys are meant, and what for. Texts may be NULL. */
struct parked_choosing {
    const char *service, *source, *type, *error;
    const char *older, *newer;   /* as they were given */
    int64_t before_ms, after_ms; /* what these mean now; 0: not given */
    bool drops;                  /* else they are retried */
    bool all;                    /* drops all events of a key, not only the first */
    bool dry_run, yes, as_json;
};
/* Whether any of type, error and age is given. */
bool parked_is_filtered(const struct parked_choosing *choosing);

/* parked_list.c. The path of the page of these keys that comes after the entry `last` (NULL: of the
 * first one). NULL: there is none, which was reported. */
const char *parked_filter_path(struct cli_operator *asking, const struct parked_choosing *choosing,
                               const json_t *last);
void parked_print(const json_t *list);
int parked_list_run(struct cli_operator *asking, const struct parked_choosing *choosing);

/* parked_many.c */
int parked_many_run(struct cli_operator *asking, const struct parked_choosing *choosing);

/* parked_edit.c. `given`: --data; NULL: open an editor. */
int parked_edit_run(struct cli_operator *asking, char **words, const char *given, bool as_json);

#endif
