/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which programs of one service derive alike (docs/internals/carriers.md, "Owners"): an owner on a
 * server, where several instances write at a time, and in an upgrade those of another program live
 * beside. A generation has the ops of one declaration. An instance of another one publishes other
 * ops, one that does not derive (NOTHING_DERIVED) changes rows without an op, and so does one of an
 * older library (OLD), which knows nothing of all this.
 *
 * The ledger has a note: the declaration that all have who write, or VOID. Each instance has a row,
 * and tells its declaration there, a tick after it has joined. Who starts settles the note before
 * it writes. Who finds it void, and only such as itself, writes its own declaration there and
 * forgets what generations that has. One who was paused loses its row, and may commit behind that
 * what it had begun; it looks for its row before it begins anything else, joins and settles again.
 *
 * The store is serializable, and each step is one transaction. A generation has one row; what lies
 * before its beginning is no part of a state, nor what is still held for one that is forgotten, as
 * names are used once. `calm`: from then on nobody comes, goes, or writes, and all are alike.
 */

#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { INSTANCES = 3, WRITES = 3, PLACES = WRITES + 1 };

enum program { VOID, A, B, NOTHING_DERIVED, OLD, PROGRAMS };
enum { UNKNOWN = VOID }; /* what a row tells before its instance has told anything */
static const char *const names[] = {"void", "A", "B", "one that derives nothing", "an old one"};

enum rule {
    SETTLES_FIRST,  /* who has joined settles the note before it writes */
    START_VOIDS,    /* and makes it void where others are not alike */
    START_KNOWS,    /* or have not told what they are */
    KEEPER_VOIDS,   /* it is made void when one is seen that is not alike */
    KEEPER_KNOWS,   /* it is not one's own again while one has not told what it is */
    KEEPER_SETTLES, /* which it is when all are alike again */
    FORGETS,        /* when it is, that declaration's generations are forgotten */
    BEGINS_NOTED,   /* a generation begins where the note is its declaration */
    BEGINS_ALIKE,   /* and all rows tell the same */
    BEGINS_KNOWING, /* one that has told nothing is not alike */
    BEGINS_AT_ONCE, /* which is looked at in the transaction that begins it */
    CARRIES_NOTED,  /* a turn begins where the note is the generation's declaration */
    SWITCHES_NOTED, /* and so does what serves */
    CARRIES_OWN,    /* a turn is for a generation of one's own declaration */
    ROW_FIRST,      /* who has lost its row begins no unit of work ... */
    SETTLES_AGAIN,  /* ... before it has joined and settled again */
    LONE_VOIDS,     /* an old one that takes all leases, since it is alone, makes it void by that */
    /* What may be had besides, or instead. */
    JOINING_VOIDS,   /* whoever joins and will not settle makes the note void by that */
    OPS_NAMED,       /* a generation is lost that meets an op of another declaration */
    COMMITS_FENCED,  /* who settles looks at its row in each transaction that writes */
    FORGETS_LEAVING, /* when the note becomes another, the generation is forgotten at once */
    /* What is taken for given, or excused. */
    SEEN,          /* an old one stays until a keeper has seen it, or it has all leases */
    TELLS_AT_ONCE, /* an old one's row tells that from the beginning */
    LATE_EXCUSED,  /* what has come late of one that lives and has not settled since */
    LEFT_EXCUSED,  /* what has come late of one that has died before it did */
    RULES
};

/* In the server, or an op; `by`: a declaration. */
struct value {
    uint8_t version, value, by;
};

enum phase { OFF, JOINED, SETTLED };
enum what { NOTHING, MAY_BEGIN, LOOKED, ROW /* read, and not published */, PAGE, ANSWERED };

struct instance {
    uint8_t program, phase;
    uint8_t row, told;    /* is it there? */
    uint8_t begun, ghost; /* a unit of work of such a program; of a process that is gone */
    uint8_t owes;         /* it has committed late, and not settled since */
    uint8_t seen;         /* by a keeper, or it has all leases */
    uint8_t what, place;
    struct value value;
};

struct generation {
    uint8_t digest, cursor, end, serves; /* digest VOID: there is none */
};

