/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSearch's driver where the server is away, slow, another one, or says what none should say: by
 * a server that answers as it is told to. What a real one does is in tests/conformance. */

#include "http_certificates.h"

#include "base/json.h"
#include "carrier/opensearch/internal.h"

#define ANSWERS_MAX 4
#define NO_INDEX "{\"error\":{\"type\":\"index_not_found_exception\"}}"
#define INDEX "shop.search-things-01900000-0000-7000-8000-000000000000-7"

static const struct fh_derived_field fields[] = {{"name", FH_STRING, FH_TEXT}, {0}};
static const struct fh_derived things = {"things", FH_SEARCH, fields};
static const struct carried_name name = {"01900000-0000-7000-8000-000000000000", 7};

struct told {
    int status; /* 0: it does not answer */
    const char *body;
};

struct scripted {
    struct site site;
    struct told answers[ANSWERS_MAX];
    int asked;
    char paths[ANSWERS_MAX][256], authorization[64];
    struct carried_server *server;
    /* What came of a call. */
    struct carried_op ops[2];
    enum fh_code code;
    struct fh_error error;
    int64_t deadline_ns;
    const struct fh_derived *declared; /* what is asked of */
    const char *text;
    int limit;
};

static struct scripted scripted;

static void on_scripted(void *context, struct http_incoming *incoming)
{
    const char *authorization = http_request_header(incoming->request, "authorization");
    (void)context;
    FH_ASSERT(scripted.asked < ANSWERS_MAX);
    const struct told *told = &scripted.answers[scripted.asked];
    snprintf(scripted.paths[scripted.asked++], sizeof scripted.paths[0], "%s %s", incoming->method,
             incoming->path);
    snprintf(scripted.authorization, sizeof scripted.authorization, "%s",
             authorization ? authorization : "");
    if (told->status)
        reply_text(incoming, told->status, told->body);
    else
        scripted.site.held[scripted.site.held_count++] = incoming;
}

static json_t *options_of(int port)
{
    return json_pack("{s:i, s:s, s:s}", "port", port, "user", "shop", "password", "a secret");
}

static void begin_scripted(const struct http_tls *tls)
{
    struct http_handler handler = {.incoming = on_scripted,
                                   .connected = on_connected,
                                   .disconnected = on_disconnected,
                                   .context = &scripted.site};
    struct fh_error error;
    struct site *site = &scripted.site;
    site->listen_fd = listen_anywhere(&site->port);
    assert_int_equal(http_server_new(&site->harness.loop, site->harness.world, site->listen_fd,
                                     &(struct http_limits){.body_size_max = 1 << 20}, tls, handler,
                                     &site->server, &error),
                     FH_OK);
}

static int set_up(void **state)
{
    struct site *site = &scripted.site;
    struct fh_error error;
    (void)state;
    scripted = (struct scripted){.declared = &things, .text = "a secret"};
    harness_init(&site->harness);
    begin_scripted(NULL);
    json_t *options = options_of(site->port);
    assert_int_equal(
        opensearch_open(site->harness.world, options, "shop.search", &scripted.server, &error),
        FH_OK);
    json_decref(options);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    opensearch_close(scripted.server);
    for (unsigned i = 0; i < scripted.site.held_count; i++)
        reply_text(scripted.site.held[i], 200, "{}");
    site_release(&scripted.site);
    return 0;
}

/* ---- Calls ---- */

static void no_link(void *context, const struct carried_link *link)
{
    (void)context;
    (void)link;
}

static void links_entry(void *argument)
{
    int count;
    (void)argument;
    scripted.code =
        scripted.server->ops->links(scripted.server, &things, &name, &(struct carried_link){0, 0},
                                    10, no_link, NULL, &count, &scripted.error);
}

static void send_entry(void *argument)
{
    json_t *value = json_pack("{s:s}", "name", "a secret");
    (void)argument;
    scripted.ops[0] = (struct carried_op){.position = 1, .key = "a", .value = value};
    scripted.ops[1] = (struct carried_op){.position = 2, .key = "b"};
    struct carried_page page = {{0, 2}, scripted.ops, 2};
    scripted.code =
        scripted.server->ops->send(scripted.server, &things, &name, &page, &scripted.error);
    json_decref(value);
}

