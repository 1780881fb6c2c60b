/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Milestones of a chain of links (docs/internals/carriers.md, 38): a look need not walk all links
 * from the beginning, if the server has a milestone, which was written once all links up to its
 * place were known to be there for good.
 *
 * Links 1 to LINKS are under way from the beginning, as often as anybody likes, and so late as
 * anybody likes: other carriers send them, too. The server loses what has not settled when it is
 * started anew, and is restored from a backup of its own that was made at any time. A request for a
 * milestone that was not answered comes whenever it likes. Two carriers write some, each through
 *
 *     LOOKED     walked from the milestone that the owner's record names, or from the beginning
 *     SETTLED    what was there then is durable
 *     ANSWERED   the milestone is on the server
 *     RAN_ON     it has not been started anew since it was looked at
 *     AGAIN      walked once more: it is whole, and the milestone is there
 *     then it is noted in the owner's record
 *
 * What must never be: that the server has the milestone of the record, and lacks a link before it.
 */

#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { LINKS = 2, STONES = 3, CARRIERS = 2 };

enum rule {
    NAMED_ONCE,   /* each attempt has a name of its own, not that of its place */
    ACKNOWLEDGED, /* one that was not answered is never noted */
    SETTLES,      /* what is before it has settled before it is sent */
    RUNS_ON,      /* and the server has run on from the look before until the answer */
    LOOKS_AGAIN,  /* and it was walked once more */
    RULES
};

enum phase { IDLE, LOOKED, SETTLED, ANSWERED, RAN_ON, AGAIN };

struct server {
    uint8_t links, stones; /* that are there: bits */
};

struct carrier {
    uint8_t phase, place, stone;
    uint8_t stopped; /* the server was started anew since the look */
};

struct stones {
    uint8_t without[RULES];
    uint8_t alone;                                    /* is the first carrier */
    uint8_t starts_left, restores, in_place, backups; /* faults that are left */
    uint8_t next_stone, place_of[STONES], late[STONES];
    uint8_t noted; /* the record's; 0: none */
    struct server server, synced, backup;
    struct carrier carriers[CARRIERS];
};

static bool has(const struct stones *s, enum rule rule)
{
    return !s->without[rule];
}

static uint8_t bit(int number)
{
    return (uint8_t)(1u << number);
}

static bool is_there(const struct stones *s, int stone)
{
    if (has(s, NAMED_ONCE))
        return s->server.stones & bit(stone);
    for (int other = 1; other < STONES; other++) {
        if (s->place_of[other] == s->place_of[stone] && s->server.stones & bit(other))
            return true;
    }
    return false;
}

/* Up to where a look finds the chain whole. */
static uint8_t whole_to(const struct stones *s)
{
    uint8_t to = s->noted && is_there(s, s->noted) ? s->place_of[s->noted] : 0;
    while (to < LINKS && s->server.links & bit(to + 1))
        to++;
    return to;
}

/* ---- The server ---- */

static void start_server(struct stones *s)
{
    for (int which = 0; which < CARRIERS; which++)
        s->carriers[which].stopped = s->carriers[which].phase != IDLE;
}

/* Each part that was not synced is there, or lost, by itself. */
static void next_of_start(struct explore *explore, const struct stones *s)
{
    for (int links = 0; links < bit(LINKS + 1) && s->starts_left; links += 2) {
        for (int milestones = 0; milestones < bit(STONES); milestones += 2) {
            struct stones n = *s;
            n.starts_left--;
            n.server.links &= (uint8_t)(s->synced.links | links);
            n.server.stones &= (uint8_t)(s->synced.stones | milestones);
            start_server(&n);
            explore_step(explore, &n, "the server is started anew: links %x, milestones %x",
                         n.server.links, n.server.stones);
        }
    }
}

static void next_of_server(struct explore *explore, const struct stones *s)
{
    struct stones n;
    for (int link = 1; link <= LINKS; link++) {
        n = *s;
        n.server.links |= bit(link);
        if (n.server.links != s->server.links)
            explore_step(explore, &n, "link %d arrives", link);
    }
    for (int stone = 1; stone < STONES; stone++) {
        n = *s;
        n.server.stones |= bit(stone);
        if (s->late[stone] && n.server.stones != s->server.stones)
            explore_step(explore, &n, "milestone %d arrives, late", stone);
    }
    n = *s;
    n.synced = n.server;
    explore_step(explore, &n, "the server syncs");
    next_of_start(explore, s);
    if (s->backups) {
        n = *s;
        n.backups--;
        n.backup = s->server;
        explore_step(explore, &n, "a backup of the server is made");
    }
    if (s->restores) {
        n = *s;
        n.restores--;
        n.server = n.synced = s->backup;
        start_server(&n);
        explore_step(explore, &n, "the server is restored");
    }
    if (s->in_place) {
        n = *s;
        n.in_place--;
        n.server = n.synced = s->backup;
        explore_step(explore, &n, "the server is restored while it runs");
    }
}

/* ---- A carrier ---- */

static void look(struct explore *explore, const struct stones *s, int which)
{
    struct stones n = *s;
    struct carrier *carrier = &n.carriers[which];
    *carrier = (struct carrier){.phase = LOOKED, .place = whole_to(s)};
    if (carrier->place > (s->noted ? s->place_of[s->noted] : 0))
        explore_step(explore, &n, "carrier %d finds it whole up to %d", which, carrier->place);
}

