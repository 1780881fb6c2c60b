/* SPDX-License-Identifier: Apache-2.0 */
/* ClickHouse's driver where the server is away, slow, another one, or says what none should say: by
 * a server that answers as it is told to. What a real one does is in tests/conformance. */

#include "../support/carried_ops.h"
#include "http_certificates.h"

#include "base/json.h"
#include "carrier/clickhouse/internal.h"

#define ANSWERS_MAX 4
#define NO_TABLE "Code: 60, e.displayText() = DB::Exception: Table a secret doesn't exist."
#define NO_DATABASE "Code: 81, e.displayText() = DB::Exception: Database a secret doesn't exist"
#define TABLE "sold-01900000-0000-7000-8000-000000000000-7"

static const struct fh_derived_field fields[] = {{"name", FH_STRING, FH_TAG}, {"n", FH_INT}, {0}};
static const struct fh_derived sold = {"sold", FH_COLUMNS, fields};
static const struct carried_name name = {"01900000-0000-7000-8000-000000000000", 7};

struct told {
    int status; /* 0: it does not answer */
    const char *body;
    bool other;    /* it is no ClickHouse: there is no header */
    size_t length; /* 0: of the text */
};

struct scripted {
    struct site site;
    struct told answers[ANSWERS_MAX];
    int asked, links;
    char queries[ANSWERS_MAX][1024], bodies[ANSWERS_MAX][4096], authorization[64];
    struct carried_server *server;
    /* What came of a call. */
    struct carried_op op;
    enum fh_code code;
    struct fh_error error;
    int64_t deadline_ns;
};

static struct scripted scripted;

static void on_scripted(void *context, struct http_incoming *incoming)
{
    static const struct http_header own = {"X-ClickHouse-Server-Display-Name", "test"};
    const char *authorization = http_request_header(incoming->request, "authorization");
    (void)context;
    FH_ASSERT(scripted.asked < ANSWERS_MAX);
    const struct told *told = &scripted.answers[scripted.asked];
    snprintf(scripted.queries[scripted.asked], sizeof scripted.queries[0], "%s %s?%s",
             incoming->method, incoming->path, incoming->query);
    snprintf(scripted.bodies[scripted.asked++], sizeof scripted.bodies[0], "%.*s",
             (int)incoming->body_length, incoming->body);
    snprintf(scripted.authorization, sizeof scripted.authorization, "%s",
             authorization ? authorization : "");
    if (told->status)
        http_reply(
            incoming->request,
            &(struct http_answer){.status = told->status,
                                  .body = told->body,
                                  .body_length = told->length ? told->length : strlen(told->body),
                                  .headers = &own,
                                  .header_count = told->other ? 0 : 1});
    else
        scripted.site.held[scripted.site.held_count++] = incoming;
}

