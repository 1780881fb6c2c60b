/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts that nobody else has, carried to a server (docs/internals/carriers.md): they have no key,
 * and are never made anew. What a server loses comes from its own backup, and what that has not
 * from the owner's outbox, which is therefore trimmed only up to what a backup of the server has.
 *
 * Or the server has no backups that count, and the outbox is trimmed up to what is settled there: a
 * server that answers before it has synced loses that in a power cut, each part by itself. What is
 * lost beyond that is gone, and an operator's word is needed to go on.
 *
 * Or each event has a point besides, always the same one, of which the last that was written
 * counts, as on a server that compares versions.
 *
 * There is no lease: two carriers do what they find at any time. Requests come late or half, the
 * server is restored from a backup of its own, the owner from one of its, and gives positions out
 * again. Events have ids that never come again; the first one has two facts.
 */

#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { EVENTS = 3, IDS = 6, CARRIERS = 2, LATE = 2, PAGE = 2, FACTS = 2 };

enum rule {
    NAMED,         /* a fact has a name, under which it is written: again is once */
    BY_ID,         /* which is its event's id, and not a position */
    OF_EVENT,      /* and not the incarnation of who sends it */
    INDEXED,       /* and its index in the event */
    RISES,         /* a cursor only rises, whoever moves it */
    REPEATS,       /* what was not answered is sent again, whatever the server has */
    CHAIN,         /* each request leaves a link to the one before, not only how far it came */
    LINKS_BY_ID,   /* links name events' ids */
    BOTH_ENDS,     /* a link's name has both its ends, so that none takes another's place */
    IN_BACKUP,     /* the outbox is trimmed up to what a backup of the server has */
    COUNTS_BEFORE, /* which is what was whole before it was made */
    WITNESSED,     /* if what was written before it is still there behind it */
    LOOKS,         /* and the chain was walked behind what was written */
    SETTLES,       /* without backups: it is trimmed up to what is settled on the server */
    WHOLE,         /* which is what was whole when that began */
    RUNS_ON,       /* if the server has not been started anew since */
    FROM_TRIMMED,  /* after a loss it begins where the outbox does, not at the cursor */
    LIVES,         /* a point's version is a life, and then a position */
    OF_WRITER,     /* the life in which its event was published, not that of who sends it */
    RULES
};

struct facts {
    uint8_t there[IDS][FACTS]; /* how often; by position and incarnation: bits */
    uint8_t link[IDS];         /* to an event: from which, bits */
    uint8_t number;            /* the highest position */
    uint8_t witness;           /* of which backup */
    uint8_t version[IDS];      /* of points: the life in it */
};

struct owner {
    uint8_t life, published, cursor, trimmed;
    uint8_t backed_up; /* up to there a backup of the server has all, or it is settled */
    uint8_t began;     /* the chain begins here */
    uint8_t given_up;  /* what is up to here was lost, and that was accepted */
    uint8_t id[EVENTS + 1];
};

struct page {
    uint8_t life, from, to, after; /* after: the id of the event before */
    uint8_t id[PAGE];
};

enum phase { IDLE, READ, ANSWERED, DOUBTFUL };
enum backing { NO_BACKUP, WITNESS_WRITTEN, LOOKED, MADE };

struct carrier {
    uint8_t phase;
    struct page page;
};

struct kept {
    uint8_t without[RULES];
    uint8_t alone; /* is the first carrier */
    /* Faults that are left. */
    uint8_t cuts, halves, losses, restores, backups;
    uint8_t next_id;
    uint8_t position_of[IDS];
    struct owner owner, former;   /* former: a backup */
    uint8_t points, life_of[IDS]; /* each event has a point; of the one who published it */
    struct carrier carriers[CARRIERS];
    struct page late[LATE];
    struct facts server, backup, newest; /* newest: is not counted yet */
    uint8_t backing, whole_to, attempt;
    /* Without backups. */
    uint8_t settles, power_cuts;
    uint8_t lost;                       /* the server lost more than a power cut takes */
    uint8_t settling, settling_to, cut; /* begun; up to there; a power cut has come since */
    struct facts synced, flushing;      /* flushing: it will be, once it has settled */
};

