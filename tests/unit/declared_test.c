/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations of object files that know less of freehold.h than the library, or more. */

#include "../support/json.h"
#include "../support/harness.h"

#include <string.h>

#include "service/declared.h"
#include "service/runtime.h"
#include "store/derived/derived.h"

/* ---- What an older header had: fewer routes, no answers, and no settings yet ---- */

struct old_field {
    const char *name;
    enum fh_type type;
    int64_t min, max;
    const struct old_field *of;
};

struct old_route {
    const char *method, *path;
    fh_handler *handler;
    const struct old_field *body;
};

struct old_step {
    const char *name, *each, *call;
};

struct old_service {
    uint32_t abi;
    const struct fh_layout *layout;
    const char *name;
    enum fh_model model;
    struct old_route routes[4];
    struct fh_published publishes[1];
    struct fh_subscription subscribes[1];
    struct fh_asked asks[1];
    struct fh_taken_over takes_over[1];
    struct fh_collection collections[2];
    struct fh_saga_definition sagas[1];
};

#define OLD(member, rows)                                                                          \
    {                                                                                              \
        offsetof(struct old_service, member),                                                      \
            sizeof(((struct old_service *)NULL)->member) / (rows), (rows)                          \
    }

static const struct fh_layout old_layout = {
    .service_size = sizeof(struct old_service),
    .field_size = sizeof(struct old_field),
    .step_size = sizeof(struct old_step),
    .count = 9,
    .members = {OLD(name, 1), OLD(model, 1), OLD(routes, 4), OLD(publishes, 1), OLD(subscribes, 1),
                OLD(asks, 1), OLD(takes_over, 1), OLD(collections, 2), OLD(sagas, 1)}};

static void handler(fh_work *w)
{
    (void)w;
}

static const struct old_field part[3];
static const struct old_field part[] = {
    {"parts", FH_ARRAY, 0, 9, part}, {"id", FH_INT, 1, 7, NULL}, {0}};
static const struct old_step steps[] = {
    {"first", NULL, "a POST /b"}, {"second", "list", NULL}, {0}};
static const struct old_service old = {
    .abi = FH_ABI,
    .layout = &old_layout,
    .name = "old",
    .model = FH_DOCUMENT,
    .routes = {{"GET", "/a", handler, NULL}, {"POST", "/b", handler, part}},
    .publishes = {{"Made", 1, (const fh_field *)part, "id", NULL}},
    .collections = {{.name = "one"}, {.name = "two"}},
    .sagas = {{"trade", (const fh_step *)steps, 60, handler, 2}}};

static enum fh_code read(const void *service, struct declared *ret, struct fh_error *error)
{
    const fh_service *const section[] = {service};
    return declared_read(section, section + 1, ret, error);
}

static void release(struct declared *declared)
{
    free(declared->services);
}

/* ---- Cases ---- */

FH_SERVICE(ours, .model = FH_RELATIONAL, .routes = {{"GET", "/ours", handler}});

static void a_declaration_of_this_header_is_used_as_it_is(void **state)
{
    struct declared declared;
    struct fh_error error;
    (void)state;
    assert_int_equal(read(&fh_service_ours, &declared, &error), FH_OK);
    assert_ptr_equal(declared.services[0], &fh_service_ours);
    assert_ptr_equal(declared_find(&declared, "ours"), &fh_service_ours);
    assert_null(declared_find(&declared, "theirs"));
    release(&declared);
}

/* One missing from the list would only be read from object files of this header. */
static void every_member_of_a_declaration_is_listed(void **state)
{
    size_t at = offsetof(fh_service, name);
    (void)state;
    for (uint32_t i = 0; i < fh_layout.count; i++) {
        const struct fh_rows *member = &fh_layout.members[i];
        assert_true(member->at >= at && member->at - at < sizeof(void *)); /* except padding */
        at = member->at + (size_t)member->size * member->count;
    }
    assert_true(sizeof(fh_service) - at < sizeof(void *));
}

