/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A derived store on a server is made anew beside the one that serves (docs/internals/carriers.md):
 * another generation is filled with pages of what the owner has, each row as of the position at
 * which it was read, then with the ops published since; then it serves, and the former is dropped.
 * Pages go to the server beside the outbox, which takes a lease and more rules than publishing rows
 * does (carrier_rows).
 *
 * The server compares versions, and an op that says that something is gone leaves a stone; what
 * becomes of one store in which that goes on is another model (carrier).
 *
 * Two carriers take over from each other and don't know when they were paused, requests come late,
 * the owner is restored and gives positions out again, and somebody asks.
 */

#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { OPS = 3, KEYS = 2, GENERATIONS = 4, CARRIERS = 2, LATE = 2 };

enum rule {
    SNAPSHOT,      /* a row and its position are read at one moment */
    BEGINS_BEFORE, /* the cursor begins where the outbox ended before the first page was read */
    LINKS_ROWS,    /* a row's request leaves a link, too */
    ROWS_COMPARED, /* a row has its position as its version, as an op has */
    PAST_ROWS,     /* it serves once its cursor has passed the position of every row */
    PAST_SERVING,  /* and the cursor of the one that serves */
    IN_OWNER,      /* who serves is written in the owner's store, not in the server */
    NEVER_AGAIN,   /* a generation's name is not used a second time */
    NAMES_LIFE,    /* nor by a restored owner, as its incarnation is part of the name */
    EPOCHS_LIFE,   /* epochs are an incarnation's, too */
    ASKS_OWN_LIFE, /* a generation of another incarnation is not asked */
    DROPS_OLDER,   /* only what is older than what serves is dropped */
    ASKS_AGAIN,    /* a question that was answered looks whether the same one serves */
    TRIMS_FOR_ALL, /* the outbox is trimmed up to the cursor that is last */
    OWN_PARKS,     /* parks are a generation's */
    RULES
};

/* What is at a key: as of a version, by an op of an incarnation; 0: nothing. */
struct value {
    uint8_t version, op, life;
};

struct generation {
    uint8_t life, begun, cursor;
    uint8_t row, newest; /* row: the next one to be read */
    uint8_t linked;      /* rows that were sent, bits: one that is not there needs no request */
    uint8_t parked;      /* the second key's op was refused, as the owner has noted */
};

struct owner {
    uint8_t life, published, trimmed, epoch, serving, last;
    uint8_t life_of[OPS + 1];
    struct generation generations[GENERATIONS];
    uint8_t parked; /* of all generations, where that is the rule */
};

struct server {
    uint8_t there[GENERATIONS], links[GENERATIONS]; /* links: bits, of rows and then of ops */
    uint8_t serves;                                 /* who does, as the server says */
    struct value values[GENERATIONS][KEYS];
};

enum request { NOTHING, ROW, OP, DROP, SERVE, READ_ROW /* its position is not read yet */ };

enum answer { NO_ANSWER, WHOLE, HALF };

struct message {
    uint8_t what, generation, key;
    struct value value;
};

struct carrier {
    uint8_t epoch, life, answered, refused;
    struct message message;
};

struct anew {
    uint8_t without[RULES];
    uint8_t picky; /* the first generation refuses what is under the second key */
    uint8_t asks;  /* somebody does */
    uint8_t loses; /* the server does, so that links are looked at */
    /* Faults that are left, and reasons. */
    uint8_t takeovers, cuts, begins, restores, losses;
    struct owner owner, backup;
    struct server server, kept; /* kept: a backup */
    uint8_t has_kept, harmed;
    struct message late[LATE];
    struct carrier carriers[CARRIERS];
    uint8_t asked, answer; /* the generation that who asks has in mind, and what it said */
    uint8_t wrong;         /* a trouble */
};

static const char *const troubles[] = {NULL, "a question was answered by half of a store",
                                       "what serves is older than what served"};

static bool has(const struct anew *s, enum rule rule)
{
    return !s->without[rule];
}

/* Where the server has a generation. */
static int name_of(const struct anew *s, int generation)
{
    return has(s, NEVER_AGAIN) || !generation ? generation : 2 - generation % 2;
}

static int key_of(int position)
{
    return (position - 1) % KEYS;
}

static bool is_put(int position)
{
    return position > 0 && position <= KEYS;
}

/* The last op under a key, of those up to a position. */
static int last_op(int key, int position)
{
    while (position > 0 && key_of(position) != key)
        position--;
    return position;
}