static bool has(const struct kept *s, enum rule rule)
{
    return !s->without[rule];
}

static int facts_of(int id)
{
    return id == 1 ? 2 : 1;
}

/* ---- The server ---- */

static void write_fact(struct kept *s, int id, int index, int life)
{
    uint8_t *there = &s->server.there[id][index];
    for (int other = 1; other < IDS && has(s, NAMED) && !has(s, BY_ID); other++) {
        if (other != id && s->position_of[other] == s->position_of[id])
            s->server.there[other][index] = 0; /* it has the same name */
    }
    for (int other = 0; other < FACTS && has(s, NAMED) && !has(s, INDEXED); other++)
        s->server.there[id][other] = 0;
    if (!has(s, NAMED))
        *there = (uint8_t)(*there < 2 ? *there + 1 : 2);
    else
        *there |= (uint8_t)(has(s, OF_EVENT) ? 1 : 1 << life);
    if (s->server.number < s->position_of[id])
        s->server.number = s->position_of[id];
}

/* < 0, 0, > 0: the one is older, the same, newer. */
static int compare_versions(const struct kept *s, int life, int id, int other_life, int other)
{
    return life != other_life ? life - other_life : s->position_of[id] - s->position_of[other];
}

static void write_point(struct facts *to, int life, int id)
{
    if (to->version[id] < life)
        to->version[id] = (uint8_t)life;
}

static int version_of(const struct kept *s, int id, int sender_life)
{
    return !has(s, LIVES) ? 0 : has(s, OF_WRITER) ? s->life_of[id] : sender_life;
}

static int link_of(const struct kept *s, int id)
{
    return has(s, LINKS_BY_ID) ? id : s->position_of[id];
}

static void carry_out(struct kept *s, const struct page *page, int count)
{
    int all = page->to - page->from;
    for (int i = 0; i < count; i++) {
        for (int index = 0; index < facts_of(page->id[i]); index++)
            write_fact(s, page->id[i], index, page->life);
        if (s->points)
            write_point(&s->server, version_of(s, page->id[i], page->life), page->id[i]);
    }
    if (count != all)
        return;
    uint8_t *link = &s->server.link[link_of(s, page->id[all - 1])];
    *link = (uint8_t)((has(s, BOTH_ENDS) ? *link : 0) | 1 << link_of(s, page->after));
}

static void late_requests(struct explore *explore, const struct kept *now)
{
    for (int i = 0; i < LATE; i++) {
        const struct page *page = &now->late[i];
        struct kept after = *now;
        if (!page->to)
            continue;
        after.late[i] = (struct page){0};
        carry_out(&after, page, page->to - page->from);
        explore_step(explore, &after, "late: %d to %d", page->from + 1, page->to);
        after = *now;
        if (!now->halves)
            continue;
        after.halves--;
        after.late[i] = (struct page){0};
        carry_out(&after, page, page->to - page->from - 1);
        explore_step(explore, &after, "late, and half: %d to %d", page->from + 1, page->to);
    }
}

/* ---- Does it fit? ---- */

static int link_at(const struct kept *s, int place)
{
    return place ? link_of(s, s->owner.id[place]) : 0;
}

/* Whether links lead from a place of the outbox to the beginning. */
static bool reaches(const struct kept *s, int place)
{
    int last = link_at(s, place);
    int reached = 1 << last, before = 0;
    while (reached != before) {
        before = reached;
        for (int i = 1; i < IDS; i++)
            reached |= before >> i & 1 ? s->server.link[i] : 0;
    }
    return reached >> link_at(s, s->owner.began) & 1;
}

static int chain_end(const struct kept *s)
{
    int place = s->owner.cursor;
    if (!has(s, CHAIN))
        return s->server.number < place ? s->server.number : place;
    while (!reaches(s, place))
        place--;
    return place;
}

/* ---- Backups of the server ---- */