static void what_an_older_declaration_says_is_read_and_the_rest_is_zero(void **state)
{
    struct declared declared;
    struct fh_error error;
    (void)state;
    assert_int_equal(read(&old, &declared, &error), FH_OK);
    const fh_service *service = declared.services[0];
    assert_string_equal(service->name, "old");
    assert_int_equal(service->model, FH_DOCUMENT);
    assert_string_equal(service->routes[1].path, "/b");
    assert_null(service->routes[1].query);
    assert_null(service->routes[1].answer.shape);
    assert_null(service->routes[2].method);
    assert_string_equal(service->collections[1].name, "two");
    assert_null(service->settings);
    const fh_field *body = service->routes[1].body;
    assert_string_equal(body[1].name, "id");
    assert_int_equal(body[1].max, 7);
    assert_false(body[1].optional);
    assert_null(body[2].name);
    assert_ptr_equal(body[0].of, body); /* it contains itself */
    assert_ptr_equal(service->publishes[0].shape, body);
    assert_string_equal(service->sagas[0].steps[0].call, "a POST /b");
    assert_string_equal(service->sagas[0].steps[1].each, "list");
    assert_null(service->sagas[0].steps[1].run);
    assert_null(service->sagas[0].steps[2].name);
    free((void *)(uintptr_t)body);
    free((void *)(uintptr_t)service->sagas[0].steps);
    free((void *)(uintptr_t)service);
    release(&declared);
}

static void assert_refused(const fh_service *service, const char *word)
{
    struct declared declared;
    struct fh_error error;
    assert_int_equal(read(service, &declared, &error), FH_UNSUPPORTED);
    assert_non_null(strstr(error.message, word));
}

static void a_newer_declaration_and_another_abi_are_refused(void **state)
{
    struct fh_layout newer = fh_layout;
    fh_service service = {.abi = FH_ABI, .layout = &newer, .name = "new"};
    (void)state;
    newer.members[2].size += 8;
    assert_refused(&service, "newer freehold.h");
    newer = fh_layout;
    newer.service_size += 8;
    assert_refused(&service, "newer freehold.h");
    newer = fh_layout;
    newer.count++;
    assert_refused(&service, "newer freehold.h");
    newer = fh_layout;
    newer.members[3].count++;
    assert_refused(&service, "newer freehold.h");
    service.layout = NULL;
    assert_refused(&service, "newer freehold.h");
    service.abi = FH_ABI + 1;
    assert_refused(&service, "compile it again");
}

/* ---- What a compiler can't see ---- */

static const fh_field made_shape[] = {{"id", FH_INT}, {"at", FH_STRING, .optional = true}, {0}};
static const fh_field ids_shape[] = {{"ids", FH_ARRAY, .elements = FH_STRING}, {0}};
static const fh_field bad_shape[] = {{"code", FH_STRING, .pattern = "^a"}, {0}};

#define REFUSED(words, ...)                                                                        \
    do {                                                                                           \
        const fh_service service = {                                                               \
            .abi = FH_ABI, .layout = &fh_layout, .name = "odd", __VA_ARGS__};                      \
        struct declared declared;                                                                  \
        struct fh_error error;                                                                     \
        assert_int_equal(read(&service, &declared, &error), FH_INVALID);                           \
        if (!strstr(error.message, words))                                                         \
            fail_msg("%s", error.message);                                                         \
    } while (0)

/* ---- Derived stores ---- */

#define FIELDS(...)                                                                                \
    (const struct fh_derived_field[])                                                              \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define DERIVES(...) .derives = {{.model = FH_SEARCH, __VA_ARGS__}}