/* ---- The server ---- */

static bool refuses(const struct anew *s, const struct message *message)
{
    return s->picky && message->generation == 1 && message->key == 1 && message->what != DROP;
}

static uint8_t link_of(const struct message *message)
{
    int place = message->what == OP ? KEYS + message->value.version - 1 : message->key;
    return (uint8_t)(1 << place);
}

static void carry_out(struct anew *s, const struct message *message)
{
    int g = name_of(s, message->generation);
    struct value *value = &s->server.values[g][message->key];
    bool compared = message->what == OP || has(s, ROWS_COMPARED);
    if (message->what == DROP) {
        s->server.there[g] = 0;
        s->server.links[g] = 0;
        memset(s->server.values[g], 0, sizeof s->server.values[g]);
    } else if (message->what == SERVE) {
        s->server.serves = message->generation;
    } else {
        s->server.there[g] = 1; /* made, if it must be */
        if (s->loses && (message->what == OP || has(s, LINKS_ROWS)))
            s->server.links[g] |= link_of(message);
        if (message->value.op && !refuses(s, message) &&
            (!compared || message->value.version > value->version))
            *value = message->value;
    }
}

static void late_requests(struct explore *explore, const struct anew *now)
{
    for (int i = 0; i < LATE; i++) {
        struct anew after = *now;
        if (now->late[i].what == NOTHING)
            continue;
        after.late[i] = (struct message){0};
        carry_out(&after, &now->late[i]);
        explore_step(explore, &after, "late: %s for generation %d",
                     now->late[i].what == DROP    ? "the drop"
                     : now->late[i].what == SERVE ? "serving"
                     : now->late[i].what == ROW   ? "a row"
                                                  : "an op",
                     now->late[i].generation);
    }
}

/* ---- Is it whole? ---- */

static int serving(const struct anew *s)
{
    return has(s, IN_OWNER) ? s->owner.serving : s->server.serves;
}

static bool key_is_as_of(const struct anew *s, int g, int key, int place)
{
    const struct value *value = &s->server.values[name_of(s, g)][key];
    const struct owner *owner = &s->owner;
    int expected = last_op(key, place), there = is_put(value->op) ? value->op : 0;
    bool parked = has(s, OWN_PARKS) ? owner->generations[g].parked : owner->parked;
    if (key == 1 && parked)
        return true;
    return is_put(expected) ? there == expected && value->life == owner->life_of[expected]
                            : there == 0;
}

/* Links lead from the cursor over all rows to the beginning. */
static bool fits(const struct anew *s, int g)
{
    const struct generation *generation = &s->owner.generations[g];
    int rows = has(s, LINKS_ROWS) || generation->row == KEYS ? generation->linked : 0;
    int ops = ((1 << generation->cursor) - (1 << generation->begun)) << KEYS;
    int links = s->loses ? s->server.links[name_of(s, g)] : rows | ops;
    return s->server.there[name_of(s, g)] && (links & (rows | ops)) == (rows | ops);
}

/* As of one place, at or after its cursor; a server that was harmed is looked at first. */
static bool is_whole(const struct anew *s, int g)
{
    const struct generation *generation = &s->owner.generations[g];
    if (has(s, ASKS_OWN_LIFE) && generation->life != s->owner.life)
        return true;
    if (s->harmed && !fits(s, g))
        return true;
    for (int place = generation->cursor; place <= s->owner.published; place++) {
        bool whole = s->server.there[name_of(s, g)];
        for (int key = 0; key < KEYS; key++)
            whole = whole && key_is_as_of(s, g, key, place);
        /* Not yet noted as parked: it is under way. */
        if (!whole && s->picky && g == 1 && place > generation->cursor)
            whole = s->server.there[name_of(s, g)] && key_is_as_of(s, g, 0, place);
        if (whole)
            return true;
    }
    return false;
}

/* The generation that is being filled, or 0. One of another incarnation is none. */
static int filled(const struct owner *owner)
{
    bool is = owner->last > owner->serving && owner->generations[owner->last].life == owner->life;
    return is ? owner->last : 0;
}

static void server_faults(struct explore *explore, const struct anew *now)
{
    struct anew after = *now;
    if (now->losses && !now->has_kept && filled(&now->owner)) {
        after.kept = now->server;
        after.has_kept = 1;
        explore_step(explore, &after, "the server is backed up");
    } else if (now->losses) {
        after.losses--;
        after.server = now->kept;
        after.kept = (struct server){0};
        after.has_kept = 0;
        after.harmed = 1;
        explore_step(explore, &after, "the server is restored");
    }
}