static void search_entry(void *argument)
{
    json_t *answer = NULL;
    (void)argument;
    scripted.code = scripted.server->ops->search(
        scripted.server, scripted.declared, &name,
        &(struct fh_search){.text = scripted.text, .limit = scripted.limit}, scripted.deadline_ns,
        &answer, &scripted.error);
    json_decref(answer);
}

/* Whatever fails says nothing of what was to be kept secret. */
static enum fh_code after(void (*entry)(void *), const struct told *answers, int count)
{
    scripted.asked = 0;
    scripted.error = (struct fh_error){0};
    memset(scripted.answers, 0, sizeof scripted.answers);
    memcpy(scripted.answers, answers, (size_t)count * sizeof *answers);
    harness_run(&scripted.site.harness, entry, NULL);
    assert_int_equal(scripted.asked, count);
    assert_null(strstr(scripted.error.message, "secret"));
    for (int i = 0; i < 2; i++)
        assert_null(strstr(scripted.ops[i].refused, "secret"));
    return scripted.code;
}

#define AFTER(entry, ...)                                                                          \
    after(entry, (const struct told[]){__VA_ARGS__},                                               \
          (int)(sizeof((const struct told[]){__VA_ARGS__}) / sizeof(struct told)))

/* ---- Cases ---- */

static void a_request_has_the_user_and_the_index_of_the_generation(void **state)
{
    (void)state;
    AFTER(send_entry, {200, "{\"items\":[{\"index\":{\"status\":201}},{\"index\":{\"status\":409}},"
                            "{\"index\":{\"status\":201}}]}"});
    assert_int_equal(scripted.code, FH_OK);
    assert_string_equal(scripted.paths[0], "POST /" INDEX ".ops/_bulk");
    assert_string_equal(scripted.authorization, "Basic c2hvcDphIHNlY3JldA==");
}

static void what_a_status_says(void **state)
{
    static const struct {
        struct told answer;
        enum fh_code code;
    } cases[] = {
        {{401, "{\"error\":{\"type\":\"security_exception\",\"reason\":\"a secret\"}}"},
         FH_UNSUPPORTED},
        {{403, "Forbidden"}, FH_UNSUPPORTED},
        {{403, "{\"error\":{\"type\":\"cluster_block_exception\"}}"}, FH_UNAVAILABLE},
        {{400, "{\"error\":{\"type\":\"snapshot_in_progress_exception\"}}"}, FH_UNAVAILABLE},
        {{408, "{}"}, FH_UNAVAILABLE},
        {{429, "{\"error\":{\"type\":\"circuit_breaking_exception\"}}"}, FH_UNAVAILABLE},
        {{500, "no JSON, but a secret"}, FH_UNAVAILABLE},
        {{503, "{\"error\":{\"type\":\"a secret\"}}"}, FH_UNAVAILABLE},
        {{400, "{\"error\":{\"type\":\"parsing_exception\",\"reason\":\"a secret\"}}"},
         FH_UNSUPPORTED},
        {{404, "there is another server"}, FH_UNSUPPORTED}, /* nothing is lost by it */
        {{404, "{\"error\":{\"type\":\"a secret\"}}"}, FH_UNSUPPORTED},
        {{200, "<html>a secret</html>"}, FH_UNSUPPORTED},
        {{200, "[]"}, FH_UNSUPPORTED},
        {{200, "{}"}, FH_UNSUPPORTED},
        {{302, "{}"}, FH_UNSUPPORTED},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(AFTER(send_entry, cases[i].answer), cases[i].code);
        assert_int_equal(AFTER(links_entry, cases[i].answer), cases[i].code);
        assert_int_equal(AFTER(search_entry, cases[i].answer), cases[i].code);
    }
}