static void derived_stores_that_can_not_work_are_refused(void **state)
{
    (void)state;
    REFUSED("The model of odd is FH_SEARCH", .model = FH_SEARCH);
    REFUSED("The model of odd is FH_SERIES", .model = FH_SERIES);
    REFUSED("The model of odd is FH_COLUMNS", .model = FH_COLUMNS);
    REFUSED("the model 1: expected FH_SEARCH, FH_SERIES or FH_COLUMNS",
            .derives = {{"things", FH_RELATIONAL, FIELDS({"a", FH_STRING, FH_TEXT})}});
    REFUSED("needs a name of 1 to 48 lower-case",
            DERIVES(.name = "Things", .fields = FIELDS({"a", FH_STRING, FH_TEXT})));
    REFUSED("Two derived stores have the name things",
            .derives = {{"things", FH_SEARCH, FIELDS({"a", FH_STRING, FH_TEXT})},
                        {"things", FH_SEARCH, FIELDS({"a", FH_STRING, FH_TEXT})}});
    REFUSED("has no field that is FH_TEXT", DERIVES(.name = "things"));
    REFUSED("has no field that is FH_TEXT",
            DERIVES(.name = "things", .fields = FIELDS({"a", FH_INT, FH_TAG})));
    REFUSED("needs a name of letters, digits",
            DERIVES(.name = "things", .fields = FIELDS({"a-b", FH_STRING, FH_TEXT})));
    REFUSED("has the field a twice",
            DERIVES(.name = "things",
                    .fields = FIELDS({"a", FH_STRING, FH_TEXT}, {"a", FH_STRING, FH_TAG})));
    REFUSED("has no use: expected", DERIVES(.name = "things", .fields = FIELDS({"a", FH_STRING})));
    REFUSED("has a use that one of its type can't have",
            DERIVES(.name = "things", .fields = FIELDS({"a", FH_INT, FH_TEXT})));
    REFUSED("has a type that none can have there",
            DERIVES(.name = "things", .fields = FIELDS({"a", FH_DECIMAL, FH_SORTED})));
    REFUSED("has the weight 2: expected 0 to 1000, of an FH_TEXT alone",
            DERIVES(.name = "things", .fields = FIELDS({"a", FH_INT, FH_TAG, 2})));
    REFUSED(
        "can only be FH_STRING or FH_INT",
        DERIVES(.name = "things", .keys = FH_BOOL, .fields = FIELDS({"a", FH_STRING, FH_TEXT})));
    REFUSED("is in \"german\"", DERIVES(.name = "things", .language = "german",
                                        .fields = FIELDS({"a", FH_STRING, FH_TEXT})));
    REFUSED("has `keep_days`, which FH_SERIES and FH_COLUMNS alone have",
            DERIVES(.name = "things", .keep_days = 1, .fields = FIELDS({"a", FH_STRING, FH_TEXT})));
}

#define MEASURES(...) .derives = {{.name = "heat", .model = FH_SERIES, __VA_ARGS__}}

static void list_nothing(fh_work *w)
{
    fh_reply(w, 200, json_array());
}

static void series_that_can_not_work_are_refused(void **state)
{
    const struct fh_derived_field tagged = {"a", FH_STRING, FH_TAG};
    (void)state;
    REFUSED("is personal, and one person's points or facts can't be removed",
            .derives = {{.name = "heat",
                         .model = FH_SERIES,
                         .fields = FIELDS({"who", FH_STRING, FH_TAG, .personal = true},
                                          {"c", FH_NUMBER})}});
    REFUSED("has no field that is FH_TAG", .derives = {{.name = "heat", .model = FH_SERIES}});
    REFUSED("has no field that is FH_TAG", MEASURES(.fields = FIELDS({"c", FH_NUMBER})));
    REFUSED("has a use that it can't have there",
            MEASURES(.fields = FIELDS({"a", FH_STRING, FH_TAG | FH_TEXT})));
    REFUSED("has a use that it can't have there",
            MEASURES(.fields = FIELDS(tagged, {"c", FH_NUMBER, FH_SORTED})));
    REFUSED("expected FH_STRING, FH_INT or FH_BOOL of an FH_TAG",
            MEASURES(.fields = FIELDS({"a", FH_NUMBER, FH_TAG})));
    REFUSED("expected FH_STRING, FH_INT or FH_BOOL of an FH_TAG",
            MEASURES(.fields = FIELDS({"a", FH_LIST, FH_TAG})));
    REFUSED("expected FH_NUMBER or FH_INT of one that is measured",
            MEASURES(.fields = FIELDS(tagged, {"c", FH_STRING})));
    REFUSED("expected FH_NUMBER or FH_INT of one that is measured",
            MEASURES(.fields = FIELDS(tagged, {"c", FH_DECIMAL})));
    REFUSED("has a weight", MEASURES(.fields = FIELDS(tagged, {"c", FH_NUMBER, .weight = 2})));
    REFUSED("has the field a twice", MEASURES(.fields = FIELDS(tagged, {"a", FH_NUMBER})));
    REFUSED("has `state`, `keys` or `language`",
            MEASURES(.fields = FIELDS(tagged), .state = list_nothing));
    REFUSED("has `state`, `keys` or `language`",
            MEASURES(.fields = FIELDS(tagged), .keys = FH_STRING));
    REFUSED("has `state`, `keys` or `language`",
            MEASURES(.fields = FIELDS(tagged), .language = "english"));
    REFUSED("keeps what it has for -1 days", MEASURES(.fields = FIELDS(tagged), .keep_days = -1));
    REFUSED("keeps what it has for 36501 days",
            MEASURES(.fields = FIELDS(tagged), .keep_days = 36501));
}

