/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing, and the feed: what it sends, what it refuses, how long it waits. */

#include "../support/service.h"

#include <stdlib.h>

#include "event/feed/feed.h"
#include "event/outbox/publish.h"
#include "event/manager.h"
#include "http/path.h"

static const fh_field user_shape[] = {{"id", FH_INT}, {"name", FH_STRING}, {0}};

static const fh_service users = {
    .name = "users",
    .model = FH_RELATIONAL,
    .publishes = {{"UserUpdated", 2, user_shape, .key = "id"},
                  {"UserDeleted", 0, user_shape, .key = "name"}},
};

struct fixture {
    struct harness harness;
    struct service service;
};

static void open_service(struct fixture *fixture)
{
    service_open(&fixture->service, &fixture->harness, fixture->harness.world, &users);
    fixture->service.context.events = event_manager_new(&fixture->service.context);
}

static bool manager_ended(void *argument)
{
    return event_manager_ended(((struct fixture *)argument)->service.context.events);
}

static void close_service(struct fixture *fixture)
{
    event_manager_drain(fixture->service.context.events);
    harness_until(&fixture->harness, manager_ended, fixture);
    event_manager_free(fixture->service.context.events);
    service_close(&fixture->service);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    harness_init(&fixture->harness);
    open_service(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    close_service(fixture);
    harness_release(&fixture->harness);
    free(fixture);
    return 0;
}

/* ---- publishing ---- */

static int next_id = 1;

static void publish_one(fh_work *w)
{
    fh_publish(w, "UserUpdated", json_pack("{s:i, s:s}", "id", next_id, "name", "Ann"));
}

static void publish_three(fh_work *w)
{
    fh_publish(w, "UserUpdated", json_pack("{s:i, s:s}", "id", 7, "name", "a"));
    fh_publish(w, "UserDeleted", json_pack("{s:i, s:s}", "id", 7, "name", "b"));
    json_t *changed_later = json_pack("{s:i, s:s}", "id", 7, "name", "c");
    fh_publish(w, "UserUpdated", changed_later);
    json_object_set_new(changed_later, "name", json_string("not what was published"));
}

static void publish_and_fail(fh_work *w)
{
    publish_three(w);
    fh_fail(w, 409, "no");
}

static void publish_undeclared(fh_work *w)
{
    fh_publish(w, "UserExploded", json_object());
}

static void publish_misshapen(fh_work *w)
{
    fh_publish(w, "UserUpdated", json_pack("{s:i}", "id", 7));
}

static json_t *wrong_key;

static void publish_wrong_key(fh_work *w)
{
    fh_publish(w, "UserDeleted",
               json_pack("{s:i, s:o}", "id", 7, "name", json_deep_copy(wrong_key)));
}

static void publish_no_object(fh_work *w)
{
    fh_publish(w, "UserUpdated", json_integer(3));
}

static void publish_too_many(fh_work *w)
{
    json_t *data = json_pack("{s:i, s:s}", "id", 7, "name", "a");
    for (int i = 0; i <= OUTBOX_EVENTS_MAX; i++)
        fh_publish(w, "UserUpdated", data);
}

static void hear_nothing(fh_work *w)
{
    fh_event_data(w);
}

static void publish(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++) {
        next_id = i + 1;
        service_must(&fixture->service, publish_one);
    }
}

/* ---- asking the feed ---- */

struct asking {
    struct fixture *fixture;
    const char *query;
    int status;
    json_t *body;
    char incarnation[ID_SIZE], next_id[ID_SIZE];
    long long next, last;
    bool has_next, over;
};