static void backup_steps(struct explore *explore, const struct kept *now)
{
    struct kept after = *now;
    bool whole = chain_end(now) == now->owner.cursor;
    if (now->backing == NO_BACKUP && now->backups) {
        after.backups--;
        after.backing = WITNESS_WRITTEN;
        after.server.witness = ++after.attempt;
        explore_step(explore, &after, "a backup of the server begins");
    } else if (now->backing == WITNESS_WRITTEN) {
        after.backing = whole || !has(now, LOOKS) ? LOOKED : NO_BACKUP;
        after.whole_to = after.backing == LOOKED ? now->owner.cursor : 0;
        explore_step(explore, &after, "it is %swhole up to %d", whole ? "" : "not ",
                     now->owner.cursor);
    } else if (now->backing == LOOKED) {
        after.backing = MADE;
        after.newest = now->server;
        explore_step(explore, &after, "the backup is made");
    } else if (now->backing == MADE) {
        bool counts = now->server.witness == now->attempt || !has(now, WITNESSED);
        uint8_t place = has(now, COUNTS_BEFORE) ? now->whole_to : now->owner.cursor;
        if (counts) {
            after.backup = now->newest;
            if (place > now->owner.backed_up && place <= now->owner.cursor)
                after.owner.backed_up = place;
        }
        after.backing = NO_BACKUP;
        after.whole_to = 0;
        after.newest = (struct facts){0};
        explore_step(explore, &after, "the backup %s up to %d",
                     counts ? "counts" : "does not count", place);
    }
}

/* ---- A server that syncs later ---- */

static void add_facts(struct facts *to, const struct facts *from)
{
    for (int id = 0; id < IDS; id++) {
        write_point(to, from->version[id], id);
        to->link[id] |= from->link[id];
        for (int index = 0; index < FACTS; index++)
            to->there[id][index] |= from->there[id][index];
    }
}

/* Without the parts that have the event. */
static void lose_parts_of(struct kept *s, int id)
{
    int place = s->position_of[id];
    for (int index = 0; index < FACTS; index++)
        s->server.there[id][index] = s->synced.there[id][index];
    s->server.version[id] = s->synced.version[id];
    for (int to = id; to < IDS; to++) {
        for (int from = 0; from < id && s->position_of[to] >= place; from++) {
            if (s->server.link[to] >> from & ~s->synced.link[to] >> from & 1)
                s->server.link[to] = (uint8_t)(s->server.link[to] & ~(1 << from));
        }
    }
}

static struct kept power_is_cut(const struct kept *now, int id)
{
    struct kept after = *now;
    after.power_cuts--;
    if (id)
        lose_parts_of(&after, id);
    else
        after.server = now->synced;
    after.synced = after.server;
    after.flushing = (struct facts){0};
    after.cut = now->settling;
    return after;
}

static void settling_steps(struct explore *explore, const struct kept *now)
{
    struct kept after = *now;
    bool whole = chain_end(now) == now->owner.cursor || !has(now, WHOLE);
    if (!now->settling && whole && now->owner.cursor > now->owner.backed_up) {
        after.settling = 1;
        after.settling_to = now->owner.cursor;
        after.flushing = now->server;
        explore_step(explore, &after, "up to %d it begins to settle", now->owner.cursor);
    } else if (now->settling) {
        bool counts = !now->cut || !has(now, RUNS_ON);
        add_facts(&after.synced, &now->flushing);
        after.flushing = (struct facts){0};
        after.settling = after.settling_to = after.cut = 0;
        if (counts && now->settling_to <= now->owner.cursor &&
            now->settling_to > now->owner.backed_up)
            after.owner.backed_up = now->settling_to;
        explore_step(explore, &after, "up to %d it %s", now->settling_to,
                     counts ? "is settled" : "is not known to be settled");
    }
    for (int id = 0; id < now->next_id && now->power_cuts; id++) {
        after = power_is_cut(now, id);
        explore_step(explore, &after, "the server's power is cut, and %s %d are lost",
                     id ? "parts of" : "all behind", id);
    }
}

/* The carrier has stopped, and says what is lost. */
static void loss_is_accepted(struct explore *explore, const struct kept *now)
{
    struct kept after = *now;
    struct owner *owner = &after.owner;
    if (chain_end(now) >= owner->trimmed)
        return;
    owner->began = has(now, FROM_TRIMMED) ? owner->trimmed : owner->cursor;
    owner->given_up = owner->trimmed;
    explore_step(explore, &after, "what is up to %d is given up", owner->trimmed);
}

