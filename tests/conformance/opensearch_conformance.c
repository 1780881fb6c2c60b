/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever is asked of values that lie on OpenSearch is answered as it is of the same values in the
 * service's own store: what is found, counted and highlighted, in which order, and what is refused.
 * Only of the rank no more is promised than that it is by the same fields and weights, so there the
 * hits are compared in the order of their keys.
 */

#include "../support/fixture.h"
#include "carried_bed.h"

#include "base/id.h"

#define THINGS 120
#define QUESTIONS 150

static const struct fh_derived_field fields[] = {
    {"id", FH_INT, FH_TAG | FH_SORTED},     {"name", FH_STRING, FH_TEXT | FH_SORTED, 10},
    {"text", FH_STRING, FH_TEXT},           {"kind", FH_STRING, FH_FACET},
    {"marks", FH_LIST, FH_TEXT | FH_FACET}, {"new", FH_BOOL, FH_FACET},
    {"price", FH_NUMBER, FH_SORTED},        {0}};
static fh_service service = {.name = "shop",
                             .model = FH_RELATIONAL,
                             .derives = {{.name = "things", .model = FH_SEARCH, .fields = fields}}};

/* Cases, accents of both forms, marks that are none here, signs, other letters and digits. */
static const char *const words[] = {"red",
                                    "Red",
                                    "running",
                                    "runs",
                                    "shoe",
                                    "shoes",
                                    "sho",
                                    "Größe",
                                    "GRÖSSE",
                                    "große",
                                    "Crème",
                                    "creme",
                                    "cre\u0301me",
                                    "naïve",
                                    "x^2",
                                    "2",
                                    "foo's",
                                    "C++",
                                    "a-b_c",
                                    "İstanbul",
                                    "ISTANBUL",
                                    "ﬁsh",
                                    "日本語",
                                    "日本",
                                    "½",
                                    "Ⅷ",
                                    "हिन्दी",
                                    "ǅ",
                                    "ŁÓDŹ",
                                    "lodz",
                                    "łódź",
                                    "3.14",
                                    "e=mc²",
                                    "\u00ad",
                                    "🙂",
                                    "Ω",
                                    "ω",
                                    "ΣΊΣΥΦΟΣ",
                                    "σίσυφος",
                                    "ø",
                                    "-",
                                    "NEAR",
                                    "OR",
                                    "*",
                                    "the",
                                    "generalization",
                                    "general",
                                    "a<b>&\"c'",
                                    "ﷺ",
                                    "Åse",
                                    "ase",
                                    "it",
                                    "q\u0323\u0307",
                                    "tab\tbed"};
#define WORDS ((int)(sizeof words / sizeof *words))

struct trial {
    struct fixture *fixture;
    struct carried_server *server;
    struct carried_name name;
    uint64_t state;
    int compared, found, refused;
    char wrong[2048];
};

static struct trial trial;

static int draw(int below)
{
    trial.state = trial.state * 6364136223846793005u + 1442695040888963407u;
    return (int)((trial.state >> 33) % (uint64_t)below);
}

static const struct fh_derived *declared(void)
{
    return &service.derives[0];
}

/* ---- The same values in both ---- */

static void draw_text(char *ret, size_t size, int count)
{
    static const char *const between[] = {" ", " ", " ", ", ", "\n", "/"};
    size_t length = 0;
    ret[0] = '\0';
    for (int i = 0; i < count && length < size - 40; i++)
        length += (size_t)snprintf(ret + length, size - length, "%s%s", i ? between[draw(6)] : "",
                                   words[draw(WORDS)]);
}

static json_t *draw_thing(int id)
{
    char name[400], text[8000], mark[200];
    draw_text(name, sizeof name, 1 + draw(id % 10 ? 3 : 40));
    draw_text(text, sizeof text, draw(id % 7 ? 12 : 300));
    draw_text(mark, sizeof mark, 1 + draw(2));
    json_t *kind = draw(5) ? json_sprintf("kind %d", draw(130)) : json_null();
    json_t *marks = draw(6) ? json_pack("[s, s, s]", mark, words[draw(4)], words[draw(4)])
                            : (draw(2) ? json_array() : json_null());
    return json_pack("{s:i, s:s, s:s, s:o, s:o, s:o, s:f}", "id", draw(30) - 15, "name", name,
                     "text", text, "kind", kind, "marks", marks, "new",
                     draw(9) ? json_boolean(draw(2)) : json_null(), "price", draw(40) / 8.0 - 1);
}

static void put_things(json_t *things[THINGS], char keys[THINGS][16])
{
    struct store *store = trial.fixture->context.store;
    const struct derived_ops *ops = derived_engine(store);
    struct store_work *work;
    struct fh_error error;
    FH_ASSERT(store_begin(store, STORE_WRITE, &work, &error) == FH_OK);
    for (int i = 0; i < THINGS; i++)
        FH_ASSERT(derived_value_check(declared(), things[i], &error) == FH_OK &&
                  ops->put(work, declared(), keys[i], things[i], &error) == FH_OK);
    FH_ASSERT(store_commit(work, &error) == FH_OK);
}