static void roll_ups_that_can_not_work_are_refused(void **state)
{
    const struct fh_derived_field tagged = {"a", FH_STRING, FH_TAG};
    (void)state;
#define ROLLS(days, ...)                                                                           \
    MEASURES(.fields = FIELDS(tagged), .keep_days = days, .rollups = {__VA_ARGS__})
    REFUSED("keeps its points for ever, so none of them becomes a roll-up", ROLLS(0, {1000, 0}));
    REFUSED("has intervals of -1 ms", ROLLS(2, {-1, 0}));
    REFUSED("has intervals of 3153600000001 ms", ROLLS(2, {3153600000001, 0}));
    REFUSED("lacks its `every_ms`", ROLLS(2, {0, 5}));
    REFUSED("lacks its `every_ms`", ROLLS(2, {1000, 5}, {0, 0}, {3000, 0}));
    REFUSED("is kept for 2 days: expected more than the 2", ROLLS(2, {1000, 2}));
    REFUSED("is kept for 3 days: expected more than the 3", ROLLS(2, {1000, 3}, {2000, 3}));
    REFUSED("is kept for 0 days: expected more than the 2", ROLLS(2, {1000, 0}, {2000, 0}));
    REFUSED("is kept for 36501 days", ROLLS(2, {1000, 36501}));
    REFUSED("has intervals of 1500 ms: expected a multiple of the 1000",
            ROLLS(2, {1000, 3}, {1500, 0}));
    REFUSED("has intervals of 1000 ms: expected a multiple of the 1000",
            ROLLS(2, {1000, 3}, {1000, 0}));
    REFUSED("is personal, and one person's points or facts can't be removed",
            .derives = {{.name = "sold",
                         .model = FH_COLUMNS,
                         .fields = FIELDS({"who", FH_STRING, FH_TAG, .personal = true},
                                          {"c", FH_NUMBER})}});
    REFUSED("has `rollups`, which FH_SERIES alone has", .derives = {{.name = "sold",
                                                                     .model = FH_COLUMNS,
                                                                     .fields = FIELDS(tagged),
                                                                     .keep_days = 2,
                                                                     .rollups = {{1000, 0}}}});
    REFUSED("has `rollups`, which FH_SERIES alone has",
            .derives = {{.name = "found",
                         .model = FH_SEARCH,
                         .fields = FIELDS({"a", FH_STRING, FH_TEXT}),
                         .rollups = {{1000, 0}}}});
}

/* What they have in common with series is looked at in the same place. */
static void columns_that_can_not_work_are_refused(void **state)
{
    const struct fh_derived_field tagged = {"a", FH_STRING, FH_TAG};
    (void)state;
#define SUMS(...) .derives = { {.name = "sold", .model = FH_COLUMNS, __VA_ARGS__} }
    REFUSED("has a use that it can't have there",
            SUMS(.fields = FIELDS({"a", FH_STRING, FH_TEXT})));
    REFUSED("expected FH_NUMBER or FH_INT of one that is measured",
            SUMS(.fields = FIELDS(tagged, {"c", FH_STRING})));
    REFUSED("has `state`, `keys` or `language`",
            SUMS(.fields = FIELDS(tagged), .state = list_nothing));
    REFUSED("for -1 days", SUMS(.fields = FIELDS(tagged), .keep_days = -1));
}

/* What a later header adds at the end of a field's row. */
struct shorter_field {
    const char *name;
    enum fh_type type;
    unsigned use;
};

static void derived_stores_of_an_older_header_have_no_roll_ups(void **state)
{
    static const struct fh_derived_field fields[] = {{"a", FH_STRING, FH_TAG}, {0}};
    const struct fh_derived rows[] = {
        {.name = "heat", .model = FH_SERIES, .fields = fields, .keep_days = 7},
        {.name = "light", .model = FH_SERIES, .fields = fields, .keep_days = 8}};
    size_t size = offsetof(struct fh_derived, rollups);
    struct fh_layout older = fh_layout;
    fh_service service = {.abi = FH_ABI, .layout = &older, .name = "old"};
    struct declared declared;
    struct fh_error error;
    (void)state;
    for (size_t i = 0; i < 2; i++)
        memcpy((char *)service.derives + i * size, &rows[i], size);
    older.members[18].size = (uint32_t)size;
    assert_int_equal(read(&service, &declared, &error), FH_OK);
    for (size_t i = 0; i < 2; i++) {
        const struct fh_derived *read_derived = &declared.services[0]->derives[i];
        assert_string_equal(read_derived->name, rows[i].name);
        assert_int_equal(read_derived->keep_days, rows[i].keep_days);
        assert_int_equal(series_rollup_count(read_derived), 0);
    }
    assert_null(declared.services[0]->derives[2].name);
    free((void *)(uintptr_t)declared.services[0]);
    release(&declared);
}

