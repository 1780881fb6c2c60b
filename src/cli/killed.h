/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_KILLED_H
#define CLI_KILLED_H

/* What an `up` has left that did not stop its system: it was killed, or the machine went down. */

#include "cli/cli.h"

/* Whether this system, which does not run, was left so. */
bool killed_is_left(const struct state *state);
/* Says so, what of it still runs, and what to do. CLI_NOT_RUNNING. */
int killed_tell(const struct state *state);
/* Ends what still runs, as the next `up` would. An exit code, reported; *ret_ended: their names,
 * a new reference, in any case. */
int killed_end(struct state *state, json_t **ret_ended);

#endif