static void questions(struct explore *explore, const struct anew *now)
{
    struct anew after = *now;
    if (!now->asks)
        return;
    if (!now->asked) {
        after.asked = (uint8_t)serving(now);
        explore_step(explore, &after, "somebody would ask generation %d", after.asked);
    } else if (!now->answer) {
        bool half_made = now->server.there[name_of(now, now->asked)] && !is_whole(now, now->asked);
        after.answer = half_made ? HALF : WHOLE;
        explore_step(explore, &after, "generation %d is asked", now->asked);
    } else {
        if (now->answer == HALF && (now->asked == serving(now) || !has(now, ASKS_AGAIN)))
            after.wrong = 1;
        after.asked = after.answer = 0;
        explore_step(explore, &after, "the question's answer is taken, or it is asked again");
    }
}

/* ---- The owner's works ---- */

static bool under_epoch(const struct anew *s, const struct carrier *carrier)
{
    return carrier->epoch == s->owner.epoch &&
           (!has(s, EPOCHS_LIFE) || carrier->life == s->owner.life);
}

static bool is_level(const struct anew *s, int g)
{
    const struct generation *generation = &s->owner.generations[g];
    const struct generation *former = &s->owner.generations[s->owner.serving];
    if (generation->row < KEYS || (has(s, PAST_ROWS) && generation->cursor < generation->newest))
        return false;
    return !has(s, PAST_SERVING) || former->life != generation->life ||
           generation->cursor >= former->cursor;
}

static void serve(struct anew *s, int g)
{
    const struct generation *former = &s->owner.generations[s->owner.serving];
    struct generation *generation = &s->owner.generations[g];
    if (former->life == generation->life && generation->cursor < former->cursor)
        s->wrong = 2;
    generation->newest = 0;
    s->owner.serving = (uint8_t)g;
}

static void park(struct anew *s, int g, bool parked)
{
    s->owner.generations[g].parked = parked;
    s->owner.parked = parked;
}

/* What the server has answered is noted. */
static void note(struct anew *s, struct carrier *carrier)
{
    struct message *message = &carrier->message;
    int g = message->generation;
    struct generation *generation = &s->owner.generations[g];
    bool valid = under_epoch(s, carrier);
    if (valid && message->what == ROW) {
        generation->row = (uint8_t)(message->key + 1);
        generation->linked |= s->loses && message->value.op ? link_of(message) : 0;
        if (generation->newest < message->value.version)
            generation->newest = message->value.version;
        if (generation->row == KEYS && !has(s, BEGINS_BEFORE))
            generation->cursor = s->owner.published;
        if (generation->row == KEYS && s->loses && !has(s, LINKS_ROWS))
            s->server.links[name_of(s, g)] |= (1 << KEYS) - 1; /* in a request of its own */
    } else if (valid && message->what == OP) {
        generation->cursor = message->value.version;
    } else if (valid && message->what == SERVE) {
        serve(s, g);
    }
    if (valid && message->what != DROP && message->what != SERVE && message->key == 1 &&
        message->value.op)
        park(s, g, carrier->refused);
    carrier->message = (struct message){0};
    carrier->answered = carrier->refused = 0;
    if (!valid)
        carrier->epoch = carrier->life = 0;
}

static void owner_steps(struct explore *explore, const struct anew *now)
{
    struct anew after = *now;
    struct owner *owner = &after.owner;
    if (owner->published < OPS) {
        owner->published++;
        owner->life_of[owner->published] = owner->life;
        explore_step(explore, &after, "op %d is published", owner->published);
    }
    after = *now;
    uint8_t end = owner->generations[owner->serving].cursor;
    const struct generation *next = &owner->generations[filled(owner)];
    if (owner->generations[owner->serving].life != owner->life)
        end = filled(owner) ? next->cursor : owner->trimmed;
    else if (filled(owner) && has(now, TRIMS_FOR_ALL) && next->cursor < end)
        end = next->cursor;
    if (owner->trimmed < end) {
        owner->trimmed = end;
        explore_step(explore, &after, "the outbox is trimmed up to %d", end);
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
        after.asked = after.answer = 0;
        explore_step(explore, &after, "the owner is restored");
    }
}

