/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What answers of views say of themselves, against what clients know, while instances die, are
 * paused and take over partitions, and an operator has events applied again:
 *
 *     Freehold-As-Of P   every goal that was answered with a place up to P is in the rows, of each
 *                        team; when all is over, every one that stands there in the outbox
 *     Freehold-Wait      an answer with 200 says that it is of then, or later
 *     Age A              every goal that was acknowledged A seconds before the question is there
 *
 * No team has more goals than were scored. What is derived of a row is what the row says. Where a
 * replay was given up, rows may be older than positions: from then on it is the most that any event
 * has said which must not be less.
 */

#include <freehold/simulate.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TEAMS 4
#define CLIENTS 5 /* the first one is the operator, the second one watches what he does */
#define ACTIONS 24
#define EARLY 20       /* goals before anything fails */
#define WATCHED_MS 150 /* after an operator's word */
#define GOALS_MAX (CLIENTS * ACTIONS + EARLY)
#define LOOKS_MAX 2000

static const char *const views[] = {"board", "ticker"};

struct goal {
    bool known;
    int64_t position, ms; /* it is not after that one, and was acknowledged by then */
};

struct look {
    const char *view;
    int64_t position;
    int shown[TEAMS];
};

struct state {
    char incarnation[40];
    int64_t last; /* that anybody was told of */
    int sent[TEAMS];
    struct goal goals[TEAMS][GOALS_MAX + 1]; /* by their number, from 1 */
    bool abandons, abandoned;                /* replays, in this run; and by now */
    const char *watched;                     /* a view that is told something now */
    int64_t watched_ms;                      /* the same: up to then */
    bool operated;                           /* nothing more is told */
    int looks;
    struct look seen[LOOKS_MAX];
};

/* One answer of a view. */
struct answer {
    const char *view;
    int64_t asked_ms, wanted; /* what was waited for; 0: nothing */
    int64_t position, age_s;  /* -1: it says none */
    json_t *teams;
};

static json_int_t integer_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static int team_of(const json_t *row)
{
    const char *name = text_of(row, "team");
    int number = name[0] == 't' ? atoi(name + 1) : -1;
    return number >= 0 && number < TEAMS ? number : -1;
}

/* ---- goals ---- */

/* "INCARNATION, POSITION". */
static void take_place(fh_client *client, const json_t *headers, struct goal *ret)
{
    struct state *state = fh_client_state(client);
    char incarnation[40] = "";
    const char *at = text_of(headers, "freehold-at");
    int read = sscanf(at, "%39[^,], %" SCNd64, incarnation, &ret->position);
    if (!fh_client_expect(client, read == 2 && ret->position > 0,
                          "a goal was answered without its place: %s", at))
        return;
    ret->ms = fh_client_ms(client);
    ret->known = true;
    fh_client_expect(client, !state->incarnation[0] || strcmp(state->incarnation, incarnation) == 0,
                     "the pitch is another one: %s", at);
    memcpy(state->incarnation, incarnation, sizeof incarnation);
    if (ret->position > state->last)
        state->last = ret->position;
}

/* Returns its place; 0: it is not known. */
static int64_t score(fh_client *client, const char *key)
{
    struct state *state = fh_client_state(client);
    int team = (int)fh_client_random(client, TEAMS);
    char name[8];
    snprintf(name, sizeof name, "t%d", team);
    json_t *body = json_pack("{s:s}", "team", name), *headers, *answer;
    struct fh_ask ask = {"pitch", "POST", "/goals", body, key, .ret_headers = &headers};
    struct goal goal = {0};
    state->sent[team]++;
    int status = fh_client_insist(client, &ask, &answer);
    json_int_t n = integer_of(answer, "n");
    if (fh_client_expect(client, status == 201 && n > 0 && n <= state->sent[team],
                         "a goal of %s was answered %d, as number %" JSON_INTEGER_FORMAT, name,
                         status, n)) {
        take_place(client, headers, &goal);
        state->goals[team][n] = goal;
        fh_client_count(client, "goals", 1);
    }
    json_decref(answer);
    json_decref(headers);
    json_decref(body);
    return goal.position;
}

/* ---- answers of views ---- */

/* How many goals of a team an answer has to show at least, by what clients were told. */
static int goals_due(const struct state *state, int team, const struct answer *answer)
{
    int64_t before_ms = answer->asked_ms - answer->age_s * 1000;
    for (int n = state->sent[team]; n > 0; n--) {
        const struct goal *goal = &state->goals[team][n];
        if (goal->known && ((answer->position >= 0 && goal->position <= answer->position) ||
                            (answer->age_s >= 0 && goal->ms <= before_ms)))
            return n;
    }
    return 0;
}

