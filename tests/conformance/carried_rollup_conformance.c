/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server of points owes to a series with roll-ups: together with the service's own store,
 * where these are made, it answers what that store alone would. Points are written there, in order,
 * late, and again; pages of them reach the server in any order and number; the sweep goes on slice
 * by slice, some of which are rolled back; the server is trimmed, and made anew in the middle.
 * FREEHOLD_SEED repeats one order.
 */

#include "carried_trial.h"

#include "../support/carried_ops.h"
#include "../support/tallied.h"
#include "engine/engines.h"

#define ROUNDS 16
#define BATCH 16
#define QUESTIONS 12
#define PAGES_MAX 512
#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define STEP_MS (HOUR_MS / 3)
#define BEGIN_MS (-12 * DAY_MS) /* so that times of both signs are there */

static const struct fh_derived_field fields[] = {
    {"device", FH_STRING, FH_TAG}, {"site", FH_INT, FH_TAG}, {"c", FH_NUMBER}, {"n", FH_INT}, {0}};
static const struct fh_derived measured = {.name = "measured",
                                           .model = FH_SERIES,
                                           .fields = fields,
                                           .keep_days = 2,
                                           .rollups = {{3 * HOUR_MS, 5}, {DAY_MS, 12}}};

struct rolling {
    struct trial *t;
    struct store *store;
    int64_t now_ms, position;
    struct rolling_page {
        struct carried_link link;
        char keys[BATCH][CARRIED_KEY_SIZE];
        struct carried_op ops[BATCH];
        int count;
        bool sent;
    } pages[PAGES_MAX];
    int page_count;
    struct series_trimming at;
    int rolled; /* answers that were not of points alone */
};

static const struct derived_ops *own(const struct rolling *rolling)
{
    return derived_engine(rolling->store);
}

static int64_t oldest_ms(const struct rolling *rolling)
{
    return series_points_ms(&measured, rolling->now_ms - measured.keep_days * DAY_MS);
}

static struct store_work *begin_work(struct rolling *rolling, enum store_mode mode)
{
    struct store_work *work = NULL;
    EXPECT_CODE(rolling->t, FH_OK, store_begin(rolling->store, mode, &work, &rolling->t->error));
    FH_ASSERT(work != NULL);
    return work;
}

static void open_own(struct rolling *rolling)
{
    struct trial *t = rolling->t;
    struct store_options options = {
        .service = "meters", .folder = t->harness.folder, .model = FH_RELATIONAL};
    EXPECT_CODE(
        t, FH_OK,
        engine_embedded()->store->open(&options, t->harness.world, &rolling->store, &t->error));
    FH_ASSERT(rolling->store != NULL);
    struct store_work *work = begin_work(rolling, STORE_WRITE_EXCLUSIVE);
    EXPECT_CODE(t, FH_OK, own(rolling)->prepare(work, &measured, 1, &t->error));
    EXPECT_CODE(t, FH_OK, store_commit(work, &t->error));
}

/* ---- Points ---- */

/* As a handler's: what is too old is left out. */
static void measure(struct rolling *rolling)
{
    struct trial *t = rolling->t;
    struct rolling_page *page = &rolling->pages[rolling->page_count];
    struct store_work *work = begin_work(rolling, STORE_WRITE);
    int64_t number = 0, id;
    FH_ASSERT(rolling->page_count < PAGES_MAX);
    *page = (struct rolling_page){.link = {.from = rolling->position}};
    for (int i = 0; i < BATCH; i++) {
        int64_t at_ms = rolling->now_ms - draw(t, 4 * 72) * STEP_MS + (draw(t, 3) == 0);
        json_t *fact =
            json_pack("{s:s, s:i, s:o, s:o}", "device", draw(t, 2) ? "a" : "b,\"", "site",
                      draw(t, 2), "c", draw(t, 5) ? json_real(draw(t, 80) * 0.25) : json_null(),
                      "n", draw(t, 5) ? json_integer(draw(t, 2000) - 1000) : json_null());
        if (at_ms < oldest_ms(rolling)) {
            json_decref(fact);
            continue;
        }
        EXPECT_CODE(t, FH_OK,
                    own(rolling)->measure(work, &measured, &number, at_ms, fact, &id, &t->error));
        if (id == 0) {
            json_decref(fact);
            continue;
        }
        struct carried_op *op = &page->ops[page->count];
        snprintf(page->keys[page->count], CARRIED_KEY_SIZE, "%lld@%lld", (long long)id,
                 (long long)at_ms);
        *op = (struct carried_op){.position = ++rolling->position,
                                  .key = page->keys[page->count],
                                  .at_ms = at_ms,
                                  .value = fact};
        page->count++;
    }
    EXPECT_CODE(t, FH_OK, store_commit(work, &t->error));
    page->link.to = rolling->position;
    rolling->page_count += page->count > 0;
}

