/* SPDX-License-Identifier: Apache-2.0 */
/* What the documents say of descriptions, and that answers comply with what their routes
 * declare. */

#include "../support/fixture.h"
#include "../support/values.h"

#include <regex.h>
#include <string.h>

#include "gateway/documents.h"
#include "service/asyncapi.h"
#include "service/openapi.h"
#include "shape/shape.h"

static const fh_service service = {.name = "books", .model = FH_RELATIONAL};

static int set_up(void **state)
{
    return fixture_set_up(state, &service, "CREATE TABLE shelf (id INTEGER PRIMARY KEY)");
}

#define BOOKS                                                                                      \
    "{\"name\": \"books\", \"routes\": ["                                                          \
    "{\"method\": \"GET\", \"path\": \"/books/{id:int}\", \"audience\": \"public\", \"answer\":"   \
    " {\"status\": 200, \"schema\": {\"$schema\": \"x\", \"type\": \"object\"}}},"                 \
    "{\"method\": \"GET\", \"path\": \"/books/{name}\", \"audience\": \"public\"},"                \
    "{\"method\": \"DELETE\", \"path\": \"/books/{isbn}\", \"audience\": \"public\"},"             \
    "{\"method\": \"POST\", \"path\": \"/books_a\", \"audience\": \"public\", \"body\":"           \
    " {\"type\": \"object\", \"properties\": {\"list\": {\"items\": {\"properties\": {\"pin\": "   \
    "{\"x-freehold-secret\": true}, \"name\": {\"x-freehold-personal\": true}}}}}}, "              \
    "\"answer\": {\"schema\": {\"properties\": {\"pin\": {\"x-freehold-secret\": true}}}}},"       \
    "{\"method\": \"POST\", \"path\": \"/books-a\", \"audience\": \"public\"},"                    \
    "{\"method\": \"GET\", \"path\": \"/shelves\", \"audience\": \"public\", \"page\": \"id\", "   \
    "\"of_view\": true},"                                                                          \
    "{\"method\": \"POST\", \"path\": \"/merge\", \"audience\": \"services\", \"undo\": true}],"   \
    "\"publishes\": [{\"type\": \"BookAdded\", \"version\": 2, \"key\": \"id\"}],"                 \
    "\"hears\": [{\"service\": \"users\", \"type\": \"User/Gone\", \"fields\": \"id,name\"}]}"

static json_t *document_of(bool inside)
{
    struct openapi openapi;
    json_t *description = parsed(BOOKS);
    openapi_init(&openapi, "library", inside);
    openapi_add_service(&openapi, description);
    json_decref(description);
    return openapi_take(&openapi);
}

static json_t *operation(const json_t *document, const char *path, const char *method)
{
    return json_object_get(json_object_get(json_object_get(document, "paths"), path), method);
}

static void internal_routes_and_headers_are_for_those_inside(void **state)
{
    (void)state;
    json_t *inside = document_of(true), *outside = document_of(false);
    char *text = json_text(outside);
    assert_non_null(operation(inside, "/merge", "post"));
    assert_null(strstr(text, "merge"));
    assert_null(strstr(text, "Freehold-Undo"));
    assert_non_null(json_at(inside, "components.securitySchemes"));
    json_text_free(text);
    json_decref(inside);
    json_decref(outside);
}

static const json_t *parameter_named(const json_t *operation, const char *name)
{
    size_t i;
    json_t *parameter;
    json_array_foreach (json_object_get(operation, "parameters"), i, parameter) {
        if (strcmp(json_string_at(parameter, "name"), name) == 0)
            return parameter;
    }
    return NULL;
}

#define PLACE "products@01993f0e-7a52-7cc1-b6f5-0c8f6f0f9a10"