static void check_teams(fh_client *client, const struct answer *answer, int shown[TEAMS])
{
    const struct state *state = fh_client_state(client);
    size_t i;
    json_t *row;
    memset(shown, 0, TEAMS * sizeof *shown);
    json_array_foreach (answer->teams, i, row) {
        int team = team_of(row);
        json_int_t n = integer_of(row, "n"), most = integer_of(row, "most");
        if (!fh_client_expect(client, team >= 0 && n > 0 && n <= most && most <= state->sent[team],
                              "%s shows %" JSON_INTEGER_FORMAT
                              " goals, at most %" JSON_INTEGER_FORMAT,
                              answer->view, n, most))
            continue;
        shown[team] = (int)(state->abandoned ? most : n);
    }
    for (int team = 0; team < TEAMS; team++) {
        int due = goals_due(state, team, answer);
        fh_client_expect(client, shown[team] >= due,
                         "%s is as of %" PRId64 ", %" PRId64
                         " s old, and shows %d goals of t%d, of %d",
                         answer->view, answer->position, answer->age_s, shown[team], team, due);
    }
}

/* By the key, {team: row}. */
static json_t *by_team(const json_t *rows)
{
    json_t *ret = json_object(), *row;
    size_t i;
    json_array_foreach (rows, i, row)
        json_object_set(ret, text_of(row, "team"), row);
    return ret;
}

/* What was derived, of the same snapshot. */
static void check_derived(fh_client *client, const json_t *shown)
{
    json_t *teams = by_team(json_object_get(shown, "teams")), *each;
    json_t *heard = by_team(json_object_get(shown, "heard"));
    const json_t *found = json_object_get(shown, "found"),
                 *curves = json_object_get(shown, "curves");
    size_t i;
    fh_client_expect(client,
                     json_array_size(found) == json_object_size(teams) &&
                         json_array_size(curves) == json_object_size(heard),
                     "of %zu teams %zu are found, and %zu have curves of %zu",
                     json_object_size(teams), json_array_size(found), json_array_size(curves),
                     json_object_size(heard));
    json_array_foreach (found, i, each) {
        const json_t *value = json_object_get(each, "value");
        fh_client_expect(client, json_equal(value, json_object_get(teams, text_of(value, "team"))),
                         "%s is not found as its row is", text_of(value, "team"));
    }
    json_array_foreach (curves, i, each) {
        const char *team = text_of(json_object_get(each, "tags"), "team");
        const json_t *point = json_array_get(json_object_get(each, "points"), 0);
        const json_t *row = json_object_get(heard, team);
        json_int_t count = (json_int_t)json_number_value(json_array_get(point, 1));
        json_int_t most = (json_int_t)json_number_value(json_array_get(point, 2));
        fh_client_expect(client,
                         count == integer_of(row, "goals") && most == integer_of(row, "most"),
                         "%s has %" JSON_INTEGER_FORMAT " points up to %" JSON_INTEGER_FORMAT
                         ", and %" JSON_INTEGER_FORMAT " rows",
                         team, count, most, integer_of(row, "goals"));
    }
    fh_client_count(client, "derived", 1);
    json_decref(teams);
    json_decref(heard);
}

static void note_look(struct state *state, const struct answer *answer, const int shown[TEAMS])
{
    if (answer->position < 0 || state->looks == LOOKS_MAX)
        return;
    struct look *look = &state->seen[state->looks++];
    *look = (struct look){.view = answer->view, .position = answer->position};
    memcpy(look->shown, shown, sizeof look->shown);
}

static void check_answer(fh_client *client, struct answer *answer, const json_t *headers,
                         const json_t *shown)
{
    struct state *state = fh_client_state(client);
    int teams[TEAMS];
    char incarnation[40] = "";
    const char *age = text_of(headers, "age"), *as_of = text_of(headers, "freehold-as-of");
    answer->position = answer->age_s = -1;
    if (*as_of)
        fh_client_expect(
            client,
            sscanf(as_of, "pitch@%39[^,],%" SCNd64, incarnation, &answer->position) == 2 &&
                (!state->incarnation[0] || strcmp(incarnation, state->incarnation) == 0),
            "%s is as of %s", answer->view, as_of);
    if (*age)
        answer->age_s = atoll(age);
    answer->teams =
        json_is_array(shown) ? (json_t *)(uintptr_t)shown : json_object_get(shown, "teams");
    fh_client_expect(client, answer->position >= answer->wanted || !answer->wanted,
                     "%s is as of %" PRId64 ", where %" PRId64 " was waited for", answer->view,
                     answer->position, answer->wanted);
    check_teams(client, answer, teams);
    note_look(state, answer, teams);
    if (!json_is_array(shown))
        check_derived(client, shown);
    fh_client_count(client, answer->position < 0 ? "of no place" : "of a place", 1);
    fh_client_count(client, "with an age", answer->age_s >= 0);
}

