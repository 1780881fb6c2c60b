/* SPDX-License-Identifier: Apache-2.0 */
/* InfluxDB's driver where the server is away, slow, another one, or says what none should say, by a
 * server that answers as it is told to. What a real one does is in tests/conformance. */

#include "../support/carried_ops.h"
#include "http_certificates.h"

#include "base/json.h"
#include "carrier/influxdb/internal.h"

#define ANSWERS_MAX 8
#define VERSION "X-Influxdb-Version"

static const struct fh_derived_field fields[] = {
    {"device", FH_STRING, FH_TAG}, {"site", FH_INT, FH_TAG}, {"c", FH_NUMBER}, {"n", FH_INT}, {0}};
static const struct fh_derived measured = {"measured", FH_SERIES, fields};
static const struct carried_name name = {"01900000-0000-7000-8000-000000000000", 7};
static const struct carried_name kept_name = {"01900000-0000-7000-8000-000000000000", .number = 1,
                                              .kept = true};

/* ---- A server that answers as it is told to ---- */

struct told {
    int status; /* 0: it does not answer */
    const char *body;
    const char *words; /* in its header */
    bool stranger;     /* without its version */
};

struct scripted {
    struct site site;
    struct told answers[ANSWERS_MAX];
    int asked;
    char paths[ANSWERS_MAX][256], bodies[ANSWERS_MAX][2048], authorization[64];
    struct carried_server *server;
    struct carried_op ops[4];
    int op_count;
    enum fh_code code;
    struct fh_error error;
    int64_t deadline_ns;
    json_t *answer;
    int links;
};

static struct scripted scripted;

static void on_scripted(void *context, struct http_incoming *incoming)
{
    const char *authorization = http_request_header(incoming->request, "authorization");
    (void)context;
    FH_ASSERT(scripted.asked < ANSWERS_MAX);
    const struct told *told = &scripted.answers[scripted.asked];
    snprintf(scripted.paths[scripted.asked], sizeof scripted.paths[0], "%s %s", incoming->method,
             incoming->path);
    snprintf(scripted.bodies[scripted.asked++], sizeof scripted.bodies[0], "%.*s",
             (int)incoming->body_length, incoming->body ? incoming->body : "");
    snprintf(scripted.authorization, sizeof scripted.authorization, "%s",
             authorization ? authorization : "");
    if (!told->status) {
        scripted.site.held[scripted.site.held_count++] = incoming;
        return;
    }
    struct http_header headers[2];
    struct http_answer answer = {.status = told->status,
                                 .body = told->body,
                                 .body_length = strlen(told->body),
                                 .headers = headers};
    size_t count = 0;
    if (!told->stranger)
        headers[count++] = (struct http_header){VERSION, "1.6.7"};
    if (told->words)
        headers[count++] = (struct http_header){"X-Influxdb-Error", told->words};
    answer.header_count = count;
    http_reply(incoming->request, &answer);
}

static int set_up(void **state)
{
    struct site *site = &scripted.site;
    struct http_handler handler = {.incoming = on_scripted,
                                   .connected = on_connected,
                                   .disconnected = on_disconnected,
                                   .context = site};
    struct fh_error error;
    (void)state;
    scripted = (struct scripted){.op_count = 1};
    harness_init(&site->harness);
    site->listen_fd = listen_anywhere(&site->port);
    assert_int_equal(http_server_new(&site->harness.loop, site->harness.world, site->listen_fd,
                                     &(struct http_limits){.body_size_max = 1 << 20}, NULL, handler,
                                     &site->server, &error),
                     FH_OK);
    json_t *options =
        json_pack("{s:i, s:s, s:s}", "port", site->port, "user", "shop", "password", "a secret");
    assert_int_equal(
        influxdb_open(site->harness.world, options, "shop.tele", &scripted.server, &error), FH_OK);
    json_decref(options);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(scripted.answer);
    influxdb_close(scripted.server);
    for (unsigned i = 0; i < scripted.site.held_count; i++)
        reply_text(scripted.site.held[i], 200, "{}");
    site_release(&scripted.site);
    return 0;
}

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
        scripted.server->ops->links(scripted.server, &measured, &name, &(struct carried_link){0, 0},
                                    10, count_link, NULL, &count, &scripted.error);
}