/* By the pattern that a document has of it. */
static bool takes_wait(const json_t *document, const char *value)
{
    regex_t pattern;
    const json_t *wait = parameter_named(operation(document, "/shelves", "get"), "Freehold-Wait");
    const char *text = json_string_at(json_object_get(wait, "schema"), "pattern");
    assert_int_equal(regcomp(&pattern, text, REG_EXTENDED | REG_NOSUB), 0);
    bool takes = regexec(&pattern, value, 0, NULL, 0) == 0;
    regfree(&pattern);
    return takes;
}

static void a_view_has_its_headers_and_what_published_its_position(void **state)
{
    (void)state;
    json_t *document = document_of(false), *shelves = operation(document, "/shelves", "get");
    assert_non_null(parameter_named(shelves, "Freehold-Wait"));
    assert_non_null(parameter_named(shelves, "Freehold-Max-Age"));
    json_t *headers = json_at(json_at(shelves, "responses.2XX"), "headers");
    assert_non_null(json_object_get(headers, "Freehold-As-Of"));
    assert_non_null(json_object_get(headers, "Age"));
    assert_non_null(json_object_get(headers, "Link"));
    assert_null(json_object_get(headers, "Freehold-At"));
    assert_non_null(json_at(shelves, "responses.409"));
    assert_non_null(json_at(shelves, "responses.504"));
    const json_t *books = operation(document, "/books/{id}", "get");
    assert_null(parameter_named(books, "Freehold-Wait"));
    assert_true(takes_wait(document, "rk3NUcyXn0f_, Xw0m2cU7b4q-"));
    assert_false(takes_wait(document, ""));
    json_t *inside = document_of(true);
    assert_true(takes_wait(inside, PLACE ",1017"));
    assert_true(takes_wait(inside, PLACE ",1017; " PLACE ",9223372036854775807"));
    assert_false(takes_wait(inside, "rk3NUcyXn0f_"));
    assert_false(takes_wait(inside, PLACE ",1;"));
    json_decref(inside);
    assert_null(json_at(books, "responses.504"));
    const json_t *post = operation(document, "/books_a", "post");
    assert_non_null(json_object_get(json_at(post, "responses.2XX.headers"), "Freehold-At"));
    json_decref(document);
}

static void a_secret_is_taken_and_not_told(void **state)
{
    (void)state;
    json_t *document = document_of(false), *post = operation(document, "/books_a", "post");
    json_t *taken =
        json_at(json_object_get(json_at(post, "requestBody.content"), "application/json"),
                "schema.properties.list.items.properties");
    assert_true(json_is_true(json_at(taken, "pin.writeOnly")));
    assert_null(json_at(taken, "name.writeOnly"));
    char *told = json_text(json_object_get(post, "responses"));
    assert_non_null(strstr(told, "x-freehold-secret"));
    assert_null(strstr(told, "writeOnly"));
    json_text_free(told);
    json_decref(document);
}

static void patterns_that_differ_only_in_names_are_one_path(void **state)
{
    (void)state;
    json_t *document = document_of(false);
    assert_null(operation(document, "/books/{name}", "get"));
    const json_t *get = operation(document, "/books/{id}", "get");
    const json_t *remove = operation(document, "/books/{id}", "delete");
    const json_t *taken = json_array_get(json_object_get(remove, "parameters"), 0);
    assert_string_equal(json_string_at(taken, "name"), "id");
    assert_string_equal(json_string_at(taken, "schema.type"), "string");
    assert_string_equal(
        json_string_at(json_array_get(json_object_get(get, "parameters"), 0), "schema.type"),
        "integer");
    assert_string_equal(json_string_at(get, "description"), "Also: GET /books/{name}.");
    json_decref(document);
}

static void operations_have_ids_of_their_own(void **state)
{
    (void)state;
    json_t *document = document_of(false);
    assert_string_equal(json_string_at(operation(document, "/books_a", "post"), "operationId"),
                        "books_post_books_a");
    assert_string_equal(json_string_at(operation(document, "/books-a", "post"), "operationId"),
                        "books_post_books_a_2");
    json_decref(document);
}