static void server_is_lost(struct explore *explore, const struct kept *now)
{
    struct kept after = *now;
    if (!now->losses)
        return;
    after.losses--;
    after.server = now->backup;
    after.lost = now->settles;
    after.synced = after.settles ? after.server : after.synced;
    after.flushing = (struct facts){0};
    after.cut = after.settling;
    explore_step(explore, &after, "the server is restored");
    after.server = now->newest;
    if (now->backing == MADE)
        explore_step(explore, &after, "the server is restored from the newest backup");
}

/* ---- The owner ---- */

static void owner_steps(struct explore *explore, const struct kept *now)
{
    struct kept after = *now;
    struct owner *owner = &after.owner;
    if (owner->published < EVENTS && now->next_id < IDS) {
        owner->id[++owner->published] = now->next_id;
        after.position_of[now->next_id] = owner->published;
        after.life_of[now->next_id] = now->points ? owner->life : 0;
        after.next_id++;
        explore_step(explore, &after, "event %d is published at %d", now->next_id,
                     owner->published);
    }
    after = *now;
    uint8_t end = owner->cursor;
    if (has(now, now->settles ? SETTLES : IN_BACKUP) && owner->backed_up < end)
        end = owner->backed_up;
    if (owner->trimmed < end) {
        owner->trimmed = end;
        explore_step(explore, &after, "the outbox is trimmed up to %d", end);
    }
    after = *now;
    if (now->restores) {
        after.restores--;
        *owner = now->former;
        owner->life = (uint8_t)(now->owner.life + 1);
        after.former = (struct owner){0};
        after.backing = NO_BACKUP;
        after.whole_to = 0;
        after.newest = (struct facts){0};
        after.settling = after.settling_to = after.cut = 0; /* its process is another one */
        explore_step(explore, &after, "the owner is restored");
    }
}

/* ---- Carriers ---- */

static void reads(struct explore *explore, const struct kept *now, int i)
{
    struct kept after = *now;
    const struct owner *owner = &now->owner;
    int end = chain_end(now); /* before the cursor, where the server has lost something */
    if (end < owner->trimmed)
        return;
    for (int to = end + 1; to <= end + PAGE && to <= owner->published; to++) {
        after = *now;
        struct page *page = &after.carriers[i].page;
        *page = (struct page){
            .life = owner->life, .from = (uint8_t)end, .to = (uint8_t)to, .after = owner->id[end]};
        for (int k = 0; k < to - page->from; k++)
            page->id[k] = owner->id[page->from + 1 + k];
        after.carriers[i].phase = READ;
        explore_step(explore, &after, "%d reads %d to %d", i, page->from + 1, to);
    }
}

static void sends(struct explore *explore, const struct kept *now, int i)
{
    struct kept after = *now;
    struct carrier *carrier = &after.carriers[i];
    const struct page *page = &now->carriers[i].page;
    if (carrier->phase == DOUBTFUL) {
        carrier->phase = now->server.number >= page->to ? ANSWERED : READ;
        explore_step(explore, &after, "%d asks how far the server is: %d", i, now->server.number);
        return;
    }
    carry_out(&after, page, page->to - page->from);
    carrier->phase = ANSWERED;
    explore_step(explore, &after, "%d sends %d to %d", i, page->from + 1, page->to);
    for (int k = 0; k < LATE && now->cuts; k++) {
        after = *now;
        if (now->late[k].to)
            continue;
        after.cuts--;
        after.late[k] = *page;
        carrier->phase = has(now, REPEATS) ? READ : DOUBTFUL;
        explore_step(explore, &after, "%d sends %d to %d, and is not answered", i, page->from + 1,
                     page->to);
        return;
    }
}