/* ---- Carriers ---- */

static void takes_over(struct explore *explore, const struct anew *now, int i)
{
    struct anew after = *now;
    struct carrier *carrier = &after.carriers[i];
    bool nobody = true;
    for (int k = 0; k < CARRIERS; k++)
        nobody = nobody && !under_epoch(now, &now->carriers[k]);
    if (carrier->message.what != NOTHING || under_epoch(now, carrier) ||
        (!nobody && !now->takeovers))
        return;
    after.takeovers -= !nobody;
    after.owner.epoch++;
    carrier->epoch = after.owner.epoch;
    carrier->life = after.owner.life;
    for (int k = 0; k < CARRIERS; k++) { /* one without a message will never do anything */
        if (k != i && now->carriers[k].message.what == NOTHING)
            after.carriers[k] = (struct carrier){0};
    }
    explore_step(explore, &after, "%d takes over, epoch %d", i, carrier->epoch);
}

static void begins(struct explore *explore, const struct anew *now, int i)
{
    struct anew after = *now;
    struct owner *owner = &after.owner;
    bool other_life = owner->generations[owner->serving].life != owner->life;
    bool needed = other_life || !fits(now, filled(owner) ? filled(owner) : owner->serving);
    if ((filled(owner) && fits(now, filled(owner))) || owner->last + 1 >= GENERATIONS ||
        (!needed && !now->begins))
        return;
    after.begins -= !needed;
    int g = owner->last + 1;
    if (!has(now, NEVER_AGAIN) && now->server.there[name_of(now, g)])
        return;
    owner->last = (uint8_t)g;
    owner->generations[g] = (struct generation){.life = owner->life,
                                                .begun = now->loses ? owner->published : 0,
                                                .cursor = owner->published};
    after.server.there[name_of(now, g)] = 1;
    explore_step(explore, &after, "%d begins generation %d at %d", i, g, owner->published);
}

static void reads(struct explore *explore, const struct anew *now, int i, int g)
{
    struct anew after = *now;
    const struct owner *owner = &now->owner;
    const struct generation *generation = &owner->generations[g];
    struct message *message = &after.carriers[i].message;
    if (generation->life != owner->life)
        return;
    if (generation->row < KEYS && g != owner->serving) {
        uint8_t key = generation->row, op = (uint8_t)last_op(key, owner->published);
        op = is_put(op) ? op : 0;
        *message = (struct message){has(now, SNAPSHOT) ? ROW : READ_ROW,
                                    (uint8_t)g,
                                    key,
                                    {owner->published, op, owner->life_of[op]}};
        after.carriers[i].answered = has(now, SNAPSHOT) && !op;
        explore_step(explore, &after, "%d reads row %d for %d, at %d", i, key, g, owner->published);
    } else if (generation->cursor < owner->published && generation->cursor >= owner->trimmed) {
        uint8_t op = (uint8_t)(generation->cursor + 1);
        *message =
            (struct message){OP, (uint8_t)g, (uint8_t)key_of(op), {op, op, owner->life_of[op]}};
        explore_step(explore, &after, "%d reads op %d for %d", i, op, g);
    }
}

static void decides(struct explore *explore, const struct anew *now, int i)
{
    struct anew after = *now;
    struct carrier *carrier = &after.carriers[i];
    int g = filled(&now->owner);
    if (g && is_level(now, g)) {
        carrier->message = (struct message){SERVE, (uint8_t)g, 0, {0}};
        carrier->answered = has(now, IN_OWNER);
        explore_step(explore, &after, "%d lets %d serve", i, g);
    }
    for (g = 1; g <= now->owner.last; g++) {
        after = *now;
        if (!now->server.there[name_of(now, g)] || g == now->owner.serving ||
            (g > now->owner.serving && has(now, DROPS_OLDER)))
            continue;
        carrier->message = (struct message){DROP, (uint8_t)g, 0, {0}};
        explore_step(explore, &after, "%d would drop %d", i, g);
    }
}