static void that_there_is_no_index_is_believed_to_who_knows(void **state)
{
    static const struct {
        const char *state;
        enum fh_code code;
    } cases[] = {
        {"{\"cluster_uuid\":\"x\"}", FH_NOT_FOUND},
        {"{\"cluster_uuid\":\"x\",\"metadata\":{\"indices\":{\"" INDEX "\":{\"aliases\":[]}}}}",
         FH_NOT_FOUND}, /* somebody has taken its alias away */
        {"{\"cluster_uuid\":\"x\",\"metadata\":{\"indices\":{\"" INDEX "\":{\"aliases\":[\"" INDEX
         ".ops\"]}}}}",
         FH_UNAVAILABLE},
        {"{\"cluster_uuid\":\"_na_\",\"blocks\":{\"global\":{\"1\":{\"retryable\":true}}}}",
         FH_UNAVAILABLE},
        {"{}", FH_UNAVAILABLE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct told told = {200, cases[i].state};
        assert_int_equal(AFTER(links_entry, {404, NO_INDEX}, told), cases[i].code);
        assert_int_equal(AFTER(search_entry, {404, NO_INDEX}, told), cases[i].code);
        assert_int_equal(AFTER(send_entry, {404, NO_INDEX}, told), cases[i].code);
    }
    assert_int_equal(AFTER(links_entry, {404, NO_INDEX}, {503, "{}"}), FH_UNAVAILABLE);
    /* It was not asked for an index, so what answers so says it of everything. */
    assert_int_equal(AFTER(links_entry, {404, NO_INDEX}, {404, NO_INDEX}), FH_UNSUPPORTED);
}

#define ITEM(status, type) "{\"index\":{\"status\":" status ",\"error\":{\"type\":\"" type "\"}}}"
#define ITEMS(one, two, link) "{\"items\":[" one "," two "," link "]}"
#define DONE "{\"index\":{\"status\":201}}"
#define LATER ITEM("429", "rejected_execution_exception")

static void what_the_lines_of_a_page_say(void **state)
{
    (void)state;
    assert_int_equal(
        AFTER(send_entry, {200, ITEMS(ITEM("400", "mapper_parsing_exception"), DONE, DONE)}),
        FH_OK);
    assert_string_equal(scripted.ops[0].refused,
                        "OpenSearch does not take it: mapper_parsing_exception");
    assert_string_equal(scripted.ops[1].refused, "");
    assert_int_equal(AFTER(send_entry, {200, ITEMS(ITEM("400", "a secret"), DONE, DONE)}), FH_OK);
    assert_string_equal(scripted.ops[0].refused, "OpenSearch does not take it: error");
    assert_int_equal(AFTER(send_entry, {200, ITEMS(LATER, LATER, LATER)}), FH_UNAVAILABLE);
    const char *linked = ITEMS(DONE, DONE, ITEM("409", "version_conflict_engine_exception"));
    assert_int_equal(AFTER(send_entry, {200, linked}), FH_OK);
    const char *unlinked = ITEMS(DONE, DONE, ITEM("400", "mapper_parsing_exception"));
    assert_int_equal(AFTER(send_entry, {200, unlinked}), FH_UNSUPPORTED);
    /* What is no reason keeps nothing away for good. */
    const char *snapshot = ITEMS(ITEM("400", "snapshot_in_progress_exception"), DONE, LATER);
    assert_int_equal(AFTER(send_entry, {200, snapshot}), FH_UNAVAILABLE);
    const char *silent = ITEMS("{\"index\":{\"status\":400}}", DONE, LATER);
    assert_int_equal(AFTER(send_entry, {200, silent}), FH_UNSUPPORTED);
    assert_string_equal(scripted.ops[0].refused, "");
    assert_int_equal(AFTER(send_entry, {200, "{\"items\":[" DONE "," DONE "]}"}), FH_UNSUPPORTED);
}

/* The link would hide for ever what is missing: such a generation is lost. */
static void a_link_without_its_page_is_a_generation_lost(void **state)
{
    const char *hole = ITEMS(ITEM("503", "unavailable_shards_exception"), DONE, DONE);
    (void)state;
    assert_int_equal(AFTER(send_entry, {200, hole}), FH_NOT_FOUND);
}

static void a_shard_that_is_away_has_lost_nothing(void **state)
{
    (void)state;
    assert_int_equal(AFTER(links_entry, {200, "{\"_shards\":{\"successful\":0,\"failed\":0}}"}),
                     FH_UNAVAILABLE);
    assert_int_equal(AFTER(links_entry, {200, "{\"_shards\":{\"successful\":1,\"failed\":1}}"}),
                     FH_UNAVAILABLE);
}

#define REFRESHED "{\"_shards\":{\"successful\":1,\"failed\":0}}"
#define LINKS(hits) "{\"timed_out\":false,\"hits\":{\"hits\":[" hits "]}}"
#define LINK(to, from) "{\"sort\":[" to "," from "]}"

/* Else a walk, which asks for those behind the last, might never end. */
static void links_that_do_not_rise_are_no_answer(void **state)
{
    (void)state;
    const char *rising = LINKS(LINK("2", "0") "," LINK("2", "1") "," LINK("3", "0"));
    assert_int_equal(AFTER(links_entry, {200, REFRESHED}, {200, rising}), FH_OK);
    const char *const wrong[] = {LINKS(LINK("2", "0") "," LINK("2", "0")),
                                 LINKS(LINK("2", "1") "," LINK("2", "0")),
                                 LINKS(LINK("3", "0") "," LINK("2", "1")),
                                 LINKS(LINK("0", "0")),
                                 LINKS(LINK("\"2\"", "0")),
                                 LINKS("{}")};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const struct told told = {200, wrong[i]};
        assert_int_equal(AFTER(links_entry, {200, REFRESHED}, told), FH_UNSUPPORTED);
    }
}

