/* SPDX-License-Identifier: Apache-2.0 */
/* The incarnations (lives) of a store, from its ancestors in fh_meta. */

#include "work/restored.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* ---- Lives ---- */

void lives_of(const char *present, const json_t *ancestors, struct lives *ret)
{
    size_t index;
    json_t *ancestor;
    ret->count = 0;
    snprintf(ret->present, sizeof ret->present, "%s", present);
    json_array_foreach (ancestors, index, ancestor) {
        const char *incarnation = json_string_at(ancestor, "incarnation");
        json_int_t position = 0;
        if (ret->count == LIVES_MAX || !incarnation || strlen(incarnation) != ID_SIZE - 1 ||
            !json_integer_at(ancestor, "position", &position))
            continue;
        struct life *life = &ret->before[ret->count++];
        memcpy(life->incarnation, incarnation, ID_SIZE);
        life->position = position;
        life->restored = json_is_true(json_object_get(ancestor, "restored"));
    }
}

enum fh_code lives_read(struct store_work *work, const char *present, struct lives *ret,
                        struct fh_error *error)
{
    char text[LEDGER_ANCESTORS_SIZE];
    json_t *ancestors = NULL;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = ledger_meta_get(work, LEDGER_ANCESTORS, text, sizeof text, error);
    if (code == FH_OK && text[0])
        code = json_parse(text, strlen(text), &ancestors, error);
    if (code == FH_OK)
        lives_of(present, ancestors, ret);
    json_decref(ancestors);
    json_arena_set(arena);
    return code;
}

/* -1: not an earlier incarnation of this store. */
static int place_of_life(const struct lives *lives, const char *incarnation)
{
    for (int i = 0; i < lives->count; i++) {
        if (strcmp(lives->before[i].incarnation, incarnation) == 0)
            return i;
    }
    return -1;
}

bool lives_restored_since(const struct lives *lives, const char *incarnation)
{
    int place = place_of_life(lives, incarnation);
    for (int i = place; i >= 0 && i < lives->count; i++) {
        if (lives->before[i].restored)
            return true;
    }
    return false;
}

enum lives_lost lives_lost(const struct lives *lives, const char *incarnation, int64_t position)
{
    int place = place_of_life(lives, incarnation);
    if (strcmp(incarnation, lives->present) >= 0) /* ids are ordered by time */
        return LIVES_KEPT;
    if (place < 0)
        return LIVES_LOST; /* an incarnation that a restore has skipped entirely */
    const struct life *life = &lives->before[place];
    if (!life->restored || position < life->position)
        return LIVES_KEPT;
    return position == life->position ? LIVES_MAYBE_LOST : LIVES_LOST;
}