/* Noted under the incarnation under which it was read. */
static void notes(struct explore *explore, const struct kept *now, int i)
{
    struct kept after = *now;
    const struct page *page = &now->carriers[i].page;
    if (page->life == now->owner.life && (now->owner.cursor < page->to || !has(now, RISES)))
        after.owner.cursor = page->to;
    after.carriers[i] = (struct carrier){0};
    explore_step(explore, &after, "%d: the cursor is at %d", i, after.owner.cursor);
}

static void carrier_steps(struct explore *explore, const struct kept *now, int i)
{
    if (now->carriers[i].phase == ANSWERED)
        notes(explore, now, i);
    else if (now->carriers[i].phase != IDLE)
        sends(explore, now, i);
    else if (i == 0 || !now->alone)
        reads(explore, now, i);
}

static void next(struct explore *explore, const void *state)
{
    const struct kept *now = state;
    owner_steps(explore, now);
    late_requests(explore, now);
    backup_steps(explore, now);
    if (now->settles)
        settling_steps(explore, now);
    if (now->settles)
        loss_is_accepted(explore, now);
    server_is_lost(explore, now);
    for (int i = 0; i < CARRIERS; i++)
        carrier_steps(explore, now, i);
}

static const char lost[] = "a fact is lost";
static const char doubled[] = "a fact is there twice";

static const char former[] = "a point is as it was before";

/* The event whose point is found. */
static int found_point(const struct kept *s)
{
    int found = 0;
    for (int id = 1; id < IDS; id++) {
        const uint8_t *version = s->server.version;
        if (s->server.there[id][0] &&
            (!found || compare_versions(s, version[id], id, version[found], found) > 0))
            found = id;
    }
    return found;
}

/* Up to where it is whole, of what was not given up. What a lost life has written stands until the
 * point is written again. */
static bool is_former_point(const struct kept *s, int end)
{
    int last = end > s->owner.given_up ? s->owner.id[end] : 0, point = found_point(s);
    return last && compare_versions(s, s->life_of[point], point, s->life_of[last], last) < 0;
}

static const char *bad(const void *state)
{
    const struct kept *now = state;
    int end = chain_end(now);
    for (int id = 1; id < IDS; id++) {
        for (int index = 0; index < FACTS; index++) {
            int there = now->server.there[id][index];
            if (has(now, NAMED) ? there & (there - 1) : there > 1)
                return doubled;
        }
    }
    if (end < now->owner.trimmed && !now->lost)
        return lost;
    for (int place = now->owner.given_up + 1; place <= end; place++) {
        int id = now->owner.id[place];
        for (int index = 0; index < facts_of(id); index++) {
            if (!now->server.there[id][index])
                return lost;
        }
    }
    return now->points && is_former_point(now, end) ? former : NULL;
}

static bool goal(const void *state)
{
    const struct kept *now = state;
    return now->owner.published == EVENTS && now->owner.cursor == EVENTS &&
           chain_end(now) == EVENTS;
}

static const struct explore_model model = {
    .name = "carrier_facts", .size = sizeof(struct kept), .next = next, .bad = bad, .goal = goal};

/* ---- Right ones ---- */

static struct kept calm(void)
{
    struct kept first = {.next_id = 1, .cuts = 2, .halves = 1};
    first.owner.life = 1;
    return first;
}

/* The server's first backup is one of when it was empty. */
static struct kept server_lost(void)
{
    struct kept first = calm();
    first.halves = 0;
    first.cuts = explore_deep();
    first.losses = first.backups = 1;
    return first;
}

static struct kept server_lost_twice(void)
{
    struct kept first = server_lost();
    first.alone = !explore_deep();
    first.losses = first.backups = 2;
    return first;
}

/* To when one event was published, and had not been carried. */
static struct kept owner_restored(void)
{
    struct kept first = calm();
    first.restores = 1;
    first.cuts = 1;
    first.halves = 0;
    first.next_id = 2;
    first.owner.published = first.owner.id[1] = first.position_of[1] = 1;
    first.former = first.owner;
    first.owner.cursor = 1;
    first.server.there[1][0] = first.server.there[1][1] = 1;
    first.server.link[1] = first.server.number = 1;
    return first;
}

/* The same, of points. */
static struct kept points_of_a_restored_owner(void)
{
    struct kept first = owner_restored();
    first.points = first.life_of[1] = 1;
    return first;
}

