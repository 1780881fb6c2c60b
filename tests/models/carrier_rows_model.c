/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that makes a derived store anew (docs/internals/carriers.md): what belongs into the new
 * generation is not read beside the outbox, but published into it, row by row, as an op for that
 * generation alone. So carriers only ever carry ops. And there is no lease: two carriers do what
 * they find at any time, and all that they note only rises.
 *
 * The owner has many writers: whatever is committed can be read at once, and gets its position
 * later, in any order but that of its key. So a row is read in a snapshot, published later, and
 * numbered later still; its version is the position that the snapshot knew. The last of them is
 * published with a mark, which is numbered behind all that was committed before it.
 *
 * The server compares versions, and what is gone leaves a stone. Requests come late, the owner is
 * restored and gives positions out again; its former life's carriers go on with what they had read.
 */

#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { OPS = 3, KEYS = 2, GENERATIONS = 4, CARRIERS = 2 };
enum { PLACES = OPS + 2 * (KEYS + 1) };

enum rule {
    AS_OF_READ,    /* a row's version is the position that was known where it was read */
    MARKED_LAST,   /* what was committed before the last row is numbered before its mark */
    BEGINS_BEFORE, /* the cursor begins where the outbox ended before the first row */
    RISES,         /* a cursor only rises */
    PAST_ROWS,     /* it serves once its cursor has passed the last row's op */
    PAST_SERVING,  /* and the cursor of the one that serves */
    IN_ONE_WORK,   /* which is looked at in the work that switches */
    NEVER_AGAIN,   /* a generation's name is not used a second time */
    NAMES_LIFE,    /* nor by a restored owner, as its incarnation is part of the name */
    ASKS_OWN_LIFE, /* a generation of another incarnation is not asked */
    DROPS_OLDER,   /* only what is older than what serves is dropped */
    TRIMS_FOR_ALL, /* the outbox is trimmed up to the cursor that is last */
    VERSIONS,      /* an op has its position as its version */
    RULES
};

/* By an op of an incarnation, as of a version; 0: nothing. */
struct value {
    uint8_t version, op, life;
};

struct generation {
    uint8_t life, cursor;
    uint8_t row, end; /* the next one; the mark's position, or 0 */
};

struct row {
    uint8_t waits, version, op; /* for a position */
};

struct owner {
    uint8_t life, published, ops, trimmed, serving, last;
    uint8_t numbered;            /* ops that have a position, 1 << op */
    uint8_t op[PLACES + 1];      /* at a position */
    uint8_t row_for[PLACES + 1]; /* a generation, if it is a row ... */
    uint8_t version[PLACES + 1]; /* ... and what that is as of */
    uint8_t life_of[OPS + 1];    /* by op */
    struct row rows[KEYS];       /* that are published, of the generation that is filled ... */
    uint8_t marked, marked_ops;  /* ... and the mark, when so many ops were committed */
    struct generation generations[GENERATIONS];
};

enum what { NOTHING, OP, DROP, ROW /* read, and not published */, SERVE /* thought of */ };

struct carrier {
    uint8_t what, generation, life, answered;
    uint8_t place; /* of an op; of a row, which it is */
    struct value value;
};

struct rows {
    uint8_t without[RULES];
    /* Faults that are left, and reasons. */
    uint8_t cuts, begins, restores, trims;
    uint8_t ops_max, waiting_max; /* ... these for positions, at a time */
    struct owner owner, backup;
    uint8_t there[GENERATIONS];
    struct value values[GENERATIONS][KEYS];
    struct carrier carriers[CARRIERS], late;
    uint8_t went_back;
};

static bool has(const struct rows *s, enum rule rule)
{
    return !s->without[rule];
}

/* Where the server has a generation. */
static int name_of(const struct rows *s, int generation)
{
    return has(s, NEVER_AGAIN) || !generation ? generation : 2 - generation % 2;
}

/* The first op puts the first key, the second the second, the third removes the first. */
static int key_of(int op)
{
    return (op - 1) % KEYS;
}

static bool is_put(int op)
{
    return op > 0 && op <= KEYS;
}

/* What a key has as of what is committed: an op that put it, or 0. */
static uint8_t committed(const struct owner *owner, int key)
{
    for (int op = owner->ops; op > 0; op--) {
        if (key_of(op) == key)
            return is_put(op) ? (uint8_t)op : 0;
    }
    return 0;
}

/* The same as of a position. */
static uint8_t content(const struct owner *owner, int key, int place)
{
    for (; place > 0; place--) {
        if (!owner->row_for[place] && key_of(owner->op[place]) == key)
            return is_put(owner->op[place]) ? owner->op[place] : 0;
    }
    return 0;
}