static void ask_entry(void *argument)
{
    struct asking *asking = argument;
    struct feed_answer answer;
    json_t *strings;
    struct fh_error error;
    if (path_query(asking->query, &strings, &error) != FH_OK)
        return;
    feed_answer(asking->fixture->service.context.events, strings, NULL, &answer);
    json_decref(strings);
    asking->status = answer.status;
    json_parse(answer.body, answer.body_length, &asking->body, &error);
    for (size_t i = 0; i < answer.header_count; i++) {
        const char *name = answer.headers[i].name, *value = answer.headers[i].value;
        if (strcmp(name, "Freehold-Incarnation") == 0)
            snprintf(asking->incarnation, ID_SIZE, "%s", value);
        if (strcmp(name, "Freehold-Last") == 0)
            asking->last = atoll(value);
        if (strcmp(name, "Freehold-Next") == 0) {
            asking->has_next = true;
            asking->next = atoll(value);
            snprintf(asking->next_id, ID_SIZE, "%s", strchr(value, ',') + 1);
        }
    }
    feed_answer_release(&answer);
    asking->over = true;
}

static struct asking ask(struct fixture *fixture, const char *query)
{
    struct asking asking = {.fixture = fixture, .query = query};
    harness_run(&fixture->harness, ask_entry, &asking);
    assert_true(asking.status > 0);
    return asking;
}

/* After an earlier answer. */
static struct asking ask_on(struct fixture *fixture, const struct asking *before, const char *more)
{
    char query[512];
    snprintf(query, sizeof query, "incarnation=%s&after=%lld&id=%s%s", before->incarnation,
             before->next, before->next_id, more);
    return ask(fixture, query);
}

static json_t *event_at(const struct asking *asking, size_t index)
{
    json_t *event = json_array_get(asking->body, index);
    assert_non_null(event);
    return event;
}

static int64_t position_of(json_t *event)
{
    return json_integer_value(json_object_get(event, "position"));
}

static void forget(struct asking *asking)
{
    json_decref(asking->body);
    asking->body = NULL;
}

/* ---- tests of publishing ---- */

static void events_are_read_in_the_order_in_which_they_were_published(void **state)
{
    struct fixture *fixture = *state;
    service_must(&fixture->service, publish_three);
    struct asking all = ask(fixture, "");
    assert_int_equal(all.status, 200);
    assert_int_equal(json_array_size(all.body), 3);
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        json_t *event = event_at(&all, i);
        assert_int_equal(position_of(event), i + 1);
        assert_string_equal(json_string_at(event, "data.name"), names[i]);
        assert_string_equal(json_string_at(event, "source"), "/users");
    }
    assert_string_equal(json_string_at(event_at(&all, 0), "subject"), "7");
    assert_string_equal(json_string_at(event_at(&all, 1), "subject"), "b");
    assert_int_equal(json_integer_value(json_at(event_at(&all, 0), "prev")), 0);
    assert_int_equal(json_integer_value(json_at(event_at(&all, 2), "prev")), 1);
    assert_int_equal(json_integer_value(json_at(event_at(&all, 0), "version")), 2);
    assert_int_equal(json_integer_value(json_at(event_at(&all, 1), "version")), 1);
    assert_int_equal(all.next, 3);
    assert_int_equal(all.last, 3);
    assert_string_equal(all.next_id, json_string_at(event_at(&all, 2), "id"));
    forget(&all);
}

static void a_refused_work_publishes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct service_run run = service_do(&fixture->service, publish_and_fail);
    assert_int_equal(run.status, 409);
    json_text_free(run.body);
    publish(fixture, 1);
    struct asking all = ask(fixture, "");
    assert_int_equal(json_array_size(all.body), 1);
    assert_int_equal(position_of(event_at(&all, 0)), 1); /* and takes no position */
    forget(&all);
}

static void a_key_that_can_not_be_one_is_refused_with_its_field(void **state)
{
    struct fixture *fixture = *state;
    static char long_key[514];
    memset(long_key, 'k', sizeof long_key - 1);
    json_t *wrong[] = {json_string(""), json_string(long_key), json_stringn("a\0b", 3)};
    static const char *const says[] = {"is empty", "has 513 bytes", "holds NUL"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        wrong_key = wrong[i];
        struct service_run run = service_do(&fixture->service, publish_wrong_key);
        assert_int_equal(run.status, 422);
        assert_non_null(strstr(run.failure.message, says[i]));
        assert_non_null(strstr(run.failure.message, "\"name\""));
        assert_string_equal(run.failure.field, "name");
        json_text_free(run.body);
        json_decref(wrong[i]);
    }
}

