/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How all steps of a turn read the record, and change it: what is decided on is read in the unit of
 * work in which it is changed, which shares its commit with no other. What a carrier has read
 * before, perhaps long before, decides nothing.
 */

#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "carrier/alike.h"
#include "carrier/parts.h"
#include "store/ledger.h"
#include "work/batch.h"
#include "store/engine.h"
#include "work/carried.h"

/* ---- Looking ---- */

static enum fh_code look_at_life(struct store_work *work,
                                 const struct carried_generation *generation, bool *ret,
                                 struct fh_error *error)
{
    *ret = false;
    if (!generation->name.number)
        return FH_OK;
    return carried_same_life(work, generation->name.incarnation, ret, error);
}

/* Every step looks, so none is taken where nothing may be carried. A copy of a store (a trial's, a
 * backup, the one that a rebuild fills) has the generations of the store that it was made of, and
 * would give their positions to other events. */
static enum fh_code check_owner(const struct work_context *context, struct fh_error *error)
{
    if (context->serves)
        return FH_OK;
    return error_set(error, FH_UNSUPPORTED,
                     "Nothing is carried from this store: no requests are answered from it, so it "
                     "may be a copy of the service's.");
}

enum fh_code carrier_look(struct derived_carrier *carrier, struct store_work *work,
                          struct carrier_look *ret, struct fh_error *error)
{
    char id[ID_SIZE];
    struct carried_record *record = &ret->record;
    enum fh_code code = check_owner(carrier->context, error);
    if (code == FH_OK)
        code = carried_record_read(work, carrier->declared->name, record, error);
    if (code == FH_OK)
        code = ledger_position(work, &ret->position, error);
    if (code == FH_OK)
        code = ledger_outbox_trimmed(work, &ret->trimmed, id, error);
    if (code == FH_OK)
        code = look_at_life(work, &record->serving, &ret->serving_lives, error);
    if (code == FH_OK)
        code = look_at_life(work, &record->filling, &ret->filling_lives, error);
    ret->alike = true;
    if (code == FH_OK && carrier->alike)
        code = carried_alike_noted(work, carrier->alike, &ret->alike, error);
    return code;
}

bool carrier_may_be_asked(const struct derived_carrier *carrier, const struct carrier_look *look,
                          const struct carried_generation *generation)
{
    char digest[DERIVED_DIGEST_SIZE];
    bool serves = generation == &look->record.serving;
    derived_digest(carrier->declared, digest);
    bool lives = serves ? look->serving_lives : look->filling_lives;
    bool lacks = generation->name.kept && generation->kept.lacks;
    return generation->name.number && !generation->lost && !lacks &&
           generation->name.kept == carrier->kept && (lives || carrier->kept) &&
           strcmp(generation->digest, digest) == 0;
}

bool carrier_goes_on(const struct derived_carrier *carrier, const struct carrier_look *look,
                     const struct carried_generation *generation)
{
    return carrier_may_be_asked(carrier, look, generation) && look->alike &&
           generation->cursor >= look->trimmed;
}

/* ---- Changing the record ---- */

static enum fh_code change_record(struct carrier_change *change, struct store_work *work,
                                  struct fh_error *error)
{
    struct carrier_look *look = calloc(1, sizeof *look); /* large for a fiber's stack */
    struct derived_carrier *carrier = change->carrier;
    FH_ASSERT(look != NULL);
    change->changed = false;
    enum fh_code code = carrier_look(carrier, work, look, error);
    if (code == FH_OK)
        code = change->change(change, work, look, error);
    if (code == FH_OK && change->changed)
        code = carried_record_write(work, carrier->declared->name, &look->record, error);
    free(look);
    return code;
}

/* That there is nothing to change is so only if all that was read is of one moment, which on some
 * engines the commit tells. What failed may have written a part, and is never committed. */
static enum fh_code end_unchanged(struct store_work *work, enum fh_code code,
                                  struct fh_error *error)
{
    if (code == FH_OK && engine_can(work->store->engine, ENGINE_READS_APART))
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

enum fh_code carrier_change_run(struct carrier_change *change, struct fh_error *error)
{
    struct work_context *context = change->carrier->context;
    struct work_tries tries = {0};
    struct store_work *work;
    enum fh_code code;
    do {
        *error = (struct fh_error){0};
        code = store_begin(context->store, STORE_WRITE_EXCLUSIVE, &work, error);
        if (code != FH_OK)
            continue;
        code = change_record(change, work, error);
        if (code == FH_OK && change->changed)
            code = store_commit(work, error);
        else
            code = end_unchanged(work, code, error);
    } while (code == FH_CONFLICT && error->retryable && work_retry(context, &tries, -1));
    return code;
}

/* ---- A generation that is lost ---- */

static enum fh_code note_lost(struct carrier_change *change, struct store_work *work,
                              struct carrier_look *look, struct fh_error *error)
{
    struct carried_generation *generation = carried_record_find(&look->record, change->what);
    (void)work;
    (void)error;
    if (generation && !generation->lost)
        generation->lost = change->changed = true;
    return FH_OK;
}

enum fh_code carrier_lose(struct derived_carrier *carrier, const struct carried_name *name,
                          struct fh_error *error)
{
    struct carried_name lost = *name;
    struct carrier_change change = {.carrier = carrier, .change = note_lost, .what = &lost};
    enum fh_code code = carrier_change_run(&change, error);
    CRASH_POINT("carrier.lost");
    carrier->counters.lost += change.changed;
    return code;
}