static void settles_entry(void *argument)
{
    int64_t settle_s, running_s;
    (void)argument;
    scripted.code =
        scripted.server->ops->settles(scripted.server, &settle_s, &running_s, &scripted.error);
    scripted.links = (int)running_s;
    if (scripted.code == FH_OK)
        assert_int_equal(settle_s, INFLUXDB_SETTLE_S);
}

static void make_entry(void *argument)
{
    (void)argument;
    scripted.code = scripted.server->ops->make(scripted.server, &measured, &name, &scripted.error);
}

static void send_entry(void *argument)
{
    json_t *fact = json_pack("{s:s, s:i, s:n, s:i}", "device", "a secret", "site", 1, "c", "n", 7);
    for (int i = 0; i < scripted.op_count; i++)
        scripted.ops[i] =
            (struct carried_op){.position = i + 1, .key = "k", .at_ms = i, .value = fact};
    carried_ops_fill(&measured, scripted.ops, scripted.op_count);
    struct carried_page page = {{0, 4}, scripted.ops, scripted.op_count};
    page.again = argument != NULL;
    snprintf(page.life, sizeof page.life, "%s", page.again ? name.incarnation : "");
    scripted.code = scripted.server->ops->send(
        scripted.server, &measured, page.again ? &kept_name : &name, &page, &scripted.error);
    json_decref(fact);
}

static void series_entry(void *argument)
{
    static const char *const values[] = {"count", "max n", NULL};
    struct fh_series series = {.to_ms = 1000, .every_ms = 1000, .values = values};
    scripted.code = scripted.server->ops->series(
        scripted.server, &measured, &name, argument ? &(struct fh_series){.limit = 1} : &series,
        INT64_MIN, NULL, scripted.deadline_ns, &scripted.answer, &scripted.error);
}

static void generations_entry(void *argument)
{
    (void)argument;
    scripted.code =
        scripted.server->ops->generations(scripted.server, &measured, NULL, NULL, &scripted.error);
}

/* Whatever fails says nothing of what was to be kept secret. */
static enum fh_code after(void (*entry)(void *), void *argument, const struct told *answers,
                          int count)
{
    scripted.asked = 0;
    scripted.error = (struct fh_error){0};
    json_decref(scripted.answer);
    scripted.answer = NULL;
    memset(scripted.answers, 0, sizeof scripted.answers);
    memcpy(scripted.answers, answers, (size_t)count * sizeof *answers);
    harness_run(&scripted.site.harness, entry, argument);
    assert_int_equal(scripted.asked, count);
    assert_null(strstr(scripted.error.message, "secret"));
    for (int i = 0; i < scripted.op_count; i++)
        assert_null(strstr(scripted.ops[i].refused, "secret"));
    return scripted.code;
}

#define AFTER(entry, argument, ...)                                                                \
    after(entry, argument, (const struct told[]){__VA_ARGS__},                                     \
          (int)(sizeof((const struct told[]){__VA_ARGS__}) / sizeof(struct told)))

#define MADE_BY(digest)                                                                            \
    "{\"statement_id\":0,\"series\":[{\"name\":\"m\",\"columns\":[\"time\",\"digest\",\"form\"],"  \
    "\"values\":[[0,\"" digest "\",1]]}]}"
#define POLICY(keeps, shard)                                                                       \
    "{\"statement_id\":1,\"series\":[{\"columns\":[\"name\",\"duration\",\"shardGroupDuration\","  \
    "\"replicaN\",\"default\"],\"values\":[[\"other\",\"1h0m0s\",\"1h0m0s\",1,false],["            \
    "\"autogen\",\"" keeps "\",\"" shard "\",1,true]]}]}"
#define RESULTS(...) "{\"results\":[" __VA_ARGS__ "]}"

/* With the digest of `measured`. */
static const char *made(const char *keeps, const char *shard, const char *more)
{
    static char texts[4][1000];
    static unsigned next;
    char digest[INFLUXDB_DIGEST_SIZE], *text = texts[next++ % 4];
    influxdb_digest(&measured, digest);
    snprintf(text, 1000, RESULTS(MADE_BY("%s") "," POLICY("%s", "%s") "%s"), digest, keeps, shard,
             more);
    return text;
}

