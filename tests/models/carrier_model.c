/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carriers of a derived store on a server (docs/internals/carriers.md): ops under one key, put,
 * gone and put, are carried from the owner's outbox to a server that has no transactions. Carriers
 * take over from each other at any time, and none of them knows that it was paused: it sends what
 * it has read, and what it had sent can come at any time after that, or half of it. The server is
 * emptied, or restored from a backup, and forgets which versions its deletes had.
 *
 * The server compares versions, or lets whoever comes last win. How a store is made anew is another
 * model (carrier_anew); here it is one step, and nothing that was sent before concerns it.
 */

#include "explore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { OPS = 3, CARRIERS = 2, EPOCHS = 7 };

enum rule {
    CURSOR_RISES, /* the cursor only rises, whoever moves it */
    ACKNOWLEDGED, /* and only once the server has answered */
    TRIMS_BEHIND, /* the outbox is trimmed up to the cursor, and no further */
    VERSIONS,     /* an op has its position as its version */
    STONES,       /* what is gone leaves a stone: a value of its own, with the op's version */
    STONES_STAY,  /* as long as the generation */
    CHAIN,        /* each request leaves a link to the one before, not only how far it came */
    OWN_REQUEST,  /* the link is in its ops' own request */
    LINK_LAST,    /* behind them */
    ANEW,         /* what does not fit is made anew, and not mended */
    /* Where the last writer wins. */
    RENEWS,    /* who takes over makes it anew, under another name */
    SHUTS_OUT, /* or the server takes no requests of epochs before */
    AT_ONCE,   /* from before the first request of that epoch on */
    RISES,     /* whom it has shut out it never lets in again */
    FRESH,     /* whoever was not answered begins another epoch */
    /* Or else, where nothing is under way for longer than some time. */
    FORMER_DEAD,   /* before one takes over */
    WAITS,         /* and that time is waited for */
    WAITS_FOR_OWN, /* behind a request of one's own that was not answered, too */
    RULES
};

enum phase { IDLE, READ, ANSWERED, LINKED };

/* What the server has. */
struct contents {
    uint8_t at;            /* the op that wrote what is there; 0: nothing is */
    uint8_t gone;          /* it is a stone */
    uint8_t remembered;    /* the version of a delete, in memory */
    uint8_t link[OPS + 1]; /* to a place: from which, bits */
    uint8_t number;        /* of the last op, where that is all it says */
    uint8_t admits;        /* the lowest epoch whose requests are taken */
};

struct carrier {
    uint8_t epoch; /* 0: it does nothing */
    uint8_t shut;  /* it has shut out the others */
    uint8_t phase, from, to, cursor;
};

struct carried {
    uint8_t without[RULES];
    uint8_t compares; /* the server */
    uint8_t harmed;   /* it was, so that it need not fit */
    /* Faults that are left. */
    uint8_t takeovers, cuts, halves, backups, restores, empties, forgets;
    /* The owner. */
    uint8_t published, trimmed, epoch, cursor;
    struct carrier carriers[CARRIERS];
    struct contents server, backup;
    uint8_t backed_up;    /* 2: of another generation */
    uint8_t late[EPOCHS]; /* under way, of this epoch: bits, by page */
};

static bool has(const struct carried *s, enum rule rule)
{
    return !s->without[rule];
}

static bool is_put(int position)
{
    return position % 2 == 1;
}

/* ---- The server ---- */

static void apply(const struct carried *s, struct contents *server, int position)
{
    bool compares = s->compares && has(s, VERSIONS);
    int version = server->at > server->remembered ? server->at : server->remembered;
    if (compares && position <= version)
        return;
    bool stone = !is_put(position) && compares && has(s, STONES);
    server->at = is_put(position) || stone ? (uint8_t)position : 0;
    server->gone = stone;
    server->remembered = compares && !is_put(position) && !stone ? (uint8_t)position : 0;
}

static bool admitted(const struct carried *s, int epoch)
{
    return s->compares || !has(s, SHUTS_OUT) || epoch >= s->server.admits;
}

/* Named by both its ends, so that none takes another's place. */
static void write_link(struct contents *server, int from, int to)
{
    server->link[to] |= (uint8_t)(1 << from);
}

/* Of a page's ops those up to `end`. False: refused. */
static bool carry_out(struct carried *s, int epoch, int from, int to, int end)
{
    if (!admitted(s, epoch))
        return false;
    if (has(s, OWN_REQUEST) && (end == to || !has(s, LINK_LAST)))
        write_link(&s->server, from, to);
    for (int i = from + 1; i <= end; i++)
        apply(s, &s->server, i);
    if (s->server.number < to)
        s->server.number = (uint8_t)to;
    return true;
}