static void sends(struct explore *explore, const struct anew *now, int i)
{
    struct anew after = *now;
    struct carrier *carrier = &after.carriers[i];
    if (carrier->message.what == READ_ROW) {
        carrier->message.what = ROW;
        carrier->message.value.version = now->owner.published;
        carrier->answered = !carrier->message.value.op;
        explore_step(explore, &after, "%d asks where it is: %d", i, now->owner.published);
        return;
    }
    carrier->answered = 1;
    carrier->refused = refuses(now, &carrier->message);
    carry_out(&after, &carrier->message);
    explore_step(explore, &after, "%d is answered for %d", i, carrier->message.generation);
    for (int k = 0; k < LATE && now->cuts; k++) {
        after = *now;
        if (now->late[k].what != NOTHING)
            continue;
        after.cuts--;
        after.late[k] = now->carriers[i].message;
        explore_step(explore, &after, "%d is not answered for %d", i, carrier->message.generation);
        return;
    }
}

static void carrier_steps(struct explore *explore, const struct anew *now, int i)
{
    struct anew after = *now;
    const struct carrier *carrier = &now->carriers[i];
    takes_over(explore, now, i);
    if (!carrier->epoch)
        return;
    if (carrier->answered) {
        note(&after, &after.carriers[i]);
        explore_step(explore, &after, "%d notes it for %d", i, carrier->message.generation);
    } else if (carrier->message.what != NOTHING) {
        sends(explore, now, i);
    } else if (under_epoch(now, carrier)) {
        begins(explore, now, i);
        reads(explore, now, i, now->owner.serving);
        if (filled(&now->owner))
            reads(explore, now, i, filled(&now->owner));
        decides(explore, now, i);
    }
}

static void next(struct explore *explore, const void *state)
{
    const struct anew *now = state;
    owner_steps(explore, now);
    late_requests(explore, now);
    for (int i = 0; i < CARRIERS; i++)
        carrier_steps(explore, now, i);
    server_faults(explore, now);
    questions(explore, now);
}

static const char half[] = "what serves is not whole";
static const char trimmed[] = "an op that is needed was trimmed";

static const char *bad(const void *state)
{
    const struct anew *now = state;
    const struct owner *owner = &now->owner;
    for (int g = owner->serving; g; g = g == owner->serving ? filled(owner) : 0) {
        if (owner->generations[g].life == owner->life &&
            owner->generations[g].cursor < owner->trimmed)
            return trimmed;
    }
    if (now->wrong)
        return troubles[now->wrong];
    return is_whole(now, serving(now)) ? NULL : half;
}

static bool goal(const void *state)
{
    const struct anew *now = state;
    const struct generation *generation = &now->owner.generations[serving(now)];
    return now->owner.published == OPS && generation->life == now->owner.life &&
           generation->cursor == OPS && fits(now, serving(now));
}

static const struct explore_model model = {
    .name = "carrier_anew", .size = sizeof(struct anew), .next = next, .bad = bad, .goal = goal};

/* ---- Right ones ---- */

/* Nothing is published yet, and one generation serves. */
static struct anew once(void)
{
    struct anew first = {.takeovers = 1, .cuts = 1, .begins = 1};
    first.owner.life = first.owner.epoch = 1;
    first.carriers[0].life = first.carriers[0].epoch = 1;
    first.owner.serving = first.owner.last = first.server.serves = first.server.there[1] = 1;
    first.owner.generations[1] = (struct generation){.life = 1, .row = KEYS};
    return first;
}

static struct anew twice(void)
{
    struct anew first = once();
    first.begins = 2;
    first.takeovers = explore_deep();
    return first;
}

static struct anew asked(void)
{
    struct anew first = once();
    first.asks = 1;
    first.takeovers = explore_deep();
    return first;
}

static struct anew refusing(void)
{
    struct anew first = once();
    first.picky = 1;
    first.takeovers = explore_deep();
    return first;
}

static struct anew with_one_op(void)
{
    struct anew first = once();
    first.takeovers = 0;
    first.cuts = explore_deep();
    first.owner.published = first.owner.generations[1].cursor = 1;
    first.owner.life_of[1] = 1;
    first.server.values[1][0] = (struct value){1, 1, 1};
    first.server.links[1] = 1 << KEYS;
    return first;
}

/* To when one op was published: those of its former life were paused, and come late. */
static struct anew restored(void)
{
    struct anew first = with_one_op();
    first.restores = 1;
    first.owner.epoch = first.carriers[0].epoch = 2;
    first.backup = first.owner;
    first.backup.epoch = 1;
    return first;
}

/* To when another generation was being filled. */
static struct anew restored_to_a_filling(void)
{
    struct anew first = restored();
    first.begins = 0;
    first.owner.last = 2;
    first.owner.generations[2] = (struct generation){.life = 1, .cursor = 1};
    first.server.there[2] = 1;
    first.backup = first.owner;
    first.backup.epoch = 1;
    return first;
}

