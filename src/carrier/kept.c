/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts that a server alone has (docs/internals/carriers.md, 23 to 30). They can't be made anew, so
 * there is one generation, which serves from the beginning; the owner's outbox has what is not
 * settled there, and whatever the server lacks of that is sent again. What it lacks beyond that is
 * gone: the carrier stops and says so, until it is there again or an operator gives it up.
 *
 *     a generation is begun         the server has none: it is made, until a page is noted
 *     a page is sent                it is sent again, and leaves a second link at most
 *     the cursor is noted           in the life in which the page was read (24)
 *     it has settled                is noted; only then the outbox is trimmed (25, 29)
 *     the owner was restored        what its lost life had carried is counted, and noted
 *     it is not whole               from where it is sent again is in this carrier's memory: the
 *                                   next one looks anew
 *     and the outbox is trimmed     it is noted as lost
 */

#include "carrier/kept.h"

#include <string.h>

#include "base/crash.h"
#include "carrier/page.h"
#include "store/ledger.h"
#include "work/carried.h"
#include "work/derived.h"
#include "world/world.h"

#define KEPT_LOOK_MS_MIN 10000 /* from one walk to the next */

static enum fh_code look_at_kept(struct derived_carrier *carrier, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(carrier->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = carrier_look(carrier, work, &carrier->look, error);
    if (code == FH_OK)
        code = ledger_meta_get(work, LEDGER_INCARNATION, carrier->life, ID_SIZE, error);
    store_rollback(work);
    return code;
}

/* ---- Begun ---- */

/* Where the outbox begins: since the store is declared so, nothing has been trimmed from it. */
static enum fh_code begin_kept(struct carrier_change *change, struct store_work *work,
                               struct carrier_look *look, struct fh_error *error)
{
    struct carried_generation *serving = &look->record.serving;
    if (serving->name.number)
        return FH_OK;
    *serving = (struct carried_generation){
        .began = look->trimmed, .cursor = look->trimmed, .listed = true, .filled = true};
    serving->name = (struct carried_name){.number = ++look->record.last, .kept = true};
    serving->kept.settled = look->trimmed;
    derived_digest(change->carrier->declared, serving->digest);
    enum fh_code code =
        ledger_meta_get(work, LEDGER_INCARNATION, serving->name.incarnation, ID_SIZE, error);
    memcpy(serving->kept.life, serving->name.incarnation, ID_SIZE);
    if (code == FH_OK)
        code = carried_place_id(work, serving->began, serving->kept.began_id, error);
    memcpy(serving->kept.cursor_id, serving->kept.began_id, ID_SIZE);
    change->changed = true;
    return code;
}

/* ---- Settled ---- */

/* As a look has found the server, at that number of gaps. */
struct kept_settled {
    struct carried_place place;
    int64_t gaps, began_ns;
};

static enum fh_code note_settled(struct carrier_change *change, struct store_work *work,
                                 struct carrier_look *look, struct fh_error *error)
{
    const struct kept_settled *settled = change->what;
    struct carried_kept *kept = &look->record.serving.kept;
    char id[ID_SIZE];
    if (!look->record.serving.name.kept || look->record.serving.lost ||
        kept->gaps != settled->gaps || kept->settled >= settled->place.position ||
        look->record.serving.cursor < settled->place.position)
        return FH_OK;
    enum fh_code code = carried_place_id(work, settled->place.position, id, error);
    if (code != FH_OK || strcmp(id, settled->place.id) != 0) /* of another life */
        return code;
    kept->settled = settled->place.position;
    change->changed = true;
    return FH_OK;
}

/* 29. The server was whole up to there when that began, and has been running since, for as long as
 * it needs: so it is durable now. What is whole now begins to settle. */
static enum fh_code settle_kept(struct derived_carrier *carrier, const struct carried_place *whole,
                                int64_t began_ns, int64_t settle_s, int64_t running_s,
                                bool *ret_more, struct fh_error *error)
{
    struct carrier_settling *settling = &carrier->settling;
    int64_t for_s = (began_ns - settling->began_ns) / 1000000000;
    int64_t gaps = carrier->look.record.serving.kept.gaps;
    struct kept_settled settled = {.gaps = gaps, .began_ns = began_ns};
    struct carrier_change change = {.carrier = carrier, .change = note_settled, .what = &settled};
    if (!settle_s) {
        settled.place = *whole;
    } else if (settling->to && for_s >= settle_s && running_s > for_s) {
        settled.place.position = settling->to;
        memcpy(settled.place.id, settling->id, ID_SIZE);
        settled.gaps = settling->gaps;
        settled.began_ns = settling->began_ns;
    } else if (settling->to && for_s < settle_s) {
        return FH_OK; /* it goes on settling */
    }
    settling->to = whole->position;
    memcpy(settling->id, whole->id, ID_SIZE);
    settling->began_ns = began_ns;
    settling->gaps = gaps;
    if (!settled.place.position)
        return FH_OK;
    enum fh_code code = carrier_change_run(&change, error);
    CRASH_POINT("kept.settled");
    *ret_more |= change.changed; /* so that it is seen at once */
    if (code == FH_OK)
        kept_send_milestone(carrier, &settled.place, settled.began_ns, running_s);
    return code;
}

static bool is_look_due(const struct derived_carrier *carrier)
{
    const struct carried_generation *serving = &carrier->look.record.serving;
    return carried_name_compare(&carrier->walked, &serving->name) != 0 ||
           world_monotonic_ns(carrier->context->world) >= carrier->walks_ns;
}

/* What is whole now has settled by then, and the outbox may be trimmed. */
static int64_t look_rest_ms(int64_t settle_s)
{
    int64_t rest_ms = (settle_s + 1) * 1000;
    rest_ms = rest_ms < KEPT_LOOK_MS_MIN ? KEPT_LOOK_MS_MIN : rest_ms;
    return rest_ms < CARRIED_WALK_MS ? rest_ms : CARRIED_WALK_MS;
}

static void note_looked(struct derived_carrier *carrier, int64_t began_ns, int64_t least_ms)
{
    int64_t now_ns = world_monotonic_ns(carrier->context->world);
    int64_t rest_ns = CARRIED_WALK_REST * (now_ns - began_ns);
    int64_t least_ns = least_ms * 1000000;
    carrier->walked = carrier->look.record.serving.name;
    carrier->walks_ns = now_ns + (rest_ns > least_ns ? rest_ns : least_ns);
}

/* One that this carrier does not know of has to be looked for. */
static bool has_unknown_gap(const struct derived_carrier *carrier)
{
    const struct carried_kept *kept = &carrier->look.record.serving.kept;
    return kept->lacks && !(carrier->lacks && carrier->gaps == kept->gaps);
}

static enum fh_code look_where_due(struct derived_carrier *carrier, bool *ret_more,
                                   struct fh_error *error)
{
    const struct carried_generation *serving = &carrier->look.record.serving;
    struct carried_server *server = carrier->server;
    struct world *world = carrier->context->world;
    int64_t began_ns = world_monotonic_ns(world), settle_s = 0, running_s = 0;
    struct carried_place whole;
    bool there = true;
    if (!is_look_due(carrier) && !has_unknown_gap(carrier) &&
        carrier->from.position >= carrier->look.trimmed)
        return FH_OK;
    enum fh_code code = server->ops->settles(server, &settle_s, &running_s, error);
    if (code == FH_OK)
        code = kept_look(carrier, serving, &whole, &there, error);
    if (code != FH_OK)
        return code;
    note_looked(carrier, began_ns, look_rest_ms(settle_s));
    if (!there || whole.position != serving->cursor || whole.position < carrier->look.trimmed)
        return kept_send_again(carrier, &whole, there, ret_more, error);
    carrier->from = whole;
    carrier->lacks = false;
    code = kept_note_whole(carrier, &whole, error);
    if (code == FH_OK)
        code = kept_note_milestone(carrier, running_s, error);
    if (code != FH_OK)
        return code;
    return settle_kept(carrier, &whole, began_ns, settle_s, running_s, ret_more, error);
}

/* ---- A page ---- */

static enum fh_code note_kept_page(struct carrier_change *change, struct store_work *work,
                                   struct carrier_look *look, struct fh_error *error)
{
    struct carried_reading *reading = change->what;
    const struct carried_link *link = &reading->page.link;
    struct carried_generation *serving = &look->record.serving;
    char life[ID_SIZE];
    enum fh_code code = ledger_meta_get(work, LEDGER_INCARNATION, life, sizeof life, error);
    reading->noted = code == FH_OK && strcmp(life, reading->life) == 0 &&
                     carried_name_compare(&serving->name, &reading->generation) == 0;
    if (!reading->noted)
        return code;
    const struct derived_carrier *carrier = change->carrier;
    bool whole = serving->kept.lacks && carrier->lacks && carrier->gaps == serving->kept.gaps &&
                 serving->cursor <= link->to;
    change->changed = !serving->kept.made || serving->cursor < link->to || whole;
    serving->kept.made = true;
    if (whole)
        serving->kept.lacks = false;
    if (serving->cursor >= link->to)
        return FH_OK;
    serving->cursor = link->to;
    memcpy(serving->kept.cursor_id, link->to_id, ID_SIZE);
    return FH_OK;
}

static enum fh_code cant_be_left_out(const struct derived_carrier *carrier,
                                     const struct carried_op *op, const char *why,
                                     struct fh_error *error)
{
    return error_set(error, FH_UNSUPPORTED,
                     "The server refuses something of the derived store %s at position %lld, and "
                     "nobody else has it: %.100s",
                     carrier->declared->name, (long long)op->position, why);
}

/* It is sent to no server: one that has others of its page might leave a link. */
static enum fh_code check_all_fit(const struct derived_carrier *carrier,
                                  const struct carried_page *page, struct fh_error *error)
{
    for (int i = 0; i < page->count; i++) {
        if (!page->ops[i].values)
            return cant_be_left_out(carrier, &page->ops[i], "It is not as it is declared.", error);
    }
    return FH_OK;
}

/* What a server refuses would be nowhere. */
static enum fh_code check_none_refused(const struct derived_carrier *carrier,
                                       const struct carried_page *page, struct fh_error *error)
{
    for (int i = 0; i < page->count; i++) {
        if (page->ops[i].refused[0])
            return cant_be_left_out(carrier, &page->ops[i], page->ops[i].refused, error);
    }
    return FH_OK;
}

/* One that was read in another life than the turn's is not sent. */
static enum fh_code send_kept_page(struct derived_carrier *carrier, struct carried_reading *reading,
                                   struct fh_error *error)
{
    struct carried_server *server = carrier->server;
    struct carrier_change change = {.carrier = carrier, .change = note_kept_page, .what = reading};
    const struct carried_link *link = &reading->page.link;
    if (strcmp(reading->life, carrier->life) != 0)
        return FH_OK;
    reading->page.again = link->to <= carrier->look.record.serving.cursor;
    enum fh_code code = check_all_fit(carrier, &reading->page, error);
    if (code == FH_OK)
        code = server->ops->send(server, carrier->declared, &reading->generation, &reading->page,
                                 error);
    CRASH_POINT("kept.sent");
    if (code == FH_NOT_FOUND)
        carrier->walked = (struct carried_name){0}; /* it is looked at once more */
    if (code == FH_OK)
        code = check_none_refused(carrier, &reading->page, error);
    if (code == FH_OK)
        code = carrier_change_run(&change, error);
    CRASH_POINT("kept.noted");
    if (code != FH_OK)
        return code == FH_NOT_FOUND ? FH_OK : code;
    carrier->from.position = link->to;
    memcpy(carrier->from.id, link->to_id, ID_SIZE);
    if (link->to >= carrier->look.record.serving.cursor)
        carrier->lacks = false;
    carrier->counters.pages++;
    carrier->counters.ops += (uint64_t)reading->page.count;
    return FH_OK;
}

static enum fh_code carry_kept(struct derived_carrier *carrier, bool *ret_more,
                               struct fh_error *error)
{
    struct carried_start start = {.generation = carrier->look.record.serving.name,
                                  .position = carrier->from.position};
    memcpy(start.id, carrier->from.id, ID_SIZE);
    enum fh_code code = carrier_carry_pages(carrier, &start, send_kept_page, ret_more, error);
    if (code == FH_OK && carrier->missing.id[0]) { /* how far it is whole is looked for at once */
        carrier->counters.set_back++;
        carrier->walked = (struct carried_name){0};
        *ret_more = true;
    }
    return code;
}

/* ---- A turn ---- */

static enum fh_code check_kept(const struct derived_carrier *carrier, struct fh_error *error)
{
    const struct carried_generation *serving = &carrier->look.record.serving;
    const char *name = carrier->declared->name;
    char digest[DERIVED_DIGEST_SIZE];
    derived_digest(carrier->declared, digest);
    if (!serving->name.kept || strcmp(serving->digest, digest) != 0)
        return error_set(error, FH_UNSUPPORTED,
                         "The derived store %s was declared otherwise when its server began to "
                         "keep it: expected that declaration, or another name.",
                         name);
    return FH_OK;
}

static enum fh_code note_found(struct carrier_change *change, struct store_work *work,
                               struct carrier_look *look, struct fh_error *error)
{
    const struct carried_place *whole = change->what;
    (void)work;
    (void)error;
    change->changed = look->record.serving.lost && whole->position >= look->trimmed;
    if (!change->changed)
        return FH_OK;
    look->record.serving.lost = false;
    look->record.serving.kept.lacks = true; /* until somebody has looked where it goes on */
    look->record.serving.kept.gaps++;
    return FH_OK;
}

/* It stays lost until it is given up, or a backup of the server was put back: that is looked for as
 * often as it is walked otherwise. */
static enum fh_code look_for_lost_facts(struct derived_carrier *carrier, struct fh_error *error)
{
    const struct carried_generation *serving = &carrier->look.record.serving;
    struct carried_place whole = {0};
    struct carrier_change change = {.carrier = carrier, .change = note_found, .what = &whole};
    bool there = true, due = is_look_due(carrier);
    enum fh_code code = FH_OK;
    if (!serving->lost)
        return FH_OK;
    if (due)
        code = kept_look(carrier, serving, &whole, &there, error);
    if (code == FH_OK && due)
        note_looked(carrier, world_monotonic_ns(carrier->context->world), CARRIED_WALK_MS);
    if (code == FH_OK && due && there && whole.position >= carrier->look.trimmed) {
        code = carrier_change_run(&change, error);
        CRASH_POINT("kept.found");
        carrier->walked = (struct carried_name){0};
        return code == FH_OK ? look_at_kept(carrier, error) : code;
    }
    if (code != FH_OK)
        return code;
    return error_set(
        error, FH_UNSUPPORTED,
        "The server has lost some of %s that nobody else has, some or all of what was derived at "
        "positions %lld to %lld; nothing is carried until that is accepted.",
        carrier->declared->name, (long long)serving->kept.whole + 1,
        (long long)carrier->look.trimmed);
}

enum fh_code carrier_begin_kept(struct derived_carrier *carrier, struct fh_error *error)
{
    struct carrier_change change = {.carrier = carrier, .change = begin_kept};
    enum fh_code code = look_at_kept(carrier, error);
    if (code != FH_OK || carrier->look.record.serving.name.number)
        return code;
    code = carrier_change_run(&change, error);
    CRASH_POINT("kept.begun");
    carrier->counters.begun += change.changed;
    return code == FH_OK ? look_at_kept(carrier, error) : code;
}

/* Whoever carries the first page looks for what was there before. */
static enum fh_code begin_kept_turn(struct derived_carrier *carrier, bool *ret_more,
                                    struct fh_error *error)
{
    enum fh_code code = carrier_begin_kept(carrier, error);
    if (code != FH_OK || carrier->looked || carrier->look.record.serving.kept.made)
        return code;
    *ret_more = true;
    code = kept_count_left(carrier, error);
    carrier->looked = code == FH_OK;
    return code;
}

/* Before it has anything, and where an operator has given up what was lost. */
static enum fh_code make_kept(struct derived_carrier *carrier, struct fh_error *error)
{
    const struct carried_generation *serving = &carrier->look.record.serving;
    if (serving->kept.made)
        return FH_OK;
    enum fh_code code =
        carrier->server->ops->make(carrier->server, carrier->declared, &serving->name, error);
    CRASH_POINT("kept.made");
    return code;
}

static enum fh_code trim_kept(struct derived_carrier *carrier, struct fh_error *error)
{
    struct carried_server *server = carrier->server;
    const struct fh_derived *declared = carrier->declared;
    int64_t now_ns = world_monotonic_ns(carrier->context->world);
    if (!declared->keep_days || !server->ops->trim || now_ns < carrier->trims_ns)
        return FH_OK;
    enum fh_code code = server->ops->trim(server, declared, &carrier->look.record.serving.name,
                                          work_series_oldest_ms(carrier->context, declared), error);
    if (code == FH_NOT_FOUND) {
        carrier->walked = (struct carried_name){0};
        return FH_OK;
    }
    if (code == FH_OK) {
        carrier->trims_ns = world_in_ms(carrier->context->world, CARRIED_TRIM_MS);
        carrier->counters.trims++;
    }
    return code;
}

enum fh_code kept_turn(struct derived_carrier *carrier, bool *ret_more, struct fh_error *error)
{
    *ret_more = false;
    enum fh_code code = begin_kept_turn(carrier, ret_more, error);
    if (code == FH_OK)
        code = check_kept(carrier, error);
    if (code == FH_OK && !carrier->look.record.serving.kept.lacks)
        carrier->lacks = false;
    if (code == FH_OK && !carrier->look.alike) /* another instance may carry to another server */
        return FH_OK;
    if (code == FH_OK)
        code = look_for_lost_facts(carrier, error);
    if (code == FH_OK)
        code = make_kept(carrier, error);
    if (code == FH_OK && strcmp(carrier->look.record.serving.kept.life, carrier->life) != 0) {
        carrier->walked = (struct carried_name){0};
        *ret_more = true;
        return kept_count_former(carrier, error);
    }
    if (code == FH_OK)
        code = look_where_due(carrier, ret_more, error);
    if (code == FH_OK && carrier->from.position >= carrier->look.trimmed)
        code = carry_kept(carrier, ret_more, error);
    if (code == FH_OK && !*ret_more)
        code = trim_kept(carrier, error);
    return code;
}