static void send_rolling(struct rolling *rolling, struct rolling_page *page)
{
    carried_ops_fill(&measured, page->ops, page->count);
    struct carried_page sent = {page->link, page->ops, page->count};
    EXPECT_CODE(rolling->t, FH_OK, send_page(rolling->t, &sent));
    page->sent = true;
}

/* Some again, in any order; in the end all of them. */
static void carry(struct rolling *rolling)
{
    for (int i = 0; i < 3 && rolling->page_count; i++)
        send_rolling(rolling, &rolling->pages[draw(rolling->t, rolling->page_count)]);
    for (int i = rolling->page_count - 1; i >= 0; i--) {
        if (!rolling->pages[i].sent)
            send_rolling(rolling, &rolling->pages[i]);
    }
}

static void release_pages(struct rolling *rolling)
{
    for (int i = 0; i < rolling->page_count; i++) {
        for (int j = 0; j < rolling->pages[i].count; j++)
            json_decref((json_t *)(uintptr_t)rolling->pages[i].ops[j].value);
    }
    rolling->page_count = 0;
}

/* ---- Another generation, of what the own store has ---- */

static bool list_point(void *context, const struct derived_fact *fact)
{
    struct rolling *rolling = context;
    struct rolling_page *page = &rolling->pages[rolling->page_count - 1];
    if (page->count == BATCH) {
        FH_ASSERT(rolling->page_count < PAGES_MAX);
        page++;
        rolling->page_count++;
        *page = (struct rolling_page){.link = {.from = rolling->position}};
    }
    json_t *value = json_object();
    for (int i = 0; fields[i].name; i++) {
        const struct sql_value *of = &fact->values[i];
        json_object_set_new(value, fields[i].name,
                            of->kind == SQL_TEXT      ? json_stringn(of->text, of->length)
                            : of->kind == SQL_INTEGER ? json_integer(of->integer)
                            : of->kind == SQL_REAL    ? json_real(of->real)
                                                      : json_null());
    }
    snprintf(page->keys[page->count], CARRIED_KEY_SIZE, "%lld@%lld", (long long)fact->id,
             (long long)fact->at_ms);
    page->ops[page->count] = (struct carried_op){.position = ++rolling->position,
                                                 .key = page->keys[page->count],
                                                 .at_ms = fact->at_ms,
                                                 .value = value};
    page->count++;
    page->link.to = rolling->position;
    return true;
}

static void make_anew(struct rolling *rolling)
{
    struct trial *t = rolling->t;
    EXPECT_CODE(t, FH_OK, drop(t));
    t->name.number++;
    EXPECT_CODE(t, FH_OK, make(t));
    release_pages(rolling);
    rolling->pages[0] = (struct rolling_page){.link = {rolling->position, rolling->position}};
    rolling->page_count = 1;
    struct store_work *work = begin_work(rolling, STORE_READ);
    EXPECT_CODE(t, FH_OK,
                own(rolling)->list(work, &measured, NULL,
                                   oldest_ms(rolling) - measured.rollups[0].every_ms, list_point,
                                   rolling, &t->error));
    store_rollback(work);
    rolling->page_count -= rolling->pages[0].count == 0;
}

/* ---- The sweep ---- */

static void sweep_slices(struct rolling *rolling)
{
    struct trial *t = rolling->t;
    for (int slices = draw(t, 4); slices > 0; slices--) {
        struct series_trimming at = rolling->at;
        struct store_work *work = begin_work(rolling, STORE_WRITE);
        EXPECT_CODE(t, FH_OK,
                    own(rolling)->trim(work, &measured, oldest_ms(rolling), &at, &t->error));
        if (draw(t, 4) == 0) { /* killed before it was durable */
            store_rollback(work);
            continue;
        }
        EXPECT_CODE(t, FH_OK, store_commit(work, &t->error));
        rolling->at = at.done ? (struct series_trimming){0} : at;
    }
    if (draw(t, 3) == 0 && t->server->ops->trim)
        EXPECT_CODE(t, FH_OK,
                    t->server->ops->trim(t->server, &measured, &t->name,
                                         oldest_ms(rolling) - measured.rollups[0].every_ms,
                                         &t->error));
}

/* ---- Questions ---- */