static void a_wrong_event_is_the_programs_fault(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        fh_handler *handler;
        const char *says;
    } faults[] = {{publish_undeclared, "not among its declared"},
                  {publish_misshapen, "does not fit its declared shape"},
                  {publish_no_object, "must be an object"},
                  {publish_too_many, "at most 10000 events"},
                  {hear_nothing, "handles no event"}};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct service_run run = service_do(&fixture->service, faults[i].handler);
        assert_int_equal(run.status, 500);
        assert_non_null(strstr(run.failure.message, faults[i].says));
        json_text_free(run.body);
    }
    struct asking all = ask(fixture, "");
    assert_int_equal(all.last, 0);
    forget(&all);
}

/* ---- tests of reading ---- */

static void an_empty_feed_reports_its_incarnation_and_its_position(void **state)
{
    struct fixture *fixture = *state;
    struct asking all = ask(fixture, "");
    assert_int_equal(all.status, 200);
    assert_int_equal(json_array_size(all.body), 0);
    assert_string_equal(all.incarnation, fixture->service.context.store->incarnation);
    assert_true(all.has_next);
    assert_int_equal(all.next, 0);
    assert_string_equal(all.next_id, "");
    forget(&all);
}

static void the_feed_is_read_on_after_the_last_answer(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 5);
    struct asking first = ask(fixture, "limit=2");
    assert_int_equal(json_array_size(first.body), 2);
    assert_int_equal(first.next, 2);
    assert_int_equal(first.last, 5);
    struct asking second = ask_on(fixture, &first, "&limit=1000");
    assert_int_equal(json_array_size(second.body), 3);
    assert_int_equal(position_of(event_at(&second, 0)), 3);
    struct asking third = ask_on(fixture, &second, "");
    assert_int_equal(json_array_size(third.body), 0);
    assert_int_equal(third.next, 5);
    assert_string_equal(third.next_id, second.next_id);
    forget(&first);
    forget(&second);
    forget(&third);
}

static void types_that_are_not_wanted_are_scanned_past(void **state)
{
    struct fixture *fixture = *state;
    service_must(&fixture->service, publish_three);
    struct asking deleted = ask(fixture, "types=UserDeleted,Other");
    assert_int_equal(json_array_size(deleted.body), 1);
    assert_int_equal(deleted.next, 3);
    struct asking none = ask(fixture, "types=Other");
    assert_int_equal(json_array_size(none.body), 0);
    assert_int_equal(none.next, 3);
    assert_string_equal(none.next_id, deleted.next_id);
    forget(&deleted);
    forget(&none);
}

static void only_the_named_fields_leave_the_service(void **state)
{
    struct fixture *fixture = *state;
    service_must(&fixture->service, publish_three);
    struct asking some = ask(fixture, "fields=UserUpdated:id");
    assert_null(json_at(event_at(&some, 0), "data.name"));
    assert_int_equal(json_integer_value(json_at(event_at(&some, 0), "data.id")), 7);
    assert_string_equal(json_string_at(event_at(&some, 1), "data.name"), "b");
    forget(&some);
}

static void partitions_part_the_keys_among_them(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 20);
    struct asking one = ask(fixture, "share=0/2"), other = ask(fixture, "share=1/2");
    assert_true(json_array_size(one.body) > 0);
    assert_true(json_array_size(other.body) > 0);
    assert_int_equal(json_array_size(one.body) + json_array_size(other.body), 20);
    assert_int_equal(one.next, 20);
    assert_int_equal(other.next, 20);
    forget(&one);
    forget(&other);
}

static void publish_many(fh_work *w)
{
    for (int i = 0; i < 250; i++, next_id++)
        fh_publish(w, "UserUpdated", json_pack("{s:i, s:s}", "id", next_id, "name", "Ann"));
}