static void an_answer_on_the_loop_is_small(void **state)
{
    char *large = malloc(OPENSEARCH_SMALL + 3);
    (void)state;
    memset(large, ' ', OPENSEARCH_SMALL + 2);
    memcpy(large, "{}", 2);
    large[OPENSEARCH_SMALL + 2] = '\0';
    const struct told told = {200, large};
    assert_int_equal(AFTER(links_entry, {200, REFRESHED}, told), FH_UNSUPPORTED);
    assert_non_null(strstr(scripted.error.message, "more than 1048576 bytes"));
    free(large);
}

#define FOUND(hits) "{\"timed_out\":false,\"hits\":{\"total\":{\"value\":2},\"hits\":[" hits "]}}"
#define HIT(key, value) "{\"_source\":{\"key\":" key ",\"value\":" value "},\"sort\":[1.5,\"k\"]}"
#define NAMED "{\"name\":\"a secret\"}"

static void hits_are_as_they_were_derived_or_no_answer(void **state)
{
    (void)state;
    scripted.limit = 1;
    assert_int_equal(AFTER(search_entry, {200, FOUND(HIT("\"k\"", NAMED))}), FH_OK);
    const char *const wrong[] = {
        FOUND("{}"),
        FOUND(HIT("3", NAMED)),
        FOUND(HIT("\"k\"", "[]")),
        FOUND(HIT("\"k\"", "{}")),
        FOUND(HIT("\"k\"", "{\"name\":3}")),
        FOUND(HIT("\"k\"", "{\"name\":\"a secret\\u0000\"}")),
        FOUND("{\"_source\":{\"key\":\"k\",\"value\":" NAMED "}}," HIT("\"l\"", NAMED)),
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const struct told told = {200, wrong[i]};
        assert_int_equal(AFTER(search_entry, told), FH_UNSUPPORTED);
    }
}