/* The server has been running since, for as long as it needs. */
static void settle(struct explore *explore, const struct stones *s, int which)
{
    struct stones n = *s;
    n.carriers[which].phase = SETTLED;
    if (has(s, SETTLES) && s->carriers[which].stopped)
        return;
    if (has(s, SETTLES))
        n.synced = n.server;
    explore_step(explore, &n, "carrier %d has waited", which);
}

static void send_stone(struct explore *explore, const struct stones *s, int which)
{
    struct stones n = *s;
    struct carrier *carrier = &n.carriers[which];
    uint8_t stone = s->next_stone;
    if (stone == STONES)
        return;
    n.next_stone++;
    n.place_of[stone] = carrier->place;
    carrier->stone = stone;
    carrier->phase = ANSWERED;
    n.server.stones |= bit(stone);
    explore_step(explore, &n, "carrier %d writes milestone %d at %d", which, stone, carrier->place);
    n.server = s->server;
    n.late[stone] = 1;
    if (has(s, ACKNOWLEDGED))
        *carrier = (struct carrier){0};
    explore_step(explore, &n, "carrier %d sends milestone %d at %d, and hears nothing", which,
                 stone, s->carriers[which].place);
}

static void next_of_carrier(struct explore *explore, const struct stones *s, int which)
{
    const struct carrier *carrier = &s->carriers[which];
    struct stones n = *s;
    switch (carrier->phase) {
    case IDLE:
        look(explore, s, which);
        return;
    case LOOKED:
        settle(explore, s, which);
        break;
    case SETTLED:
        send_stone(explore, s, which);
        break;
    case ANSWERED:
        n.carriers[which].phase = RAN_ON;
        if (!has(s, RUNS_ON) || !carrier->stopped)
            explore_step(explore, &n, "carrier %d sees that the server has run on", which);
        break;
    case RAN_ON:
        n.carriers[which].phase = AGAIN;
        if (!has(s, LOOKS_AGAIN) || (whole_to(s) >= carrier->place && is_there(s, carrier->stone)))
            explore_step(explore, &n, "carrier %d looks again", which);
        break;
    case AGAIN:
        n.carriers[which] = (struct carrier){0};
        if (!s->noted || s->place_of[s->noted] < carrier->place)
            n.noted = carrier->stone;
        explore_step(explore, &n, "carrier %d notes milestone %d", which, carrier->stone);
        break;
    }
    n = *s;
    n.carriers[which] = (struct carrier){0};
    explore_step(explore, &n, "carrier %d dies", which);
}

static void next(struct explore *explore, const void *state)
{
    const struct stones *s = state;
    next_of_server(explore, s);
    for (int which = 0; which < (s->alone ? 1 : CARRIERS); which++)
        next_of_carrier(explore, s, which);
}

static const char hidden[] = "a milestone hides a link that is missing";

static const char *bad(const void *state)
{
    const struct stones *s = state;
    if (!s->noted || !is_there(s, s->noted))
        return NULL;
    for (int link = 1; link <= s->place_of[s->noted]; link++) {
        if (!(s->server.links & bit(link)))
            return hidden;
    }
    return NULL;
}

static bool goal(const void *state)
{
    const struct stones *s = state;
    return whole_to(s) == LINKS;
}

static const struct explore_model model = {
    .name = "milestones", .size = sizeof(struct stones), .next = next, .bad = bad, .goal = goal};

/* ---- All is well ---- */

static struct stones restored(void)
{
    return (struct stones){.alone = !explore_deep(), .restores = 2, .backups = 2, .next_stone = 1};
}

static struct stones started(void)
{
    return (struct stones){.starts_left = 2, .next_stone = 1};
}

static struct stones both(void)
{
    return (struct stones){.starts_left = 1, .restores = 1, .backups = 1, .next_stone = 1};
}

/* Nothing tells that it was. */
static struct stones restored_in_place(void)
{
    return (struct stones){.in_place = 1, .backups = 1, .next_stone = 1};
}

static void a_milestone_hides_nothing(void **state)
{
    (void)state;
    struct stones first = restored();
    explore_holds(&model, &first);
    first = started();
    explore_holds(&model, &first);
    first = both();
    explore_holds(&model, &first);
}

static void nor_after_a_restore_that_nobody_noticed(void **state)
{
    (void)state;
    struct stones first = restored_in_place();
    explore_holds(&model, &first);
}

/* ---- Wrong ones ---- */

EXPLORE_CAUGHT(a_milestone_that_is_named_by_its_place, model, restored, NAMED_ONCE, hidden)
EXPLORE_CAUGHT(a_milestone_that_was_not_answered, model, restored, ACKNOWLEDGED, hidden)
EXPLORE_CAUGHT(a_milestone_of_what_has_not_settled, model, started, SETTLES, hidden)
EXPLORE_CAUGHT(a_milestone_through_a_start_of_the_server, model, restored, RUNS_ON, hidden)
EXPLORE_CAUGHT(a_milestone_behind_which_nobody_looked, model, restored_in_place, LOOKS_AGAIN,
               hidden)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_milestone_hides_nothing),
        cmocka_unit_test(nor_after_a_restore_that_nobody_noticed),
        cmocka_unit_test(a_milestone_that_is_named_by_its_place),
        cmocka_unit_test(a_milestone_that_was_not_answered),
        cmocka_unit_test(a_milestone_of_what_has_not_settled),
        cmocka_unit_test(a_milestone_through_a_start_of_the_server),
        cmocka_unit_test(a_milestone_behind_which_nobody_looked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