/* Reads what a partition has after `from` to the end, and counts each position of an event. */
static struct asking read_partition(struct fixture *fixture, const char *partition,
                                    const struct asking *from, int *counts)
{
    char more[64];
    struct asking asking, before = from ? *from : (struct asking){0};
    snprintf(more, sizeof more, "&limit=100&share=%s", partition);
    do {
        size_t index;
        json_t *event;
        int64_t last = before.next;
        asking = before.has_next ? ask_on(fixture, &before, more) : ask(fixture, more + 1);
        assert_int_equal(asking.status, 200);
        json_array_foreach (asking.body, index, event) {
            assert_true(position_of(event) > last);
            last = position_of(event);
            counts[last]++;
        }
        before = asking;
        forget(&asking);
    } while (asking.next < asking.last);
    return asking;
}

/* More than is kept in memory, and from every place in it. */
static void partitions_that_read_the_same_rows_each_get_their_own_once_and_in_order(void **state)
{
    struct fixture *fixture = *state;
    enum { EVENTS = 20000, PARTITIONS = 4 };
    static const char *const partitions[PARTITIONS] = {"0/4", "1/4", "2/4", "3/4"};
    struct asking ends[PARTITIONS];
    int *counts = calloc(EVENTS + 1, sizeof *counts);
    assert_non_null(counts);
    next_id = 1;
    for (int published = 250; published <= EVENTS; published += 250) {
        service_must(&fixture->service, publish_many);
        for (int i = 0; published == EVENTS / 2 && i < PARTITIONS - 1; i++)
            ends[i] = read_partition(fixture, partitions[i], NULL, counts);
    }
    for (int i = 0; i < PARTITIONS; i++) /* the last one from the beginning, after all the others */
        ends[i] =
            read_partition(fixture, partitions[i], i < PARTITIONS - 1 ? &ends[i] : NULL, counts);
    for (int i = 1; i <= EVENTS; i++)
        assert_int_equal(counts[i], 1);
    for (int i = 0; i < PARTITIONS; i++)
        assert_int_equal(ends[i].next, EVENTS);
    next_id = EVENTS + 1;
    service_must(&fixture->service, publish_three); /* after what is in memory */
    struct asking all = ask_on(fixture, &ends[0], "&share=0/1");
    size_t found = 0;
    for (int i = 0; i < PARTITIONS; i++) {
        char more[32];
        snprintf(more, sizeof more, "&share=%s", partitions[i]);
        struct asking partition = ask_on(fixture, &ends[i], more);
        found += json_array_size(partition.body);
        forget(&partition);
    }
    assert_int_equal(json_array_size(all.body), 3);
    assert_int_equal(found, 3);
    forget(&all);
    free(counts);
}

static void append_internal(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    struct ledger_event event = {.version = 1,
                                 .id = "internal",
                                 .type = "freehold.saga",
                                 .key = "k",
                                 .data = "{}",
                                 .time_ms = 1};
    store_begin(fixture->service.context.store, STORE_WRITE, &work, ERROR_UNHEEDED);
    ledger_outbox_append(work, &event, ERROR_UNHEEDED);
    store_commit(work, ERROR_UNHEEDED);
}

static void internal_events_are_passed_over_and_never_sent(void **state)
{
    struct fixture *fixture = *state;
    harness_run(&fixture->harness, append_internal, fixture);
    struct asking all = ask(fixture, ""), asked_for = ask(fixture, "types=freehold.saga");
    assert_int_equal(json_array_size(all.body), 0);
    assert_int_equal(all.next, 1);
    assert_string_equal(all.next_id, "internal");
    assert_int_equal(json_array_size(asked_for.body), 0);
    forget(&all);
    forget(&asked_for);
}

static char *big_name;

static void publish_big(fh_work *w)
{
    fh_publish(w, "UserUpdated", json_pack("{s:i, s:s}", "id", 1, "name", big_name));
}