static json_t *options_of(int port)
{
    return json_pack("{s:i, s:s, s:s, s:i}", "port", port, "user", "shop", "password", "a secret",
                     "interval_ms", 0);
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

static void open_link(const json_t *options)
{
    struct fh_error error;
    assert_int_equal(clickhouse_open(scripted.site.harness.world, options, "shop.sales",
                                     &scripted.server, &error),
                     FH_OK);
}

static int set_up(void **state)
{
    struct site *site = &scripted.site;
    (void)state;
    scripted = (struct scripted){0};
    harness_init(&site->harness);
    begin_scripted(NULL);
    json_t *options = options_of(site->port);
    open_link(options);
    json_decref(options);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clickhouse_close(scripted.server);
    for (unsigned i = 0; i < scripted.site.held_count; i++)
        reply_text(scripted.site.held[i], 200, "{}");
    site_release(&scripted.site);
    return 0;
}

/* ---- Calls ---- */

static void count_link(void *context, const struct carried_link *link)
{
    (void)context;
    (void)link;
    scripted.links++;
}

static void links_entry(void *argument)
{
    int count;
    (void)argument;
    scripted.links = 0;
    scripted.code =
        scripted.server->ops->links(scripted.server, &sold, &name, &(struct carried_link){0, 0}, 10,
                                    count_link, NULL, &count, &scripted.error);
}

static void send_entry(void *argument)
{
    json_t *value = json_pack("{s:s, s:i}", "name", "a secret", "n", 1);
    (void)argument;
    scripted.op = (struct carried_op){.position = 1, .key = "a", .value = value};
    carried_ops_fill(&sold, &scripted.op, 1);
    struct carried_page page = {{0, 2}, &scripted.op, 1};
    scripted.code =
        scripted.server->ops->send(scripted.server, &sold, &name, &page, &scripted.error);
    json_decref(value);
}

/* `argument`: another generation; NULL: `name`. */
static void columns_entry(void *argument)
{
    const struct carried_name *asked = argument ? argument : &name;
    json_t *answer = NULL, *filter = json_pack("{s:s}", "name", "a secret");
    const struct fh_columns columns = {.values = (const char *const[]){"count", NULL},
                                       .by = (const char *const[]){"name", NULL},
                                       .filter = filter};
    scripted.code =
        scripted.server->ops->columns(scripted.server, &sold, asked, &columns, INT64_MIN,
                                      scripted.deadline_ns, &answer, &scripted.error);
    json_decref(answer);
    json_decref(filter);
}

static void make_entry(void *argument)
{
    (void)argument;
    scripted.code = scripted.server->ops->make(scripted.server, &sold, &name, &scripted.error);
}

static void drop_entry(void *argument)
{
    (void)argument;
    scripted.code = scripted.server->ops->drop(scripted.server, &sold, &name, &scripted.error);
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
    assert_string_equal(scripted.op.refused, "");
    return scripted.code;
}

#define AFTER(entry, ...)                                                                          \
    after(entry, (const struct told[]){__VA_ARGS__},                                               \
          (int)(sizeof((const struct told[]){__VA_ARGS__}) / sizeof(struct told)))

/* ---- Cases ---- */

static void a_page_has_the_user_and_the_table_of_the_generation(void **state)
{
    (void)state;
    assert_int_equal(AFTER(send_entry, {200, ""}), FH_OK);
    assert_non_null(strstr(scripted.queries[0],
                           "&query=INSERT%20INTO%20%60shop.sales%60.%60" TABLE
                           "%60%20%28fh_kind%2C%20fh_at%2C%20fh_key%2C%20fh_position%2C%20%60name"
                           "%60%2C%20%60n%60%29%20FORMAT%20RowBinary"));
    assert_string_equal(scripted.authorization, "Basic c2hvcDphIHNlY3JldA==");
}

static void what_an_answer_says(void **state)
{
    static const struct {
        struct told answer;
        enum fh_code code;
    } cases[] = {
        {{500, "Code: 62, e.displayText() = DB::Exception: Syntax error: a secret"},
         FH_UNSUPPORTED},
        {{401, "Code: 193, e.displayText() = DB::Exception: Wrong password for user a secret"},
         FH_UNSUPPORTED},
        {{403, "Code: 497. DB::Exception: a secret"}, FH_UNSUPPORTED},
        {{500, "Code: 252, e.displayText() = DB::Exception: Too many parts"}, FH_UNAVAILABLE},
        {{500, "Code: 202"}, FH_UNAVAILABLE},
        {{500, "Code: 243. DB::Exception: a secret"}, FH_UNAVAILABLE},
        {{500, "Code: 319. DB::Exception: a secret"}, FH_OUTCOME_UNKNOWN},
        {{500, "Code: a secret"}, FH_UNAVAILABLE},
        {{500, "Code: -60, a secret"}, FH_UNAVAILABLE},
        {{503, "a secret"}, FH_UNAVAILABLE},
        {{429, "{}"}, FH_UNAVAILABLE},
        {{403, "Forbidden"}, FH_UNSUPPORTED},
        {{404, "There is no handle a secret"}, FH_UNSUPPORTED}, /* nothing is lost by it */
        {{404, NO_TABLE, true}, FH_UNSUPPORTED},                /* nor by what is another server */
        {{200, "", true}, FH_UNSUPPORTED},
        {{200, "<html>a secret</html>", true}, FH_UNSUPPORTED},
        {{302, "{}"}, FH_UNSUPPORTED},
        {{204, ""}, FH_UNSUPPORTED},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum fh_code asked = cases[i].code == FH_OUTCOME_UNKNOWN ? FH_UNAVAILABLE : cases[i].code;
        assert_int_equal(AFTER(send_entry, cases[i].answer), cases[i].code);
        assert_int_equal(AFTER(links_entry, cases[i].answer), cases[i].code);
        assert_int_equal(AFTER(columns_entry, cases[i].answer), asked);
        assert_int_equal(AFTER(make_entry, cases[i].answer), cases[i].code);
        assert_int_equal(AFTER(drop_entry, cases[i].answer), cases[i].code);
    }
}

static void that_there_is_no_table_is_asked_again(void **state)
{
    static const struct {
        struct told confirms;
        enum fh_code code;
    } cases[] = {
        {{200, "{\"data\":[[\"0\"]],\"rows\":1}"}, FH_NOT_FOUND},
        {{200, "{\"data\":[[0]],\"rows\":1}"}, FH_NOT_FOUND},
        {{200, "{\"data\":[[\"1\"]],\"rows\":1}"}, FH_UNAVAILABLE},
        {{200, "{\"data\":[[\"0\"]],\"rows\":1}", true}, FH_UNSUPPORTED},
        {{200, "{\"data\":[]}"}, FH_UNSUPPORTED},
        {{200, "{}"}, FH_UNSUPPORTED},
        {{200, "a secret"}, FH_UNSUPPORTED},
        {{404, NO_TABLE}, FH_UNSUPPORTED}, /* of system.tables: it says so of everything */
        {{503, "{}"}, FH_UNAVAILABLE},
    };
    const char *const answers[] = {NO_TABLE, NO_DATABASE};
    (void)state;
    for (size_t i = 0; i < 2 * COUNT(cases); i++) {
        const struct told gone = {404, answers[i % 2]}, confirms = cases[i / 2].confirms;
        assert_int_equal(AFTER(links_entry, gone, confirms), cases[i / 2].code);
        assert_int_equal(AFTER(send_entry, gone, confirms), cases[i / 2].code);
        assert_int_equal(AFTER(columns_entry, gone, confirms), cases[i / 2].code);
    }
    assert_int_equal(AFTER(drop_entry, {404, NO_DATABASE}), FH_OK);
}

static void a_table_is_made_with_its_database_and_looked_at(void **state)
{
    char made[256], otherwise[256], digest[CLICKHOUSE_DIGEST_SIZE];
    clickhouse_digest(&sold, digest);
    snprintf(made, sizeof made, "{\"data\":[[\"" TABLE "\",\"'%s'\"]]}", digest);
    snprintf(otherwise, sizeof otherwise, "{\"data\":[[\"" TABLE "\",\"'0%s'\"]]}", digest);
    const struct told as_declared = {200, made}, by_another = {200, otherwise};
    (void)state;
    assert_int_equal(AFTER(make_entry, {200, ""}, as_declared), FH_OK);
    assert_int_equal(AFTER(make_entry, {200, ""}, by_another), FH_INVALID);
    assert_int_equal(AFTER(make_entry, {200, ""}, {200, "{\"data\":[]}"}), FH_UNAVAILABLE);
    assert_int_equal(AFTER(make_entry, {404, NO_DATABASE}, {200, ""}, {200, ""}, as_declared),
                     FH_OK);
    assert_string_equal(scripted.bodies[1], "CREATE DATABASE IF NOT EXISTS `shop.sales`");
    assert_string_equal(scripted.bodies[0], scripted.bodies[2]);
    assert_int_equal(AFTER(make_entry, {404, NO_DATABASE}, {200, ""}, {404, NO_DATABASE}),
                     FH_UNAVAILABLE);
    assert_int_equal(AFTER(make_entry, {404, NO_DATABASE}, {403, "Code: 497. a secret"}),
                     FH_UNSUPPORTED);
    assert_int_equal(AFTER(make_entry, {200, ""}, {404, NO_TABLE}), FH_UNSUPPORTED);
    /* Another carrier is making it. */
    assert_int_equal(AFTER(make_entry, {500, "Code: 57, a secret"}, as_declared), FH_OK);
}

#define LINKS(rows) "{\"data\":[" rows "]}"

/* Else a walk, which asks for those behind the last, might never end. */
static void links_that_do_not_rise_are_no_answer(void **state)
{
    const char *const wrong[] = {LINKS("[\"0\",\"2\"],[\"0\",\"2\"]"),
                                 LINKS("[\"1\",\"2\"],[\"0\",\"2\"]"),
                                 LINKS("[\"0\",\"3\"],[\"1\",\"2\"]"),
                                 LINKS("[\"0\",\"0\"]"),
                                 LINKS("[\"0\",\"a\"]"),
                                 LINKS("[\"0\"]"),
                                 LINKS("{}"),
                                 LINKS("[0.5,1]")};
    (void)state;
    const struct told none = {200, LINKS("")};
    assert_int_equal(AFTER(links_entry, none, none, {200, LINKS("[\"0\",\"2\"],[1,2],[0,\"3\"]")}),
                     FH_OK);
    assert_int_equal(scripted.links, 3);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const struct told told = {200, wrong[i]};
        assert_int_equal(AFTER(links_entry, none, none, told), FH_UNSUPPORTED);
    }
}