struct alike {
    uint8_t without[RULES];
    /* Faults that are left, and reasons. */
    uint8_t starts, writes, deaths, burials, lates, anew;
    uint8_t programs, instances_max; /* 1 << program: may be started */
    uint8_t turns_max;               /* of carriers, at a time */
    uint8_t calm;
    uint8_t note, value, values;
    uint8_t left; /* one who is dead has committed late */
    uint8_t count;
    struct value outbox[PLACES + 1]; /* since the generation began */
    struct generation generation;
    struct value server;
    struct instance instances[INSTANCES];
};

static bool has(const struct alike *s, enum rule rule)
{
    return !s->without[rule];
}

static bool lives(const struct instance *instance)
{
    return instance->phase != OFF;
}

static bool derives(uint8_t program)
{
    return program == A || program == B;
}

/* Slots are alike, so that one order of them is enough. */
static void step(struct explore *explore, const struct alike *as_is, const char *what,
                 uint8_t program)
{
    struct alike after = *as_is;
    struct instance *slots = after.instances;
    for (int i = 1; i < INSTANCES; i++) {
        for (int j = i; j > 0 && memcmp(&slots[j - 1], &slots[j], sizeof slots[j]) < 0; j--) {
            struct instance former = slots[j - 1];
            slots[j - 1] = slots[j];
            slots[j] = former;
        }
    }
    explore_step(explore, &after, "%s: %s", names[program], what);
}

/* ---- The note ---- */

static bool are_alike(const struct alike *s, int i, bool unknown_too)
{
    for (int j = 0; j < INSTANCES; j++) {
        const struct instance *other = &s->instances[j];
        if (j != i && other->row && other->told != s->instances[i].program &&
            !(unknown_too && other->told == UNKNOWN))
            return false;
    }
    return true;
}

static void forget(struct alike *s)
{
    s->generation = (struct generation){0};
    s->server = (struct value){0};
    s->count = s->left = 0;
    memset(s->outbox, 0, sizeof s->outbox);
    for (int i = 0; i < INSTANCES; i++) {
        struct instance *instance = &s->instances[i];
        instance->owes = 0;
        if (instance->what == MAY_BEGIN)
            continue;
        instance->what = instance->place = 0;
        instance->value = (struct value){0};
    }
}

static void note(struct alike *s, uint8_t program)
{
    uint8_t digest = s->generation.digest;
    if (digest && digest == program ? has(s, FORGETS) : has(s, FORGETS_LEAVING))
        forget(s);
    s->note = program;
}

static void settles(struct explore *explore, const struct alike *now, int i)
{
    struct alike after = *now;
    struct instance *own = &after.instances[i];
    if (own->phase != JOINED || own->program == OLD)
        return;
    if (now->note != own->program && are_alike(now, i, !has(now, START_KNOWS)))
        note(&after, own->program);
    else if (now->note != own->program && has(now, START_VOIDS))
        note(&after, VOID);
    own->phase = SETTLED;
    own->owes = 0;
    step(explore, &after, "settles", own->program);
}

static void keeps(struct explore *explore, const struct alike *now, int i)
{
    struct alike after = *now;
    uint8_t program = now->instances[i].program;
    if (now->instances[i].phase != SETTLED || program == OLD)
        return;
    for (int j = 0; j < INSTANCES && (now->note == program || now->note == VOID); j++)
        after.instances[j].seen |= now->instances[j].told == OLD;
    if (now->note == program && has(now, KEEPER_VOIDS) && !are_alike(now, i, true)) {
        note(&after, VOID);
        step(explore, &after, "sees one that is not alike", program);
    } else if (now->note != program && has(now, KEEPER_SETTLES) &&
               are_alike(now, i, !has(now, KEEPER_KNOWS))) {
        note(&after, program);
        step(explore, &after, "sees that all are alike", program);
    } else {
        step(explore, &after, "looks who is there", program);
    }
}

/* ---- Coming and going ---- */

static void join(struct alike *s, int i)
{
    struct instance *own = &s->instances[i];
    bool old = own->program == OLD, again = lives(own);
    own->phase = old || (again && !has(s, SETTLES_AGAIN)) ? SETTLED : JOINED;
    own->row = 1;
    own->seen = 0;
    own->told = old && has(s, TELLS_AT_ONCE) ? OLD : UNKNOWN;
    if (old && has(s, JOINING_VOIDS))
        note(s, VOID);
    if (old)
        own->owes = 0; /* as its row says what it is */
}