#define LISTED(service, name, schema)                                                              \
    "{\"name\": \"" service "\", \"routes\": [{\"method\": \"GET\", \"path\": \"/" service         \
    "\", \"audience\": \"public\", \"name\": \"" name "\", \"answer\": {\"status\": 200, "         \
    "\"schema\": " schema "}}]}"
#define TITLED(title, member)                                                                      \
    "{\"title\": \"" title "\", \"type\": \"object\", \"properties\": {" member "}}"

static json_t *document_of_all(const char *const *descriptions, size_t count)
{
    struct openapi openapi;
    openapi_init(&openapi, "all", false);
    for (size_t i = 0; i < count; i++) {
        json_t *description = parsed(descriptions[i]);
        openapi_add_service(&openapi, description);
        json_decref(description);
    }
    return openapi_take(&openapi);
}

/* What two have in common is told apart by their services, and is then what a third is called. */
static void a_name_that_is_somebodys_own_stays_his(void **state)
{
    static const char *const all[] = {
        LISTED("orders", "list", TITLED("Item", "\"a\": {}")),
        LISTED("carts", "list", TITLED("Item", "\"b\": {}")),
        LISTED("users", "orders_list", TITLED("OrdersItem", "\"c\": {}"))};
    static const char *const paths[][3] = {{"/orders", "orders_list_2", "OrdersItem2"},
                                           {"/carts", "carts_list", "CartsItem"},
                                           {"/users", "orders_list", "OrdersItem"}};
    (void)state;
    json_t *document = document_of_all(all, 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *get = operation(document, paths[i][0], "get");
        assert_string_equal(json_string_at(get, "operationId"), paths[i][1]);
        const json_t *content = json_at(get, "responses.200.content");
        const char *reference =
            json_string_at(json_object_get(content, "application/json"), "schema.$ref");
        assert_string_equal(reference + strlen("#/components/schemas/"), paths[i][2]);
    }
    json_decref(document);
}

static void a_default_that_looks_like_a_schema_is_none(void **state)
{
#define TASK "{\"title\": \"Tidy\", \"type\": \"chore\"}"
    static const char *const one[] = {
        LISTED("tasks", "list",
               TITLED("Task", "\"task\": {\"type\": \"object\", \"default\": " TASK "}, "
                              "\"title\": {\"type\": \"string\"}, \"type\": {}"))};
    (void)state;
    json_t *document = document_of_all(one, 1), *wanted = parsed(TASK);
    const json_t *schemas = json_at(document, "components.schemas");
    assert_int_equal(json_object_size(schemas), 2); /* Task and Problem */
    assert_true(json_equal(json_at(schemas, "Task.properties.task.default"), wanted));
    json_decref(wanted);
    json_decref(document);
}

static const fh_field product_shape[3];
static const fh_field category_shape[] = {{"products", FH_ARRAY, .of = product_shape},
                                          {"pin", FH_STRING, .secret = true, .optional = true},
                                          {0}};
static const fh_field product_shape[3] = {
    {"id", FH_INT}, {"category", FH_OBJECT, .of = category_shape, .optional = true}, {0}};
static const struct fh_named_shape within[] = {
    {"Category", category_shape}, {"Product", product_shape}, {0}};

static json_t *listed(const char *method, const char *path, const char *member, json_t *said)
{
    return json_pack("{s:s, s:s, s:s, s:o}", "method", method, "path", path, "audience", "public",
                     member, said);
}

static json_t *answered_with(const fh_field *shape)
{
    return json_pack("{s:i, s:o}", "status", 200, "schema", shape_schema_named(shape, within));
}