static void carry_things(json_t *things[THINGS], char keys[THINGS][16])
{
    static struct carried_op ops[THINGS + 1]; /* large for a stack, as valgrind looks at them */
    struct carried_page page = {{0, THINGS + 1}, ops, THINGS + 1};
    struct fh_error error;
    for (int i = 0; i < THINGS; i++)
        ops[i] = (struct carried_op){.position = i + 1, .key = keys[i], .value = things[i]};
    ops[THINGS] = (struct carried_op){.position = THINGS + 1, .key = "gone"};
    FH_ASSERT(trial.server->ops->make(trial.server, declared(), &trial.name, &error) == FH_OK);
    FH_ASSERT(trial.server->ops->send(trial.server, declared(), &trial.name, &page, &error) ==
              FH_OK);
    for (int i = 0; i < THINGS; i++)
        FH_ASSERT(!ops[i].refused[0]);
    carried_bed_opensearch.settle(trial.server, declared(), &trial.name);
}

static void fill_both(void)
{
    static json_t *things[THINGS];
    static char keys[THINGS][16];
    for (int i = 0; i < THINGS; i++) {
        snprintf(keys[i], sizeof keys[i], "%03d \"ü\\", i); /* in both in their order */
        things[i] = draw_thing(i);
    }
    put_things(things, keys);
    carry_things(things, keys);
    for (int i = 0; i < THINGS; i++)
        json_decref(things[i]);
}

/* ---- The same questions to both ---- */

static enum fh_code ask_own(const struct fh_search *search, json_t **ret, struct fh_error *error)
{
    struct store *store = trial.fixture->context.store;
    struct store_work *work;
    FH_ASSERT(store_begin(store, STORE_READ, &work, error) == FH_OK);
    enum fh_code code = derived_engine(store)->search(work, declared(), search, ret, error);
    store_rollback(work);
    return code;
}

static enum fh_code ask_server(const struct fh_search *search, json_t **ret, struct fh_error *error)
{
    return trial.server->ops->search(trial.server, declared(), &trial.name, search, 0, ret, error);
}

static int compare_hits(const void *a, const void *b)
{
    return strcmp(json_string_at(*(json_t *const *)a, "key"),
                  json_string_at(*(json_t *const *)b, "key"));
}

static json_t *hits_by_key(const json_t *hits)
{
    json_t *sorted = json_array(), *list[THINGS];
    size_t count = json_array_size(hits);
    FH_ASSERT(count <= THINGS);
    for (size_t i = 0; i < count; i++)
        list[i] = json_array_get(hits, i);
    qsort(list, count, sizeof(json_t *), compare_hits);
    for (size_t i = 0; i < count; i++)
        json_array_append(sorted, list[i]);
    return sorted;
}

static void say_wrong(const char *what, const struct fh_search *search, const json_t *own,
                      const json_t *served)
{
    char *one = json_text(own ? own : json_null()),
         *other = json_text(served ? served : json_null());
    char *filter = json_text(search->filter ? search->filter : json_null());
    if (!trial.wrong[0])
        snprintf(trial.wrong, sizeof trial.wrong,
                 "%s of \"%s\"%s %s by %s: %.700s here, %.700s there", what,
                 search->text ? search->text : "", search->prefix ? "..." : "", filter,
                 search->sort ? search->sort : "-", one, other);
    json_text_free(one);
    json_text_free(other);
    json_text_free(filter);
}

static void compare_member(const char *name, const struct fh_search *search, json_t *own,
                           json_t *served)
{
    json_t *one = json_object_get(own, name), *other = json_object_get(served, name);
    if (!one && !other)
        return;
    if (!one || !other || !json_equal(one, other))
        say_wrong(name, search, one, other);
}

static void compare_answers(const struct fh_search *search, json_t *own, json_t *served)
{
    json_t *next = json_object_get(own, "next"), *served_next = json_object_get(served, "next");
    compare_member("total", search, own, served);
    compare_member("facets", search, own, served);
    if (json_is_null(next) != json_is_null(served_next))
        say_wrong("next", search, next, served_next);
}

/* Of all pages. */
static void compare_all_hits(const struct fh_search *search, json_t *own, json_t *served)
{
    bool ranked = search->text && !search->sort;
    json_t *one = ranked ? hits_by_key(own) : json_incref(own);
    json_t *other = ranked ? hits_by_key(served) : json_incref(served);
    for (size_t i = 0; i < json_array_size(one) || i < json_array_size(other); i++) {
        json_t *hit = json_array_get(one, i), *served_hit = json_array_get(other, i);
        if (!hit || !served_hit || !json_equal(hit, served_hit))
            say_wrong("hit", search, hit, served_hit);
    }
    trial.found += (int)json_array_size(one);
    json_decref(one);
    json_decref(other);
}