static void starts(struct explore *explore, const struct alike *now, int i)
{
    if (!now->starts || i >= now->instances_max)
        return;
    for (uint8_t program = A; program < PROGRAMS; program++) {
        struct alike after = *now;
        struct instance *own = &after.instances[i];
        if (!(now->programs >> program & 1))
            continue;
        after.starts--;
        own->program = program;
        own->ghost = own->begun != 0;
        join(&after, i);
        step(explore, &after, "starts, and joins", program);
    }
}

static void ends(struct explore *explore, const struct alike *now, int i)
{
    const struct instance *instance = &now->instances[i];
    struct alike after = *now;
    struct instance *own = &after.instances[i];
    if (instance->program == OLD && has(now, SEEN) && !instance->seen)
        return;
    *own = (struct instance){.begun = instance->begun, .ghost = instance->ghost};
    after.left |= instance->owes;
    if (!instance->begun || instance->ghost)
        step(explore, &after, "leaves", instance->program);
    if (!now->deaths)
        return;
    after.deaths--;
    own->ghost = own->begun && (own->ghost || instance->phase != SETTLED);
    own->row = instance->row;
    own->told = instance->told;
    own->seen = instance->seen;
    step(explore, &after, "dies", instance->program);
}

/* By any other. */
static void is_buried(struct explore *explore, const struct alike *now, int i)
{
    struct alike after = *now;
    struct instance *own = &after.instances[i];
    bool others = false;
    for (int j = 0; j < INSTANCES; j++)
        others = others || (j != i && lives(&now->instances[j]));
    if (!own->row || !others || (lives(own) && (!now->burials || now->calm)))
        return;
    if ((own->told == OLD || own->program == OLD) && has(now, SEEN) && !own->seen)
        return;
    after.burials -= lives(own);
    own->row = own->told = own->seen = 0;
    step(explore, &after, "loses its row", lives(own) ? own->program : VOID);
}

static bool is_alone(const struct alike *s, int i)
{
    for (int j = 0; j < INSTANCES; j++) {
        if (j != i && s->instances[j].row)
            return false;
    }
    return true;
}

static void beats(struct explore *explore, const struct alike *now, int i)
{
    struct alike after = *now;
    struct instance *own = &after.instances[i];
    if (!own->row) {
        join(&after, i);
        step(explore, &after, "sees that it has lost its row, and joins", own->program);
    } else if (own->told == UNKNOWN) {
        own->told = own->program;
        step(explore, &after, "tells what it is", own->program);
    } else if (own->program == OLD && is_alone(now, i)) {
        own->seen = 1;
        if (has(now, LONE_VOIDS))
            note(&after, VOID);
        step(explore, &after, "takes all leases", own->program);
    }
}

/* ---- Writing ---- */

static void commit(struct alike *s, uint8_t program)
{
    s->value = ++s->values;
    if (!s->generation.digest || !derives(program))
        return;
    s->count++;
    s->outbox[s->count] = (struct value){s->count, s->value, program};
}

static void commits_begun(struct explore *explore, const struct alike *now, int i)
{
    struct alike after = *now;
    struct instance *own = &after.instances[i];
    bool gone = own->ghost || !lives(own);
    bool late = own->ghost || !own->row || (lives(own) && own->phase != SETTLED);
    uint8_t program = own->begun;
    own->begun = own->ghost = 0;
    step(explore, &after, "gives up what it had begun", program);
    if (late && program != OLD && has(now, COMMITS_FENCED))
        return;
    commit(&after, program);
    if (late && now->generation.digest && program != now->generation.digest && gone)
        after.left = 1;
    else if (late && now->generation.digest && program != now->generation.digest)
        own->owes = 1;
    step(explore, &after, late ? "commits, late" : "commits what it had begun", program);
}

static void writes(struct explore *explore, const struct alike *now, int i)
{
    struct alike after = *now;
    struct instance *own = &after.instances[i];
    if (!now->writes || (!own->row && has(now, ROW_FIRST)) ||
        (own->phase != SETTLED && has(now, SETTLES_FIRST)))
        return;
    after.writes--;
    if (now->lates && !own->begun) {
        own->begun = own->program;
        after.lates--;
        step(explore, &after, "begins a unit of work", own->program);
        own->begun = 0;
        after.lates++;
    }
    commit(&after, own->program);
    step(explore, &after, "writes", own->program);
}

/* ---- Carriers ---- */

static void begin(struct alike *s, uint8_t program)
{
    forget(s);
    s->generation.digest = program;
}

