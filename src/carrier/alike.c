/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is noted of what all instances derive, and each step that changes it: one unit of work,
 * which reads what the others have told, so that it is right whoever else does the same. Killed
 * before or after it, the next one that settles finds what there is.
 */

#include "carrier/alike.h"

#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "carrier/record.h"
#include "store/ledger.h"
#include "work/batch.h"
#include "work/lease.h"

#define NOTED "carried alike"
#define NOTED_SIZE 8192
#define NOTHING "null" /* is noted */
#define CARRIES "carries"

/* ---- What the others have told ---- */

json_t *carried_alike_told(const json_t *own)
{
    return json_pack("{s:O}", CARRIES, own);
}

struct others {
    const json_t *own;
    bool unlike, unknown; /* one of them derives otherwise, or has told nothing yet */
};

static void take_other(void *context, const json_t *told)
{
    struct others *others = context;
    const json_t *carries = NULL, *one;
    size_t i;
    json_array_foreach (told, i, one) {
        if (json_object_get(one, CARRIES))
            carries = json_object_get(one, CARRIES);
    }
    if (!told)
        others->unknown = true;
    else if (!carries || !json_equal(carries, others->own)) /* none: it is of an older library */
        others->unlike = true;
}

enum fh_code carried_alike_all(struct store_work *work, const json_t *own, bool *ret,
                               struct fh_error *error)
{
    struct others others = {.own = own};
    enum fh_code code = lease_read_told(work, take_other, &others, error);
    *ret = code == FH_OK && !others.unlike && !others.unknown;
    return code;
}

/* ---- What is noted ---- */

/* *ret: a new reference; NULL: nothing. Before anything was ever noted nothing was derived. */
static enum fh_code read_noted(struct store_work *work, json_t **ret, struct fh_error *error)
{
    char text[NOTED_SIZE];
    *ret = NULL;
    enum fh_code code = ledger_meta_get(work, NOTED, text, sizeof text, error);
    if (code != FH_OK || strcmp(text, NOTHING) == 0)
        return code;
    if (!text[0])
        *ret = json_object();
    else if (json_parse(text, strlen(text), ret, error) != FH_OK)
        return error->code;
    return FH_OK;
}

enum fh_code carried_alike_noted(struct store_work *work, const json_t *own, bool *ret,
                                 struct fh_error *error)
{
    json_t *noted;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = read_noted(work, &noted, error);
    *ret = code == FH_OK && noted && json_equal(noted, own);
    json_decref(noted);
    json_arena_set(arena);
    return code;
}

enum fh_code carried_alike_forget(struct store_work *work, struct fh_error *error)
{
    return ledger_meta_put(work, NOTED, NOTHING, error);
}

/* ---- Settling ---- */

enum settling_step { SETTLES_NOTHING, SETTLES_FORGETTING, SETTLES_OWN };

struct alike_settling {
    const json_t *own;
    bool begins;
    enum settling_step step;
    bool noted, settled;
};

static enum fh_code decide_settling(struct alike_settling *settling, struct store_work *work,
                                    struct fh_error *error)
{
    struct others others = {.own = settling->own};
    json_t *noted = NULL;
    bool carries = json_object_size(settling->own) > 0;
    enum fh_code code = lease_read_told(work, take_other, &others, error);
    if (code == FH_OK)
        code = read_noted(work, &noted, error);
    if (code != FH_OK)
        return code;
    bool same = noted && json_equal(noted, settling->own);
    bool all = !others.unlike && !others.unknown;
    settling->step = SETTLES_NOTHING;
    if (!same && all)
        settling->step = SETTLES_OWN;
    else if (same ? others.unlike && carries : settling->begins && noted)
        settling->step = SETTLES_FORGETTING;
    settling->noted = settling->step == SETTLES_NOTHING ? same : settling->step == SETTLES_OWN;
    settling->settled = all || !carries;
    json_decref(noted);
    return FH_OK;
}

static enum fh_code note_own(struct store_work *work, const json_t *own, struct fh_error *error)
{
    const char *name;
    json_t *digest;
    enum fh_code code = FH_OK;
    json_object_foreach ((json_t *)(uintptr_t)own, name, digest) {
        if (code == FH_OK)
            code = carried_record_forget_copy(work, name, error);
    }
    char *text = json_text(own);
    if (code == FH_OK)
        code = ledger_meta_put(work, NOTED, text, error);
    json_text_free(text);
    return code;
}

static enum fh_code settle_alike(struct store_work *work, void *what, struct fh_error *error)
{
    struct alike_settling *settling = what;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = decide_settling(settling, work, error);
    if (code == FH_OK && settling->step == SETTLES_OWN)
        code = note_own(work, settling->own, error);
    else if (code == FH_OK && settling->step == SETTLES_FORGETTING)
        code = carried_alike_forget(work, error);
    json_arena_set(arena);
    CRASH_POINT("alike.settling");
    return code;
}

enum fh_code carried_alike_settle(struct work_context *context, const json_t *own, bool begins,
                                  bool *ret_noted, bool *ret_settled, struct fh_error *error)
{
    struct alike_settling settling = {.own = own, .begins = begins};
    struct store_work *work;
    enum fh_code code = store_begin(context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    struct arena *arena = json_arena_set(NULL);
    code = decide_settling(&settling, work, error);
    json_arena_set(arena);
    store_rollback(work);
    if (code == FH_OK && settling.step != SETTLES_NOTHING)
        code = work_write(context, settle_alike, &settling, -1, error);
    CRASH_POINT("alike.settled");
    *ret_noted = code == FH_OK && settling.noted;
    *ret_settled = code == FH_OK && settling.settled;
    return code;
}