/* They are looked for farther and farther, until there are as many as may be shown. */
static void a_long_chain_is_not_read_to_its_end_each_time(void **state)
{
    const char *many = LINKS("[0,1],[1,2],[2,3],[3,4],[4,5],[5,6],[6,7],[7,8],[8,9],[9,10]");
    const struct told told = {200, many}, few = {200, LINKS("[0,1]")};
    (void)state;
    assert_int_equal(AFTER(links_entry, told), FH_OK);
    assert_non_null(strstr(scripted.bodies[0], "fh_at <= 65536 "));
    assert_int_equal(AFTER(links_entry, few, told), FH_OK);
    assert_non_null(strstr(scripted.bodies[1], "fh_at <= 40960 "));
    assert_int_equal(AFTER(links_entry, few, few, told), FH_OK);
    assert_non_null(strstr(scripted.bodies[2], "fh_at <= 9007199254740992 "));
    assert_int_equal(scripted.links, 10);
    assert_int_equal(AFTER(links_entry, few, few, few), FH_OK);
    assert_int_equal(scripted.links, 1);
    assert_int_equal(AFTER(links_entry, few, {503, ""}), FH_UNAVAILABLE);
}

#define GROUP                                                                                      \
    "\x01"                                                                                         \
    "a"                                                                                            \
    "\x02\0\0\0\0\0\0\0"