static void begins(struct explore *explore, const struct alike *now, int i)
{
    struct alike after = *now;
    struct instance *own = &after.instances[i];
    bool anew = now->generation.digest == own->program;
    bool alike = !has(now, BEGINS_ALIKE) || are_alike(now, i, !has(now, BEGINS_KNOWING));
    bool looked = own->what == MAY_BEGIN;
    own->what = looked ? NOTHING : own->what;
    if (looked)
        step(explore, &after, "begins none", own->program);
    if ((anew && !now->anew) || (has(now, BEGINS_NOTED) && now->note != own->program))
        return;
    if (!has(now, BEGINS_AT_ONCE) && !looked) {
        own->what = MAY_BEGIN;
        if (alike)
            step(explore, &after, "looks whether it may begin", own->program);
        return;
    }
    if (!alike && has(now, BEGINS_AT_ONCE))
        return;
    after.anew -= anew;
    begin(&after, own->program);
    step(explore, &after, "begins a generation", own->program);
}

static bool may_go_on(const struct alike *s, uint8_t program, enum rule noted)
{
    uint8_t digest = s->generation.digest;
    return digest && (digest == program || !has(s, CARRIES_OWN)) &&
           (s->note == program || !has(s, noted));
}

/* A turn that has looked: a row, or the next op. */
static void reads(struct explore *explore, const struct alike *now, int i)
{
    struct alike after = *now;
    struct instance *own = &after.instances[i];
    const struct generation *generation = &now->generation;
    if (!generation->end) {
        own->what = ROW;
        own->value = (struct value){now->count, now->value, own->program};
        step(explore, &after, "reads the row", own->program);
    }
    after = *now;
    if (generation->cursor == now->count) {
        own->what = NOTHING;
        step(explore, &after, "finds nothing to carry", own->program);
        return;
    }
    own->place = (uint8_t)(generation->cursor + 1);
    own->value = now->outbox[own->place];
    own->what = PAGE;
    if (has(now, OPS_NAMED) && own->value.by != generation->digest) {
        forget(&after);
        step(explore, &after, "meets an op of another declaration", own->program);
    } else {
        step(explore, &after, "reads an op", own->program);
    }
}

static void goes_on(struct explore *explore, const struct alike *now, int i)
{
    struct alike after = *now;
    struct instance *own = &after.instances[i];
    const struct instance *instance = &now->instances[i];
    if (instance->what == LOOKED) {
        reads(explore, now, i);
        return;
    }
    if (instance->what == PAGE) {
        if (own->value.version >= now->server.version)
            after.server = own->value;
        own->what = ANSWERED;
        own->value = (struct value){0};
        step(explore, &after, "sends an op", own->program);
        return;
    }
    own->what = own->place = 0;
    own->value = (struct value){0};
    if (instance->what == ANSWERED && after.generation.cursor < instance->place)
        after.generation.cursor = instance->place;
    if (instance->what == ROW && !now->generation.end) {
        after.outbox[++after.count] = instance->value;
        after.generation.end = after.count;
    }
    step(explore, &after, instance->what == ROW ? "publishes the row" : "notes the cursor",
         own->program);
}

static int turns(const struct alike *s)
{
    int count = 0;
    for (int i = 0; i < INSTANCES; i++)
        count += s->instances[i].what >= LOOKED;
    return count;
}

static void carries(struct explore *explore, const struct alike *now, int i)
{
    struct alike after = *now;
    struct instance *own = &after.instances[i];
    const struct generation *generation = &now->generation;
    if (!derives(own->program))
        return;
    if (own->what != NOTHING && own->what != MAY_BEGIN) {
        goes_on(explore, now, i);
        return;
    }
    begins(explore, now, i);
    if (own->what == MAY_BEGIN)
        return;
    if (turns(now) < now->turns_max && may_go_on(now, own->program, CARRIES_NOTED) &&
        (!generation->end || generation->cursor < now->count)) {
        own->what = LOOKED;
        step(explore, &after, "looks, for a turn", own->program);
    }
    after = *now;
    if (may_go_on(now, own->program, SWITCHES_NOTED) && generation->end && !generation->serves &&
        generation->cursor >= generation->end) {
        after.generation.serves = 1;
        step(explore, &after, "lets it serve", own->program);
    }
}

/* ---- All ---- */

static bool may_be_calm(const struct alike *s)
{
    uint8_t program = VOID;
    for (int i = 0; i < INSTANCES; i++) {
        const struct instance *instance = &s->instances[i];
        if (instance->begun)
            return false;
        if (!lives(instance))
            continue;
        if (!derives(instance->program) || (program && program != instance->program))
            return false;
        program = instance->program;
    }
    return program;
}

