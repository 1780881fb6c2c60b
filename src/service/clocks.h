/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_CLOCKS_H
#define SERVICE_CLOCKS_H

/*
 * Whether this process's wall clock agrees with others': with its store's server's, which is asked,
 * and with its callers', known from their tokens. `up` also compares it with its own
 * (system/supervise/child.h). One log line when it begins to differ and one when it agrees again,
 * and a sentence in the service's state as long as it differs. Nothing is decided by it.
 */

#include <jansson.h>

struct clocks;
struct runtime;

/* For `runtime`, which must outlive it and have its store. */
struct clocks *clocks_new(struct runtime *runtime);
void clocks_free(struct clocks *clocks); /* NULL is fine */
/* Asks the store's server when that is due. Called again and again, on a fiber. */
void clocks_look(struct clocks *clocks);
/* {"wall_ms", "apart": [{"of", "ahead_ms"}], "why"}; "why" only if some differ. New reference. */
json_t *clocks_show(struct clocks *clocks);

#endif
