/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring of ends. A place in it that a later end takes was too far back for any link that
 * follows: they come in order of their ends. Of a link of exactly CARRIED_SPAN_MAX both ends have
 * one place; that of its beginning is looked at before that of its end is taken, and if another
 * link of the same end has taken it, that end is reached already.
 */

#include "carrier/walk.h"

#include <string.h>

void carried_walk_begin(struct carried_walk *walk, int64_t began, int64_t cursor)
{
    for (int i = 0; i < CARRIED_SPAN_MAX; i++)
        walk->reached[i] = -1;
    walk->reached[began % CARRIED_SPAN_MAX] = began;
    walk->cursor = cursor;
    walk->whole = began == cursor;
}

void carried_walk_link(struct carried_walk *walk, const struct carried_link *link)
{
    if (link->from < 0 || link->to <= link->from || link->to - link->from > CARRIED_SPAN_MAX ||
        walk->reached[link->from % CARRIED_SPAN_MAX] != link->from)
        return;
    walk->reached[link->to % CARRIED_SPAN_MAX] = link->to;
    if (link->to == walk->cursor)
        walk->whole = true;
}