/* ---- The server ---- */

static void carry_out(struct rows *s, const struct carrier *request)
{
    int g = name_of(s, request->generation);
    if (request->what == DROP) {
        s->there[g] = 0;
        memset(s->values[g], 0, sizeof s->values[g]);
        return;
    }
    struct value *value = &s->values[g][key_of(request->value.op)];
    s->there[g] = 1; /* made, if it must be */
    if (!has(s, VERSIONS) || request->value.version > value->version)
        *value = request->value;
}

/* As of one place, at or after its cursor. */
static bool is_whole(const struct rows *s, int g)
{
    const struct owner *owner = &s->owner;
    if (has(s, ASKS_OWN_LIFE) && owner->generations[g].life != owner->life)
        return true;
    bool whole = false;
    for (int place = owner->generations[g].cursor; place <= owner->published; place++) {
        bool fits = s->there[name_of(s, g)];
        for (int key = 0; key < KEYS; key++) {
            const struct value *value = &s->values[name_of(s, g)][key];
            int there = is_put(value->op) ? value->op : 0, expected = content(owner, key, place);
            fits = fits && there == expected && (!there || value->life == owner->life_of[expected]);
        }
        whole = whole || fits;
    }
    return whole;
}

/* The carriers are alike, so that one order of them is enough. */
static void step(struct explore *explore, struct rows *after, const char *what, int number)
{
    struct carrier *carriers = after->carriers;
    if (memcmp(&carriers[0], &carriers[1], sizeof carriers[0]) < 0) {
        struct carrier first = carriers[0];
        carriers[0] = carriers[1];
        carriers[1] = first;
    }
    explore_step(explore, after, "%s %d", what, number);
}

/* ---- The owner ---- */

/* The generation that is being filled, or 0. One of another incarnation is none. */
static int filled(const struct owner *owner)
{
    bool is = owner->last > owner->serving && owner->generations[owner->last].life == owner->life;
    return is ? owner->last : 0;
}

static bool is_level(const struct rows *s, int g)
{
    const struct generation *generation = &s->owner.generations[g];
    const struct generation *former = &s->owner.generations[s->owner.serving];
    if (!g || generation->row < KEYS || !generation->end ||
        (has(s, PAST_ROWS) && generation->cursor < generation->end))
        return false;
    return !has(s, PAST_SERVING) || former->life != generation->life ||
           generation->cursor >= former->cursor;
}

static void serve(struct rows *s, int g)
{
    const struct generation *former = &s->owner.generations[s->owner.serving];
    struct generation *generation = &s->owner.generations[g];
    s->went_back = former->life == generation->life && generation->cursor < former->cursor;
    generation->end = 0;
    s->owner.serving = (uint8_t)g;
}

static uint8_t give_position(struct owner *owner, uint8_t op, uint8_t row_for)
{
    owner->op[++owner->published] = op;
    owner->row_for[owner->published] = row_for;
    return owner->published;
}

static bool waits(const struct owner *owner, int op)
{
    return op <= owner->ops && !(owner->numbered >> op & 1);
}

static int waiting(const struct owner *owner)
{
    int count = 0;
    for (int op = 1; op <= owner->ops; op++)
        count += waits(owner, op);
    for (int key = 0; key < KEYS; key++)
        count += owner->rows[key].waits;
    return count + owner->marked;
}

static bool may_be_marked(const struct rows *now)
{
    bool may = now->owner.marked;
    for (int op = 1; op <= now->owner.marked_ops && has(now, MARKED_LAST); op++)
        may = may && !waits(&now->owner, op);
    for (int key = 0; key < KEYS; key++)
        may = may && !now->owner.rows[key].waits;
    return may;
}

static void numbers_mark(struct explore *explore, const struct rows *now)
{
    struct rows after = *now;
    struct owner *owner = &after.owner;
    if (!may_be_marked(now))
        return;
    owner->marked = owner->marked_ops = 0;
    owner->generations[owner->last].end = give_position(owner, 0, owner->last);
    step(explore, &after, "the mark is numbered, at", owner->published);
}