/* How many facts there are, the newest link, and where three quarters of them end. */
#define LOOK(facts, ...)                                                                           \
    {                                                                                              \
        200, "{\"data\":[[\"" #facts "\",\"88\"," __VA_ARGS__ "]]}"                                \
    }
#define FEW LOOK(99999, "\"1\",\"2\",\"3\"")
#define MANY LOOK(100000, "\"1\",\"2\",\"3\"")

static void a_question_about_many_facts_is_divided(void **state)
{
    const struct told answer = {200, GROUP, false, sizeof GROUP - 1};
    (void)state;
    assert_int_equal(AFTER(columns_entry, FEW, answer), FH_OK);
    assert_non_null(strstr(scripted.bodies[0], "(fh_kind = 0 AND fh_at >= 0)"));
    assert_null(strstr(scripted.bodies[1], "UNION ALL"));
    assert_int_equal(AFTER(columns_entry, MANY, answer), FH_OK);
    assert_non_null(strstr(scripted.bodies[0], "(fh_kind = 0 AND fh_at >= 88)"));
    assert_non_null(strstr(scripted.bodies[1], "UNION ALL"));
    assert_non_null(strstr(scripted.bodies[1], "throwIf("));
    /* Where ranges would be empty there are fewer; and there may be none that can be read. */
    assert_int_equal(AFTER(columns_entry, LOOK(100000, "5,5,5"), answer), FH_OK);
    assert_non_null(strstr(scripted.bodies[1], "fh_at < 5 "));
    assert_int_equal(AFTER(columns_entry, LOOK(100000, "\"nan\",5,5"), answer), FH_OK);
    assert_null(strstr(scripted.bodies[1], "UNION ALL"));
    assert_int_equal(AFTER(columns_entry, LOOK(100000, "9,8,8640000000000001"), answer), FH_OK);
    assert_non_null(strstr(scripted.bodies[1], "fh_at >= 9 "));
    assert_null(strstr(scripted.bodies[1], "fh_at >= 8 "));
}

static void columns_kept_entry(void *argument)
{
    struct carried_name kept = name;
    (void)argument;
    kept.kept = true;
    columns_entry(&kept);
}

