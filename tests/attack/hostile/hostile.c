/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile: a service that was taken over. It tries what it is told to, by name, with all that its
 * process is able to do, and tells how far it got. Owns `loot`, which stays empty.
 */

#define _GNU_SOURCE
#include <freehold.h>

#include <string.h>

#include "attack.h"

extern const struct attack *const __start_attacks[], *const __stop_attacks[];

static void try_attack(fh_work *w)
{
    const char *name = json_string_value(json_object_get(fh_path(w), "name"));
    for (const struct attack *const *one = __start_attacks; one < __stop_attacks; one++) {
        if (strcmp((*one)->name, name) != 0)
            continue;
        json_t *found = json_object();
        int refused = (*one)->run(fh_body(w), found);
        json_t *answer = json_object();
        json_object_set_new(answer, "refused",
                            refused ? json_string(strerrorname_np(refused)) : json_null());
        json_object_set_new(answer, "found", found);
        fh_reply(w, 200, answer);
        return;
    }
    fh_fail(w, 404, "There is no attack %s.", name);
}

static const fh_field arguments_shape[] = {{"*"}, {0}};

/* It may ask the ally, and nobody else. */
FH_SERVICE(hostile, .model = FH_RELATIONAL,
           .routes = {{"POST", "/attacks/{name}", try_attack, arguments_shape,
                       .audience = FH_OPERATORS, .deadline_ms = 60000}},
           .asks = {{"ally", "/ping"}});
