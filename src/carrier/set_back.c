/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An owner whose store has lost its last commits, as a replica without them took its server's place
 * (37): its incarnation is the same, and positions are given out again, so nothing in the store
 * tells. What was sent to a server of those commits is there, and may hide what has their positions
 * now. Whoever sends, or looks on while another one does, remembers the last event that was sent,
 * and finds it missing. Whoever begins, and so remembers nothing, sees that the server has more
 * than the outbox, as long as not as much has been committed since.
 */

#include <stdlib.h>
#include <string.h>

#include "carrier/parts.h"

/* ---- What was sent ---- */

static bool is_of_record(const struct derived_carrier *carrier, const struct carried_name *name)
{
    const struct carried_record *record = &carrier->look.record;
    return name->number && (carried_name_compare(name, &record->serving.name) == 0 ||
                            carried_name_compare(name, &record->filling.name) == 0);
}

/* Where there is no room, the oldest that neither serves nor is filled is forgotten. */
static struct carrier_sent *sent_of(struct derived_carrier *carrier,
                                    const struct carried_name *generation)
{
    struct carrier_sent *spare = NULL;
    for (int i = 0; i < CARRIED_SENT_MAX; i++) {
        struct carrier_sent *sent = &carrier->sent[i];
        if (carried_name_compare(&sent->generation, generation) == 0)
            return sent;
        if (!is_of_record(carrier, &sent->generation) &&
            (!spare || carried_name_compare(&sent->generation, &spare->generation) < 0))
            spare = sent;
    }
    *spare = (struct carrier_sent){.generation = *generation};
    return spare;
}

const struct carried_place *carrier_sent(struct derived_carrier *carrier,
                                         const struct carried_name *generation)
{
    return &sent_of(carrier, generation)->place;
}

void carrier_note_sent(struct derived_carrier *carrier, const struct carried_name *generation,
                       const struct carried_place *end)
{
    struct carrier_sent *sent = sent_of(carrier, generation);
    if (sent->place.position < end->position)
        sent->place = *end;
}

void carrier_count_set_back(struct derived_carrier *carrier)
{
    carrier->counters.lost++;
    carrier->counters.set_back++;
}

struct set_back {
    struct carried_name generation;
    struct carried_place missing;
};

static enum fh_code note_set_back(struct carrier_change *change, struct store_work *work,
                                  struct carrier_look *look, struct fh_error *error)
{
    const struct set_back *set_back = change->what;
    struct carried_generation *generation =
        carried_record_find(&look->record, &set_back->generation);
    bool lives = false;
    if (!generation || generation->lost)
        return FH_OK;
    enum fh_code code = carried_place_lives(work, &set_back->missing, look->trimmed, &lives, error);
    if (code == FH_OK && !lives)
        generation->lost = change->changed = true;
    return code;
}

enum fh_code carrier_lose_set_back(struct derived_carrier *carrier, const struct carried_name *name,
                                   const struct carried_place *missing, struct fh_error *error)
{
    struct set_back set_back = {.generation = *name, .missing = *missing};
    struct carrier_change change = {.carrier = carrier, .change = note_set_back, .what = &set_back};
    enum fh_code code = carrier_change_run(&change, error);
    if (code == FH_OK && change.changed)
        carrier_count_set_back(carrier);
    return code;
}

/* Whether what was sent is in the outbox; if so, what is at the cursor is the last that was. */
static enum fh_code watch_sent(struct derived_carrier *carrier, struct store_work *work,
                               struct carried_record *record, const struct carried_name *name,
                               bool *ret_lives, struct fh_error *error)
{
    const struct carried_generation *generation = carried_record_find(record, name);
    const struct carried_place *sent = carrier_sent(carrier, name);
    struct carried_place cursor = {0};
    enum fh_code code = FH_OK;
    *ret_lives = true;
    if (!generation || generation->lost)
        return FH_OK;
    cursor.position = generation->cursor;
    if (sent->position)
        code = carried_place_lives(work, sent, carrier->look.trimmed, ret_lives, error);
    if (code == FH_OK && *ret_lives)
        code = carried_place_id(work, cursor.position, cursor.id, error);
    if (code == FH_OK && *ret_lives && cursor.id[0])
        carrier_note_sent(carrier, name, &cursor);
    return code;
}

