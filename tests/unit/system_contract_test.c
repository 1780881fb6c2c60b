/* SPDX-License-Identifier: Apache-2.0 */
/* Contracts between teams: descriptions written and read, what breaks them, and whom. */

#include "../support/values.h"

#include <stdio.h>

#include "system/contract/against.h"
#include "system/contract/changes.h"

/* ---- Descriptions ---- */

static const char users[] =
    "{'freehold': 1, 'name': 'users', 'model': 'document', 'settings': {'default': 'SECRET'},"
    " 'routes': [{'method': 'POST', 'path': '/users', 'audience': 'public', 'auth': 'user',"
    "   'summary': 'Makes one', 'undo': false, 'deadline_ms': 10000, 'body': {'type': 'object',"
    "   'title': 'User', 'required': ['name', 'id'], 'properties': {'name': {'type': 'string',"
    "   'description': '1 to 9 bytes', 'enum': ['b', 'a']}, 'id': {'type': 'integer',"
    "   'format': 'int64', 'minimum': -9223372036854775808}}}},"
    "  {'method': 'GET', 'path': '/users', 'audience': 'services', 'answer': {'status': 200}}],"
    " 'publishes': [{'type': 'UserUpdated', 'version': 2}, {'type': 'UserUpdated', 'version': 1}],"
    " 'hears': [{'service': 'orders', 'type': 'OrderPlaced', 'fields': null}],"
    " 'sagas': [{'name': 'greet', 'input': {}, 'steps': [{'name': 'send', 'call':"
    "   'mail POST /mails', 'body': 'name', 'run': false}, {'name': 'note', 'run': true}]}]}";
static const char written[] =
    "{\"contracts\":1,\"services\":[{\"hears\":[{\"service\":\"orders\",\"type\":\"OrderPlaced\"}],"
    "\"name\":\"users\",\"publishes\":[{\"type\":\"UserUpdated\",\"version\":1},"
    "{\"type\":\"UserUpdated\",\"version\":2}],\"routes\":[{\"answer\":{\"status\":200},"
    "\"audience\":\"services\",\"method\":\"GET\",\"path\":\"/users\"},{\"audience\":\"public\","
    "\"auth\":\"user\",\"body\":{\"properties\":{\"id\":{\"type\":\"integer\"},\"name\":"
    "{\"enum\":[\"a\",\"b\"],\"type\":\"string\"}},\"required\":[\"id\",\"name\"],"
    "\"type\":\"object\"},\"method\":\"POST\",\"path\":\"/users\"}],\"sagas\":[{\"name\":\"greet\","
    "\"steps\":[{\"body\":\"name\",\"call\":\"mail POST /mails\",\"name\":\"send\"}]}]}],"
    "\"system\":\"shop\"}";

static struct text text_of(const json_t *const *descriptions, size_t count)
{
    struct text text;
    json_t *document = contract_document("shop", descriptions, count);
    text_init(&text, TEXT_LENGTH_MAX);
    contract_write(&text, document);
    json_decref(document);
    return text;
}

static void what_others_see_is_written_sorted_and_read_back(void **unused)
{
    (void)unused;
    struct findings findings = {0};
    json_t *description = parsed_single_quoted(users);
    struct text text = text_of((const json_t *const[]){description}, 1);
    json_t *document = parsed(text.data);
    char *sorted = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(sorted, written);
    json_text_free(sorted);
    json_t *services = contract_parse("x.json", text.data, text.length, &findings);
    assert_non_null(services);
    /* What was read gives the same text. */
    struct text again = text_of((const json_t *const[]){json_object_get(services, "users")}, 1);
    assert_string_equal(text.data, again.data);
    text_release(&again);
    text_release(&text);
    json_decref(services);
    json_decref(document);
    json_decref(description);
}

/* ---- What can't be read ---- */

#define ROUTE(members)                                                                             \
    "{'contracts': 1, 'system': 's', 'services': [\n {'name': 'users', 'routes': [{'method': "     \
    "'GET', 'path': '/u', 'audience': 'public', " members "}]}]}"
#define SCHEMA(schema) ROUTE("\n  'body': " schema)