/* Links of a life that its owner has lost may lie ahead of those that come. */
static void of_facts_that_it_alone_has_all_links_are_compared(void **state)
{
    const struct told answer = {200, GROUP, false, sizeof GROUP - 1};
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(AFTER(columns_kept_entry, MANY, answer), FH_OK);
        assert_non_null(strstr(scripted.bodies[0], "(fh_kind = 0 AND fh_at >= 0)"));
        assert_non_null(strstr(scripted.bodies[1], "(fh_kind = 0 AND fh_at >= 0)"));
    }
}

static void what_failed_for_its_ranges_is_asked_undivided(void **state)
{
    const struct told answer = {200, GROUP, false, sizeof GROUP - 1},
                      differ = {500, "Code: 395, a secret"}, memory = {500, "Code: 241, a secret"};
    (void)state;
    assert_int_equal(AFTER(columns_entry, MANY, differ, answer), FH_OK);
    assert_null(strstr(scripted.bodies[2], "UNION ALL"));
    assert_int_equal(AFTER(columns_entry, MANY, memory, answer), FH_OK);
    assert_int_equal(AFTER(columns_entry, MANY, memory, memory), FH_INVALID);
    assert_string_equal(scripted.error.field, "values");
    assert_int_equal(AFTER(columns_entry, MANY, {503, ""}), FH_UNAVAILABLE);
}

static void groups_are_whole_or_no_answer(void **state)
{
    static const char groups[] = GROUP "\0"
                                       "\x03\0\0\0\0\0\0\0";
    (void)state;
    for (size_t length = 1; length <= sizeof groups - 1; length++) {
        const struct told told = {200, groups, false, length};
        bool whole = length == sizeof GROUP - 1 || length == sizeof groups - 1;
        assert_int_equal(AFTER(columns_entry, FEW, told), whole ? FH_OK : FH_UNSUPPORTED);
    }
    assert_int_equal(AFTER(columns_entry, FEW, {200, ""}), FH_OK); /* there are none */
    /* Longer than anything is, or than a length can be. */
    assert_int_equal(AFTER(columns_entry, FEW,
                           {200, "\xff\xff\xff\x7f"
                                 "a"}),
                     FH_UNSUPPORTED);
    assert_int_equal(AFTER(columns_entry, FEW,
                           {200, "\xff\xff\xff\xff\xff\x01"
                                 "a"}),
                     FH_UNSUPPORTED);
}

static void what_needs_too_much_memory_is_the_question_s_fault(void **state)
{
    (void)state;
    assert_int_equal(AFTER(columns_entry, FEW, {500, "Code: 241, a secret"}), FH_INVALID);
    assert_string_equal(scripted.error.field, "values");
    assert_int_equal(AFTER(send_entry, {500, "Code: 241, a secret"}), FH_UNAVAILABLE);
}

static void a_question_ends_at_its_deadline(void **state)
{
    (void)state;
    scripted.deadline_ns = world_in_ms(scripted.site.harness.world, 30);
    assert_int_equal(AFTER(columns_entry, {0}), FH_UNAVAILABLE);
    assert_non_null(strstr(scripted.queries[0], "&max_execution_time=1"));
    scripted.deadline_ns = world_in_ms(scripted.site.harness.world, 1000);
    assert_int_equal(AFTER(columns_entry, {404, NO_TABLE}, {0}), FH_UNAVAILABLE);
    assert_true(world_in_ms(scripted.site.harness.world, -CLICKHOUSE_REQUEST_MS / 2) <
                scripted.deadline_ns);
    scripted.asked = 0;
    harness_run(&scripted.site.harness, columns_entry, NULL); /* it has passed */
    assert_int_equal(scripted.code, FH_UNAVAILABLE);
    assert_int_equal(scripted.asked, 0);
    scripted.deadline_ns = 0;
    assert_int_equal(AFTER(columns_entry, {500, "Code: 159, a secret"}), FH_UNAVAILABLE);
}