static void compare_refusals(const struct fh_search *search, enum fh_code own,
                             const struct fh_error *own_error, enum fh_code served,
                             const struct fh_error *served_error)
{
    trial.refused++;
    if (own == served && own != FH_OK && strcmp(own_error->message, served_error->message) == 0 &&
        strcmp(own_error->field, served_error->field) == 0)
        return;
    if (!trial.wrong[0])
        snprintf(trial.wrong, sizeof trial.wrong, "\"%.200s\": %s %s here, %s %s there",
                 search->text ? search->text : "", error_code_name(own),
                 own == FH_OK ? "" : own_error->message, error_code_name(served),
                 served == FH_OK ? "" : served_error->message);
}

/* All pages, each side by its own cursors. */
static void compare_question(const struct fh_search *asked)
{
    struct fh_search own = *asked, served = *asked;
    json_t *own_answer = NULL, *served_answer = NULL, *hits = json_array(), *there = json_array();
    for (bool more = true; more && !trial.wrong[0];) {
        json_t *one = NULL, *other = NULL;
        struct fh_error one_error, other_error;
        enum fh_code code = ask_own(&own, &one, &one_error);
        enum fh_code served_code = ask_server(&served, &other, &other_error);
        if (code == FH_OK && served_code == FH_OK)
            compare_answers(asked, one, other);
        else
            compare_refusals(asked, code, &one_error, served_code, &other_error);
        json_decref(own_answer);
        json_decref(served_answer);
        own_answer = one;
        served_answer = other;
        json_array_extend(hits, json_object_get(one, "hits"));
        json_array_extend(there, json_object_get(other, "hits"));
        own.after = json_string_at(one, "next");
        served.after = json_string_at(other, "next");
        more = own.after && served.after;
        trial.compared++;
    }
    compare_all_hits(asked, hits, there);
    json_decref(own_answer);
    json_decref(served_answer);
    json_decref(hits);
    json_decref(there);
}

/* ---- Questions ---- */

static json_t *draw_filter(void)
{
    json_t *filter = json_object();
    if (draw(2))
        json_object_set_new(filter, "new", json_boolean(draw(2)));
    if (draw(4) == 0)
        json_object_set_new(filter, "marks", json_string(words[draw(4)]));
    if (draw(8) == 0)
        json_object_set_new(filter, "kind", json_sprintf("kind %d", draw(130)));
    if (draw(8) == 0)
        json_object_set_new(filter, "id", json_integer(draw(30) - 15));
    return filter;
}

static void draw_question_text(char ret[static 256])
{
    size_t length = 0;
    int count = 1 + draw(3);
    ret[0] = '\0';
    for (int i = 0; i < count; i++) {
        bool quoted = draw(4) == 0;
        length += (size_t)snprintf(ret + length, 256 - length, "%s%s%s", i ? " " : "",
                                   quoted ? "\"" : "", words[draw(WORDS)]);
        if (quoted)
            length += (size_t)snprintf(ret + length, 256 - length, " %s%s", words[draw(WORDS)],
                                       draw(5) ? "\"" : "");
    }
}

static void compare_drawn(void)
{
    static const char *const sorts[] = {"id", "name", "price", NULL, NULL, NULL};
    static const char *const facets[] = {"kind", "marks", "new", NULL};
    char text[256];
    draw_question_text(text);
    struct fh_search search = {.text = draw(5) ? text : NULL,
                               .prefix = draw(2),
                               .filter = draw(3) ? NULL : draw_filter(),
                               .facets = draw(2) ? facets : NULL,
                               .highlight = draw(3)   ? "text"
                                            : draw(2) ? "marks"
                                                      : NULL,
                               .sort = sorts[draw(6)],
                               .descending = draw(2),
                               .limit = draw(3) ? 1000 : 1 + draw(40)};
    compare_question(&search);
    json_decref(search.filter);
}