static void next(struct explore *explore, const void *state)
{
    const struct alike *now = state;
    struct alike after = *now;
    if (!now->calm && may_be_calm(now)) {
        after.calm = 1;
        step(explore, &after, "from now on nothing else happens", VOID);
    }
    for (int i = 0; i < INSTANCES; i++) {
        const struct instance *instance = &now->instances[i];
        is_buried(explore, now, i);
        if (instance->begun)
            commits_begun(explore, now, i);
        if (!lives(instance)) {
            if (!now->calm)
                starts(explore, now, i);
            continue;
        }
        beats(explore, now, i);
        settles(explore, now, i);
        keeps(explore, now, i);
        carries(explore, now, i);
        if (now->calm)
            continue;
        writes(explore, now, i);
        ends(explore, now, i);
    }
}

static const char wrong[] = "what serves is not what is there";

static bool is_excused(const struct alike *s)
{
    bool owed = false;
    for (int i = 0; i < INSTANCES; i++)
        owed = owed || s->instances[i].owes;
    return (owed && has(s, LATE_EXCUSED)) || (s->left && has(s, LEFT_EXCUSED));
}

static bool serves_alike(const struct alike *s)
{
    const struct generation *generation = &s->generation;
    if (!generation->serves || generation->cursor < s->count || s->note != generation->digest)
        return false;
    for (int i = 0; i < INSTANCES; i++) {
        const struct instance *instance = &s->instances[i];
        uint8_t is = instance->program == OLD ? OLD : instance->told;
        if (instance->row && is != UNKNOWN && is != generation->digest)
            return false;
    }
    return true;
}

static const char *bad(const void *state)
{
    const struct alike *now = state;
    if (!serves_alike(now) || is_excused(now))
        return NULL;
    bool right = now->server.value == now->value && now->server.by == now->generation.digest;
    return right ? NULL : wrong;
}

static bool goal(const void *state)
{
    const struct alike *now = state;
    return !now->calm || serves_alike(now);
}

static const struct explore_model model = {
    .name = "carrier_alike", .size = sizeof(struct alike), .next = next, .bad = bad, .goal = goal};

/* ---- Beginnings: one of A is there, and a generation serves ---- */

static struct alike of(uint8_t programs)
{
    struct alike first = {.starts = 2, .writes = 2, .programs = programs, .note = A, .value = 1};
    first.instances_max = first.turns_max = 2;
    first.values = first.count = 1;
    first.generation = (struct generation){.digest = A, .cursor = 1, .end = 1, .serves = 1};
    first.server = first.outbox[1] = (struct value){0, 1, A};
    first.instances[0] = (struct instance){.program = A, .phase = SETTLED, .row = 1, .told = A};
    static const uint8_t besides[] = {JOINING_VOIDS, OPS_NAMED, COMMITS_FENCED, FORGETS_LEAVING};
    for (size_t i = 0; i < sizeof besides; i++)
        first.without[besides[i]] = 1;
    return first;
}

static struct alike any(void)
{
    return of(1 << A | 1 << B | 1 << NOTHING_DERIVED);
}

static struct alike any_anew(void)
{
    struct alike first = any();
    first.anew = 1;
    first.starts = (uint8_t)(2 + explore_deep());
    return first;
}

static struct alike three(void)
{
    struct alike first = any();
    first.instances_max = first.starts = 3;
    first.turns_max = (uint8_t)(1 + explore_deep());
    return first;
}

/* Of which one is paused, and loses its row. */
static struct alike paused(void)
{
    struct alike first = any();
    first.starts = (uint8_t)(1 + explore_deep());
    first.burials = first.lates = first.turns_max = 1;
    return first;
}

/* Or it dies. */
static struct alike dying(void)
{
    struct alike first = paused();
    first.deaths = 1;
    return first;
}

static struct alike dying_fenced(void)
{
    struct alike first = dying();
    first.without[COMMITS_FENCED] = 0;
    return first;
}

static struct alike dying_named(void)
{
    struct alike first = dying();
    first.without[OPS_NAMED] = 0;
    return first;
}

/* Where all derive. */
static struct alike dying_named_deriving(void)
{
    struct alike first = dying_named();
    first.programs = 1 << A | 1 << B;
    return first;
}