static void an_answers_body_is_bounded_but_one_event_is_always_sent(void **state)
{
    struct fixture *fixture = *state;
    size_t length = FEED_BODY_SIZE_MAX / 2;
    big_name = malloc(length + 1);
    memset(big_name, 'x', length);
    big_name[length] = '\0';
    for (int i = 0; i < 3; i++)
        service_must(&fixture->service, publish_big);
    free(big_name);
    struct asking first = ask(fixture, "");
    assert_int_equal(json_array_size(first.body), 1);
    assert_int_equal(first.next, 1);
    struct asking second = ask_on(fixture, &first, "");
    assert_int_equal(position_of(event_at(&second, 0)), 2);
    forget(&first);
    forget(&second);
}

static void wrong_parameters_are_refused_by_name(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 2);
    static const char *const wrong[] = {
        "limit=0",   "limit=1001",  "limit=x",    "wait=31",
        "wait=-1",   "after=-1",    "after=x",    "share=2/2",
        "share=0/0", "share=0/257", "share=0/1x", "share=",
        "fields=:",  "unknown=1",   "after=1",    "after=1&incarnation=x",
        "done=1",    "name="};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct asking asking = ask(fixture, wrong[i]);
        if (asking.status != 400)
            fail_msg("%s was answered with %d", wrong[i], asking.status);
        assert_non_null(json_string_at(asking.body, "detail"));
        forget(&asking);
    }
}

/* ---- refused cursors ---- */

static void expect_refused(struct fixture *fixture, int status, const char *format, ...)
{
    char query[512];
    va_list args;
    va_start(args, format);
    vsnprintf(query, sizeof query, format, args);
    va_end(args);
    struct asking asking = ask(fixture, query);
    assert_int_equal(asking.status, status);
    assert_false(asking.has_next);
    assert_string_equal(asking.incarnation, fixture->service.context.store->incarnation);
    assert_string_equal(json_string_at(asking.body, "incarnation"), asking.incarnation);
    forget(&asking);
}

static void a_cursor_of_another_incarnation_is_refused(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 2);
    expect_refused(fixture, 409, "incarnation=other&after=0&id=");
    expect_refused(fixture, 409, "incarnation=other&after=1&id=x");
}

static void a_cursor_ahead_of_its_source_is_refused(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 2);
    expect_refused(fixture, 409, "incarnation=%s&after=3&id=x",
                   fixture->service.context.store->incarnation);
    struct asking good = ask(fixture, "name=payments&limit=1"); /* it has proved nothing */
    assert_int_equal(good.last, 2);
    forget(&good);
    json_t *state_now = event_manager_state(fixture->service.context.events);
    assert_int_equal(json_integer_value(json_object_get(state_now, "position")), 2);
    json_decref(state_now);
}

/* As if a store's file was copied back by hand: same incarnation and position, another event. */
static void another_event_at_the_cursors_position_is_refused(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 2);
    expect_refused(fixture, 409, "incarnation=%s&after=2&id=x",
                   fixture->service.context.store->incarnation);
}

/* Schedule 39. */
static void a_409_records_nothing_of_the_former_incarnations_done(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 3);
    expect_refused(fixture, 409, "name=orders&incarnation=former&after=2&id=x&done=2");
    struct asking good = ask(fixture, "name=payments&limit=1");
    forget(&good);
    /* The log has the good one, so it would have had the other. */
    while (service_count(&fixture->service, "SELECT count(*) FROM fh_subscriber") == 0)
        uv_run(&fixture->harness.loop, UV_RUN_NOWAIT);
    assert_int_equal(service_count(&fixture->service,
                                   "SELECT count(*) FROM fh_subscriber WHERE name = 'orders'"),
                     0);
}

struct trimming {
    struct fixture *fixture;
    int64_t position;
    int64_t removed;
};

static void trim_entry(void *argument)
{
    struct trimming *trimming = argument;
    struct store_work *work;
    store_begin(trimming->fixture->service.context.store, STORE_WRITE, &work, ERROR_UNHEEDED);
    ledger_outbox_trim(work, trimming->position, 1000, &trimming->removed, ERROR_UNHEEDED);
    store_commit(work, ERROR_UNHEEDED);
}

static void trim(struct fixture *fixture, int64_t position)
{
    struct trimming trimming = {fixture, position, 0};
    harness_run(&fixture->harness, trim_entry, &trimming);
    assert_true(trimming.removed > 0);
}

