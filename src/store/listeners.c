/* SPDX-License-Identifier: Apache-2.0 */
/* Those in this process who want to know when events have got their positions. */

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