static const struct refusal {
    const char *text, *message;
    int line, column;
} refusals[] = {
    {"", "the file is empty", 0, 0},
    {" \n", "the file is empty", 0, 0},
    {"{'contracts': 1, 'system': 's', 'serv", "line 1, column", 0, 0},
    {"{'contracts': 1, 'contracts': 1}", "line 1, column", 0, 0},
    {"[]", "this is no description of contracts", 0, 0},
    {"{'freehold': 1, 'name': 'users'}", "what a program says of itself (--describe)", 0, 0},
    {"{\n 'contracts': 2, 'more': 1}",
     "has the format 2, and this freehold reads format 1: a newer freehold has written it", 2, 15},
    {"{'contracts': '\\u001b[31m'}", "has the format", 1, 15},
    {"{'contracts': 1, 'services': []}", "missing", 1, 1},
    {"{'contracts': 1, 'system': 's', 'services': [],\n'new': 1}", "/new: unknown", 2, 8},
    {"{'contracts': 1, 'system': 's', 'services': [{'name': '../x'}]}", "/services/0/name", 1, 55},
    {"{'contracts': 1, 'system': 's', 'services': [{'name': 'a'}, {'name': 'a'}]}",
     "/services/1: this service is described twice", 1, 61},
    {"{'contracts': 1, 'system': '\\u001b]0;x\\u0007', 'services': []}",
     "/system: a control character", 1, 28},
    {ROUTE("'\\u009b31m': 1"), "a control character is in this name", 2, 98},
    {"{'contracts': 1, 'system': 's', 'services': [{'name': 'a', 'publishes':"
     " [{'type': 'T', 'version': 1}, {'type': 'T', 'version': 1}]}]}",
     "/services/0/publishes/1: this is described twice", 1, 103},
    {ROUTE("'body': 7"), "/services/0/routes/0/body: expected an object", 2, 93},
    {SCHEMA("{'$ref': '#'}"), "/services/0/routes/0/body/$ref: no word of a shape's schema", 3, 20},
    {SCHEMA("{'type': 'thing'}"), "body/type: not the value", 3, 20},
    {SCHEMA("{'properties': {'a': {'items': {'minItems': -1}}}}"), "/a/items/minItems: not", 3, 55},
    {SCHEMA("{'properties': {'a': 7}}"), "/a: expected a schema", 3, 32},
    {SCHEMA("{'additionalProperties': {'type': 'string'}}"), "body/additionalProperties", 3, 36},
};

static void what_is_no_description_is_refused_with_its_place(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *one = &refusals[i];
        struct findings findings = {0};
        char *text = strdup(one->text);
        for (char *c = text; *c; c++)
            *c = *c == '\'' ? '"' : *c;
        assert_null(contract_parse("x.json", text, strlen(text), &findings));
        assert_int_equal(findings.errors, 1);
        const struct finding *found = &findings.items[0];
        if (!strstr(found->message, one->message) || found->place.line != one->line ||
            found->place.column != one->column)
            fail_msg("%s: %d:%d: %s", one->text, found->place.line, found->place.column,
                     found->message);
        assert_null(strpbrk(found->message, "\033\a\n"));
        findings_release(&findings);
        free(text);
    }
}

/* The text stands behind another one, and ends where a page that can't be read begins. */
static void a_deep_or_truncated_one_ends(void **unused)
{
    (void)unused;
    struct findings findings = {0};
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    text_add(&text, "{\"contracts\":1,\"system\":\"s\",\"services\":");
    for (int i = 0; i < 100000; i++)
        text_add(&text, "[");
    assert_null(contract_parse("x.json", text.data, text.length, &findings));
    assert_non_null(strstr(findings.items[0].message, "nested deeper"));
    findings_release(&findings);
    text_release(&text);
    json_t *description = parsed_single_quoted(users);
    text = text_of((const json_t *const[]){description}, 1);
    for (size_t length = 0; length < text.length - 2; length++) {
        findings = (struct findings){0};
        char *cut = strndup(text.data, length);
        assert_null(contract_parse("x.json", cut, length, &findings));
        assert_int_equal(findings.errors, 1);
        findings_release(&findings);
        free(cut);
    }
    text_release(&text);
    json_decref(description);
}