static void a_question_of_too_many_words_says_how_many_it_may_have(void **state)
{
    struct fh_derived_field many[DERIVED_FIELDS_MAX + 1] = {{0}};
    static const char names[DERIVED_FIELDS_MAX][2] = {
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p",
        "q", "r", "s", "t", "u", "v", "w", "x", "y", "z", "A", "B", "C", "D", "E", "F"};
    struct fh_derived wide = {"things", FH_SEARCH, many};
    char text[80 * 3 + 1] = "";
    (void)state;
    for (int i = 0; i < DERIVED_FIELDS_MAX; i++)
        many[i] = (struct fh_derived_field){names[i], FH_STRING, FH_TEXT};
    for (int i = 0; i < 80; i++)
        strcat(text, "a\u00b7"); /* one word of a question, 80 of the tokenizer */
    scripted.declared = &wide;
    scripted.text = text;
    harness_run(&scripted.site.harness, search_entry, NULL);
    assert_int_equal(scripted.asked, 0);
    assert_int_equal(scripted.code, FH_INVALID);
    assert_string_equal(scripted.error.field, "text");
    assert_string_equal(scripted.error.message,
                        "A question's text has at most 31 words where each is looked for in 32 "
                        "fields.");
}

static void a_question_ends_at_its_deadline(void **state)
{
    (void)state;
    scripted.deadline_ns = world_in_ms(scripted.site.harness.world, 30);
    assert_int_equal(AFTER(search_entry, {0}), FH_UNAVAILABLE);
    scripted.deadline_ns = world_in_ms(scripted.site.harness.world, 30);
    assert_int_equal(AFTER(search_entry, {404, NO_INDEX}, {0}), FH_UNAVAILABLE);
    scripted.asked = 0;
    harness_run(&scripted.site.harness, search_entry, NULL); /* it has passed */
    assert_int_equal(scripted.code, FH_UNAVAILABLE);
    assert_int_equal(scripted.asked, 0);
    scripted.deadline_ns = 0;
    assert_int_equal(AFTER(search_entry, {200, "{\"timed_out\":true}"}), FH_UNAVAILABLE);
}

static void silence_entry(void *argument)
{
    while (!scripted.site.held_count)
        fiber_sleep_until(scripted.site.harness.world, world_in_ms(scripted.site.harness.world, 1));
    opensearch_silence(argument);
}

static void send_or_silence(void *argument)
{
    if (argument)
        silence_entry(argument);
    else
        send_entry(NULL);
}

static void a_silenced_link_ends_what_is_in_progress(void **state)
{
    void *arguments[] = {NULL, scripted.server};
    (void)state;
    scripted.asked = 0;
    harness_run_all(&scripted.site.harness, send_or_silence, arguments, 2);
    assert_int_equal(scripted.code, FH_UNAVAILABLE);
    scripted.asked = 0;
    harness_run(&scripted.site.harness, links_entry, NULL);
    assert_int_equal(scripted.code, FH_UNAVAILABLE);
    assert_int_equal(scripted.asked, 0);
}

static void nobody_at_the_address_has_done_nothing(void **state)
{
    struct carried_server *server = scripted.server;
    struct fh_error error;
    int port;
    close(listen_anywhere(&port));
    (void)state;
    json_t *options = options_of(port);
    assert_int_equal(opensearch_open(scripted.site.harness.world, options, "shop.search",
                                     &scripted.server, &error),
                     FH_OK);
    harness_run(&scripted.site.harness, send_entry, NULL);
    assert_int_equal(scripted.code, FH_UNAVAILABLE);
    assert_non_null(strstr(scripted.error.message, "connection refused"));
    opensearch_close(scripted.server);
    scripted.server = server;
    json_decref(options);
}