static enum fh_code ask_own(struct rolling *rolling, const struct fh_series *series, json_t **ret,
                            struct fh_error *error)
{
    struct store_work *work = begin_work(rolling, STORE_READ);
    enum fh_code code =
        own(rolling)->series(work, &measured, series, oldest_ms(rolling), ret, error);
    store_rollback(work);
    return code;
}

/* `between`: the sweep goes on after the own store was asked. */
static enum fh_code ask_both(struct rolling *rolling, const struct fh_series *series, bool between,
                             json_t **ret, struct fh_error *error)
{
    struct trial *t = rolling->t;
    struct series_past *past = NULL;
    struct store_work *work = begin_work(rolling, STORE_READ);
    enum fh_code code =
        own(rolling)->past(work, &measured, series, oldest_ms(rolling), &past, error);
    store_rollback(work);
    if (code != FH_OK)
        return code;
    rolling->rolled += past->question.rolled && past->tally.found > 0;
    if (between)
        sweep_slices(rolling);
    t->bed->settle(t->server, &measured, &t->name);
    code = t->server->ops->series(t->server, &measured, &t->name, series, oldest_ms(rolling), past,
                                  0, ret, error);
    series_past_free(past);
    return code;
}

static void expect_same(struct rolling *rolling, const struct fh_series *series, int line)
{
    struct trial *t = rolling->t;
    struct fh_error error = {0}, other = {0};
    json_t *expected = NULL, *answer = NULL;
    enum fh_code code = ask_own(rolling, series, &expected, &error);
    enum fh_code asked = ask_both(rolling, series, draw(t, 3) == 0, &answer, &other);
    t->error = other;
    expect_code(t, code, asked, line);
    if (code != FH_OK)
        expect_text(t, error.field, other.field, line);
    else if (asked == FH_OK && !tallied_same(expected, answer)) {
        char *a = json_text(answer), *b = json_text(expected);
        expect_text(t, b, a, line);
        json_text_free(a);
        json_text_free(b);
    }
    json_decref(expected);
    json_decref(answer);
}

static void ask_anything(struct rolling *rolling, int i)
{
    static const int64_t lengths[] = {HOUR_MS, 3 * HOUR_MS, 6 * HOUR_MS, DAY_MS, 7 * DAY_MS};
    struct trial *t = rolling->t;
    int64_t to_ms = rolling->now_ms - draw(t, 12) * 5 * HOUR_MS + draw(t, 3);
    json_t *tags = draw(t, 3) ? NULL : json_pack("{s:s}", "device", "b,\"");
    struct fh_series series = {.from_ms = to_ms - draw(t, 14 * 24) * HOUR_MS - 1,
                               .to_ms = to_ms,
                               .every_ms = lengths[draw(t, 5)],
                               .tags = tags};
    const char *const *const by[] = {NULL, NAMES("device"), NAMES("site"), NAMES("site", "device")};
    series.by = by[draw(t, 4)];
    series.fill = (enum fh_fill)(draw(t, 3) == 0 ? FH_PREVIOUS : FH_GAPS);
    series.values = draw(t, 6) == 0
                        ? NAMES("p50 n", "count")
                        : NAMES("count", "sum n", "mean c", "min c", "max n", "first n", "last c");
    if (draw(t, 5) == 0)
        series = (struct fh_series){.by = series.by, .tags = tags, .limit = 1 + draw(t, 9)};
    expect_same(rolling, &series, 1000 + i);
    json_decref(tags);
}

static void it_is_answered_as_by_the_own_store_alone(struct trial *t)
{
    static struct rolling rolling;
    rolling = (struct rolling){.t = t, .now_ms = BEGIN_MS};
    open_own(&rolling);
    EXPECT_CODE(t, FH_OK, make(t));
    for (int round = 0; round < ROUNDS && !t->wrong[0]; round++) {
        measure(&rolling);
        carry(&rolling);
        sweep_slices(&rolling);
        if (round % 6 == 5) {
            make_anew(&rolling);
            carry(&rolling);
        }
        for (int i = 0; i < QUESTIONS && !t->wrong[0]; i++)
            ask_anything(&rolling, i);
        rolling.now_ms += (1 + draw(t, 40)) * HOUR_MS;
    }
    EXPECT(t, rolling.rolled > 10);
    release_pages(&rolling);
    store_close_alone(rolling.store);
}

int main(void)
{
    static const struct trial_case cases[] = {
        {"it_is_answered_as_by_the_own_store_alone", 1u << FH_SERIES,
         it_is_answered_as_by_the_own_store_alone},
    };
    static const struct fh_derived *const declared[] = {&measured};
    return run_trial_cases(cases, sizeof cases / sizeof *cases, declared, 1);
}