/* ---- Changes ---- */

/* The only change between two services of these members. */
static void assert_change(const char *old, const char *now, const char *place, const char *text,
                          bool breaking)
{
    json_t *from = parsed_single_quoted(old), *to = parsed_single_quoted(now),
           *found = json_array();
    changes_of_service(found, "users", from, to);
    const json_t *change = json_array_get(found, 0);
    char at[256] = "";
    if (change)
        snprintf(at, sizeof at, "%s%s", json_string_at(change, "part"),
                 json_string_at(change, "pointer"));
    if (json_array_size(found) != 1 || strcmp(json_string_at(change, "text"), text) != 0 ||
        strcmp(at, place) != 0 || json_is_true(json_object_get(change, "breaking")) != breaking)
        fail_msg("%s -> %s: %s", old, now, json_text(found));
    json_decref(found);
    json_decref(from);
    json_decref(to);
}

#define GET "'method': 'GET', 'path': '/u/{id}'"
#define ONE(members) "{'routes': [{" GET ", 'audience': 'services'" members "}]}"
#define OPEN(members) "{'routes': [{" GET ", 'audience': 'public'" members "}]}"
#define NONE "{}"
#define OBJECT(properties, required)                                                               \
    "{'type': 'object', 'additionalProperties': false, 'properties': {" properties                 \
    "}, 'required': [" required "]}"
#define A "'a': {'type': 'integer'}"
#define B ", 'b': {'type': 'string'}"

static void each_change_of_a_route_is_judged(void **unused)
{
    (void)unused;
    assert_change(ONE(""), NONE, "", "is gone", true);
    assert_change(NONE, ONE(""), "", "is new", false);
    assert_change("{'routes': [{'method': 'PUT', 'path': '/u', 'audience': 'services'},"
                  "{'method': 'GET', 'path': '/u', 'audience': 'services'}]}",
                  "{'routes': [{'method': 'PUT', 'path': '/u', 'audience': 'services'}]}", "",
                  "is gone; its path is served with PUT", true);
    assert_change(ONE(""),
                  "{'routes': [{'method': 'GET', 'path': '/u/{n:int}', 'audience': 'services'}]}",
                  "", "takes integers alone where its path took any text: /u/{n:int}", true);
    assert_change(ONE(""),
                  "{'routes': [{'method': 'GET', 'path': '/u/{n:int}', 'audience': 'public'},"
                  "{" GET ", 'audience': 'services'}]}",
                  "", "is new", false);
    assert_change(OPEN(""), ONE(""), "", "was for public, is now for services", true);
    assert_change(ONE(""), OPEN(""), "", "was for services, is now for public", false);
    assert_change(OPEN(", 'auth': 'anyone'"), OPEN(", 'auth': 'user'"), "",
                  "demands user now, and nobody logged in before", true);
    assert_change(OPEN(", 'auth': 'user'"), OPEN(", 'auth': 'scope:a'"), "",
                  "demands scope:a now, and user before", true);
    assert_change(OPEN(", 'auth': 'scope:a'"), OPEN(", 'auth': 'user'"), "",
                  "demands user now, and scope:a before", false);
    assert_change(ONE(", 'undo': true"), ONE(""), "", "undoes nothing any more", true);
    assert_change(ONE(""), ONE(", 'body': " OBJECT(A, "'a'")), "", "needs a body now", true);
    assert_change(ONE(", 'body': " OBJECT(A, "'a'")), ONE(""), "", "takes no body any more", true);
    assert_change(ONE(", 'body': " OBJECT(A, "")), ONE(", 'body': " OBJECT(A, "'a'")), "body/a",
                  "is required now", true);
    assert_change(ONE(", 'body_type': 'text/csv'"), ONE(", 'body': " OBJECT(A, "'a'")), "",
                  "takes JSON now, and text/csv before", true);
    assert_change(ONE(""), ONE(", 'query': " OBJECT(A, "'a'")), "query/a", "is new, and required",
                  true);
    assert_change(ONE(", 'query': " OBJECT(A, "")), ONE(""), "query/a", "is not taken any more",
                  true);
    assert_change(ONE(""), ONE(", 'query': " OBJECT(A, "")), "query/a", "is new", false);
    assert_change(ONE(", 'answer': {'status': 202}"), ONE(", 'answer': {'status': 201}"), "",
                  "answers 201 now, and 202 before", true);
    assert_change(ONE(", 'answer': {'status': 202}"), ONE(""), "",
                  "does not say any more what it answers", true);
    assert_change(ONE(", 'answer': {'status': 200, 'schema': " OBJECT(A B, "'a'") "}"),
                  ONE(", 'answer': {'status': 200, 'schema': " OBJECT(A, "'a'") "}"), "answer/b",
                  "is gone", true);
    assert_change(ONE(", 'answer': {'status': 200, 'schema': " OBJECT(A, "'a'") "}"),
                  ONE(", 'answer': {'status': 200, 'schema': " OBJECT(A B, "'a'") "}"), "answer/b",
                  "is new", false);
    assert_change(ONE(", 'location': '/u/{id}'"), ONE(""), "",
                  "does not say any more where its resource is", true);
    assert_change(ONE(", 'of_view': true"), ONE(""), "", "is no longer a view", true);
}