/* Of two ops of one key the first comes first. */
static void numbers(struct explore *explore, const struct rows *now)
{
    for (int op = 1; op <= now->owner.ops; op++) {
        struct rows after = *now;
        if (!waits(&now->owner, op) || (op > KEYS && waits(&now->owner, op - KEYS)))
            continue;
        after.owner.numbered |= (uint8_t)(1 << op);
        give_position(&after.owner, (uint8_t)op, 0);
        step(explore, &after, "an op is numbered:", op);
    }
    for (int key = 0; key < KEYS; key++) {
        struct rows after = *now;
        struct owner *owner = &after.owner;
        struct row *row = &owner->rows[key];
        if (!row->waits)
            continue;
        uint8_t place = give_position(owner, row->op, owner->last);
        owner->version[place] = has(now, AS_OF_READ) ? row->version : place;
        *row = (struct row){0};
        step(explore, &after, "a row is numbered, of key", key);
    }
}

static void owner_steps(struct explore *explore, const struct rows *now)
{
    struct rows after = *now;
    struct owner *owner = &after.owner;
    if (owner->ops < now->ops_max && waiting(owner) < now->waiting_max) {
        owner->life_of[++owner->ops] = owner->life;
        step(explore, &after, "an op is committed:", owner->ops);
    }
    numbers(explore, now);
    numbers_mark(explore, now);
    after = *now;
    const struct generation *serves = &owner->generations[owner->serving];
    const struct generation *next = &owner->generations[filled(owner)];
    uint8_t end = serves->life == owner->life ? serves->cursor : owner->trimmed;
    if (filled(owner) &&
        (serves->life != owner->life || (has(now, TRIMS_FOR_ALL) && next->cursor < end)))
        end = next->cursor;
    if (now->trims && owner->trimmed < end) {
        owner->trimmed = end;
        step(explore, &after, "the outbox is trimmed up to", end);
    }
    after = *now;
    if (now->restores) {
        after.restores--;
        *owner = now->backup;
        owner->life = (uint8_t)(now->owner.life + 1);
        after.backup = (struct owner){0};
        if (has(now, NAMES_LIFE))
            owner->last = now->owner.last; /* none of those names is to be had */
        for (int g = now->backup.last + 1; g <= owner->last; g++)
            owner->generations[g] = now->owner.generations[g];
        step(explore, &after, "the owner is restored, life", owner->life);
    }
}

/* ---- Carriers ---- */

static void begins(struct explore *explore, const struct rows *now)
{
    struct rows after = *now;
    struct owner *owner = &after.owner;
    bool needed = owner->generations[owner->serving].life != owner->life;
    int g = owner->last + 1;
    if (filled(owner) || g >= GENERATIONS || (!needed && !now->begins) ||
        (!has(now, NEVER_AGAIN) && now->there[name_of(now, g)]))
        return;
    after.begins -= !needed;
    owner->last = (uint8_t)g;
    owner->generations[g] = (struct generation){.life = owner->life, .cursor = owner->published};
    memset(owner->rows, 0, sizeof owner->rows);
    owner->marked = owner->marked_ops = 0;
    after.there[name_of(now, g)] = 1;
    step(explore, &after, "there begins generation", g);
}

static void fills(struct explore *explore, const struct rows *now, int i)
{
    struct rows after = *now;
    const struct owner *owner = &now->owner;
    int g = filled(owner);
    uint8_t row = owner->generations[g].row;
    if (!g || row == KEYS)
        return;
    struct value value = {owner->published, committed(owner, row), 0};
    after.carriers[i] = (struct carrier){ROW, (uint8_t)g, owner->life, 1, row, value};
    step(explore, &after, "a row is read for", g);
}

static void publish_row(struct rows *s, const struct carrier *carrier)
{
    struct owner *owner = &s->owner;
    struct generation *generation = &owner->generations[carrier->generation];
    if (carrier->value.op)
        owner->rows[carrier->place] = (struct row){1, carrier->value.version, carrier->value.op};
    if (++generation->row < KEYS)
        return;
    owner->marked = 1;
    owner->marked_ops = owner->ops;
    if (!has(s, BEGINS_BEFORE))
        generation->cursor = owner->published;
}

static void reads(struct explore *explore, const struct rows *now, int i, int g)
{
    struct rows after = *now;
    const struct owner *owner = &now->owner;
    const struct generation *generation = &owner->generations[g];
    uint8_t place = (uint8_t)(generation->cursor + 1), op = place <= PLACES ? owner->op[place] : 0;
    if (generation->life != owner->life || place > owner->published || place <= owner->trimmed)
        return;
    bool skips = owner->row_for[place] && (owner->row_for[place] != g || !op);
    uint8_t version = owner->row_for[place] ? owner->version[place] : place;
    struct value value = {version, op, owner->life_of[op]};
    after.carriers[i] = (struct carrier){OP, (uint8_t)g, owner->life, skips, place, value};
    step(explore, &after, "an op is read, at", place);
}

