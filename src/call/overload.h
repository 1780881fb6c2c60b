/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_OVERLOAD_H
#define CALL_OVERLOAD_H

/* Turns (turns.h) on a world: the log says when an overload begins, and when it is over. */

#include "call/turns.h"
#include "http/server.h"
#include "world/world.h"

struct overload {
    struct turns turns;      /* first: it is cast from */
    struct world *world;     /* NULL: it is not known yet, and nothing may wait */
    const char *what;        /* whose turns, for the log: "clients" */
    struct world_timer calm; /* runs as long as it is overloaded */
    bool told;
};

void overload_init(struct overload *overload, struct world *world, const char *what);
void overload_release(struct overload *overload); /* nothing may wait */
/* To be called after turns_take. */
void overload_look(struct overload *overload);
/* What who is shed is answered: valid until the next one. */
const struct http_answer *overload_answer(struct world *world);

#endif