/* Whichever of the two is outside. What is taken differs from what is told, here by a secret. */
static void shapes_within_each_other_are_a_component_each(void **state)
{
    static const char *const references[][2] = {
        {"Category.properties.products.items", "Product"},
        {"Product.properties.category", "Category"},
        {"CategoryInput.properties.products.items", "ProductInput"},
        {"ProductInput.properties.category", "CategoryInput"}};
    struct openapi openapi;
    (void)state;
    json_t *description = json_pack(
        "{s:s, s:[o, o, o, o]}", "name", "shop", "routes",
        listed("GET", "/categories", "answer", answered_with(category_shape)),
        listed("GET", "/products", "answer", answered_with(product_shape)),
        listed("POST", "/products", "body", shape_schema_named(product_shape, within)),
        listed("POST", "/categories", "body", shape_schema_named(category_shape, within)));
    openapi_init(&openapi, "shop", false);
    openapi_add_service(&openapi, description);
    json_t *document = openapi_take(&openapi);
    const json_t *schemas = json_at(document, "components.schemas");
    assert_int_equal(json_object_size(schemas), 5); /* and Problem */
    for (size_t i = 0; i < sizeof references / sizeof *references; i++) {
        const char *reference = json_string_at(json_at(schemas, references[i][0]), "$ref");
        assert_non_null(reference);
        assert_string_equal(reference + strlen("#/components/schemas/"), references[i][1]);
    }
    json_decref(description);
    json_decref(document);
}

static void an_answer_is_described_by_its_schema_and_an_undeclared_one_as_any(void **state)
{
    (void)state;
    json_t *document = document_of(false);
    const json_t *told = json_object_get(operation(document, "/books/{id}", "get"), "responses");
    const json_t *content = json_at(json_object_get(told, "200"), "content");
    const json_t *schema = json_object_get(json_object_get(content, "application/json"), "schema");
    assert_string_equal(json_string_at(schema, "type"), "object");
    assert_null(json_object_get(schema, "$schema"));
    assert_non_null(json_object_get(told, "404"));
    told = json_object_get(operation(document, "/books_a", "post"), "responses");
    assert_non_null(json_object_get(told, "2XX"));
    assert_non_null(json_object_get(told, "422"));
    assert_null(json_object_get(told, "404"));
    json_decref(document);
}

static void events_of_others_have_the_fields_that_are_requested(void **state)
{
    (void)state;
    json_t *document = asyncapi_new("library"), *description = parsed(BOOKS);
    asyncapi_add_published(document, description);
    asyncapi_add_subscriptions(document, description);
    const json_t *channels = json_object_get(document, "channels");
    const json_t *operations = json_object_get(document, "operations");
    const json_t *message = json_object_get(
        json_object_get(json_object_get(channels, "users.User/Gone"), "messages"), "User/Gone");
    assert_int_equal(json_object_size(json_at(message, "payload.properties.data.properties")), 2);
    assert_non_null(json_object_get(channels, "books.BookAdded"));
    assert_string_equal(json_string_at(json_object_get(operations, "books.receive.users.User/Gone"),
                                       "channel.$ref"),
                        "#/channels/users.User~1Gone");
    json_decref(description);
    json_decref(document);
}

/* Two services' events: of one content under one name there is one component, of two each has its
 * service's name. */
static void named_shapes_of_events_are_components(void **state)
{
    static const char orders[] =
        "{\"name\": \"orders\", \"publishes\": [{\"type\": \"Made\", \"version\": 1, \"schema\":"
        " {\"title\": \"Order\", \"type\": \"object\", \"properties\": {\"items\": {\"type\": "
        "\"array\","
        " \"items\": {\"title\": \"Item\", \"type\": \"object\", \"properties\": {\"a\": "
        "{}}}}}}}]}";
    static const char carts[] =
        "{\"name\": \"carts\", \"publishes\": [{\"type\": \"Filled\", \"version\": 1, \"schema\":"
        " {\"title\": \"Item\", \"type\": \"object\", \"properties\": {\"b\": {}}}},"
        " {\"type\": \"Emptied\", \"version\": 1, \"schema\":"
        " {\"title\": \"Item\", \"type\": \"object\", \"properties\": {\"b\": {}}}}]}";
    (void)state;
    json_t *document = asyncapi_new("shop"), *one = parsed(orders), *other = parsed(carts);
    asyncapi_add_published(document, one);
    asyncapi_add_published(document, other);
    asyncapi_name_schemas(document);
    const json_t *schemas = json_at(document, "components.schemas");
    assert_int_equal(json_object_size(schemas), 3);
    const json_t *items = json_at(schemas, "Order.properties.items");
    assert_string_equal(json_string_at(items, "items.$ref"), "#/components/schemas/OrdersItem");
    assert_non_null(json_at(schemas, "CartsItem.properties.b"));
    static const char *const data[][3] = {{"orders.Made", "Made", "Order"},
                                          {"carts.Filled", "Filled", "CartsItem"},
                                          {"carts.Emptied", "Emptied", "CartsItem"}};
    for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
        const json_t *channel = json_object_get(json_object_get(document, "channels"), data[i][0]);
        const json_t *message = json_object_get(json_object_get(channel, "messages"), data[i][1]);
        const char *reference = json_string_at(message, "payload.properties.data.$ref");
        assert_string_equal(reference + strlen("#/components/schemas/"), data[i][2]);
    }
    char *text = json_text(document);
    assert_null(strstr(text, "x-freehold-of"));
    json_text_free(text);
    json_decref(one);
    json_decref(other);
    json_decref(document);
}