static void fields_of_a_derived_store_are_read_by_their_size(void **state)
{
    static const struct shorter_field fields[] = {
        {"a", FH_STRING, FH_TEXT}, {"b", FH_INT, FH_TAG}, {0}};
    struct fh_layout older = fh_layout;
    fh_service service = {
        .abi = FH_ABI,
        .layout = &older,
        .name = "old",
        .derives = {{"things", FH_SEARCH, (const struct fh_derived_field *)fields}}};
    struct declared declared;
    struct fh_error error;
    (void)state;
    older.members[19].size = sizeof(struct shorter_field);
    assert_int_equal(read(&service, &declared, &error), FH_OK);
    const struct fh_derived_field *read_fields = declared.services[0]->derives[0].fields;
    assert_string_equal(read_fields[1].name, "b");
    assert_int_equal(read_fields[1].use, FH_TAG);
    assert_int_equal(read_fields[1].weight, 0);
    assert_null(read_fields[2].name);
    free((void *)(uintptr_t)read_fields);
    free((void *)(uintptr_t)declared.services[0]);
    release(&declared);
}

static void what_can_not_work_is_refused_before_anything_is_opened(void **state)
{
    (void)state;
    REFUSED("The route /a: code: the pattern \"^a\" has an anchor",
            .routes = {{"POST", "/a", handler, .body = bad_shape}});
    REFUSED("The route GET /a has a query with \"ids\", an FH_ARRAY: expected plain values",
            .routes = {{"GET", "/a", handler, .query = ids_shape}});
    REFUSED("The event Made: code", .publishes = {{"Made", 1, bad_shape, "code"}});
    REFUSED("The settings of odd: code", .settings = bad_shape);
    REFUSED("The input of the saga trade: code",
            .sagas = {{"trade", (const fh_step *)steps, .input = bad_shape}});
    REFUSED("needs a name of letters", .shapes = {{"made", made_shape}});
    REFUSED("are one shape, or have one name", .shapes = {{"A", made_shape}, {"B", made_shape}});
    REFUSED("odd fetches from \"https://api.example.org\": expected a host",
            .fetches = {"https://api.example.org"});
    REFUSED("expected a host in lower case", .fetches = {"a.example", "API.example"});
    REFUSED("expected a host in lower case", .fetches = {"*.example.org"});
    REFUSED("expected one other than JSON",
            .routes = {{"POST", "/a", handler, .body_type = "application/json"}});
    REFUSED("expected one other than JSON",
            .routes = {{"GET", "/a", handler, .answer_type = "text/csv; charset=utf-8"}});
    REFUSED("has a body_type, and a GET has no body",
            .routes = {{"GET", "/a", handler, .body_type = "text/csv"}});
    REFUSED("has a body_type, and a shape of its body",
            .routes = {{"POST", "/a", handler, .body = made_shape, .body_type = "text/csv"}});
    REFUSED(
        "has an answer_type, and a shape",
        .routes = {{"GET", "/a", handler, .answer = {200, made_shape}, .answer_type = "text/csv"}});
    REFUSED("has an undo, and a type other than JSON",
            .routes = {{"POST", "/a", handler, .undo = handler, .body_type = "text/csv"}});
    REFUSED("lower-case letters", .routes = {{"GET", "/a", handler, .name = "getA"}});
    REFUSED("Two routes have the name a",
            .routes = {{"GET", "/a", handler, .name = "a"}, {"GET", "/b", handler, .name = "a"}});
    REFUSED(
        "where no GET route of odd is",
        .routes = {{"POST", "/a", handler, .answer = {202, made_shape}, .location = "/b/{id}"}});
    REFUSED("no field that its answer always has",
            .routes = {{"POST", "/a", handler, .answer = {202, made_shape}, .location = "/a/{at}"},
                       {"GET", "/a/{id}", handler}});
    REFUSED("no answer of 201 or 202",
            .routes = {{"POST", "/a", handler, .answer = {200, made_shape}, .location = "/a/{id}"},
                       {"GET", "/a/{id:int}", handler}});
    REFUSED("The schedule tidy of `every` is wrong: column 3 of \"0 24 * * *\", the hour",
            .every = {{"tidy", handler, "0 24 * * *"}});
    REFUSED("There is no time zone Europe/Berlim",
            .every = {{"tidy", handler, "0 3 * * *", "Europe/Berlim"}});
    REFUSED("`timers` names remind twice", .timers = {{"remind", handler}, {"remind", handler}});
    REFUSED("`timers` has no handler for remind", .timers = {{"remind"}});
    REFUSED("odd has a header for b.example", .fetches = {"a.example"},
            .fetch_headers = {{"b.example", "Authorization", "key"}});
    REFUSED("can't send the header \"host\" to a.example", .fetches = {"a.example"},
            .fetch_headers = {{"a.example", "host", "key"}});
    REFUSED("made of the setting \"id\"", .fetches = {"a.example"}, .settings = made_shape,
            .fetch_headers = {{"a.example", "Authorization", "id"}});
    REFUSED("The metric \"Made\" needs another name", .metrics = {{"Made"}});
    REFUSED("The metric \"made_total\" needs another name", .metrics = {{"made_total"}});
    REFUSED("The metric made is declared twice", .metrics = {{"made"}, {"made"}});
    REFUSED("has the labels \"le\"", .metrics = {{"made", .labels = "le"}});
    REFUSED("has the labels \"a,b,a\"", .metrics = {{"made", .labels = "a,b,a"}});
    REFUSED("The buckets of the metric made must be finite and rise: number 2",
            .metrics = {{"made", .buckets = {5, 5}}});
}

