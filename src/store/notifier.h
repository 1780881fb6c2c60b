/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_NOTIFIER_H
#define STORE_NOTIFIER_H

/*
 * Notifies the other processes of a service that positions were assigned, for engines whose server
 * does not (those without ENGINE_NOTIFIES): the process that assigned them calls
 * store_notifier_notify, and store_notify_listeners is called in the others. It is only a hint: a
 * process that misses it finds the positions when it next polls.
 */

#include "base/error.h"

struct store;

#define NOTIFIER_FILE "bell" /* in the service's own folder */

/* `path`: a file that all of them open, created if it is missing. From now on the store's listeners
 * are notified by the others, and store_sequence notifies the others. FH_UNAVAILABLE: nothing has
 * changed. */
enum fh_code store_notifier_open(struct store *store, const char *path, struct fh_error *error);
void store_notifier_notify(struct store *store); /* fine without a notifier */
/* That something was committed, whatever the engine: has store_notify_listeners called in the other
 * processes, by this notifier or by the server. On a fiber. */
void store_notify_others(struct store *store);
void store_notifier_close(struct store *store);

#endif
