/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A derived store that is new, or was declared otherwise, is filled page by page, after
 * derived_prepare has made it and before anybody else uses the store:
 *
 *     1. the service's own handler lists the rows behind the last key, in a snapshot
 *     2. in one transaction they are put into the derived store, and with them the last key
 *     3. after a page that is not full: the mark that it is filled
 *
 * Killed anywhere in between, the next process goes on behind the key of the last transaction:
 * nothing has changed meanwhile, since a program that declares it otherwise or not at all makes it
 * anew or drops it before it serves. A page that fails is listed again with half the rows, since
 * what limits a handler is memory, and rows may be large (base/portion.h).
 *
 * One that lies on a server is filled by its carrier, while the service serves. A program that is
 * tried lists the rows all the same, where its carrier would, and puts them nowhere: what can't be
 * listed would leave its questions unanswered.
 */

#include "service/derive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/doing.h"
#include "base/json.h"
#include "base/log.h"
#include "base/portion.h"
#include "base/text.h"
#include "carrier/record.h"
#include "store/derived/derived.h"
#include "work/batch.h"
#include "work/carried.h"
#include "work/fault.h"

#define FILL_ROWS_MAX 500

struct derive_filling {
    struct runtime *runtime;
    const struct fh_derived *declared;
    struct portion portion;
    struct derived_filling at;
    int64_t rows;
    bool tries; /* nothing is put anywhere */
};

static const struct derived_ops *ops_of(const struct derive_filling *filling)
{
    return derived_engine(filling->runtime->context.store);
}

/* ---- A page ---- */

/* Runs the service's handler in a snapshot; w->reply_body is what it lists. */
static enum fh_code list_state(struct derive_filling *filling, fh_work *w, int limit,
                               struct fh_error *error)
{
    struct store_work *snapshot;
    const struct work_listing listing = {
        .after = filling->at.after, .integers = filling->declared->keys == FH_INT, .limit = limit};
    enum fh_code code = store_begin(w->context->store, STORE_READ, &snapshot, error);
    if (code != FH_OK)
        return code;
    code = work_list(w, snapshot, &listing, error);
    w->snapshot = NULL;
    store_rollback(snapshot);
    if (code != FH_OK)
        return code;
    if (json_is_array(w->reply_body) && json_array_size(w->reply_body) <= (size_t)limit)
        return FH_OK;
    return error_set(error, FH_INVALID, "The state of %s must be an array of at most `limit` rows.",
                     filling->declared->name);
}

static enum fh_code does_not_continue(const struct derive_filling *filling, struct fh_error *error)
{
    return error_set(error, FH_INVALID, "The state of %s does not continue after `after`.",
                     filling->declared->name);
}

static enum fh_code put_row(struct derive_filling *filling, struct store_work *work,
                            const json_t *row, struct fh_error *error)
{
    const struct fh_derived *declared = filling->declared;
    struct derived_filling *at = &filling->at;
    char digits[TEXT_INTEGER_SIZE];
    const char *key = work_listed_key(row, digits);
    if (!key || derived_key_check(key, error) != FH_OK)
        return error_set(
            error, FH_INVALID,
            "The state of %s has a row whose first member is not a key of 1 to %d bytes.",
            declared->name, DERIVED_KEY_LENGTH_MAX);
    if (strcmp(key, at->after) == 0)
        return does_not_continue(filling, error);
    enum fh_code code = derived_value_check(declared, row, error);
    if (code == FH_OK && !filling->tries)
        code = ops_of(filling)->put(work, declared, key, row, error);
    snprintf(at->after, sizeof at->after, "%s", key);
    return code;
}