/* A server by TLS, and links that trust its authority, or another one, by its name or another. */
static void a_link_by_tls_is_to_the_server_that_was_named(void **state)
{
    static const struct {
        const char *host, *authority;
        enum fh_code code;
    } cases[] = {{"localhost", "ours", FH_OK},
                 {"localhost", "theirs", FH_UNAVAILABLE},
                 {"127.0.0.1", "ours", FH_UNAVAILABLE}};
    struct http_tls ours, theirs;
    struct fh_error error;
    const char *folder = scripted.site.harness.folder;
    (void)state;
    make_tls(folder, "ours", "localhost", &ours);
    make_tls(folder, "theirs", "localhost", &theirs);
    site_stop(&scripted.site, 0);
    close(scripted.site.listen_fd);
    begin_scripted(&ours);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char own[3][160], trusted[3][160];
        tls_paths(folder, "ours", own);
        tls_paths(folder, cases[i].authority, trusted);
        json_t *options = json_pack("{s:s, s:i, s:{s:s, s:s, s:s, s:s}}", "host", cases[i].host,
                                    "port", scripted.site.port, "tls", "mode", "verify", "ca",
                                    trusted[0], "certificate", own[1], "key", own[2]);
        opensearch_close(scripted.server);
        assert_int_equal(opensearch_open(scripted.site.harness.world, options, "shop.search",
                                         &scripted.server, &error),
                         FH_OK);
        scripted.asked = 0;
        scripted.answers[0] = (struct told){200, "{\"items\":[" DONE "," DONE "," DONE "]}"};
        harness_run(&scripted.site.harness, send_entry, NULL);
        assert_int_equal(scripted.code, cases[i].code);
        assert_int_equal(scripted.asked, cases[i].code == FH_OK);
        json_decref(options);
    }
    opensearch_close(scripted.server);
    scripted.server = NULL;
    site_stop(&scripted.site, 0);
    http_tls_release(&ours);
    http_tls_release(&theirs);
}

static void options_are_refused_without_their_secrets(void **state)
{
    static const char *const wrong[] = {"{\"host\": \"https://a\"}",
                                        "{\"host\": \"search:9200\"}",
                                        "{\"host\": \"\"}",
                                        "{\"host\": 3}",
                                        "{\"port\": 0}",
                                        "{\"port\": \"secret\"}",
                                        "{\"replicas\": 6}",
                                        "{\"user\": \"a:b\", \"password\": \"secret\"}",
                                        "{\"user\": \"a\"}",
                                        "{\"password\": \"secret\"}",
                                        "{\"tls\": {\"mode\": \"maybe\"}}"};
    struct fh_error error;
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        json_t *options = json_loads(wrong[i], 0, NULL);
        assert_int_equal(opensearch_check(options, &error), FH_INVALID);
        assert_null(strstr(error.message, "secret"));
        json_decref(options);
    }
    assert_int_equal(opensearch_check(NULL, &error), FH_OK);
    json_t *digits6 = json_pack("{s:s}", "host", "::1");
    assert_int_equal(opensearch_check(digits6, &error), FH_OK);
    json_decref(digits6);
    assert_int_equal(opensearch_open(scripted.site.harness.world, NULL, "Shop",
                                     &(struct carried_server *){NULL}, &error),
                     FH_INVALID);
}

int main(void)
{
#define SCRIPTED_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        SCRIPTED_TEST(a_request_has_the_user_and_the_index_of_the_generation),
        SCRIPTED_TEST(what_a_status_says),
        SCRIPTED_TEST(that_there_is_no_index_is_believed_to_who_knows),
        SCRIPTED_TEST(what_the_lines_of_a_page_say),
        SCRIPTED_TEST(a_link_without_its_page_is_a_generation_lost),
        SCRIPTED_TEST(a_shard_that_is_away_has_lost_nothing),
        SCRIPTED_TEST(links_that_do_not_rise_are_no_answer),
        SCRIPTED_TEST(an_answer_on_the_loop_is_small),
        SCRIPTED_TEST(hits_are_as_they_were_derived_or_no_answer),
        SCRIPTED_TEST(a_question_of_too_many_words_says_how_many_it_may_have),
        SCRIPTED_TEST(a_question_ends_at_its_deadline),
        SCRIPTED_TEST(a_silenced_link_ends_what_is_in_progress),
        SCRIPTED_TEST(nobody_at_the_address_has_done_nothing),
        SCRIPTED_TEST(a_link_by_tls_is_to_the_server_that_was_named),
        SCRIPTED_TEST(options_are_refused_without_their_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