/* Where it stands, with that as the least that is wanted: 0, anything. */
static int look(fh_client *client, const char *view, int64_t wanted, int max_age_s,
                int64_t *ret_position)
{
    const struct state *state = fh_client_state(client);
    struct answer answer = {.view = view, .wanted = wanted, .asked_ms = fh_client_ms(client)};
    json_t *asked = json_object(), *headers, *shown;
    if (wanted)
        json_object_set_new(asked, "Freehold-Wait",
                            json_sprintf("pitch@%s,%" PRId64, state->incarnation, wanted));
    if (max_age_s)
        json_object_set_new(asked, "Freehold-Max-Age", json_sprintf("%d", max_age_s));
    struct fh_ask ask = {
        view, "GET", "/teams", .headers = asked, .ret_headers = &headers, .timeout_ms = 8000};
    int status = fh_client_ask(client, &ask, &shown);
    fh_client_expect(client, status == 0 || status == 200 || status == 503 || status == 504,
                     "%s was answered %d", view, status);
    if (status == 200) {
        check_answer(client, &answer, headers, shown);
        fh_client_expect(client, !max_age_s || (answer.age_s >= 0 && answer.age_s <= max_age_s),
                         "%s is %" PRId64 " s old, and was to be at most %d", view, answer.age_s,
                         max_age_s);
        if (answer.position > *ret_position)
            *ret_position = answer.position;
    }
    fh_client_count(client, "refused", status == 503 || status == 504);
    json_decref(shown);
    json_decref(headers);
    json_decref(asked);
    return status;
}

/* ---- an operator ---- */

/* Those partitions of which the process that it comes to has. */
static int replay(fh_client *client, const char *view, int64_t position)
{
    char path[64];
    json_t *events = NULL, *told = NULL;
    snprintf(path, sizeof path, "/_freehold/events?after=%" PRId64 "&limit=1", position);
    struct fh_ask about = {"pitch", "GET", path, .as_operator = true};
    int status = fh_client_ask(client, &about, &events);
    if (status == 200) {
        json_t *body = json_pack("{s:s, s:O, s:I, s:O}", "source", "pitch", "incarnation",
                                 json_object_get(events, "incarnation"), "position",
                                 (json_int_t)position, "id", json_object_get(events, "after_id"));
        struct fh_ask ask = {
            view, "POST", "/_freehold/replay", body, .as_operator = true, .timeout_ms = 10000};
        status = fh_client_ask(client, &ask, &told);
        fh_client_expect(client, status == 0 || status == 200 || status == 409 || status == 503,
                         "a replay was answered %d", status);
        fh_client_count(client, "replays", status == 200);
        json_decref(body);
    }
    json_decref(events);
    json_decref(told);
    return status;
}

static void abandon(fh_client *client, const char *view)
{
    struct state *state = fh_client_state(client);
    json_t *body = json_pack("{s:s}", "source", "pitch");
    struct fh_ask ask = {
        view, "POST", "/_freehold/replay/abandon", body, .as_operator = true, .timeout_ms = 10000};
    state->abandoned = true;
    int status = fh_client_ask(client, &ask, NULL);
    fh_client_expect(client, status == 0 || status == 200 || status == 409 || status == 503,
                     "the end of a replay was answered %d", status);
    json_decref(body);
}

static void operate(fh_client *client)
{
    struct state *state = fh_client_state(client);
    for (int i = 0; i < ACTIONS; i++) {
        const char *view = views[fh_client_random(client, 4) == 0];
        state->watched = view;
        state->watched_ms = fh_client_ms(client) + WATCHED_MS;
        if (state->abandons && fh_client_random(client, 3) == 0)
            abandon(client, view);
        else if (state->last)
            replay(client, view,
                   (int64_t)(fh_client_random(client, 2) *
                             fh_client_random(client, (uint64_t)state->last)));
        fh_client_sleep_ms(client, (int)fh_client_random(client, 700));
    }
    state->operated = true;
}

/* What others see while events are applied again: one look after the other, as soon as that is
 * said, and now and then in between, so that each instance has something to remember. */