#define MADE made("0s", "168h0m0s", "")
#define NOT_MADE RESULTS("{\"statement_id\":0}," POLICY("0s", "168h0m0s"))

static void a_page_has_the_user_and_the_database(void **state)
{
    (void)state;
    assert_int_equal(AFTER(send_entry, NULL, {200, MADE}, {204, ""}), FH_OK);
    assert_string_equal(scripted.paths[0], "POST /query");
    assert_string_equal(scripted.paths[1], "POST /write");
    assert_string_equal(scripted.authorization, "Basic c2hvcDphIHNlY3JldA==");
    assert_memory_equal(scripted.bodies[0], "q=SELECT%20%22digest%22", 23);
    assert_non_null(strstr(scripted.bodies[1],
                           "device=a%20secret,site=1,fh_era=0 n=7i,fh_has=8i,fh_p=1i 1\n"
                           "measured-01900000-0000-7000-8000-000000000000-7"
                           "-links,fh_era=0 fh_from=0i,fh_to=4i,fh_parts=1i "
                           "16387\n"));
}

static void what_a_status_says(void **state)
{
    static const struct {
        struct told answer;
        enum fh_code code;
    } cases[] = {
        {{401, "{}", "authorization failed for a secret"}, FH_UNSUPPORTED},
        {{403, "{}"}, FH_UNSUPPORTED},
        {{413, "{}"}, FH_UNSUPPORTED},
        {{400, "{}", "unable to parse a secret"}, FH_UNSUPPORTED},
        {{404, "{}", "database not found: \"a secret\""}, FH_NOT_FOUND},
        {{404, "{}", "database not found: \"a secret\"", true}, FH_UNSUPPORTED},
        {{404, "there is another server"}, FH_UNSUPPORTED},
        {{404, "{}", "retention policy not found"}, FH_UNSUPPORTED},
        {{408, "{}", NULL, true}, FH_UNAVAILABLE},
        {{429, "{}", NULL, true}, FH_UNAVAILABLE},
        {{500, "{}", "timeout"}, FH_UNAVAILABLE},
        {{503, "a proxy", NULL, true}, FH_UNAVAILABLE},
        {{200, "<html>", NULL, true}, FH_UNSUPPORTED},
        {{302, "{}"}, FH_UNSUPPORTED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool gone = cases[i].code == FH_NOT_FOUND;
        assert_int_equal(AFTER(send_entry, NULL, cases[i].answer), cases[i].code);
        assert_int_equal(AFTER(send_entry, NULL, {200, MADE}, cases[i].answer), cases[i].code);
        assert_int_equal(AFTER(links_entry, NULL, cases[i].answer), cases[i].code);
        assert_int_equal(AFTER(series_entry, NULL, cases[i].answer), cases[i].code);
        assert_int_equal(AFTER(generations_entry, NULL, cases[i].answer),
                         gone ? FH_OK : cases[i].code);
    }
}

static void what_a_statement_is_answered_with(void **state)
{
    static const struct {
        const char *body;
        enum fh_code code;
    } cases[] = {
        {RESULTS("{\"statement_id\":0,\"error\":\"database not found: a secret\"}"), FH_NOT_FOUND},
        {RESULTS("{\"statement_id\":0,\"error\":\"timeout: a secret\"}"), FH_UNAVAILABLE},
        {RESULTS("{\"statement_id\":0,\"error\":\"query interrupted\"}"), FH_UNAVAILABLE},
        {RESULTS("{\"statement_id\":0,\"error\":\"max-select-point limit exceeded\"}"),
         FH_UNSUPPORTED},
        {RESULTS("{\"statement_id\":0,\"error\":\"a secret\"}"), FH_UNSUPPORTED},
        {NOT_MADE, FH_NOT_FOUND},
        {RESULTS(MADE_BY("another") "," POLICY("0s", "24h0m0s")), FH_NOT_FOUND},
        {RESULTS("{\"statement_id\":0},{\"statement_id\":1}"), FH_UNSUPPORTED},
        {"<html>a secret", FH_UNSUPPORTED},
        {"", FH_UNSUPPORTED},
        {"[]", FH_UNSUPPORTED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct told told = {200, cases[i].body};
        assert_int_equal(AFTER(send_entry, NULL, told), cases[i].code);
        assert_int_equal(AFTER(links_entry, NULL, told), cases[i].code);
        assert_int_equal(AFTER(series_entry, NULL, told), cases[i].code);
    }
}

/* One that forgets by itself, or divides a day, would have links of what is not there. */
static void a_database_that_forgets_or_divides_days_is_not_used(void **state)
{
    static const char *const wrong[][2] = {
        {"720h0m0s", "24h0m0s"}, {"0s", "1h0m0s"},   {"0s", "36h0m0s"}, {"0s", "24h30m0s"},
        {"0s", "8760h0m0s"},     {"0s", "-24h0m0s"}, {"0s", "0s"},      {"0s", ""}};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct told told = {200, made(wrong[i][0], wrong[i][1], "")};
        assert_int_equal(AFTER(send_entry, NULL, told), FH_UNSUPPORTED);
        assert_int_equal(AFTER(make_entry, NULL, told), FH_UNSUPPORTED);
    }
    assert_int_equal(AFTER(make_entry, NULL, {200, made("0s", "24h0m0s", "")}), FH_OK);
}

static void what_is_made_is_looked_at_again(void **state)
{
    (void)state;
    assert_int_equal(AFTER(make_entry, NULL, {200, NOT_MADE}, {204, ""}, {200, MADE}), FH_OK);
    assert_non_null(strstr(scripted.bodies[1], "-made,digest=2-"));
    const char *both = RESULTS(MADE_BY("another") "," POLICY("0s", "24h0m0s"));
    assert_int_equal(AFTER(make_entry, NULL, {200, NOT_MADE}, {204, ""}, {200, both}), FH_INVALID);
    assert_int_equal(AFTER(make_entry, NULL, {200, both}), FH_INVALID);
    const struct told gone = {404, "{}", "database not found"};
    assert_int_equal(AFTER(make_entry, NULL, gone, {200, RESULTS("{\"statement_id\":0}")},
                           {200, NOT_MADE}, {204, ""}, {200, MADE}),
                     FH_OK);
    assert_non_null(strstr(scripted.bodies[1], "CREATE%20DATABASE%20%22shop.tele%22"));
    assert_int_equal(AFTER(make_entry, NULL, gone, {403, "{}"}), FH_UNSUPPORTED);
    assert_int_equal(AFTER(make_entry, NULL, {200, NOT_MADE}, gone), FH_UNAVAILABLE);
}

#define CONFLICT                                                                                   \
    {                                                                                              \
        400, "{}", "partial write: field type conflict: a secret dropped=1"                        \
    }
#define LIMIT                                                                                      \
    {                                                                                              \
        400, "{}", "partial write: max-values-per-tag limit exceeded: a secret dropped=1"          \
    }
#define TAKEN                                                                                      \
    {                                                                                              \
        204, ""                                                                                    \
    }

/* Of what nobody else has: a link would say at once that all of it is there. */
static void what_is_sent_again_has_its_link_once_all_of_it_was_taken(void **state)
{
    char again = 1;
    (void)state;
    scripted.op_count = 2;
    assert_int_equal(AFTER(send_entry, &again, {200, MADE}, TAKEN, TAKEN), FH_OK);
    assert_null(strstr(scripted.bodies[1], "fh_parts"));
    assert_non_null(strstr(scripted.bodies[1], "-kept-1,device=a%20secret"));
    assert_non_null(strstr(scripted.bodies[2], "fh_p=2i"));
    assert_non_null(strstr(scripted.bodies[2], "fh_parts=1i,fh_from_id=\"\",fh_to_id=\"\""));
    assert_int_equal(AFTER(send_entry, &again, {200, MADE}, CONFLICT, TAKEN, CONFLICT, CONFLICT),
                     FH_OK);
    assert_int_equal(scripted.asked, 5);
    for (int i = 1; i < 5; i++)
        assert_null(strstr(scripted.bodies[i], "fh_parts"));
    assert_string_equal(scripted.ops[0].refused, "");
    assert_true(scripted.ops[1].refused[0]);
}

static void of_a_page_that_was_taken_in_part_the_link_is_void_first(void **state)
{
    (void)state;
    scripted.op_count = 2;
    assert_int_equal(
        AFTER(send_entry, NULL, {200, MADE}, CONFLICT, TAKEN, TAKEN, CONFLICT, CONFLICT, TAKEN),
        FH_OK);
    assert_non_null(strstr(scripted.bodies[1], "fh_parts=1i"));
    assert_non_null(strstr(scripted.bodies[2], "fh_parts=0i"));
    assert_null(strstr(scripted.bodies[2], "secret"));
    for (int i = 3; i < 6; i++)
        assert_null(strstr(scripted.bodies[i], "fh_parts"));
    assert_non_null(strstr(scripted.bodies[6], "fh_parts=1i"));
    assert_non_null(strstr(scripted.bodies[6], "fh_p=1i"));
    assert_null(strstr(scripted.bodies[6], "fh_p=2i"));
    assert_string_equal(scripted.ops[0].refused, "");
    assert_string_equal(scripted.ops[1].refused,
                        "InfluxDB has a field of its name with another type.");
    /* Not answered in between: it is void, and not sent. */
    assert_int_equal(AFTER(send_entry, NULL, {200, MADE}, CONFLICT, {503, "{}"}), FH_UNAVAILABLE);
    assert_int_equal(AFTER(send_entry, NULL, {200, MADE}, CONFLICT, CONFLICT), FH_UNSUPPORTED);
    /* What the server has no room for is nothing's fault, and stays to be sent. */
    assert_int_equal(AFTER(send_entry, NULL, {200, MADE}, LIMIT, TAKEN, LIMIT, LIMIT),
                     FH_UNSUPPORTED);
    assert_string_equal(scripted.ops[0].refused, "");
    assert_non_null(strstr(scripted.error.message, "max-values-per-tag"));
    assert_int_equal(AFTER(send_entry, NULL, {200, MADE}, LIMIT, TAKEN, TAKEN, TAKEN),
                     FH_UNAVAILABLE); /* it is over: the same again */
}

#define ERAS(...)                                                                                  \
    ",{\"statement_id\":2,\"series\":[{\"columns\":[\"key\",\"value\"],\"values\":[" __VA_ARGS__   \
    "]}]}"
#define PARTS(...)                                                                                 \
    RESULTS("{\"statement_id\":0,\"series\":[{\"columns\":[\"time\",\"fh_from\",\"fh_to\","        \
            "\"fh_parts\"],\"values\":[" __VA_ARGS__ "]}]}")

static void a_link_is_there_with_all_of_its_parts(void **state)
{
    const char *era = made("0s", "24h0m0s", ERAS("[\"fh_era\",\"0\"]"));
    (void)state;
    static const struct {
        const char *parts;
        int links;
    } cases[] = {{PARTS("[1,0,5,1]"), 1},
                 {PARTS("[1,0,5,2]"), 0},
                 {PARTS("[1,0,5,2],[2,0,5,2]"), 1},
                 {PARTS("[1,0,5,2],[2,0,5,3],[3,0,5,3]"), 0},
                 {PARTS("[1,0,5,0],[2,0,5,0]"), 0},
                 {PARTS("[1,0,null,1],[2,0,5,1]"), 1}, /* one is being written */
                 {PARTS("[1,0,5,2],[2,0,6,2],[3,0,6,2],[4,0,5,2],[5,4,5,1]"), 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct told told = {200, cases[i].parts};
        assert_int_equal(AFTER(links_entry, NULL, {200, era}, told), FH_OK);
        assert_int_equal(scripted.links, cases[i].links);
    }
    assert_int_equal(AFTER(links_entry, NULL, {200, era}, {200, PARTS("[1,0,\"a\",1]")}),
                     FH_UNSUPPORTED);
    assert_int_equal(
        AFTER(links_entry, NULL, {200, made("0s", "24h0m0s", ERAS("[\"fh_era\",\"x\"]"))}),
        FH_UNSUPPORTED);
}

/* Half as many ends are asked for then, and so on. */
static void links_that_are_too_many_for_an_answer_are_asked_for_in_parts(void **state)
{
    const char *era = made("0s", "24h0m0s", ERAS("[\"fh_era\",\"0\"]"));
    static char many[1000];
    (void)state;
    snprintf(many, sizeof many, "%s%800s", PARTS("[1,0,5,1]"), " ");
    influxdb_of(scripted.server)->links_max = 700;
    assert_int_equal(AFTER(links_entry, NULL, {200, era}, {200, many}, {200, PARTS("[1,0,5,1]")},
                           {200, PARTS("[1,5,40000,1]")}),
                     FH_OK);
    assert_int_equal(scripted.links, 2);
    assert_non_null(strstr(scripted.bodies[1], "%22fh_to%22%3E%3D0%20AND%20%22fh_to%22%3C65536"));
    assert_non_null(strstr(scripted.bodies[2], "%22fh_to%22%3E%3D0%20AND%20%22fh_to%22%3C32768"));
    assert_non_null(
        strstr(scripted.bodies[3], "%22fh_to%22%3E%3D32768%20AND%20%22fh_to%22%3C65536"));
    assert_int_equal(AFTER(links_entry, NULL, {200, era}, {200, PARTS("[1,0,5,1]")},
                           {200, PARTS("[1,5,40000,1]")}),
                     FH_OK); /* it is known now */
}

/* What it tells of each shard makes no difference, however much that is. */
static void for_how_long_it_runs_it_tells_first(void **state)
{
    static const char *const wrong[] = {"",
                                        "{}",
                                        "{\"uptime\":5}",
                                        "{\"system\":{\"uptime\":\"x\"}}",
                                        "{\"system\":{},\"uptime\":5}",
                                        "{\"system\":{\"uptime\":-5}}"};
    static char many[3 << 20];
    size_t length = (size_t)snprintf(many, sizeof many,
                                     "{\n\"system\": {\"currentTime\":\"2026\",\"uptime\":77},\n");
    (void)state;
    memset(many + length, ' ', sizeof many - length - 1);
    assert_int_equal(AFTER(settles_entry, NULL, {200, many}), FH_OK);
    assert_int_equal(scripted.links, 77);
    assert_string_equal(scripted.paths[0], "POST /debug/vars");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct told told = {200, wrong[i]};
        assert_int_equal(AFTER(settles_entry, NULL, told), FH_UNSUPPORTED);
    }
    assert_int_equal(AFTER(settles_entry, NULL, {503, ""}), FH_UNAVAILABLE);
}

#define CURVES(...) ",{\"statement_id\":2,\"series\":[" __VA_ARGS__ "]}"
#define CURVE(device, columns, rows)                                                               \
    "{\"name\":\"m\",\"tags\":{\"device\":\"" device                                               \
    "\",\"site\":\"1\"},\"columns\":[\"time\"," columns "],\"values\":[" rows "]}"
#define POINTS(...) RESULTS("{\"statement_id\":0,\"series\":[" __VA_ARGS__ "]}")

static void the_highest_version_of_a_point_stands(void **state)
{
    const char *curve = made("0s", "24h0m0s", CURVES(CURVE("d", "\"count\"", "[0,4]")));
    const char *columns = POINTS(CURVE("d", "\"fh_p\",\"n\",\"fh_has\"",
                                       "[5000007,1000007,9,null],[5000008,8,70,8],"
                                       "[5000009,9,80,null],[6000001,1,5,null]"));
    int64_t count, most;
    (void)state;
    assert_int_equal(AFTER(series_entry, NULL, {200, curve}, {200, columns}), FH_OK);
    const json_t *point = json_array_get(
        json_object_get(json_array_get(json_object_get(scripted.answer, "curves"), 0), "points"),
        0);
    count = json_integer_value(json_array_get(point, 1));
    most = json_integer_value(json_array_get(point, 2));
    assert_true(count == 2 && most == 9);
    const char *const wrong[] = {
        POINTS(CURVE("d", "\"fh_p\"", "[1,2]")),
        POINTS(CURVE("d", "\"fh_p\",\"n\",\"fh_has\"", "[1,2,2.5,8]")),
        POINTS(CURVE("d", "\"fh_p\",\"n\",\"fh_has\"", "[1,2,\"a secret\",null]"))};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct told told = {200, wrong[i]};
        assert_int_equal(AFTER(series_entry, NULL, {200, curve}, told), FH_UNSUPPORTED);
    }
    const char *foreign = made("0s", "24h0m0s", CURVES(CURVE("a\\n", "\"count\"", "[0,4]")));
    assert_int_equal(AFTER(series_entry, NULL, {200, foreign}), FH_UNSUPPORTED);
}