static void server_faults(struct explore *explore, const struct carried *now)
{
    struct carried after = *now;
    if (now->backups) {
        after.backups--;
        after.backup = now->server;
        after.backup.remembered = 0;
        after.backed_up = 1;
        explore_step(explore, &after, "the server is backed up");
    }
    after = *now;
    if (now->restores && now->backed_up) {
        after.restores--;
        after.harmed = 1;
        after.server = now->backed_up == 1 ? now->backup : (struct contents){0};
        explore_step(explore, &after, "the server is restored");
    }
    after = *now;
    if (now->empties) {
        after.empties--;
        after.harmed = 1;
        after.server = (struct contents){0};
        explore_step(explore, &after, "the server is emptied");
    }
    after = *now;
    if (now->forgets && now->server.remembered) {
        after.forgets--;
        after.server.remembered = 0;
        explore_step(explore, &after, "the server forgets its deletes");
    }
}

static int page_bit(int from, int to)
{
    return 1 << (from * 2 + (to - from - 1));
}

static void late_requests(struct explore *explore, const struct carried *now)
{
    for (int epoch = 1; epoch < EPOCHS; epoch++) {
        for (int from = 0; from < OPS; from++) {
            for (int to = from + 1; to <= from + 2 && to <= OPS; to++) {
                struct carried after = *now;
                if (!(now->late[epoch] & page_bit(from, to)))
                    continue;
                after.late[epoch] &= (uint8_t)~page_bit(from, to);
                carry_out(&after, epoch, from, to, to);
                explore_step(explore, &after, "late: %d to %d of epoch %d", from + 1, to, epoch);
                after = *now;
                if (!now->halves)
                    continue;
                after.halves--;
                after.late[epoch] &= (uint8_t)~page_bit(from, to);
                carry_out(&after, epoch, from, to, to - 1);
                explore_step(explore, &after, "late, and half: %d to %d of epoch %d", from + 1, to,
                             epoch);
            }
        }
    }
}

/* ---- Does it fit? ---- */

/* Whether the links lead from a place to the beginning. */
static bool reaches(const struct carried *s, int place)
{
    int reached = 1 << place;
    for (int i = place; i > 0; i--)
        reached |= reached >> i & 1 ? s->server.link[i] : 0;
    return reached & 1;
}

static int chain_end(const struct carried *s)
{
    int end = OPS;
    while (!reaches(s, end))
        end--;
    return end;
}

static bool fits(const struct carried *s)
{
    return has(s, CHAIN) ? reaches(s, s->cursor) : s->server.number >= s->cursor;
}

static void make_anew(struct carried *s, struct carrier *carrier)
{
    uint8_t place = s->published;
    struct carrier self = *carrier;
    s->server = (struct contents){.number = place, .admits = s->epoch};
    write_link(&s->server, 0, place);
    bool stone = place && !is_put(place) && s->compares;
    s->server.at = is_put(place) || stone ? place : 0;
    s->server.gone = stone;
    memset(s->late, 0, sizeof s->late);
    memset(s->carriers, 0, sizeof s->carriers);
    s->backed_up = s->backed_up ? 2 : 0;
    s->backup = (struct contents){0};
    s->cursor = place;
    *carrier = self;
    carrier->cursor = place;
    carrier->shut = 1;
}

static void looks(struct explore *explore, const struct carried *now, int i)
{
    struct carried after = *now;
    struct carrier *carrier = &after.carriers[i];
    if (carrier->epoch != now->epoch || carrier->phase != IDLE || fits(now))
        return;
    int end = has(now, CHAIN) ? chain_end(now) : now->server.number;
    if (!has(now, ANEW) && now->trimmed <= end && end < now->cursor) {
        after.cursor = carrier->cursor = (uint8_t)end;
        explore_step(explore, &after, "%d fills it from the outbox, from %d", i, end);
        return;
    }
    make_anew(&after, carrier);
    explore_step(explore, &after, "%d makes it anew", i);
}

/* ---- Carriers ---- */