static void watch(fh_client *client)
{
    const struct state *state = fh_client_state(client);
    int64_t seen = 0;
    for (int i = 0; !state->operated; i++) {
        bool now = fh_client_ms(client) < state->watched_ms;
        if (now || i % 20 == 0)
            look(client, now ? state->watched : views[0], 0, 0, &seen);
        fh_client_sleep_ms(client, now ? 1 : 10);
    }
}

/* ---- clients ---- */

static void prepare(fh_client *client)
{
    struct state *state = fh_client_state(client);
    state->abandons = fh_client_random(client, 4) == 0;
    for (int i = 0; i < EARLY; i++) {
        char key[32];
        snprintf(key, sizeof key, "early-%d", i);
        score(client, key);
    }
}

/* What it has seen once it wants to see again, mostly, and what it has done itself. */
static void use(fh_client *client, int number)
{
    char key[32];
    int64_t seen[2] = {0}, done = 0;
    for (int i = 0; i < ACTIONS; i++) {
        snprintf(key, sizeof key, "c%d-%d", number, i);
        if (fh_client_random(client, 3) == 0) {
            int64_t position = score(client, key);
            done = position > done ? position : done;
        }
        int which = fh_client_random(client, 3) == 0;
        int64_t wanted = done > seen[which] ? done : seen[which];
        bool waits = fh_client_random(client, 3) > 0;
        int max_age_s = which == 1 && fh_client_random(client, 4) == 0
                            ? 1 + (int)fh_client_random(client, 5)
                            : 0;
        look(client, views[which], waits ? wanted : 0, max_age_s, &seen[which]);
        fh_client_sleep_ms(client, (int)fh_client_random(client, 300));
    }
}

static void client(fh_client *client, int number)
{
    if (number == 0)
        operate(client);
    else if (number == 1)
        watch(client);
    else
        use(client, number);
}

/* ---- at rest ---- */

/* What each answer said that it is of, as the outbox has it. */
static void check_looks(fh_client *client)
{
    const struct state *state = fh_client_state(client);
    json_t *events = fh_client_rows(client, "pitch",
                                    "SELECT position, data ->> 'team' AS team, data ->> 'n' AS n"
                                    " FROM fh_outbox ORDER BY position");
    for (int i = 0; i < state->looks; i++) {
        const struct look *look = &state->seen[i];
        json_int_t due[TEAMS] = {0};
        size_t j;
        json_t *event;
        json_array_foreach (events, j, event) {
            if (integer_of(event, "position") <= look->position)
                due[team_of(event)] = integer_of(event, "n");
        }
        for (int team = 0; team < TEAMS; team++)
            fh_client_expect(client, look->shown[team] >= due[team],
                             "%s was as of %" PRId64 ", and had %d goals of t%d, of %d", look->view,
                             look->position, look->shown[team], team, (int)due[team]);
    }
    json_decref(events);
}

static void check_rows(fh_client *client, const char *view, bool abandoned)
{
    const struct state *state = fh_client_state(client);
    json_t *rows = fh_client_rows(client, view, "SELECT id AS team, n, most FROM team");
    json_t *teams = by_team(rows);
    char name[8];
    for (int team = 0; team < TEAMS; team++) {
        snprintf(name, sizeof name, "t%d", team);
        const json_t *row = json_object_get(teams, name);
        json_int_t n = integer_of(row, "n"), most = integer_of(row, "most");
        fh_client_expect(
            client, most == state->sent[team] && (n == most || (abandoned && n <= most)),
            "%s has %" JSON_INTEGER_FORMAT " goals of %s, and had %" JSON_INTEGER_FORMAT ", of %d",
            view, n, name, most, state->sent[team]);
    }
    json_decref(teams);
    json_decref(rows);
}

/* All in one, without faults: it is answered with everything. */
static void check_view(fh_client *client, const char *view)
{
    const struct state *state = fh_client_state(client);
    int64_t seen = 0;
    int status = look(client, view, state->last, 0, &seen);
    fh_client_expect(client, status == 200 && seen >= state->last,
                     "%s was answered %d at rest, as of %" PRId64 " of %" PRId64, view, status,
                     seen, state->last);
}

static void check(fh_client *client)
{
    const struct state *state = fh_client_state(client);
    check_looks(client);
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        check_view(client, views[i]);
        check_rows(client, views[i], state->abandoned);
    }
    if (!state->abandoned || !state->last)
        return;
    int status = replay(client, "ticker", 0); /* it has one instance, and so all partitions */
    fh_client_expect(client, status == 200, "a replay was answered %d at rest", status);
    check_view(client, "ticker");
    check_rows(client, "ticker", false);
}

FH_SIMULATION(score, .state_size = sizeof(struct state), .clients = CLIENTS, .prepare = prepare,
              .client = client, .check = check, .servers = true);