static struct alike beside_old(void)
{
    struct alike first = of(1 << A | 1 << OLD);
    first.without[TELLS_AT_ONCE] = 1;
    first.starts = 3;
    return first;
}

static struct alike beside_old_dying(void)
{
    struct alike first = beside_old();
    first.deaths = first.burials = first.lates = first.turns_max = 1;
    first.starts = (uint8_t)(1 + explore_deep());
    return first;
}

static struct alike beside_old_voiding(void)
{
    struct alike first = beside_old_dying();
    first.without[JOINING_VOIDS] = 0;
    return first;
}

static struct alike forgetting_at_once(void)
{
    struct alike first = paused();
    first.without[FORGETS_LEAVING] = 0;
    first.without[FORGETS] = 1;
    return first;
}

/* `caught` without these rules; RULES: with all of them. */
static void explore_without(struct alike first, const char *caught, const uint8_t *rules,
                            size_t count)
{
    for (size_t i = 0; i < count && rules[i] < RULES; i++)
        first.without[rules[i]] = 1;
    if (caught)
        explore_catches(&model, &first, caught);
    else
        explore_holds(&model, &first);
}

#define CASE(name, begin, caught, ...)                                                             \
    static void name(void **state)                                                                 \
    {                                                                                              \
        const uint8_t rules[] = {__VA_ARGS__};                                                     \
        (void)state;                                                                               \
        explore_without(begin(), caught, rules, sizeof rules);                                     \
    }
#define HOLDS(name, begin, ...) CASE(name, begin, NULL, __VA_ARGS__)
#define CAUGHT(name, begin, ...) CASE(name, begin, wrong, __VA_ARGS__)

/* ---- Right ones ---- */

HOLDS(what_serves_is_right_whoever_comes_and_goes, any_anew, RULES)
HOLDS(what_serves_is_right_with_three_instances, three, RULES)
HOLDS(what_came_late_is_mended_when_it_has_settled_again, paused, RULES)
HOLDS(what_came_late_is_all_that_is_left_of_the_dead, dying, RULES)
HOLDS(what_serves_is_right_beside_an_old_library, beside_old, RULES)
HOLDS(what_serves_is_right_where_an_old_one_dies, beside_old_dying, RULES)

/* Looks that only repeat others. Whoever begins need not know who is there: that is what the note
 * says. Or those who write the note need not know who has told nothing. */
HOLDS(who_begins_and_carries_may_look_at_the_declaration_alone, any, BEGINS_NOTED, BEGINS_ALIKE,
      BEGINS_KNOWING, SWITCHES_NOTED, CARRIES_NOTED)
HOLDS(the_unknown_may_be_taken_for_alike_until_a_generation_begins, any, START_KNOWS, KEEPER_KNOWS,
      BEGINS_NOTED, SWITCHES_NOTED, CARRIES_NOTED)
HOLDS(who_begins_may_have_looked_before, any, BEGINS_AT_ONCE, SWITCHES_NOTED, CARRIES_NOTED)
HOLDS(who_carries_may_look_at_the_note_alone, any, CARRIES_OWN, SWITCHES_NOTED)

/* Nothing is left where what would come late is refused; or, of those that derive, where it is met
 * in the outbox. */
HOLDS(nothing_comes_late_where_it_is_fenced, dying_fenced, LATE_EXCUSED, LEFT_EXCUSED)
HOLDS(what_came_late_is_met_where_ops_name_their_declaration, dying_named_deriving, LATE_EXCUSED,
      LEFT_EXCUSED)

/* Then nothing of an old one need be seen. */
HOLDS(old_ones_may_come_and_go_where_joining_makes_the_note_void, beside_old_voiding, SEEN,
      LONE_VOIDS, KEEPER_VOIDS)

/* A generation is there only while the note is its declaration. */
HOLDS(a_generation_that_is_forgotten_at_once_needs_few_looks, forgetting_at_once, BEGINS_ALIKE,
      BEGINS_KNOWING, BEGINS_AT_ONCE, SWITCHES_NOTED, CARRIES_NOTED)

/* ---- Wrong ones ---- */