/* It was restored to when one event was published, and is restored to when two were. A server that
 * was empty meanwhile gets the second one late. */
static struct kept points_of_an_owner_restored_twice(void)
{
    struct kept first = calm();
    first.points = 1;
    first.restores = 1;
    first.cuts = first.halves = 0;
    first.next_id = 3;
    first.former = first.owner;
    for (uint8_t id = 1; id < first.next_id; id++) {
        first.former.id[id] = first.position_of[id] = first.former.published = id;
        first.life_of[id] = first.owner.life;
    }
    first.former.cursor = first.former.published;
    first.late[0] = (struct page){.life = 1, .from = 1, .to = 2, .after = 1, .id = {2}};
    first.owner.life = 2;
    first.owner.published = first.owner.id[1] = 1;
    return first;
}

static struct kept points_of_both_restored(void)
{
    struct kept first = points_of_a_restored_owner();
    first.cuts = 0;
    first.alone = !explore_deep();
    first.losses = first.backups = 1;
    return first;
}

static struct kept points_settling(void)
{
    struct kept first = points_of_a_restored_owner();
    first.alone = !explore_deep();
    first.settles = 1;
    first.power_cuts = 1;
    first.synced = first.server;
    return first;
}

static struct kept both_restored(void)
{
    struct kept first = owner_restored();
    first.cuts = 0;
    first.alone = !explore_deep();
    first.losses = first.backups = 1;
    return first;
}

static struct kept settling(void)
{
    struct kept first = calm();
    first.halves = 0;
    first.cuts = 1;
    first.alone = !explore_deep();
    first.settles = 1;
    first.power_cuts = 2;
    return first;
}

static struct kept settling_and_lost(void)
{
    struct kept first = settling();
    first.power_cuts = 1;
    first.losses = 1;
    return first;
}

static struct kept settling_and_restored(void)
{
    struct kept first = owner_restored();
    first.alone = !explore_deep();
    first.settles = 1;
    first.power_cuts = 1;
    first.synced = first.server;
    return first;
}

static void each_fact_is_there_once_however_late_requests_come(void **state)
{
    (void)state;
    struct kept first = calm();
    explore_holds(&model, &first);
}

static void what_a_server_loses_comes_from_its_backup_and_the_outbox(void **state)
{
    (void)state;
    struct kept first = server_lost();
    explore_holds(&model, &first);
    first = server_lost_twice();
    explore_holds(&model, &first);
}

static void a_restored_owner_s_facts_are_there_once(void **state)
{
    (void)state;
    struct kept first = owner_restored();
    explore_holds(&model, &first);
    first = both_restored();
    explore_holds(&model, &first);
}

static void what_has_not_settled_comes_from_the_outbox(void **state)
{
    (void)state;
    struct kept first = settling();
    explore_holds(&model, &first);
    first = settling_and_restored();
    explore_holds(&model, &first);
}

static void what_is_lost_beyond_that_is_given_up_and_nothing_else(void **state)
{
    (void)state;
    struct kept first = settling_and_lost();
    explore_holds(&model, &first);
}

static void a_point_is_as_it_was_written_last(void **state)
{
    (void)state;
    struct kept first = calm();
    first.points = 1;
    explore_holds(&model, &first);
    first = points_of_a_restored_owner();
    explore_holds(&model, &first);
    first = points_of_an_owner_restored_twice();
    explore_holds(&model, &first);
    first = points_of_both_restored();
    explore_holds(&model, &first);
    first = points_settling();
    explore_holds(&model, &first);
}

/* ---- Wrong ones ---- */