static void decides(struct explore *explore, const struct rows *now, int i)
{
    struct rows after = *now;
    int g = filled(&now->owner);
    if (is_level(now, g)) {
        if (has(now, IN_ONE_WORK))
            serve(&after, g);
        else
            after.carriers[i] = (struct carrier){SERVE, (uint8_t)g, now->owner.life, 1, 0, {0}};
        step(explore, &after, "it is to serve:", g);
    }
    for (g = 1; g <= now->owner.last; g++) {
        after = *now;
        if (!now->there[name_of(now, g)] || g == now->owner.serving ||
            (g > now->owner.serving && has(now, DROPS_OLDER)))
            continue;
        after.carriers[i] = (struct carrier){DROP, (uint8_t)g, now->owner.life, 0, 0, {0}};
        step(explore, &after, "it is to be dropped:", g);
    }
}

/* What is answered, or was read, is noted: where the generation's row is still there. */
static void notes(struct explore *explore, const struct rows *now, int i)
{
    struct rows after = *now;
    const struct carrier *carrier = &now->carriers[i];
    int g = carrier->generation;
    struct generation *generation = &after.owner.generations[g];
    bool there = g <= now->owner.last && generation->life == carrier->life;
    if (there && carrier->what == OP && (!has(now, RISES) || generation->cursor < carrier->place))
        generation->cursor = carrier->place;
    else if (there && carrier->what == ROW && generation->row == carrier->place &&
             g == filled(&now->owner) && waiting(&now->owner) < now->waiting_max)
        publish_row(&after, carrier);
    else if (there && carrier->what == SERVE && g > now->owner.serving)
        serve(&after, g);
    after.carriers[i] = (struct carrier){0};
    step(explore, &after, "what was done is noted for", g);
}

static void carrier_steps(struct explore *explore, const struct rows *now, int i)
{
    const struct carrier *carrier = &now->carriers[i];
    if (carrier->answered) {
        notes(explore, now, i);
    } else if (carrier->what != NOTHING) {
        struct rows after = *now;
        after.carriers[i].answered = 1;
        carry_out(&after, carrier);
        step(explore, &after, "the server answers for", carrier->generation);
        after = *now;
        if (now->cuts && now->late.what == NOTHING) {
            after.cuts--;
            after.late = *carrier;
            step(explore, &after, "it is under way, unanswered, for", carrier->generation);
        }
    } else {
        begins(explore, now);
        fills(explore, now, i);
        reads(explore, now, i, now->owner.serving);
        if (filled(&now->owner))
            reads(explore, now, i, filled(&now->owner));
        decides(explore, now, i);
    }
}

static void next(struct explore *explore, const void *state)
{
    const struct rows *now = state;
    struct rows after = *now;
    owner_steps(explore, now);
    if (now->late.what != NOTHING) {
        after.late = (struct carrier){0};
        carry_out(&after, &now->late);
        step(explore, &after, "late, for", now->late.generation);
    }
    for (int i = 0; i < CARRIERS; i++)
        carrier_steps(explore, now, i);
}

static const char half[] = "what serves is not whole";
static const char older[] = "what serves is older than what served";
static const char trimmed[] = "an op that is needed was trimmed";

static const char *bad(const void *state)
{
    const struct rows *now = state;
    const struct owner *owner = &now->owner;
    for (int g = owner->serving; g; g = g == owner->serving ? filled(owner) : 0) {
        if (owner->generations[g].life == owner->life &&
            owner->generations[g].cursor < owner->trimmed)
            return trimmed;
    }
    if (now->went_back)
        return older;
    return is_whole(now, owner->serving) ? NULL : half;
}

static bool goal(const void *state)
{
    const struct owner *owner = &((const struct rows *)state)->owner;
    const struct generation *generation = &owner->generations[owner->serving];
    return owner->ops == ((const struct rows *)state)->ops_max && !waiting(owner) &&
           generation->life == owner->life && generation->cursor == owner->published;
}

static const struct explore_model model = {
    .name = "carrier_rows", .size = sizeof(struct rows), .next = next, .bad = bad, .goal = goal};

/* ---- Right ones ---- */

/* One op is published and carried, and one generation serves. */
static struct rows once(void)
{
    struct rows first = {.cuts = 1, .begins = 1, .trims = 1, .ops_max = OPS, .waiting_max = 2};
    struct owner *owner = &first.owner;
    owner->life = owner->serving = owner->last = first.there[1] = 1;
    owner->ops = owner->published = owner->op[1] = owner->life_of[1] = 1;
    owner->numbered = 1 << 1;
    owner->generations[1] = (struct generation){.life = 1, .cursor = 1, .row = KEYS};
    first.values[1][0] = (struct value){1, 1, 1};
    return first;
}