static void a_location_is_where_a_route_answers_whatever_its_names(void **state)
{
    (void)state;
    assert_true(declared_answers("/a/{id:int}/b", "/a/{number}/b"));
    assert_true(declared_answers("/a", "/a"));
    assert_false(declared_answers("/a/{id}", "/a"));
    assert_false(declared_answers("/a", "/a/{id}"));
    assert_false(declared_answers("/a/{id}", "/a/x"));
    assert_false(declared_answers("/a/{id}/b", "/a/{id}/c"));
}

static void only_a_get_of_a_service_that_subscribes_is_a_view(void **state)
{
    static const fh_service view = {.name = "finds",
                                    .model = FH_RELATIONAL,
                                    .routes = {{"GET", "/finds", handler, .of_view = true}},
                                    .subscribes = {{"books", "BookAdded", handler}}};
    fh_service wrong = view;
    struct fh_error error;
    (void)state;
    assert_int_equal(declared_check(&view, &error), FH_OK);
    json_t *described = service_describe(&view);
    assert_true(json_is_true(
        json_object_get(json_array_get(json_object_get(described, "routes"), 0), "of_view")));
    json_decref(described);
    wrong.routes[0].method = "POST";
    assert_int_equal(declared_check(&wrong, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "only a GET can be"));
    wrong = view;
    wrong.subscribes[0] = (struct fh_subscription){0};
    assert_int_equal(declared_check(&wrong, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "subscribes to nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_get_of_a_service_that_subscribes_is_a_view),
        cmocka_unit_test(a_declaration_of_this_header_is_used_as_it_is),
        cmocka_unit_test(every_member_of_a_declaration_is_listed),
        cmocka_unit_test(what_an_older_declaration_says_is_read_and_the_rest_is_zero),
        cmocka_unit_test(a_newer_declaration_and_another_abi_are_refused),
        cmocka_unit_test(what_can_not_work_is_refused_before_anything_is_opened),
        cmocka_unit_test(derived_stores_that_can_not_work_are_refused),
        cmocka_unit_test(series_that_can_not_work_are_refused),
        cmocka_unit_test(columns_that_can_not_work_are_refused),
        cmocka_unit_test(fields_of_a_derived_store_are_read_by_their_size),
        cmocka_unit_test(derived_stores_of_an_older_header_have_no_roll_ups),
        cmocka_unit_test(roll_ups_that_can_not_work_are_refused),
        cmocka_unit_test(a_location_is_where_a_route_answers_whatever_its_names),
    };
    return cmocka_run_group_tests(tests, begin_json, NULL);
}
