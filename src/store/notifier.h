/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_NOTIFIER_H
#define STORE_NOTIFIER_H

/*
 * A bell between the processes of one service, for engines whose server tells nobody that positions
 * were given (ENGINE_TELLS): who has given some rings it, and the others' store_heard is called.
 * It is a hint: whoever misses it finds the positions when it looks the next time.
 */

#include "base/error.h"

struct store;

#define NOTIFIER_FILE "bell" /* in the service's own folder */

/* `path`: a file that all of them open; it is made if it is not there. From now on the store hears
 * the others, and store_sequence rings. Where it can't (FH_UNAVAILABLE), nothing has changed. */
enum fh_code store_notifier_open(struct store *store, const char *path, struct fh_error *error);
void store_notifier_notify(struct store *store); /* fine without a bell */
void store_notifier_close(struct store *store);

#endif