static void takes_over(struct explore *explore, const struct carried *now, int i)
{
    struct carried after = *now;
    struct carrier *carrier = &after.carriers[i];
    bool given_up = true; /* whoever gave up its epoch needs no budget to go on */
    for (int k = 0; k < CARRIERS; k++)
        given_up = given_up && now->carriers[k].epoch != now->epoch;
    if (now->epoch + 1 >= EPOCHS || (carrier->epoch && carrier->epoch == now->epoch) ||
        (!given_up && !now->takeovers) || carrier->phase != IDLE)
        return;
    after.takeovers -= !given_up;
    after.epoch++;
    for (int k = 0; k < CARRIERS && has(now, FORMER_DEAD); k++)
        after.carriers[k] = (struct carrier){0};
    if (has(now, WAITS))
        memset(after.late, 0, sizeof after.late);
    carrier->epoch = after.epoch;
    carrier->shut = 0;
    carrier->cursor = now->cursor;
    explore_step(explore, &after, "%d takes over, epoch %d", i, after.epoch);
}

static bool shuts(const struct carried *now)
{
    return !now->compares && has(now, SHUTS_OUT);
}

static void reads_page(struct explore *explore, const struct carried *now, int i)
{
    const struct carrier *carrier = &now->carriers[i];
    struct carried after = *now;
    if (!now->compares && has(now, RENEWS) && !carrier->shut && carrier->epoch == now->epoch) {
        make_anew(&after, &after.carriers[i]);
        explore_step(explore, &after, "%d makes it anew, as it took over", i);
        return;
    }
    if (shuts(now) && !carrier->shut) {
        after.carriers[i].shut = 1;
        if (carrier->epoch > now->server.admits || !has(now, RISES))
            after.server.admits = carrier->epoch;
        explore_step(explore, &after, "%d shuts out all but epoch %d", i, carrier->epoch);
        if (has(now, AT_ONCE))
            return;
    }
    for (int to = carrier->cursor + 1; to <= carrier->cursor + 2 && to <= now->published; to++) {
        after = *now;
        if (carrier->cursor < now->trimmed)
            return;
        after.carriers[i].phase = READ;
        after.carriers[i].from = carrier->cursor;
        after.carriers[i].to = (uint8_t)to;
        explore_step(explore, &after, "%d reads up to %d", i, to);
    }
}

static void move_cursor(struct carried *s, struct carrier *carrier, uint8_t phase)
{
    uint8_t to = carrier->to;
    if (!s->compares && carrier->epoch != s->epoch) { /* then only under the newest epoch */
        *carrier = (struct carrier){.cursor = carrier->cursor};
        return;
    }
    if (!has(s, CURSOR_RISES) || s->cursor < to)
        s->cursor = to;
    carrier->cursor = to;
    carrier->phase = phase;
    if (phase == IDLE)
        carrier->from = carrier->to = 0;
}

static void sends(struct explore *explore, const struct carried *now, int i)
{
    struct carried after = *now;
    struct carrier *carrier = &after.carriers[i];
    int from = carrier->from, to = carrier->to, epoch = carrier->epoch;
    if (!has(now, ACKNOWLEDGED) && carrier->cursor != to) {
        move_cursor(&after, carrier, READ);
        explore_step(explore, &after, "%d moves the cursor to %d", i, to);
        return;
    }
    if (has(now, WAITS_FOR_OWN) && now->late[epoch])
        return;
    if (carry_out(&after, epoch, from, to, to))
        carrier->phase = ANSWERED;
    else
        *carrier = (struct carrier){.cursor = carrier->cursor};
    explore_step(explore, &after, "%d sends %d to %d", i, from + 1, to);
    after = *now;
    if (now->cuts) {
        after.cuts--;
        after.late[epoch] |= (uint8_t)page_bit(from, to);
        if (!now->compares && has(now, FRESH))
            *carrier = (struct carrier){.cursor = carrier->cursor};
        explore_step(explore, &after, "%d sends %d to %d, and is not answered", i, from + 1, to);
    }
}

static void carrier_steps(struct explore *explore, const struct carried *now, int i)
{
    struct carried after = *now;
    struct carrier *carrier = &after.carriers[i];
    takes_over(explore, now, i);
    if (!carrier->epoch)
        return;
    looks(explore, now, i);
    if (carrier->phase == IDLE) {
        reads_page(explore, now, i);
    } else if (carrier->phase == READ) {
        sends(explore, now, i);
    } else if (carrier->phase == ANSWERED && !has(now, OWN_REQUEST)) {
        write_link(&after.server, carrier->from, carrier->to);
        carrier->phase = LINKED;
        explore_step(explore, &after, "%d writes the link of %d", i, carrier->to);
    } else {
        move_cursor(&after, carrier, IDLE);
        explore_step(explore, &after, "%d moves the cursor to %d", i, carrier->cursor);
    }
}

/* ---- The owner ---- */