EXPLORE_CAUGHT(facts_without_names, model, calm, NAMED, doubled)
EXPLORE_CAUGHT(facts_named_by_positions, model, owner_restored, BY_ID, lost)
EXPLORE_CAUGHT(facts_named_by_the_sender_s_incarnation, model, owner_restored, OF_EVENT, doubled)
EXPLORE_CAUGHT(facts_named_by_their_event_alone, model, calm, INDEXED, lost)
EXPLORE_CAUGHT(a_cursor_that_goes_back, model, server_lost, RISES, lost)
EXPLORE_CAUGHT(a_mark_that_is_a_number, model, server_lost, CHAIN, lost)
EXPLORE_CAUGHT(links_of_positions, model, both_restored, LINKS_BY_ID, lost)
EXPLORE_CAUGHT(links_named_by_one_end, model, server_lost, BOTH_ENDS, lost)
EXPLORE_CAUGHT(an_outbox_trimmed_behind_the_cursor, model, server_lost, IN_BACKUP, lost)
EXPLORE_CAUGHT(a_backup_counted_up_to_what_was_carried_since, model, server_lost, COUNTS_BEFORE,
               lost)
EXPLORE_CAUGHT(a_backup_of_another_life_of_the_server, model, server_lost, WITNESSED, lost)
EXPLORE_CAUGHT(a_backup_of_a_server_that_was_not_looked_at, model, server_lost, LOOKS, lost)
EXPLORE_CAUGHT(an_outbox_trimmed_before_it_has_settled, model, settling, SETTLES, lost)
EXPLORE_CAUGHT(settling_of_what_is_not_whole, model, settling, WHOLE, lost)
EXPLORE_CAUGHT(settling_through_a_start_of_the_server, model, settling, RUNS_ON, lost)
EXPLORE_CAUGHT(a_loss_given_up_with_what_the_outbox_has, model, settling_and_lost, FROM_TRIMMED,
               lost)

EXPLORE_CAUGHT(points_of_positions, model, points_of_a_restored_owner, LIVES, former)
EXPLORE_CAUGHT(points_of_the_sender_s_incarnation, model, points_of_an_owner_restored_twice,
               OF_WRITER, former)

/* Instead of names: what was not answered comes when the server was asked. */
static void asking_how_far_the_server_is_doubles(void **state)
{
    (void)state;
    struct kept first = calm();
    first.without[REPEATS] = first.without[NAMED] = 1;
    explore_catches(&model, &first, doubled);
}

/* Instead of sending again: a former life was farther. Links tell, and numbers do not. */
static void asking_how_far_the_server_is_loses(void **state)
{
    (void)state;
    struct kept first = owner_restored();
    first.without[REPEATS] = first.without[CHAIN] = 1;
    explore_catches(&model, &first, lost);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fact_is_there_once_however_late_requests_come),
        cmocka_unit_test(what_a_server_loses_comes_from_its_backup_and_the_outbox),
        cmocka_unit_test(a_restored_owner_s_facts_are_there_once),
        cmocka_unit_test(what_has_not_settled_comes_from_the_outbox),
        cmocka_unit_test(what_is_lost_beyond_that_is_given_up_and_nothing_else),
        cmocka_unit_test(a_point_is_as_it_was_written_last),
        cmocka_unit_test(facts_without_names),
        cmocka_unit_test(facts_named_by_positions),
        cmocka_unit_test(facts_named_by_the_sender_s_incarnation),
        cmocka_unit_test(facts_named_by_their_event_alone),
        cmocka_unit_test(a_cursor_that_goes_back),
        cmocka_unit_test(a_mark_that_is_a_number),
        cmocka_unit_test(links_of_positions),
        cmocka_unit_test(links_named_by_one_end),
        cmocka_unit_test(an_outbox_trimmed_behind_the_cursor),
        cmocka_unit_test(a_backup_counted_up_to_what_was_carried_since),
        cmocka_unit_test(a_backup_of_another_life_of_the_server),
        cmocka_unit_test(a_backup_of_a_server_that_was_not_looked_at),
        cmocka_unit_test(an_outbox_trimmed_before_it_has_settled),
        cmocka_unit_test(settling_of_what_is_not_whole),
        cmocka_unit_test(settling_through_a_start_of_the_server),
        cmocka_unit_test(a_loss_given_up_with_what_the_outbox_has),
        cmocka_unit_test(points_of_positions),
        cmocka_unit_test(points_of_the_sender_s_incarnation),
        cmocka_unit_test(asking_how_far_the_server_is_doubles),
        cmocka_unit_test(asking_how_far_the_server_is_loses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