CAUGHT(a_write_before_the_note_is_settled, any, SETTLES_FIRST)
CAUGHT(a_start_that_leaves_the_note_beside_others, any, START_VOIDS)
CAUGHT(a_note_that_comes_back_to_what_was_there, any, FORGETS)
CAUGHT(a_write_of_one_that_has_lost_its_row, paused, ROW_FIRST)
CAUGHT(a_write_behind_a_pause_before_it_is_settled_again, paused, SETTLES_AGAIN)
CAUGHT(a_page_of_another_declaration_s_generation, any, CARRIES_NOTED, CARRIES_OWN)
CASE(a_note_that_only_a_start_settles, any, EXPLORE_NO_PROGRESS, KEEPER_SETTLES)

/* Two that know who has told nothing: one of them must. */
CAUGHT(the_unknown_taken_for_alike_by_keepers_and_who_begins, any, KEEPER_KNOWS, BEGINS_KNOWING)
CAUGHT(the_unknown_taken_for_alike_by_who_starts_and_who_begins, any, START_KNOWS, BEGINS_KNOWING)
CAUGHT(the_unknown_taken_for_alike_by_keepers_and_a_look_before, any, KEEPER_KNOWS, BEGINS_AT_ONCE)
CAUGHT(the_unknown_taken_for_alike_by_keepers_and_no_look, any, KEEPER_KNOWS, BEGINS_ALIKE)

CAUGHT(an_old_one_that_no_keeper_makes_the_note_void_for, beside_old, KEEPER_VOIDS)
CAUGHT(an_old_one_that_was_alone, beside_old, LONE_VOIDS)
CAUGHT(an_old_one_between_two_looks, beside_old, SEEN)

/* What is left. */
CAUGHT(what_came_late_before_it_has_settled, paused, LATE_EXCUSED)
CAUGHT(what_came_late_of_one_that_died, dying, LEFT_EXCUSED)
CAUGHT(what_came_late_without_an_op, dying_named, LEFT_EXCUSED)
CAUGHT(one_forgotten_at_once_that_begins_under_another_note, forgetting_at_once, BEGINS_NOTED,
       BEGINS_ALIKE, CARRIES_NOTED)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_serves_is_right_whoever_comes_and_goes),
        cmocka_unit_test(what_serves_is_right_with_three_instances),
        cmocka_unit_test(what_came_late_is_mended_when_it_has_settled_again),
        cmocka_unit_test(what_came_late_is_all_that_is_left_of_the_dead),
        cmocka_unit_test(what_serves_is_right_beside_an_old_library),
        cmocka_unit_test(what_serves_is_right_where_an_old_one_dies),
        cmocka_unit_test(who_begins_and_carries_may_look_at_the_declaration_alone),
        cmocka_unit_test(the_unknown_may_be_taken_for_alike_until_a_generation_begins),
        cmocka_unit_test(who_begins_may_have_looked_before),
        cmocka_unit_test(who_carries_may_look_at_the_note_alone),
        cmocka_unit_test(nothing_comes_late_where_it_is_fenced),
        cmocka_unit_test(what_came_late_is_met_where_ops_name_their_declaration),
        cmocka_unit_test(old_ones_may_come_and_go_where_joining_makes_the_note_void),
        cmocka_unit_test(a_generation_that_is_forgotten_at_once_needs_few_looks),
        cmocka_unit_test(a_write_before_the_note_is_settled),
        cmocka_unit_test(a_start_that_leaves_the_note_beside_others),
        cmocka_unit_test(a_note_that_comes_back_to_what_was_there),
        cmocka_unit_test(a_write_of_one_that_has_lost_its_row),
        cmocka_unit_test(a_write_behind_a_pause_before_it_is_settled_again),
        cmocka_unit_test(a_page_of_another_declaration_s_generation),
        cmocka_unit_test(a_note_that_only_a_start_settles),
        cmocka_unit_test(the_unknown_taken_for_alike_by_keepers_and_who_begins),
        cmocka_unit_test(the_unknown_taken_for_alike_by_who_starts_and_who_begins),
        cmocka_unit_test(the_unknown_taken_for_alike_by_keepers_and_a_look_before),
        cmocka_unit_test(the_unknown_taken_for_alike_by_keepers_and_no_look),
        cmocka_unit_test(an_old_one_that_no_keeper_makes_the_note_void_for),
        cmocka_unit_test(an_old_one_that_was_alone),
        cmocka_unit_test(an_old_one_between_two_looks),
        cmocka_unit_test(what_came_late_before_it_has_settled),
        cmocka_unit_test(what_came_late_of_one_that_died),
        cmocka_unit_test(what_came_late_without_an_op),
        cmocka_unit_test(one_forgotten_at_once_that_begins_under_another_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