static void owner_steps(struct explore *explore, const struct carried *now)
{
    struct carried after = *now;
    if (now->published < OPS) {
        after.published++;
        explore_step(explore, &after, "op %d is published", after.published);
    }
    after = *now;
    uint8_t end = now->cursor;
    for (int i = 0; i < CARRIERS && !has(now, TRIMS_BEHIND); i++)
        end = now->carriers[i].to > end ? now->carriers[i].to : end;
    if (now->trimmed < end) {
        after.trimmed = end;
        explore_step(explore, &after, "the outbox is trimmed up to %d", end);
    }
    after = *now;
    if (!has(now, STONES_STAY) && now->server.gone && now->server.at <= now->cursor) {
        after.server.at = after.server.gone = 0;
        explore_step(explore, &after, "stones are swept");
    }
}

static void next(struct explore *explore, const void *state)
{
    const struct carried *now = state;
    owner_steps(explore, now);
    server_faults(explore, now);
    late_requests(explore, now);
    for (int i = 0; i < CARRIERS; i++)
        carrier_steps(explore, now, i);
}

static const char trimmed[] = "an op that is needed was trimmed";
static const char again[] = "what was removed is there again";
static const char went_back[] = "the store is older than the cursor";

static const char for_nothing[] = "what is whole does not fit";

static const char *bad(const void *state)
{
    const struct carried *now = state;
    int there = now->server.gone ? 0 : now->server.at;
    if (now->cursor < now->trimmed)
        return trimmed;
    if (!fits(now))
        return now->harmed ? NULL : for_nothing;
    for (int place = now->cursor; place <= now->published; place++) {
        if (there == (is_put(place) ? place : 0))
            return NULL;
    }
    return there && !is_put(now->cursor) ? again : went_back;
}

static bool goal(const void *state)
{
    const struct carried *now = state;
    return now->published == OPS && now->cursor == OPS && fits(now);
}

static const struct explore_model model = {
    .name = "carrier", .size = sizeof(struct carried), .next = next, .bad = bad, .goal = goal};

/* ---- Right ones ---- */

static struct carried comparing(void)
{
    struct carried first = {.compares = 1, .epoch = 1, .takeovers = 2, .cuts = 2};
    first.server.admits = first.carriers[0].epoch = first.carriers[0].shut = 1;
    first.without[FORMER_DEAD] = first.without[WAITS] = first.without[WAITS_FOR_OWN] = 1;
    return first;
}

static struct carried forgetful(void)
{
    struct carried first = comparing();
    first.takeovers = first.cuts = first.halves = first.forgets = 1;
    return first;
}

static struct carried restored(void)
{
    struct carried first = comparing();
    first.halves = first.backups = first.restores = 1;
    first.cuts = first.takeovers = (uint8_t)(1 + explore_deep());
    return first;
}

static struct carried renewing(void)
{
    struct carried first = restored();
    first.compares = 0;
    first.empties = 1;
    first.without[SHUTS_OUT] = 1;
    return first;
}

static struct carried shutting(void)
{
    struct carried first = comparing();
    first.compares = 0;
    first.cuts = (uint8_t)(1 + explore_deep());
    first.without[RENEWS] = 1;
    return first;
}

/* Nothing is shut out, but it is known when nothing is under way. */
static struct carried waiting(void)
{
    struct carried first = comparing();
    first.compares = 0;
    first.without[RENEWS] = first.without[SHUTS_OUT] = first.without[FRESH] = 1;
    first.without[FORMER_DEAD] = first.without[WAITS] = first.without[WAITS_FOR_OWN] = 0;
    return first;
}

static void no_late_request_does_harm_where_the_server_compares(void **state)
{
    (void)state;
    struct carried first = comparing();
    explore_holds(&model, &first);
    first = forgetful();
    explore_holds(&model, &first);
}

static void what_the_server_lost_is_noticed_and_made_anew(void **state)
{
    (void)state;
    struct carried first = restored();
    explore_holds(&model, &first);
    first.restores = first.backups = 0;
    first.empties = 1;
    explore_holds(&model, &first);
}

/* Allowed, and of little use: an outbox is trimmed behind the cursor. */
static void what_the_server_lost_may_be_filled_from_the_outbox_with_the_cursor(void **state)
{
    (void)state;
    struct carried first = restored();
    first.halves = 0;
    first.without[ANEW] = 1;
    explore_holds(&model, &first);
}

static void the_last_writer_may_win_where_each_takeover_makes_it_anew(void **state)
{
    (void)state;
    struct carried first = renewing();
    explore_holds(&model, &first);
}