static void documents_are_made_on_demand_and_kept(void **state)
{
    (void)state;
    struct documents documents;
    struct http_answer answer, again;
    json_t *config = parsed("{\"system\": \"library\", \"services\": {\"books\": " BOOKS "}}");
    documents_init(&documents, config);
    json_decref(config);
    assert_false(documents_answer(&documents, "/books_a", &answer));
    assert_true(documents_answer(&documents, "/openapi.json", &answer));
    assert_true(documents_answer(&documents, "/asyncapi.json", &again));
    assert_null(documents.config); /* nothing is left of it */
    assert_true(documents_answer(&documents, "/openapi.json", &again));
    assert_ptr_equal(answer.body, again.body);
    assert_true(documents_answer(&documents, "/docs", &answer));
    documents_release(&documents);
    documents_init(&documents, NULL);
    assert_false(documents_answer(&documents, "/openapi.json", &answer));
    assert_false(documents_answer(&documents, "/docs", &answer));
    documents_release(&documents);
}

/* A part that may be missing demands nothing. */
static void a_composition_demands_what_its_required_parts_do(void **state)
{
#define GET_OF(service, auth)                                                                      \
    "\"" service "\": {\"name\": \"" service                                                       \
    "\", \"routes\": [{\"method\": \"GET\", \"path\": \"/" service                                 \
    "/{id}\", \"audience\": \"public\", \"auth\": \"" auth "\"}]}"
    static const char config_text[] =
        "{\"system\": \"library\", \"services\": {" GET_OF("books", "role:reader") ", " GET_OF(
            "shelves",
            "scope:see role:guest") ", " GET_OF("fines",
                                                "role:clerk") ", " GET_OF("news",
                                                                          "anyone") "}, "
                                                                                    "\"compose\": ["
                                                                                    "{\"path\": "
                                                                                    "\"/all/"
                                                                                    "{id}\", "
                                                                                    "\"parts\": ["
                                                                                    "{\"name\": "
                                                                                    "\"book\", "
                                                                                    "\"get\": "
                                                                                    "\"books "
                                                                                    "/books/"
                                                                                    "{id}\", "
                                                                                    "\"required\": "
                                                                                    "true},"
                                                                                    "{\"name\": "
                                                                                    "\"shelf\", "
                                                                                    "\"get\": "
                                                                                    "\"shelves "
                                                                                    "/shelves/"
                                                                                    "{id}\", "
                                                                                    "\"required\": "
                                                                                    "true},"
                                                                                    "{\"name\": "
                                                                                    "\"fine\", "
                                                                                    "\"get\": "
                                                                                    "\"fines "
                                                                                    "/fines/"
                                                                                    "{id}\"}]},"
                                                                                    "{\"path\": "
                                                                                    "\"/open/"
                                                                                    "{id}\", "
                                                                                    "\"parts\": ["
                                                                                    "{\"name\": "
                                                                                    "\"news\", "
                                                                                    "\"get\": "
                                                                                    "\"news "
                                                                                    "/news/{id}\", "
                                                                                    "\"required\": "
                                                                                    "true}]}]}";
    (void)state;
    struct documents documents;
    struct http_answer answer;
    json_t *config = parsed(config_text), *wanted = parsed("[{\"user\": [\"see\", \"reader\", "
                                                           "\"guest\"]}]");
    documents_init(&documents, config);
    json_decref(config);
    assert_true(documents_answer(&documents, "/openapi.json", &answer));
    json_t *document = parsed(answer.body);
    const json_t *all = operation(document, "/all/{id}", "get");
    assert_true(json_equal(json_object_get(all, "security"), wanted));
    assert_non_null(json_at(all, "responses.403"));
    assert_null(json_object_get(operation(document, "/open/{id}", "get"), "security"));
    json_decref(wanted);
    json_decref(document);
    documents_release(&documents);
}