static enum fh_code put_rows(struct derive_filling *filling, const json_t *rows, bool last,
                             struct fh_error *error)
{
    struct store_work *work;
    const struct derived_filling before = filling->at;
    size_t i;
    json_t *row;
    enum fh_code code =
        store_begin(filling->runtime->context.store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    json_array_foreach (rows, i, row) {
        if (code == FH_OK)
            code = put_row(filling, work, row, error);
    }
    if (code == FH_OK && !last && strcmp(filling->at.after, before.after) == 0)
        code = does_not_continue(filling, error);
    filling->at.fills = !last;
    if (code == FH_OK && !filling->tries)
        code = ops_of(filling)->set_filling(work, filling->declared->name, &filling->at, error);
    CRASH_POINT("derived.written");
    if (code == FH_OK)
        code = store_commit(work, error);
    else
        store_rollback(work);
    CRASH_POINT("derived.filled");
    return code;
}

static enum fh_code fill_page(struct derive_filling *filling, int limit, struct fh_error *error)
{
    fh_work w;
    work_init(&w, &filling->runtime->context, filling->declared->state);
    w.read_only = true;
    w.doing = doing_of((doing_function *)filling->declared->state, "state of %s",
                       filling->declared->name);
    w.deadline_ns = world_in_ms(filling->runtime->world, RUNTIME_DEADLINE_MS);
    enum fh_code code = list_state(filling, &w, limit, error);
    size_t count = code == FH_OK ? json_array_size(w.reply_body) : 0;
    if (code == FH_OK)
        code = put_rows(filling, w.reply_body, count < (size_t)limit, error);
    if (code == FH_OK)
        filling->rows += (int64_t)count;
    work_release(&w);
    return code;
}

/* ---- One derived store ---- */

/* Whether its carrier would make it anew for this program. */
static enum fh_code read_carried(struct derive_filling *filling, struct store_work *work,
                                 struct fh_error *error)
{
    struct carried_record *record;
    char digest[DERIVED_DIGEST_SIZE];
    enum fh_code code = carried_record_get(work, filling->declared->name, &record, error);
    const struct carried_generation *serving = &record->serving;
    derived_digest(filling->declared, digest);
    filling->at = (struct derived_filling){.fills = !serving->name.number || serving->lost ||
                                                    strcmp(serving->digest, digest) != 0};
    free(record);
    return code;
}

static enum fh_code read_filling(struct derive_filling *filling, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(filling->runtime->context.store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = filling->tries
               ? read_carried(filling, work, error)
               : ops_of(filling)->filling(work, filling->declared->name, &filling->at, error);
    store_rollback(work);
    return code;
}

/* Half the rows next time, if there is a half; else it has failed. */
static bool takes_fewer(struct derive_filling *filling, int limit, enum fh_code code)
{
    if (code == FH_UNAVAILABLE || limit == 1)
        return false;
    portion_failed(&filling->portion, limit / 2);
    return true;
}

static enum fh_code fill_one(struct derive_filling *filling, struct fh_error *error)
{
    enum fh_code code = read_filling(filling, error);
    if (code != FH_OK || !filling->at.fills)
        return code;
    if (!filling->tries)
        log_info("derived-filling", "filling the derived store %s", filling->declared->name);
    while (code == FH_OK && filling->at.fills) {
        if (filling->runtime->phase == RUNTIME_DRAINING)
            return error_set(error, FH_UNAVAILABLE, "It was asked to end before it began.");
        struct derived_filling before = filling->at;
        int limit = portion_size(&filling->portion, FILL_ROWS_MAX);
        code = fill_page(filling, limit, error);
        if (code == FH_OK) {
            portion_passed(&filling->portion, limit);
        } else if (takes_fewer(filling, limit, code)) {
            filling->at = before;
            code = FH_OK;
        }
    }
    if (code == FH_OK && !filling->tries)
        log_info("derived-filled", "filled the derived store %s: %" PRId64 " rows",
                 filling->declared->name, filling->rows);
    return code;
}

static enum fh_code fill_all_derived(struct runtime *runtime, bool tries, struct fh_error *error)
{
    const fh_service *service = runtime->service;
    enum fh_code code = FH_OK;
    for (int i = 0; i < derived_count(service) && code == FH_OK; i++) {
        struct derive_filling filling = {
            .runtime = runtime, .declared = &service->derives[i], .tries = tries};
        if (work_carries(&runtime->context, filling.declared) != tries ||
            (tries && !filling.declared->state)) /* of its own store's points or facts */
            continue;
        struct fh_error why = {0};
        code = fill_one(&filling, &why);
        if (code != FH_OK)
            error_set(error, code, "The derived store %s can't be filled: %.120s",
                      service->derives[i].name, why.message);
    }
    return code;
}

enum fh_code derive_fill(struct runtime *runtime, struct fh_error *error)
{
    return fill_all_derived(runtime, false, error);
}

enum fh_code derive_try(struct runtime *runtime, struct fh_error *error)
{
    enum fh_code code = fill_all_derived(runtime, false, error);
    return code == FH_OK ? fill_all_derived(runtime, true, error) : code;
}