/* One is being written, and not all of its fields are found. */
static void a_point_that_is_not_whole_is_not_there(void **state)
{
    const char *curve = made("0s", "24h0m0s", CURVES(CURVE("d", "\"count\"", "[0,4]")));
    static const struct {
        const char *row;
        int count;
    } cases[] = {{"[6000001,1,5,null]", 2},    {"[6000001,1,5,8]", 2},
                 {"[6000001,1,null,4]", 2},    {"[6000001,null,5,null]", 1},
                 {"[6000001,1,null,null]", 1}, {"[6000001,1,null,8]", 1},
                 {"[6000001,1,5,4]", 1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char rows[256];
        snprintf(rows, sizeof rows,
                 "{\"results\":[{\"statement_id\":0,\"series\":[" CURVE(
                     "d", "\"fh_p\",\"n\",\"fh_has\"", "[5000007,7,9,null],%s") "]}]}",
                 cases[i].row);
        assert_int_equal(AFTER(series_entry, NULL, {200, curve}, {200, rows}), FH_OK);
        const json_t *point = json_array_get(
            json_object_get(json_array_get(json_object_get(scripted.answer, "curves"), 0),
                            "points"),
            0);
        assert_int_equal(json_integer_value(json_array_get(point, 1)), cases[i].count);
    }
}

/* As many rows as were asked for may be too few: all are versions of one point. */
static void more_rows_are_asked_for_until_no_curve_lacks_a_point(void **state)
{
    const char *curve = made("0s", "24h0m0s", CURVES(CURVE("d", "\"last\"", "[0,4]")));
    const char *few = POINTS(
        CURVE("d", "\"fh_p\",\"c\",\"n\",\"fh_has\"", "[5000009,9,1,2,null],[5000008,8,1,1,null]"));
    const char *all = POINTS(CURVE("d", "\"fh_p\",\"c\",\"n\",\"fh_has\"",
                                   "[5000009,9,1,2,null],[5000008,8,1,1,null],"
                                   "[5000007,1000007,1,3,null]"));
    char every = 1;
    (void)state;
    assert_int_equal(AFTER(series_entry, &every, {200, curve}, {200, few}, {200, all}), FH_OK);
    assert_non_null(strstr(scripted.bodies[1], "LIMIT%202"));
    assert_non_null(strstr(scripted.bodies[2], "LIMIT%2016"));
    const json_t *point = json_array_get(
        json_object_get(json_array_get(json_object_get(scripted.answer, "curves"), 0), "points"),
        0);
    assert_int_equal(json_integer_value(json_array_get(point, 2)), 3);
}

static void a_question_ends_at_its_deadline(void **state)
{
    (void)state;
    scripted.deadline_ns = world_in_ms(scripted.site.harness.world, 30);
    assert_int_equal(AFTER(series_entry, NULL, {0}), FH_UNAVAILABLE);
}

int main(void)
{
#define SCRIPTED(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        SCRIPTED(a_page_has_the_user_and_the_database),
        SCRIPTED(what_a_status_says),
        SCRIPTED(what_a_statement_is_answered_with),
        SCRIPTED(a_database_that_forgets_or_divides_days_is_not_used),
        SCRIPTED(what_is_made_is_looked_at_again),
        SCRIPTED(of_a_page_that_was_taken_in_part_the_link_is_void_first),
        SCRIPTED(what_is_sent_again_has_its_link_once_all_of_it_was_taken),
        SCRIPTED(links_that_are_too_many_for_an_answer_are_asked_for_in_parts),
        SCRIPTED(for_how_long_it_runs_it_tells_first),
        SCRIPTED(a_link_is_there_with_all_of_its_parts),
        SCRIPTED(the_highest_version_of_a_point_stands),
        SCRIPTED(a_point_that_is_not_whole_is_not_there),
        SCRIPTED(more_rows_are_asked_for_until_no_curve_lacks_a_point),
        SCRIPTED(a_question_ends_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