static void a_reader_behind_what_was_trimmed_is_answered_410(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 4);
    struct asking one = ask(fixture, "limit=1"), two = ask(fixture, "limit=2");
    trim(fixture, 2);
    struct asking gone = ask_on(fixture, &one, "");
    assert_int_equal(gone.status, 410);
    struct asking new_one = ask(fixture, "");
    assert_int_equal(new_one.status, 410);
    /* At the trimmed position itself the id is still known. */
    struct asking there = ask_on(fixture, &two, "");
    assert_int_equal(there.status, 200);
    assert_int_equal(position_of(event_at(&there, 0)), 3);
    expect_refused(fixture, 409, "incarnation=%s&after=2&id=x", two.incarnation);
    forget(&one);
    forget(&two);
    forget(&gone);
    forget(&new_one);
    forget(&there);
}

/* Schedule 7. */
static void positions_go_on_when_all_of_the_outbox_was_trimmed(void **state)
{
    struct fixture *fixture = *state;
    service_must(&fixture->service, publish_three);
    struct asking before = ask(fixture, "");
    trim(fixture, 3);
    service_must(&fixture->service, publish_three);
    struct asking after = ask_on(fixture, &before, "");
    assert_int_equal(after.status, 200);
    assert_int_equal(position_of(event_at(&after, 0)), 4);
    assert_int_equal(json_integer_value(json_at(event_at(&after, 0), "prev")), 3);
    assert_int_equal(json_integer_value(json_at(event_at(&after, 1), "prev")), 2);
    forget(&before);
    forget(&after);
}

static void a_restart_keeps_positions_and_incarnation(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 2);
    struct asking before = ask(fixture, "");
    close_service(fixture);
    open_service(fixture);
    publish(fixture, 1);
    struct asking after = ask_on(fixture, &before, "");
    assert_int_equal(after.status, 200);
    assert_int_equal(position_of(event_at(&after, 0)), 3);
    forget(&before);
    forget(&after);
}

/* ---- the long poll ---- */

static bool is_waiting(void *argument)
{
    struct fixture *fixture = argument;
    return fixture->service.context.events->reader_count > 0;
}

static bool is_over(void *argument)
{
    return ((struct asking *)argument)->over;
}

static void begin_asking(struct asking *asking)
{
    assert_true(fiber_start(asking->fixture->harness.world->fibers, ask_entry, asking));
    harness_until(&asking->fixture->harness, is_waiting, asking->fixture);
}

static void a_long_poll_ends_with_the_commit(void **state)
{
    struct fixture *fixture = *state;
    struct asking asking = {.fixture = fixture, .query = "wait=30"};
    begin_asking(&asking);
    publish(fixture, 1);
    harness_until(&fixture->harness, is_over, &asking);
    assert_int_equal(json_array_size(asking.body), 1);
    forget(&asking);
}

static void a_long_poll_is_answered_when_the_service_drains(void **state)
{
    struct fixture *fixture = *state;
    struct asking asking = {.fixture = fixture, .query = "wait=30"};
    begin_asking(&asking);
    event_manager_drain(fixture->service.context.events);
    harness_until(&fixture->harness, is_over, &asking);
    assert_int_equal(asking.status, 200);
    assert_int_equal(json_array_size(asking.body), 0);
    forget(&asking);
}

static void a_long_poll_ends_when_its_time_is_over(void **state)
{
    struct fixture *fixture = *state;
    struct asking asking = ask(fixture, "wait=1");
    assert_int_equal(asking.status, 200);
    assert_int_equal(asking.next, 0);
    forget(&asking);
}

static void a_long_poll_goes_on_past_types_that_it_does_not_want(void **state)
{
    struct fixture *fixture = *state;
    struct asking asking = {.fixture = fixture, .query = "wait=30&types=UserDeleted"};
    begin_asking(&asking);
    publish(fixture, 1);
    assert_false(asking.over);
    service_must(&fixture->service, publish_three);
    harness_until(&fixture->harness, is_over, &asking);
    assert_int_equal(json_array_size(asking.body), 1);
    assert_int_equal(asking.next, 4);
    forget(&asking);
}

