/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that is copied, moved or restored is a different store from then on: after the cut its
 * events differ, so its positions must not be taken for those of the store it comes from. It gets a
 * new incarnation, and remembers the former ones with the position up to which their events are its
 * own.
 *
 * Ids are ordered by time, and receivers refuse everything from an incarnation older than the
 * newest they have seen. So a new one is always higher than those before it, even if the clock has
 * stepped back.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/ledger.h"

/* The millisecond in which an id was made; -1: it is not an id. */
static int64_t made_ms(const char *id)
{
    unsigned high, low;
    if (!id || strlen(id) != ID_SIZE - 1 || sscanf(id, "%8x-%4x", &high, &low) != 2)
        return -1;
    return (int64_t)high << 16 | low;
}

static void new_id(struct world *world, const char *former, const char *above,
                   const json_t *ancestors, char ret[static ID_SIZE])
{
    unsigned char random[10];
    int64_t ms = world_wall_ms(world), newest = made_ms(former);
    newest = made_ms(above) > newest ? made_ms(above) : newest;
    const json_t *ancestor;
    size_t index;
    json_array_foreach (ancestors, index, ancestor) {
        int64_t made = made_ms(json_string_at(ancestor, "incarnation"));
        newest = made > newest ? made : newest;
    }
    world_random(world, random, sizeof random);
    id_format(ret, ms > newest ? ms : newest + 1, random);
}

static enum fh_code renew_incarnation(struct store_work *work, json_t *ancestors, bool restored,
                                      const char *above, struct fh_error *error)
{
    char former[ID_SIZE], incarnation[ID_SIZE];
    int64_t position = 0;
    enum fh_code code = ledger_meta_get(work, LEDGER_INCARNATION, former, sizeof former, error);
    if (code == FH_OK)
        code = ledger_position(work, &position, error);
    if (code != FH_OK)
        return code;
    new_id(work->store->world, former, above, ancestors, incarnation);
    json_t *entry =
        json_pack("{s:s, s:I}", "incarnation", former, "position", (json_int_t)position);
    if (restored)
        json_object_set_new(entry, "restored", json_true());
    json_array_append_new(ancestors, entry);
    char *text = json_text(ancestors);
    if (strlen(text) >= LEDGER_ANCESTORS_SIZE)
        code = error_set(error, FH_UNSUPPORTED,
                         "The store was moved or restored too often to remember all of it.");
    if (code == FH_OK)
        code = ledger_meta_put(work, LEDGER_ANCESTORS, text, error);
    if (code == FH_OK)
        code = ledger_meta_put(work, LEDGER_INCARNATION, incarnation, error);
    json_text_free(text);
    return code;
}

enum fh_code ledger_incarnation_renew(struct store_work *work, bool restored,
                                      struct fh_error *error)
{
    return ledger_incarnation_renew_above(work, restored, NULL, error);
}

enum fh_code ledger_incarnation_renew_above(struct store_work *work, bool restored,
                                            const char *above, struct fh_error *error)
{
    char text[LEDGER_ANCESTORS_SIZE];
    json_t *ancestors = NULL;
    enum fh_code code = ledger_meta_get(work, LEDGER_ANCESTORS, text, sizeof text, error);
    struct arena *arena = json_arena_set(NULL);
    if (code == FH_OK && text[0])
        code = json_parse(text, strlen(text), &ancestors, error);
    else if (code == FH_OK)
        ancestors = json_array();
    if (code == FH_OK)
        code = renew_incarnation(work, ancestors, restored, above, error);
    json_decref(ancestors);
    json_arena_set(arena);
    return code;
}
