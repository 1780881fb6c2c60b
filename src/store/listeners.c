/* SPDX-License-Identifier: Apache-2.0 */
/* Those who want to know when events have got their positions, or others have committed something
 * else that they may be waiting for: here, and in the service's other processes. */

#include "store/notifier.h"
#include "store/store.h"

void store_listen(struct store *store, struct store_listener *listener)
{
    listener->next = store->listeners;
    store->listeners = listener;
}

void store_unlisten(struct store *store, struct store_listener *listener)
{
    struct store_listener **at = &store->listeners;
    while (*at && *at != listener)
        at = &(*at)->next;
    if (*at)
        *at = listener->next;
}

void store_notify_listeners(struct store *store)
{
    for (struct store_listener *listener = store->listeners, *next; listener; listener = next) {
        next = listener->next;
        listener->heard(listener->context);
    }
}

void store_notify_others(struct store *store)
{
    if (store->ops->notify_others)
        store->ops->notify_others(store, ERROR_UNHEEDED);
    else
        store_notifier_notify(store);
}