static struct anew losing(void)
{
    struct anew first = with_one_op();
    first.losses = first.loses = 1;
    return first;
}

static void what_serves_is_whole_whoever_makes_it_anew(void **state)
{
    (void)state;
    struct anew first = once();
    explore_holds(&model, &first);
    first = refusing();
    explore_holds(&model, &first);
}

static void what_serves_is_whole_when_it_is_made_anew_again(void **state)
{
    (void)state;
    struct anew first = twice();
    explore_holds(&model, &first);
}

static void what_the_server_lost_of_a_generation_is_noticed(void **state)
{
    (void)state;
    struct anew first = losing();
    explore_holds(&model, &first);
}

static void no_question_is_answered_by_half_of_a_store(void **state)
{
    (void)state;
    struct anew first = asked();
    explore_holds(&model, &first);
}

static void nothing_of_a_restored_owner_s_former_life_is_shown(void **state)
{
    (void)state;
    struct anew first = restored();
    explore_holds(&model, &first);
    first = restored_to_a_filling();
    explore_holds(&model, &first);
}

/* ---- Wrong ones ---- */

EXPLORE_CAUGHT(a_position_read_behind_its_row, model, once, SNAPSHOT, half)
EXPLORE_CAUGHT(a_cursor_that_begins_behind_the_pages, model, once, BEGINS_BEFORE, half)
EXPLORE_CAUGHT(a_link_behind_all_rows, model, losing, LINKS_ROWS, half)
EXPLORE_CAUGHT(rows_without_versions, model, once, ROWS_COMPARED, half)
EXPLORE_CAUGHT(a_switch_before_the_last_row_s_position, model, once, PAST_ROWS, half)
EXPLORE_CAUGHT(a_switch_behind_what_serves, model, once, PAST_SERVING, troubles[2])
EXPLORE_CAUGHT(a_server_that_says_who_serves, model, twice, IN_OWNER, half)
EXPLORE_CAUGHT(two_names_in_turn, model, twice, NEVER_AGAIN, half)
EXPLORE_CAUGHT(names_without_the_owner_s_incarnation, model, restored, NAMES_LIFE, half)
EXPLORE_CAUGHT(epochs_without_it, model, restored_to_a_filling, EPOCHS_LIFE, trimmed)
EXPLORE_CAUGHT(a_former_life_s_store_that_is_asked, model, restored, ASKS_OWN_LIFE, half)
EXPLORE_CAUGHT(whatever_does_not_serve_is_dropped, model, once, DROPS_OLDER, half)
EXPLORE_CAUGHT(a_question_that_does_not_look_again, model, asked, ASKS_AGAIN, troubles[1])
EXPLORE_CAUGHT(an_outbox_trimmed_for_what_serves, model, once, TRIMS_FOR_ALL, trimmed)
EXPLORE_CAUGHT(parks_of_all_generations, model, refusing, OWN_PARKS, half)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_serves_is_whole_whoever_makes_it_anew),
        cmocka_unit_test(what_serves_is_whole_when_it_is_made_anew_again),
        cmocka_unit_test(what_the_server_lost_of_a_generation_is_noticed),
        cmocka_unit_test(no_question_is_answered_by_half_of_a_store),
        cmocka_unit_test(nothing_of_a_restored_owner_s_former_life_is_shown),
        cmocka_unit_test(a_position_read_behind_its_row),
        cmocka_unit_test(a_cursor_that_begins_behind_the_pages),
        cmocka_unit_test(a_link_behind_all_rows),
        cmocka_unit_test(rows_without_versions),
        cmocka_unit_test(a_switch_before_the_last_row_s_position),
        cmocka_unit_test(a_switch_behind_what_serves),
        cmocka_unit_test(a_server_that_says_who_serves),
        cmocka_unit_test(two_names_in_turn),
        cmocka_unit_test(names_without_the_owner_s_incarnation),
        cmocka_unit_test(epochs_without_it),
        cmocka_unit_test(a_former_life_s_store_that_is_asked),
        cmocka_unit_test(whatever_does_not_serve_is_dropped),
        cmocka_unit_test(a_question_that_does_not_look_again),
        cmocka_unit_test(an_outbox_trimmed_for_what_serves),
        cmocka_unit_test(parks_of_all_generations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