/* ---- Answers keep to what is declared ---- */

static const fh_field book_shape[] = {{"id", FH_INT}, {0}};

struct answered {
    struct fixture *fixture;
    struct fh_answer declared;
    int status;
    const char *body; /* NULL: none */
    int reply_status;
};

static struct answered *current;

static void reply(fh_work *w)
{
    fh_reply(w, current->status, current->body ? parsed(current->body) : NULL);
}

static void run_reply(void *argument)
{
    struct answered *answered = argument;
    struct fh_route route = {"GET", "/books", reply, .answer = answered->declared};
    fh_work w;
    work_init(&w, &answered->fixture->context, reply);
    w.route = &route;
    w.read_only = true;
    work_run(&w);
    answered->reply_status = w.reply_status;
    work_release(&w);
}

static void an_answer_that_is_not_what_its_route_declares_is_a_failure(void **state)
{
    const struct fh_answer one = {200, book_shape}, each = {200, .each = book_shape}, none = {0};
    struct answered cases[] = {{.declared = one, .status = 200, .body = "{\"id\": 1}"},
                               {.declared = each, .status = 200, .body = "[{\"id\": 1}]"},
                               {.declared = none, .status = 202, .body = "[]"},
                               {.declared = {204}, .status = 204},
                               {.declared = one, .status = 201, .body = "{\"id\": 1}"},
                               {.declared = one, .status = 200, .body = "{\"id\": \"1\"}"},
                               {.declared = one, .status = 200},
                               {.declared = each, .status = 200, .body = "{\"id\": 1}"},
                               {.declared = each, .status = 200, .body = "[{\"id\": 1}, {}]"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        current = &cases[i];
        current->fixture = *state;
        harness_run(&current->fixture->harness, run_reply, current);
        assert_int_equal(current->reply_status, i < 4 ? current->status : 500);
    }
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(internal_routes_and_headers_are_for_those_inside),
        cmocka_unit_test(a_view_has_its_headers_and_what_published_its_position),
        cmocka_unit_test(a_secret_is_taken_and_not_told),
        cmocka_unit_test(patterns_that_differ_only_in_names_are_one_path),
        cmocka_unit_test(operations_have_ids_of_their_own),
        cmocka_unit_test(a_name_that_is_somebodys_own_stays_his),
        cmocka_unit_test(a_default_that_looks_like_a_schema_is_none),
        cmocka_unit_test(shapes_within_each_other_are_a_component_each),
        cmocka_unit_test(an_answer_is_described_by_its_schema_and_an_undeclared_one_as_any),
        cmocka_unit_test(events_of_others_have_the_fields_that_are_requested),
        cmocka_unit_test(named_shapes_of_events_are_components),
        cmocka_unit_test(documents_are_made_on_demand_and_kept),
        cmocka_unit_test(a_composition_demands_what_its_required_parts_do),
        cmocka_unit_test_setup_teardown(an_answer_that_is_not_what_its_route_declares_is_a_failure,
                                        set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests_name("documents", tests, NULL, NULL);
}