static void silence_entry(void *argument)
{
    while (!scripted.site.held_count)
        fiber_sleep_until(scripted.site.harness.world, world_in_ms(scripted.site.harness.world, 1));
    clickhouse_silence(argument);
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

#define INTERVAL_MS 1500

static void pages_keep_an_interval(void **state)
{
    json_t *options = options_of(scripted.site.port);
    (void)state;
    json_object_set_new(options, "interval_ms", json_integer(INTERVAL_MS));
    clickhouse_close(scripted.server);
    open_link(options);
    json_decref(options);
    struct world *world = scripted.site.harness.world;
    int64_t began_ns = world_in_ms(world, 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(AFTER(send_entry, {200, ""}), FH_OK);
    assert_true(world_in_ms(world, 0) - began_ns >= INT64_C(1000000) * INTERVAL_MS);
    began_ns = world_in_ms(world, 0);
    assert_int_equal(AFTER(columns_entry, FEW, {200, ""}), FH_OK); /* nobody else waits */
    assert_true(world_in_ms(world, 0) - began_ns < INT64_C(1000000) * INTERVAL_MS);
}

static void nobody_at_the_address_has_done_nothing(void **state)
{
    int port;
    close(listen_anywhere(&port));
    (void)state;
    json_t *options = options_of(port);
    clickhouse_close(scripted.server);
    open_link(options);
    harness_run(&scripted.site.harness, send_entry, NULL);
    assert_int_equal(scripted.code, FH_UNAVAILABLE);
    assert_non_null(strstr(scripted.error.message, "connection refused"));
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
        clickhouse_close(scripted.server);
        open_link(options);
        scripted.asked = 0;
        scripted.answers[0] = (struct told){200, ""};
        harness_run(&scripted.site.harness, send_entry, NULL);
        assert_int_equal(scripted.code, cases[i].code);
        assert_int_equal(scripted.asked, cases[i].code == FH_OK);
        json_decref(options);
    }
    clickhouse_close(scripted.server);
    scripted.server = NULL;
    site_stop(&scripted.site, 0);
    http_tls_release(&ours);
    http_tls_release(&theirs);
}

static void options_are_refused_without_their_secrets(void **state)
{
    static const char *const wrong[] = {"{\"host\": \"https://a\"}",
                                        "{\"host\": \"columns:8123\"}",
                                        "{\"host\": \"\"}",
                                        "{\"host\": 3}",
                                        "{\"port\": 0}",
                                        "{\"port\": \"secret\"}",
                                        "{\"interval_ms\": -1}",
                                        "{\"interval_ms\": 5001}",
                                        "{\"user\": \"a:b\", \"password\": \"secret\"}",
                                        "{\"user\": \"a\"}",
                                        "{\"password\": \"secret\"}",
                                        "{\"tls\": {\"mode\": \"maybe\"}}"};
    struct fh_error error;
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        json_t *options = json_loads(wrong[i], 0, NULL);
        assert_int_equal(clickhouse_check(options, &error), FH_INVALID);
        assert_null(strstr(error.message, "secret"));
        json_decref(options);
    }
    assert_int_equal(clickhouse_check(NULL, &error), FH_OK);
    json_t *digits6 = json_pack("{s:s}", "host", "::1");
    assert_int_equal(clickhouse_check(digits6, &error), FH_OK);
    json_decref(digits6);
    assert_int_equal(clickhouse_open(scripted.site.harness.world, NULL, "Shop",
                                     &(struct carried_server *){NULL}, &error),
                     FH_INVALID);
}

int main(void)
{
#define SCRIPTED_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        SCRIPTED_TEST(a_page_has_the_user_and_the_table_of_the_generation),
        SCRIPTED_TEST(what_an_answer_says),
        SCRIPTED_TEST(that_there_is_no_table_is_asked_again),
        SCRIPTED_TEST(a_table_is_made_with_its_database_and_looked_at),
        SCRIPTED_TEST(links_that_do_not_rise_are_no_answer),
        SCRIPTED_TEST(a_long_chain_is_not_read_to_its_end_each_time),
        SCRIPTED_TEST(a_question_about_many_facts_is_divided),
        SCRIPTED_TEST(of_facts_that_it_alone_has_all_links_are_compared),
        SCRIPTED_TEST(what_failed_for_its_ranges_is_asked_undivided),
        SCRIPTED_TEST(groups_are_whole_or_no_answer),
        SCRIPTED_TEST(what_needs_too_much_memory_is_the_question_s_fault),
        SCRIPTED_TEST(a_question_ends_at_its_deadline),
        SCRIPTED_TEST(a_silenced_link_ends_what_is_in_progress),
        SCRIPTED_TEST(pages_keep_an_interval),
        SCRIPTED_TEST(nobody_at_the_address_has_done_nothing),
        SCRIPTED_TEST(a_link_by_tls_is_to_the_server_that_was_named),
        SCRIPTED_TEST(options_are_refused_without_their_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