static void compare_what_is_refused(void)
{
    char words_33[33 * 3] = "", large[300];
    for (int i = 0; i < 33; i++)
        strcat(words_33, "a ");
    memset(large, 'a', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    json_t *filters[] = {json_pack("{s:s}", "id", "1"), json_pack("{s:i}", "kind", 1),
                         json_pack("{s:s}", "name", "x"), json_pack("{s:n}", "new")};
    const struct fh_search refused[] = {{.text = words_33},
                                        {.text = large},
                                        {.limit = -1},
                                        {.limit = 1001},
                                        {.sort = "kind"},
                                        {.highlight = "kind"},
                                        {.filter = filters[0]},
                                        {.filter = filters[1]},
                                        {.filter = filters[2]},
                                        {.filter = filters[3]},
                                        {.after = ""},
                                        {.after = "abc"},
                                        {.facets = (const char *const[]){"name", NULL}},
                                        {.facets = (const char *const[]){"kind", "kind", NULL}}};
    int before = trial.refused;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        compare_question(&refused[i]);
    if (!trial.wrong[0] && trial.refused != before + (int)(sizeof refused / sizeof *refused))
        snprintf(trial.wrong, sizeof trial.wrong, "Something unfit was answered.");
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        json_decref(filters[i]);
}

/* A cursor of one question is none of another, of the same server. */
static void cursors_are_of_their_question(void)
{
    json_t *answer = NULL, *other = NULL;
    struct fh_error error;
    struct fh_search search = {.limit = 1, .sort = "price"};
    FH_ASSERT(ask_server(&search, &answer, &error) == FH_OK);
    search.after = json_string_at(answer, "next");
    search.sort = "id";
    if (ask_server(&search, &other, &error) != FH_INVALID || strcmp(error.field, "after") != 0)
        snprintf(trial.wrong, sizeof trial.wrong, "A cursor of another question was taken.");
    json_decref(answer);
    json_decref(other);
}

/* The name has ten times the weight of the text. */
static void what_is_found_in_the_heavier_field_is_first(void)
{
    struct carried_op ops[2] = {{.position = 1000, .key = "light"},
                                {.position = 1001, .key = "heavy"}};
    struct carried_page page = {{999, 1001}, ops, 2};
    json_t *answer = NULL;
    struct fh_error error;
    for (int i = 0; i < 2; i++)
        ops[i].value = json_pack("{s:i, s:s, s:s, s:n, s:n, s:n, s:i}", "id", 1, "name",
                                 i ? "zebra zoo" : "zoo zoo", "text", i ? "zoo zoo" : "zebra zoo",
                                 "kind", "marks", "new", "price", 1);
    FH_ASSERT(trial.server->ops->send(trial.server, declared(), &trial.name, &page, &error) ==
              FH_OK);
    carried_bed_opensearch.settle(trial.server, declared(), &trial.name);
    for (int prefix = 0; prefix < 2 && !trial.wrong[0]; prefix++) {
        FH_ASSERT(
            ask_server(&(struct fh_search){.text = prefix ? "zeb" : "zebra", .prefix = prefix},
                       &answer, &error) == FH_OK);
        const json_t *first = json_array_get(json_object_get(answer, "hits"), 0);
        if (json_array_size(json_object_get(answer, "hits")) != 2 ||
            strcmp(json_string_at(first, "key"), "heavy") != 0)
            snprintf(trial.wrong, sizeof trial.wrong, "The weights do not count.");
        json_decref(answer);
    }
    for (int i = 0; i < 2; i++)
        json_decref((json_t *)(uintptr_t)ops[i].value);
}

/* ---- Running it ---- */

static void compare_both(void *argument)
{
    (void)argument;
    const char *seed = getenv("FREEHOLD_SEED");
    trial.state = seed ? strtoull(seed, NULL, 10) : 1;
    fill_both();
    for (int i = 0; i < QUESTIONS && !trial.wrong[0]; i++)
        compare_drawn();
    compare_what_is_refused();
    cursors_are_of_their_question();
    if (!trial.wrong[0])
        what_is_found_in_the_heavier_field_is_first();
    carried_bed_opensearch.wipe(trial.server, declared());
}

static void compare_in(void **state, const char *language)
{
    char why[160];
    unsigned char random[10];
    service.derives[0].language = language;
    fixture_set_up(state, &service, "CREATE TABLE thing (id TEXT)");
    trial = (struct trial){.fixture = *state};
    trial.server = carried_bed_opensearch.open(&trial.fixture->harness, why);
    if (trial.server) {
        world_random(trial.fixture->harness.world, random, sizeof random);
        id_format(trial.name.incarnation, world_wall_ms(trial.fixture->harness.world), random);
        trial.name.number = 1;
        harness_run(&trial.fixture->harness, compare_both, NULL);
        carried_bed_opensearch.close(trial.server);
    }
    bool missing = !trial.server;
    fixture_tear_down(state);
    if (missing)
        SKIP_BECAUSE("no opensearch: %s", why);
    if (trial.wrong[0])
        fail_msg("%s", trial.wrong);
    assert_true(trial.compared > QUESTIONS && trial.found > 3 * QUESTIONS);
}

static void what_is_asked_is_answered_as_by_the_services_own_store(void **state)
{
    compare_in(state, NULL);
}

static void stems_are_those_of_the_services_own_store(void **state)
{
    compare_in(state, "english");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_is_answered_as_by_the_services_own_store),
        cmocka_unit_test(stems_are_those_of_the_services_own_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