#define EVENT(version, members)                                                                    \
    "{'publishes': [{'type': 'T', 'version': " #version ", 'key': 'a'" members "}]}"
#define DATA(properties, required) ", 'schema': " OBJECT(properties, required)

static void each_change_of_an_event_type_is_judged(void **unused)
{
    (void)unused;
    assert_change(EVENT(1, ""), NONE, "", "is gone", true);
    assert_change(NONE, EVENT(1, ""), "", "is new", false);
    assert_change(EVENT(2, ""), EVENT(1, ""), "", "went back from version 2 to 1", true);
    assert_change(EVENT(1, ""), EVENT(2, ""), "", "is published as version 2 now, and as 1 before",
                  false);
    assert_change(EVENT(1, DATA(A B, "'a'")), EVENT(1, DATA(A, "'a'")), "data/b", "is gone", true);
    assert_change(EVENT(1, DATA(A, "'a'")), EVENT(1, DATA(A B, "'a'")), "data/b", "is new", false);
    assert_change(EVENT(1, ", 'actor': true"), EVENT(1, ""), "", "does not say any more who did it",
                  true);
    assert_change(EVENT(1, ", 'partitions': 8"), EVENT(1, ", 'partitions': 4"), "",
                  "has 4 partitions now, and 8 before: they can't become fewer", true);
    assert_change(EVENT(1, ", 'partitions': 4"), EVENT(1, ", 'partitions': 8"), "",
                  "has 8 partitions now, and 4 before", false);
    assert_change(EVENT(1, ""), "{'publishes': [{'type': 'T', 'version': 1, 'key': 'b'}]}", "",
                  "has the key b now, and a before: the order is another", true);
    assert_change("{'publishes': [{'type': 'T', 'version': 1}]}",
                  "{'publishes': [{'type': 'T', 'version': 1}, {'type': 'T', 'version': 2}]}", "",
                  "is published in this version, too", false);
}

/* What was published already has the number, too. */
static void a_member_that_stored_events_lack_needs_a_new_version(void **unused)
{
    (void)unused;
    json_t *old = parsed_single_quoted(EVENT(3, DATA(A, "'a'"))), *found = json_array(),
           *now = parsed_single_quoted(EVENT(3, DATA(A B, "'a', 'b'")));
    changes_of_service(found, "users", old, now);
    const json_t *last = json_array_get(found, json_array_size(found) - 1);
    assert_string_equal(json_string_at(last, "rule"), "version");
    assert_true(json_is_true(json_object_get(last, "breaking")));
    assert_non_null(strstr(json_string_at(last, "text"), "may not fit it at \"/b\": make it "
                                                         "version 4"));
    json_decref(found);
    json_decref(now);
    now = parsed_single_quoted(EVENT(4, DATA(A B, "'a', 'b'")));
    found = json_array();
    changes_of_service(found, "users", old, now);
    size_t i;
    json_t *change;
    json_array_foreach (found, i, change)
        assert_false(json_is_true(json_object_get(change, "breaking")));
    json_decref(found);
    json_decref(old);
    json_decref(now);
}