static struct rows once_trimmed(void)
{
    struct rows first = once();
    first.cuts = explore_deep();
    return first;
}

static struct rows once_late(void)
{
    struct rows first = once();
    first.trims = explore_deep();
    first.waiting_max = (uint8_t)(1 + explore_deep());
    return first;
}

static struct rows twice(void)
{
    struct rows first = once();
    first.begins = 2;
    first.cuts = first.trims = 0;
    first.ops_max = (uint8_t)(OPS - 1 + explore_deep());
    first.waiting_max = (uint8_t)(1 + explore_deep());
    return first;
}

/* To when one op was carried. */
static struct rows restored(void)
{
    struct rows first = once();
    first.cuts = first.trims = 0;
    first.begins = explore_deep();
    first.restores = 1;
    first.backup = first.owner;
    return first;
}

/* After which its former life's generation has a number that is given out again. */
static struct rows made_anew_and_restored(void)
{
    struct rows first = restored();
    first.begins = 1;
    return first;
}

static void what_serves_is_whole_with_two_carriers_and_no_lease(void **state)
{
    (void)state;
    struct rows first = once_trimmed();
    explore_holds(&model, &first);
}

static void what_serves_is_whole_where_requests_come_late(void **state)
{
    (void)state;
    struct rows first = once_late();
    explore_holds(&model, &first);
}

static void what_serves_is_whole_when_it_is_made_anew_again(void **state)
{
    (void)state;
    struct rows first = twice();
    explore_holds(&model, &first);
}

static void nothing_of_a_restored_owner_s_former_life_is_shown(void **state)
{
    (void)state;
    struct rows first = restored();
    explore_holds(&model, &first);
}

/* ---- Wrong ones ---- */

EXPLORE_CAUGHT(a_row_of_a_later_version_than_it_is_read, model, once, AS_OF_READ, half)
EXPLORE_CAUGHT(a_mark_before_what_its_rows_have_seen, model, once, MARKED_LAST, half)
EXPLORE_CAUGHT(a_cursor_that_begins_behind_the_rows, model, once, BEGINS_BEFORE, half)
EXPLORE_CAUGHT(a_cursor_that_goes_back, model, once, RISES, trimmed)
EXPLORE_CAUGHT(a_switch_before_the_last_row, model, once, PAST_ROWS, half)
EXPLORE_CAUGHT(a_switch_behind_what_serves, model, once, PAST_SERVING, older)
EXPLORE_CAUGHT(a_switch_that_was_thought_of_before, model, once, IN_ONE_WORK, older)
EXPLORE_CAUGHT(two_names_in_turn, model, twice, NEVER_AGAIN, half)
EXPLORE_CAUGHT(names_without_the_owner_s_incarnation, model, made_anew_and_restored, NAMES_LIFE,
               half)
EXPLORE_CAUGHT(a_former_life_s_store_that_is_asked, model, restored, ASKS_OWN_LIFE, half)
EXPLORE_CAUGHT(whatever_does_not_serve_is_dropped, model, once, DROPS_OLDER, half)
EXPLORE_CAUGHT(an_outbox_trimmed_for_what_serves, model, once, TRIMS_FOR_ALL, trimmed)
EXPLORE_CAUGHT(ops_without_versions, model, once, VERSIONS, half)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_serves_is_whole_with_two_carriers_and_no_lease),
        cmocka_unit_test(what_serves_is_whole_where_requests_come_late),
        cmocka_unit_test(what_serves_is_whole_when_it_is_made_anew_again),
        cmocka_unit_test(nothing_of_a_restored_owner_s_former_life_is_shown),
        cmocka_unit_test(a_row_of_a_later_version_than_it_is_read),
        cmocka_unit_test(a_mark_before_what_its_rows_have_seen),
        cmocka_unit_test(a_cursor_that_begins_behind_the_rows),
        cmocka_unit_test(a_cursor_that_goes_back),
        cmocka_unit_test(a_switch_before_the_last_row),
        cmocka_unit_test(a_switch_behind_what_serves),
        cmocka_unit_test(a_switch_that_was_thought_of_before),
        cmocka_unit_test(two_names_in_turn),
        cmocka_unit_test(names_without_the_owner_s_incarnation),
        cmocka_unit_test(a_former_life_s_store_that_is_asked),
        cmocka_unit_test(whatever_does_not_serve_is_dropped),
        cmocka_unit_test(an_outbox_trimmed_for_what_serves),
        cmocka_unit_test(ops_without_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
