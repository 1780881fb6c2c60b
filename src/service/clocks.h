/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_CLOCKS_H
#define SERVICE_CLOCKS_H

/*
 * Whether this process's wall clock agrees with others': its store's server's, which is asked, and
 * its callers', as their tokens tell them. `up` compares it with its own besides (system/supervise/child.h).
 * One line in the log when it begins to differ and one when it agrees again, and a sentence in the
 * service's state for as long as it does. Nothing is decided by it.
 */

#include <jansson.h>

struct clocks;
struct runtime;

/* Of `runtime`, which outlives it, when it has its store. */
struct clocks *clocks_new(struct runtime *runtime);
void clocks_free(struct clocks *clocks); /* NULL is fine */
/* Asks the store's server, if it is due. On a fiber, again and again. */
void clocks_look(struct clocks *clocks);
/* {"wall_ms", "apart": [{"of", "ahead_ms"}], "why"}; "why" only when some are. New reference. */
json_t *clocks_show(struct clocks *clocks);

#endif