/* ---- Whom it breaks, and since when ---- */

#define BODY(required)                                                                             \
    ", 'body': " OBJECT("'a': {'type': 'integer'}, 'b': {'type': 'string'}", required)
#define OFFERS(routes, publishes)                                                                  \
    "{'name': 'users', 'routes': [" routes "], 'publishes': [" publishes "]}"
#define POST(members) "{'method': 'POST', 'path': '/u/{id}', 'audience': 'services'" members "}"
#define TYPE(version, members) "{'type': 'T', 'version': " #version members "}"

static struct system_file *system_of(const char *first, const char *second)
{
    struct system_file *file = calloc(1, sizeof *file);
    arena_init(&file->arena, ARENA_SIZE_MAX);
    file->path = "freehold.yaml";
    file->name = "shop";
    const char *const all[] = {first, second};
    for (int i = 0; i < 2; i++) {
        json_t *description = parsed_single_quoted(all[i]);
        file->services[file->service_count++] = (struct system_service){
            .name = json_string_at(description, "name"), .description = description};
    }
    return file;
}

static void add_file(struct contract_files *files, const char *path, const char *service)
{
    json_t *description = parsed_single_quoted(service);
    files->files[files->count++] = (struct contract_file){
        strdup(path), json_pack("{s:o}", json_string_at(description, "name"), description)};
}

/* What is said of the system by "old.json", and who is broken: "orders reads name". */
static void assert_whom(const char *old, const char *now, const char *consumer, const char *level,
                        const char *how)
{
    struct findings findings = {0};
    static struct contract_files previous, none;
    struct system_file *file = system_of(now, consumer);
    add_file(&previous, "old.json", old);
    json_t *changes = contract_against(file, &previous, &none, &findings);
    const json_t *change = json_array_get(changes, 0);
    const json_t *broken = json_array_get(json_object_get(change, "breaks"), 0);
    const char *found = json_string_at(broken, "how");
    if (!change || strcmp(json_string_at(change, "level"), level) != 0 ||
        strcmp(found ? found : "", how) != 0)
        fail_msg("%s: %s", consumer, json_text(changes));
    assert_string_equal(json_string_at(change, "last_in"), "old.json");
    json_decref(changes);
    contract_files_release(&previous);
    system_file_free(file);
    findings_release(&findings);
}

#define ORDERS(members) "{'name': 'orders', " members "}"
#define READS(fields) ORDERS("'hears': [{'service': 'users', 'type': 'T', 'fields': " fields "}]")
#define CALLS(members)                                                                             \
    ORDERS("'sagas': [{'name': 's', 'steps': [{'name': 'x', 'call': 'users POST "                  \
           "/u/{id}?k={k}'" members "}]}]")
#define AB DATA("'a': {'type': 'integer'}, 'b': {'type': 'string'}", "'a', 'b'")
#define ONLY_A DATA("'a': {'type': 'integer'}", "'a'")