/* Cursor and outbox as of one moment. */
static enum fh_code watch_generation(struct derived_carrier *carrier,
                                     const struct carried_name *name, struct fh_error *error)
{
    struct carried_record *record = NULL;
    struct store_work *work;
    bool lives = true;
    enum fh_code code = store_begin(carrier->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = carried_record_get(work, carrier->declared->name, &record, error);
    if (code == FH_OK)
        code = watch_sent(carrier, work, record, name, &lives, error);
    store_rollback(work);
    free(record);
    if (code != FH_OK || lives)
        return code;
    const struct carried_place missing = *carrier_sent(carrier, name);
    return carrier_lose_set_back(carrier, name, &missing, error);
}

enum fh_code carrier_watch(struct derived_carrier *carrier, struct fh_error *error)
{
    const struct carried_name names[] = {carrier->look.record.serving.name,
                                         carrier->look.record.filling.name};
    enum fh_code code = FH_OK;
    for (int i = 0; i < 2 && code == FH_OK; i++) {
        if (names[i].number)
            code = watch_generation(carrier, &names[i], error);
    }
    return code;
}

/* ---- What the server has beyond the outbox ---- */

static void see_end(void *context, const struct carried_link *link)
{
    int64_t *end = context;
    if (link->to > *end)
        *end = link->to;
}

struct beyond {
    struct carried_name generation;
    int64_t end; /* of a link */
};

static enum fh_code note_beyond(struct carrier_change *change, struct store_work *work,
                                struct carrier_look *look, struct fh_error *error)
{
    const struct beyond *beyond = change->what;
    struct carried_generation *generation = carried_record_find(&look->record, &beyond->generation);
    (void)work;
    (void)error;
    if (generation && !generation->lost && look->position < beyond->end)
        generation->lost = change->changed = true;
    return FH_OK;
}

/* 37. The server has a page of what the outbox does not have, or did not when this turn began. */
enum fh_code carrier_look_beyond(struct derived_carrier *carrier, const struct carried_name *name,
                                 bool *ret_whole, struct fh_error *error)
{
    const struct carried_link after = {.from = carrier->look.position,
                                       .to = carrier->look.position};
    struct beyond beyond = {.generation = *name};
    struct carrier_change change = {.carrier = carrier, .change = note_beyond, .what = &beyond};
    int count = 0;
    enum fh_code code =
        carrier->server->ops->links(carrier->server, carrier->declared, name, &after,
                                    CARRIED_LINKS_MAX, see_end, &beyond.end, &count, error);
    if (code == FH_OK && count)
        code = carrier_change_run(&change, error);
    if (code == FH_OK && change.changed)
        carrier_count_set_back(carrier);
    *ret_whole = code == FH_OK && !change.changed;
    return code;
}

static void see_number(void *context, const struct carried_name *name)
{
    struct carried_name *last = context;
    if (!name->kept && strcmp(name->incarnation, last->incarnation) == 0 &&
        name->number > last->number)
        last->number = name->number;
}

enum fh_code carrier_last_number(struct derived_carrier *carrier, int64_t *ret,
                                 struct fh_error *error)
{
    struct carried_name last = {.number = 0};
    memcpy(last.incarnation, carrier->context->store->incarnation, ID_SIZE);
    enum fh_code code = carrier->server->ops->generations(carrier->server, carrier->declared,
                                                          see_number, &last, error);
    *ret = last.number;
    if (code == FH_OK && last.number >= CARRIED_NUMBER_MAX) /* whoever made that */
        return error_set(error, FH_UNSUPPORTED,
                         "The derived store %s has a generation %lld on its server, and none can "
                         "follow it: expected it to be removed there.",
                         carrier->declared->name, (long long)last.number);
    return code;
}