static void what_was_only_skipped_is_reported_before_the_wait_is_over(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1);
    int64_t began_ns = world_monotonic_ns(fixture->harness.world);
    struct asking asking = ask(fixture, "wait=30&types=UserDeleted");
    assert_true(world_monotonic_ns(fixture->harness.world) - began_ns < 20 * INT64_C(1000000000));
    assert_int_equal(asking.next, 1);
    forget(&asking);
}

/* ---- what subscribers report ---- */

static void what_a_subscriber_has_committed_is_written_down_afterwards(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 3);
    struct asking first = ask(fixture, "limit=2&name=orders");
    struct asking second = ask_on(fixture, &first, "&name=orders&done=1");
    while (service_count(&fixture->service, "SELECT coalesce(max(done), 0) FROM fh_subscriber") !=
           1)
        uv_run(&fixture->harness.loop, UV_RUN_NOWAIT);
    struct service_sql row =
        service_sql(&fixture->service, "SELECT name || ' ' || share || ' ' || done || ' ' || seen"
                                       " FROM fh_subscriber");
    assert_string_equal(row.text, "orders 0/1 1 2");
    forget(&first);
    forget(&second);
}

/* What a server reports for a unit of work that was idle on a busy machine. */
static enum fh_code begin_beaten(struct store *store, enum store_mode mode, struct store_work **ret,
                                 struct fh_error *error)
{
    (void)store, (void)mode;
    *ret = NULL;
    error_set(error, FH_CONFLICT, "The work stood still.");
    error->retryable = true;
    return FH_CONFLICT;
}

static void a_reader_is_told_to_ask_again_where_the_next_time_may_do(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->service.context.store;
    const struct store_ops *ops = store->ops;
    struct store_ops beaten = *ops;
    publish(fixture, 1);
    beaten.begin = begin_beaten;
    store->ops = &beaten;
    struct asking failed = ask(fixture, "");
    store->ops = ops;
    assert_int_equal(failed.status, 503);
    forget(&failed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(events_are_read_in_the_order_in_which_they_were_published),
        TEST(a_refused_work_publishes_nothing),
        TEST(a_wrong_event_is_the_programs_fault),
        TEST(a_key_that_can_not_be_one_is_refused_with_its_field),
        TEST(an_empty_feed_reports_its_incarnation_and_its_position),
        TEST(the_feed_is_read_on_after_the_last_answer),
        TEST(types_that_are_not_wanted_are_scanned_past),
        TEST(only_the_named_fields_leave_the_service),
        TEST(partitions_part_the_keys_among_them),
        TEST(partitions_that_read_the_same_rows_each_get_their_own_once_and_in_order),
        TEST(internal_events_are_passed_over_and_never_sent),
        TEST(an_answers_body_is_bounded_but_one_event_is_always_sent),
        TEST(wrong_parameters_are_refused_by_name),
        TEST(a_cursor_of_another_incarnation_is_refused),
        TEST(a_cursor_ahead_of_its_source_is_refused),
        TEST(another_event_at_the_cursors_position_is_refused),
        TEST(a_409_records_nothing_of_the_former_incarnations_done),
        TEST(a_reader_behind_what_was_trimmed_is_answered_410),
        TEST(a_reader_is_told_to_ask_again_where_the_next_time_may_do),
        TEST(positions_go_on_when_all_of_the_outbox_was_trimmed),
        TEST(a_restart_keeps_positions_and_incarnation),
        TEST(a_long_poll_ends_with_the_commit),
        TEST(a_long_poll_is_answered_when_the_service_drains),
        TEST(a_long_poll_ends_when_its_time_is_over),
        TEST(a_long_poll_goes_on_past_types_that_it_does_not_want),
        TEST(what_was_only_skipped_is_reported_before_the_wait_is_over),
        TEST(what_a_subscriber_has_committed_is_written_down_afterwards),
    };
    return cmocka_run_group_tests_name("event_feed", tests, NULL, NULL);
}
