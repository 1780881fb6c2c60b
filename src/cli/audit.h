/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_AUDIT_H
#define CLI_AUDIT_H

/*
 * Records what the command does itself; `up` records what it is asked for. What is asked of
 * services is recorded by cli_ask_all, whoever calls it.
 */

#include <jansson.h>

#include "cli/cli.h"

struct cli_act {
    const struct state *state;
    int64_t number; /* 0: not begun */
};

/* CLI_DONE: it is durably recorded that `what` begins; `with` is taken. Else it must not be done;
 * why was reported. */
int cli_audit_begin(struct cli_act *act, const struct state *state, const char *what,
                    const char *service, json_t *with);
/* Passes `code` on; CLI_DONE is done, else it has failed. `why` may be NULL. */
int cli_audit_end(struct cli_act *act, int code, const char *why);

#endif