static void those_who_have_to_do_with_it_are_broken(void **unused)
{
    (void)unused;
    const char *old = OFFERS("", TYPE(1, AB)), *now = OFFERS("", TYPE(1, ONLY_A));
    assert_whom(old, now, READS("'a, b'"), "error", "reads b");
    assert_whom(old, now, READS("null"), "error", "subscribes to all of it");
    assert_whom(old, now, READS("'a'"), "warning", "");
    assert_whom(old, OFFERS("", ""), READS("'a'"), "error", "subscribes to it");
    old = OFFERS(POST(BODY("'a'")), "");
    now = OFFERS(POST(BODY("'a', 'b'")), "");
    assert_whom(old, now, CALLS(", 'body': 'a'"), "error", "calls it in step x of saga s");
    assert_whom(old, now, CALLS(", 'body': 'a, b=c'"), "warning", "");
    assert_whom(now, OFFERS(POST(", 'body': " OBJECT(A, "'a'")), ""), CALLS(", 'body': 'a,b'"),
                "error", "calls it in step x of saga s");
    assert_whom(now, OFFERS(POST(", 'body': " OBJECT(A, "'a'")), ""), CALLS(", 'body': 'a'"),
                "warning", "");
    old = OFFERS(POST(", 'query': " OBJECT("'k': {'type': 'string'}", "")), "");
    assert_whom(old, OFFERS(POST(""), ""), CALLS(""), "error", "calls it in step x of saga s");
    assert_whom(old, OFFERS("", ""), ORDERS("'model': 'document'"), "warning", "");
    old = OFFERS("{" GET ", 'audience': 'services'}", "");
    assert_whom(old, OFFERS("", ""), ORDERS("'asks': [{'service': 'users', 'path': '/u/{x}'}]"),
                "error", "asks for it");
    old = OFFERS("{" GET ", 'audience': 'public'}", "");
    assert_whom(old, OFFERS("", ""), ORDERS("'model': 'document'"), "error", "may use it");
    assert_whom(old, OFFERS("{" GET ", 'audience': 'public', 'auth': 'user'}", ""),
                ORDERS("'asks': [{'service': 'users', 'path': '/u/{x}'}]"), "error", "may use it");
}

static void the_last_description_and_every_file_counts(void **unused)
{
    (void)unused;
    struct findings findings = {0};
    static struct contract_files previous, others;
    struct system_file *file = system_of(OFFERS("", TYPE(3, ONLY_A)), ORDERS("'model': 'x'"));
    add_file(&previous, "v1.json", OFFERS("", TYPE(1, AB)));
    add_file(&previous, "v1.json", READS("'b'"));
    add_file(&previous, "v2.json", OFFERS("", TYPE(1, AB)));
    add_file(&previous, "v3.json", OFFERS("", TYPE(3, ONLY_A)));
    add_file(&others, "theirs.json",
             "{'name': 'mails', 'hears': [{'service': 'users', 'type': 'T', 'fields': 'b'}]}");
    json_t *changes = contract_against(file, &previous, &others, &findings);
    assert_int_equal(contract_count(changes, "error"), 1);
    assert_int_equal(contract_count(changes, "warning"), 0);
    const json_t *change = json_array_get(changes, 0), *whom = json_object_get(change, "breaks");
    assert_string_equal(json_string_at(change, "last_in"), "v2.json");
    assert_int_equal(json_array_size(whom), 2);
    assert_string_equal(json_string_at(json_array_get(whom, 0), "by"), "theirs.json");
    assert_string_equal(json_string_at(json_array_get(whom, 1), "service"), "orders");
    json_decref(changes);
    contract_files_release(&previous);
    add_file(&previous, "bank.json", "{'name': 'accounts'}");
    assert_null(contract_against(file, &previous, &others, &findings));
    assert_non_null(strstr(findings.items[0].message, "other services, such as accounts"));
    findings_release(&findings);
    contract_files_release(&previous);
    add_file(&previous, "old.json", "{'name': 'users'}");
    add_file(&previous, "old.json", "{'name': 'accounts'}");
    add_file(&previous, "old.json",
             "{'name': 'orders', 'asks': [{'service': 'accounts', "
             "'path': '/a'}]}");
    changes = contract_against(file, &previous, &others, &findings);
    assert_string_equal(json_string_at(json_array_get(changes, 0), "text"), "is gone");
    assert_string_equal(json_string_at(json_array_get(changes, 0), "level"), "error");
    json_decref(changes);
    contract_files_release(&previous);
    contract_files_release(&others);
    system_file_free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_others_see_is_written_sorted_and_read_back),
        cmocka_unit_test(what_is_no_description_is_refused_with_its_place),
        cmocka_unit_test(a_deep_or_truncated_one_ends),
        cmocka_unit_test(each_change_of_a_route_is_judged),
        cmocka_unit_test(each_change_of_an_event_type_is_judged),
        cmocka_unit_test(a_member_that_stored_events_lack_needs_a_new_version),
        cmocka_unit_test(those_who_have_to_do_with_it_are_broken),
        cmocka_unit_test(the_last_description_and_every_file_counts),
    };
    return cmocka_run_group_tests(tests, values_start, NULL);
}