static void the_last_writer_may_win_where_others_are_shut_out(void **state)
{
    (void)state;
    struct carried first = shutting();
    explore_holds(&model, &first);
}

static void the_last_writer_may_win_where_it_is_known_what_is_under_way(void **state)
{
    (void)state;
    struct carried first = waiting();
    explore_holds(&model, &first);
    first.compares = 1; /* then stones may go */
    first.without[STONES_STAY] = 1;
    explore_holds(&model, &first);
}

/* ---- Wrong ones ---- */

EXPLORE_CAUGHT(a_cursor_that_goes_back, model, comparing, CURSOR_RISES, trimmed)
EXPLORE_CAUGHT(a_cursor_that_moves_before_the_answer, model, comparing, ACKNOWLEDGED, for_nothing)
EXPLORE_CAUGHT(an_outbox_trimmed_up_to_what_was_read, model, comparing, TRIMS_BEHIND, trimmed)
EXPLORE_CAUGHT(ops_without_versions, model, comparing, VERSIONS, again)
EXPLORE_CAUGHT(a_delete_that_the_server_forgets, model, forgetful, STONES, again)
EXPLORE_CAUGHT(stones_that_are_swept, model, comparing, STONES_STAY, again)
EXPLORE_CAUGHT(a_mark_that_is_a_number, model, restored, CHAIN, went_back)
EXPLORE_CAUGHT(a_link_behind_its_ops_request, model, restored, OWN_REQUEST, went_back)
EXPLORE_CAUGHT(a_link_before_its_ops, model, restored, LINK_LAST, went_back)
EXPLORE_CAUGHT(a_former_carrier_that_is_not_shut_out, model, shutting, SHUTS_OUT, again)
EXPLORE_CAUGHT(a_former_carrier_that_is_shut_out_later, model, shutting, AT_ONCE, again)
EXPLORE_CAUGHT(a_fence_that_is_set, model, shutting, RISES, again)
EXPLORE_CAUGHT(ones_own_request_of_before, model, shutting, FRESH, again)
EXPLORE_CAUGHT(ones_own_request_of_before_a_renewal, model, renewing, FRESH, again)
EXPLORE_CAUGHT(a_grace_with_a_former_carrier_alive, model, waiting, FORMER_DEAD, again)
EXPLORE_CAUGHT(a_former_carrier_dead_without_a_grace, model, waiting, WAITS, again)
EXPLORE_CAUGHT(no_grace_behind_ones_own_request, model, waiting, WAITS_FOR_OWN, again)

/* A restored server lets in again whom it had shut out, and has links whose ops others undid. */
static void a_fence_that_a_restore_takes_away(void **state)
{
    (void)state;
    struct carried first = renewing();
    first.without[RENEWS] = 1;
    first.without[SHUTS_OUT] = 0;
    explore_catches(&model, &first, again);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_late_request_does_harm_where_the_server_compares),
        cmocka_unit_test(what_the_server_lost_is_noticed_and_made_anew),
        cmocka_unit_test(what_the_server_lost_may_be_filled_from_the_outbox_with_the_cursor),
        cmocka_unit_test(the_last_writer_may_win_where_each_takeover_makes_it_anew),
        cmocka_unit_test(the_last_writer_may_win_where_others_are_shut_out),
        cmocka_unit_test(the_last_writer_may_win_where_it_is_known_what_is_under_way),
        cmocka_unit_test(a_cursor_that_goes_back),
        cmocka_unit_test(a_cursor_that_moves_before_the_answer),
        cmocka_unit_test(an_outbox_trimmed_up_to_what_was_read),
        cmocka_unit_test(ops_without_versions),
        cmocka_unit_test(a_delete_that_the_server_forgets),
        cmocka_unit_test(stones_that_are_swept),
        cmocka_unit_test(a_mark_that_is_a_number),
        cmocka_unit_test(a_link_behind_its_ops_request),
        cmocka_unit_test(a_link_before_its_ops),
        cmocka_unit_test(a_former_carrier_that_is_not_shut_out),
        cmocka_unit_test(a_former_carrier_that_is_shut_out_later),
        cmocka_unit_test(a_fence_that_is_set),
        cmocka_unit_test(ones_own_request_of_before),
        cmocka_unit_test(ones_own_request_of_before_a_renewal),
        cmocka_unit_test(a_grace_with_a_former_carrier_alive),
        cmocka_unit_test(a_former_carrier_dead_without_a_grace),
        cmocka_unit_test(no_grace_behind_ones_own_request),
        cmocka_unit_test(a_fence_that_a_restore_takes_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
