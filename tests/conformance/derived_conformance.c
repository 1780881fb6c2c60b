/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Derived stores: that they are part of the unit of work that derives, whatever becomes of it; that
 * they are what is declared; and what is found in them. Tried in stores of every model, on engines
 * that keep some.
 */

#include "derived_bed.h"

#include <stdlib.h>

#include "store/copy/copy.h"
#include "store/relational/sql.h"

#define THINGS 95

static const struct fh_derived_field fields[] = {
    {"id", FH_INT, FH_TAG | FH_SORTED},     {"name", FH_STRING, FH_TEXT | FH_SORTED, 10},
    {"text", FH_STRING, FH_TEXT},           {"kind", FH_STRING, FH_FACET},
    {"marks", FH_LIST, FH_TEXT | FH_FACET}, {"new", FH_BOOL, FH_FACET},
    {"price", FH_NUMBER, FH_SORTED},        {0}};

static void list_nothing(fh_work *w)
{
    fh_reply(w, 200, json_array());
}

static const struct fh_derived plain = {"things", FH_SEARCH, fields};
static const struct fh_derived english = {
    .name = "things", .model = FH_SEARCH, .fields = fields, .language = "english"};
static const struct fh_derived stated = {
    .name = "things", .model = FH_SEARCH, .fields = fields, .state = list_nothing, .version = 1};

/* "id|name|text|kind|mark": the price is a tenth of the id, and those with an even id are new. */
static json_t *thing(int id, const char *name, const char *text, const char *kind, const char *mark)
{
    return json_pack("{s:i, s:s, s:s, s:s?, s:[s, s], s:b, s:f}", "id", id, "name", name, "text",
                     text, "kind", kind, "marks", mark, "all", "new", id % 2 == 0, "price",
                     (double)id / 10);
}

static enum fh_code put_in(struct conformance *c, struct store_work *work, const char *key,
                           json_t *value)
{
    enum fh_code code = derived_value_check(&plain, value, &c->error);
    if (code == FH_OK)
        code = derived(c)->put(work, &plain, key, value, &c->error);
    json_decref(value);
    return code;
}

static enum fh_code put(struct conformance *c, const char *key, json_t *value)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return c->error.code;
    enum fh_code code = put_in(c, work, key, value);
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

static enum fh_code take_out(struct conformance *c, const char *key)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return c->error.code;
    enum fh_code code = derived(c)->remove(work, &plain, key, &c->error);
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

/* NULL: c->error says why. */
static json_t *ask_in(struct conformance *c, struct store_work *work,
                      const struct fh_search *search)
{
    json_t *answer = NULL;
    c->error.code = derived(c)->search(work, &plain, search, &answer, &c->error);
    return answer;
}

static json_t *ask(struct conformance *c, const struct fh_search *search)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    json_t *answer = work ? ask_in(c, work, search) : NULL;
    conformance_rollback(c, work);
    return answer;
}

/* The keys of the hits, in their order. */
static bool has_keys(struct conformance *c, const json_t *answer, const char *keys)
{
    char found[2048] = "";
    size_t i;
    json_t *hit;
    json_array_foreach (json_object_get(answer, "hits"), i, hit) {
        size_t length = strlen(found);
        snprintf(found + length, sizeof found - length, "%s%s", i ? " " : "",
                 json_string_at(hit, "key"));
    }
    bool same = answer && strcmp(found, keys) == 0;
    if (!same)
        conformance_note(c, __FILE__, __LINE__, answer ? found : c->error.message);
    return same;
}

static bool finds_by(struct conformance *c, const struct fh_search *search, const char *keys)
{
    json_t *answer = ask(c, search);
    bool same = has_keys(c, answer, keys);
    json_decref(answer);
    return same;
}

static bool finds(struct conformance *c, const char *text, const char *keys)
{
    return finds_by(c, &(struct fh_search){.text = text}, keys);
}

static bool finds_filtered(struct conformance *c, const char *text, const char *filter,
                           const char *keys)
{
    json_t *object = conformance_json(filter);
    bool same = finds_by(c, &(struct fh_search){.text = text, .filter = object}, keys);
    json_decref(object);
    return same;
}

static bool is_member(struct conformance *c, const struct fh_search *search, const char *name,
                      const char *text)
{
    json_t *answer = ask(c, search);
    bool same = conformance_is(c, json_object_get(answer, name), text);
    json_decref(answer);
    return same;
}

static enum fh_code refusal(struct conformance *c, const struct fh_search *search)
{
    json_t *answer = ask(c, search);
    enum fh_code code = answer ? FH_OK : c->error.code;
    json_decref(answer);
    return code;
}

static void make_shop(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(put(c, "shoe", thing(1, "Red shoe", "Runs and runs", "shoes", "red")) == FH_OK);
    EXPECT(put(c, "boot", thing(2, "Green boot", "No red shoe", "shoes", "green")) == FH_OK);
    EXPECT(put(c, "coat", thing(3, "Red coat", "Größe über alles", "coats", "red")) == FH_OK);
}

/* ---- Part of the unit of work ---- */

static void what_is_derived_is_found_after_the_commit_and_not_before(struct conformance *c)
{
    make_shop(c);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(put_in(c, work, "hat", thing(4, "Red hat", "", "hats", "red")) == FH_OK);
    EXPECT(finds(c, "hat", ""));
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(finds(c, "hat", "hat"));
}

static void a_work_that_is_rolled_back_leaves_nothing(struct conformance *c)
{
    make_shop(c);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(put_in(c, work, "hat", thing(4, "Red hat", "", "hats", "red")) == FH_OK);
    EXPECT(put_in(c, work, "shoe", thing(1, "Blue shoe", "", "shoes", "blue")) == FH_OK);
    EXPECT(derived(c)->remove(work, &plain, "coat", &c->error) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(finds(c, "hat", "") && finds(c, "blue", "") && finds(c, "coat", "coat"));
    EXPECT(finds_filtered(c, NULL, "{'marks':'red'}", "coat shoe"));
}

/* Whether they share a transaction, with a savepoint for each or without, or not. */
static void one_of_several_works_that_fails_takes_only_its_own_along(struct conformance *c)
{
    char key[16];
    make_shop(c);
    for (int i = 0; i < 20; i++) {
        struct store_work *work = conformance_begin(c, STORE_WRITE_GROUPED);
        snprintf(key, sizeof key, "t%02d", i);
        EXPECT(work && put_in(c, work, key, thing(i, "Thing", "", "things", "x")) == FH_OK);
        if (i % 3 == 0) {
            conformance_rollback(c, work);
            continue;
        }
        enum fh_code code = conformance_commit(c, work);
        if (code == FH_CONFLICT && c->error.retryable) /* the group broke: again, alone */
            code = put(c, key, thing(i, "Thing", "", "things", "x"));
        EXPECT(code == FH_OK);
    }
    EXPECT(is_member(c, &(struct fh_search){.text = "thing"}, "total", "13"));
    EXPECT(finds_filtered(c, "thing", "{'id':3}", "") &&
           finds_filtered(c, "thing", "{'id':4}", "t04"));
}

static void a_snapshot_finds_what_there_was_when_it_began(struct conformance *c)
{
    make_shop(c);
    struct store_work *work = conformance_begin(c, STORE_READ);
    json_t *before = ask_in(c, work, &(struct fh_search){.text = "red"});
    EXPECT(put(c, "hat", thing(4, "Red hat", "", "hats", "red")) == FH_OK);
    json_t *after = ask_in(c, work, &(struct fh_search){.text = "red"});
    bool same = before && after && json_equal(before, after);
    json_decref(before);
    json_decref(after);
    conformance_rollback(c, work);
    EXPECT(same);
    EXPECT(is_member(c, &(struct fh_search){.text = "red"}, "total", "4"));
}

static void the_last_value_of_a_key_counts_however_often(struct conformance *c)
{
    make_shop(c);
    for (int i = 0; i < 3; i++)
        EXPECT(put(c, "shoe", thing(7, "Blue sandal", "for summers", "sandals", "blue")) == FH_OK);
    EXPECT(finds(c, "runs", "") && finds(c, "sandal", "shoe"));
    EXPECT(finds_filtered(c, NULL, "{'marks':'red'}", "coat"));
    EXPECT(finds_filtered(c, NULL, "{'id':1}", "") && finds_filtered(c, NULL, "{'id':7}", "shoe"));
    EXPECT(is_member(c, &(struct fh_search){0}, "total", "3"));
}

static void what_is_removed_is_found_no_more(struct conformance *c)
{
    make_shop(c);
    EXPECT(take_out(c, "shoe") == FH_OK && take_out(c, "shoe") == FH_OK);
    EXPECT(take_out(c, "nothing") == FH_OK);
    EXPECT(finds(c, "red", "coat boot"));
    EXPECT(finds_filtered(c, NULL, "{'marks':'red'}", "coat"));
    EXPECT(put(c, "shoe", thing(1, "Red shoe", "", "shoes", "red")) == FH_OK);
    EXPECT(finds(c, "\"red shoe\"", "shoe boot"));
}

/* ---- What is declared ---- */

static void a_store_opened_again_finds_the_same(struct conformance *c)
{
    make_shop(c);
    conformance_reopen(c);
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(finds(c, "red", "shoe coat boot"));
}

static void another_declaration_of_one_that_holds_something_is_refused(struct conformance *c)
{
    make_shop(c);
    EXPECT(prepare(c, &english, 1) == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, "give it a `state`"));
    EXPECT(finds(c, "runs", "shoe")); /* nothing was changed */
    EXPECT(take_out(c, "shoe") == FH_OK && take_out(c, "boot") == FH_OK);
    EXPECT(take_out(c, "coat") == FH_OK && prepare(c, &english, 1) == FH_OK);
    EXPECT(put(c, "shoe", thing(1, "Red shoe", "Runs and runs", "shoes", "red")) == FH_OK);
    EXPECT(finds(c, "running", "shoe"));
}

static bool fills(struct conformance *c, struct derived_filling *ret)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    bool read = work && derived(c)->filling(work, "things", ret, &c->error) == FH_OK;
    conformance_rollback(c, work);
    return read && ret->fills;
}

static void one_with_a_state_is_made_anew_and_is_to_be_filled(struct conformance *c)
{
    struct derived_filling at;
    make_shop(c);
    EXPECT(!fills(c, &at));
    EXPECT(prepare(c, &stated, 1) == FH_OK && fills(c, &at) && !at.after[0]);
    EXPECT(is_member(c, &(struct fh_search){0}, "total", "0"));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    snprintf(at.after, sizeof at.after, "k7");
    EXPECT(derived(c)->set_filling(work, "things", &at, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(prepare(c, &stated, 1) == FH_OK && fills(c, &at) && strcmp(at.after, "k7") == 0);
    work = conformance_begin(c, STORE_WRITE);
    at.fills = false;
    EXPECT(derived(c)->set_filling(work, "things", &at, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(prepare(c, &stated, 1) == FH_OK && !fills(c, &at));
}

/* It began empty, so it lacks what was there before. */
static void a_state_that_is_declared_later_fills_it(struct conformance *c)
{
    struct fh_derived later = plain;
    struct derived_filling at;
    make_shop(c);
    later.state = list_nothing;
    EXPECT(prepare(c, &later, 1) == FH_OK && fills(c, &at));
    EXPECT(prepare(c, &plain, 1) == FH_OK && !fills(c, &at)); /* empty still: it begins so again */
    EXPECT(prepare(c, &later, 1) == FH_OK);
    EXPECT(put(c, "hat", thing(4, "Red hat", "", "hats", "red")) == FH_OK);
    EXPECT(prepare(c, &plain, 1) == FH_UNSUPPORTED); /* nobody could fill it to its end */
}

static void what_is_not_declared_any_more_is_dropped(struct conformance *c)
{
    struct fh_derived two[] = {plain, plain};
    two[1].name = "others";
    EXPECT(prepare(c, two, 2) == FH_OK);
    EXPECT(put(c, "shoe", thing(1, "Red shoe", "", "shoes", "red")) == FH_OK);
    EXPECT(prepare(c, &two[1], 1) == FH_OK && refusal(c, &(struct fh_search){0}) != FH_OK);
    EXPECT(prepare(c, two, 2) == FH_OK && finds(c, "red", ""));
    EXPECT(prepare(c, NULL, 0) == FH_OK);
    conformance_reopen(c);
    EXPECT(prepare(c, NULL, 0) == FH_OK && prepare(c, &plain, 1) == FH_OK);
}

/* ---- What is found ---- */

static void words_are_found_in_all_fields_by_their_weight(struct conformance *c)
{
    make_shop(c);
    EXPECT(finds(c, "red", "shoe coat boot"));
    EXPECT(finds(c, "RED  Shoe", "shoe boot") && finds(c, "coat red", "coat"));
    EXPECT(finds(c, "red trousers", "") && finds(c, "sho", ""));
    EXPECT(finds_by(c, &(struct fh_search){.text = "red sho", .prefix = true}, "shoe boot"));
    EXPECT(finds_by(c, &(struct fh_search){.text = "re shoe", .prefix = true}, ""));
    EXPECT(finds(c, "\"shoe red\"", "") && finds(c, "\"red shoe\"", "shoe boot"));
    EXPECT(finds(c, "\"red shoe", "shoe boot") && finds(c, "green", "boot"));
}

static void accents_and_cases_do_not_matter(struct conformance *c)
{
    make_shop(c);
    EXPECT(finds(c, "größe", "coat") && finds(c, "GRÖSSE", "") && finds(c, "große", "coat"));
    EXPECT(finds(c, "Uber", "coat") && finds(c, "ÜBER", "coat"));
    EXPECT(put(c, "x", thing(5, "Crème brûlée \xf0\x9f\x8d\xae", "日本", "food", "é")) == FH_OK);
    EXPECT(finds(c, "creme brulee", "x") && finds(c, "日本", "x"));
    EXPECT(finds(c, "cre\xcc\x80me", "x"));
}

/* Each is no word, or the words in it. */
static void a_text_is_words_whatever_it_holds(struct conformance *c)
{
    static const char *const nothing[] = {"*",
                                          "-",
                                          "^",
                                          "\"\" *",
                                          "()",
                                          ":",
                                          "\xc2\xa0",
                                          "\x01\x7f",
                                          "\xcc\x81",
                                          "\xf0\x9f\x8d\xae",
                                          "name:red",
                                          "-red",
                                          "red NOT shoe",
                                          "red OR trousers",
                                          "NEAR(red shoe)",
                                          "red AND shoe",
                                          "{name} : red",
                                          "red; DROP TABLE x",
                                          "red' OR 1=1 --",
                                          "*red*\"",
                                          "+red",
                                          "red^2",
                                          "\\\"red"};
    make_shop(c);
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        json_t *answer = ask(c, &(struct fh_search){.text = nothing[i], .prefix = i % 2});
        if (!answer)
            conformance_note(c, __FILE__, __LINE__, nothing[i]);
        json_decref(answer);
    }
    EXPECT(finds(c, "-red", "shoe coat boot") && finds(c, "red*", "shoe coat boot"));
    EXPECT(finds(c, "red - shoe", "shoe boot") && finds(c, "(red) [shoe]", "shoe boot"));
    EXPECT(finds(c, "red NOT shoe", "") && finds(c, "red OR shoe", "") && finds(c, "*", ""));
    EXPECT(put(c, "and", thing(6, "NOT red AND blue", "", "odd", "x")) == FH_OK);
    EXPECT(finds(c, "red AND blue", "and") && finds(c, "not red", "and"));
    EXPECT(finds(c, "", "and boot coat shoe") && finds(c, " \t\n", "and boot coat shoe"));
    EXPECT(finds(c, "\"", "and boot coat shoe"));
}

static void long_texts_are_words_too_up_to_a_bound(struct conformance *c)
{
    char text[SEARCH_TEXT_LENGTH_MAX + 2];
    make_shop(c);
    for (int i = 0; i < 2 * SEARCH_WORDS_MAX; i++)
        text[i] = i % 2 ? '-' : 'a';
    text[2 * SEARCH_WORDS_MAX] = '\0';
    EXPECT(finds(c, text, ""));
    text[2 * SEARCH_WORDS_MAX] = 'a';
    text[2 * SEARCH_WORDS_MAX + 1] = '\0';
    EXPECT(refusal(c, &(struct fh_search){.text = text}) == FH_INVALID);
    EXPECT(strcmp(c->error.field, "text") == 0);
    text[SEARCH_TEXT_LENGTH_MAX] = '\0';
    memset(text, '"', SEARCH_TEXT_LENGTH_MAX);
    EXPECT(finds(c, text, "boot coat shoe"));
    memset(text, 'a', SEARCH_TEXT_LENGTH_MAX);
    EXPECT(finds_by(c, &(struct fh_search){.text = text, .prefix = true}, ""));
    memset(text, '-', SEARCH_TEXT_LENGTH_MAX + 1);
    text[SEARCH_TEXT_LENGTH_MAX + 1] = '\0';
    EXPECT(refusal(c, &(struct fh_search){.text = text}) == FH_INVALID);
    EXPECT(strcmp(c->error.field, "text") == 0);
}

static void values_are_filtered_by_equality(struct conformance *c)
{
    make_shop(c);
    EXPECT(finds_filtered(c, NULL, "{'kind':'shoes'}", "boot shoe"));
    EXPECT(finds_filtered(c, "red", "{'kind':'shoes','marks':'red'}", "shoe"));
    EXPECT(finds_filtered(c, NULL, "{'new':true}", "boot"));
    EXPECT(finds_filtered(c, NULL, "{'new':false,'marks':'all','id':3}", "coat"));
    EXPECT(finds_filtered(c, "red", "{}", "shoe coat boot"));
    json_t *filter = json_pack("{s:s}", "kind", "x' OR '1'='1");
    EXPECT(finds_by(c, &(struct fh_search){.filter = filter}, ""));
    json_decref(filter);
    filter = conformance_json("{'kind':7}");
    EXPECT(refusal(c, &(struct fh_search){.filter = filter}) == FH_INVALID);
    json_decref(filter);
    EXPECT(strcmp(c->error.field, "kind") == 0);
    filter = conformance_json("{'text':'red'}");
    EXPECT(refusal(c, &(struct fh_search){.filter = filter}) == FH_INVALID && !c->error.field[0]);
    json_decref(filter);
}

static void facets_count_what_was_found(struct conformance *c)
{
    static const char *const both[] = {"kind", "new", NULL}, *const marks[] = {"marks", NULL};
    make_shop(c);
    EXPECT(put(c, "odd", thing(9, "Odd", "red", NULL, "x")) == FH_OK); /* of no kind */
    EXPECT(is_member(c, &(struct fh_search){.text = "red", .facets = both, .limit = 1}, "facets",
                     "{'kind':[{'value':'shoes','count':2},{'value':'coats','count':1}],"
                     "'new':[{'value':false,'count':3},{'value':true,'count':1}]}"));
    EXPECT(is_member(c, &(struct fh_search){.facets = marks}, "facets",
                     "{'marks':[{'value':'all','count':4},{'value':'red','count':2},"
                     "{'value':'green','count':1},{'value':'x','count':1}]}"));
    EXPECT(is_member(c, &(struct fh_search){.text = "red", .facets = marks}, "facets",
                     "{'marks':[{'value':'all','count':4},{'value':'red','count':2},"
                     "{'value':'green','count':1},{'value':'x','count':1}]}"));
    EXPECT(is_member(c, &(struct fh_search){.text = "red", .facets = marks}, "total", "4"));
    json_t *filter = conformance_json("{'kind':'shoes'}");
    bool same = is_member(c, &(struct fh_search){.filter = filter, .facets = both}, "facets",
                          "{'kind':[{'value':'shoes','count':2}],"
                          "'new':[{'value':false,'count':1},{'value':true,'count':1}]}");
    json_decref(filter);
    EXPECT(same);
    static const char *const none[] = {"text", NULL};
    EXPECT(refusal(c, &(struct fh_search){.facets = none}) == FH_INVALID);
}

/* Two of each kind, and one of the first: 101 kinds. */
static void make_kinds(struct conformance *c)
{
    char key[16], kind[16];
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    for (int i = 1; i <= 2 * SEARCH_COUNTS_MAX + 1; i++) {
        snprintf(key, sizeof key, "t%03d", i);
        snprintf(kind, sizeof kind, "k%03d", i / 2);
        EXPECT(put_in(c, work, key, thing(i, "Thing", "", kind, "x")) == FH_OK);
    }
    EXPECT(conformance_commit(c, work) == FH_OK);
}

static void of_a_facet_the_hundred_most_frequent_values_are_given(struct conformance *c)
{
    static const char *const kinds[] = {"kind", NULL};
    make_kinds(c);
    json_t *filter = conformance_json("{'marks':'x'}");
    const struct fh_search searches[] = {
        {.text = "thing", .facets = kinds}, {.filter = filter, .facets = kinds}, {.facets = kinds}};
    for (size_t i = 0; i < sizeof searches / sizeof *searches; i++) {
        json_t *answer = ask(c, &searches[i]), *one;
        const json_t *counts = json_at(answer, "facets.kind");
        size_t j, right = 0;
        json_array_foreach ((json_t *)(uintptr_t)counts, j, one) {
            char kind[16];
            snprintf(kind, sizeof kind, "k%03d", (int)j + 1);
            right += strcmp(json_string_at(one, "value"), kind) == 0 &&
                     json_integer_value(json_object_get(one, "count")) == 2;
        }
        if (right != SEARCH_COUNTS_MAX || json_array_size(counts) != SEARCH_COUNTS_MAX)
            conformance_note(c, __FILE__, __LINE__, answer ? "other counts" : c->error.message);
        json_decref(answer);
    }
    json_decref(filter);
}

/* Of which only the words are left. */
static void a_value_that_was_lost_is_an_error_and_no_hit(struct conformance *c)
{
    make_shop(c);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(sql_run(work, "DELETE FROM fh_derived_1 WHERE key = 'shoe'", NULL, 0, NULL, NULL, NULL,
                   &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(refusal(c, &(struct fh_search){.text = "runs"}) == FH_UNAVAILABLE);
    EXPECT(strstr(c->error.message, "raise its .version"));
    EXPECT(finds(c, "coat", "coat"));
}

static void a_hit_has_its_value_as_it_was_derived(struct conformance *c)
{
    make_shop(c);
    EXPECT(is_member(c, &(struct fh_search){.text = "coat"}, "hits",
                     "[{'key':'coat','value':{'id':3,'name':'Red coat','text':'Größe über alles',"
                     "'kind':'coats','marks':['red','all'],'new':false,'price':0.3}}]"));
    json_t *value = thing(9, "Odd", "", NULL, "x");
    json_object_set_new(value, "text", json_null());
    json_object_set_new(value, "marks", json_null());
    json_object_set_new(value, "more", json_string("which no field names"));
    EXPECT(put(c, "odd", value) == FH_OK);
    EXPECT(is_member(c, &(struct fh_search){.text = "odd"}, "hits",
                     "[{'key':'odd','value':{'id':9,'name':'Odd','text':null,'kind':null,"
                     "'marks':null,'new':false,'price':0.9}}]"));
}

static bool highlights(struct conformance *c, const char *text, const char *field, const char *html)
{
    json_t *answer =
        ask(c, &(struct fh_search){.text = text, .highlight = field, .prefix = true, .limit = 1});
    const json_t *hit = json_array_get(json_object_get(answer, "hits"), 0);
    const char *shown = json_string_at(hit, "highlight");
    bool same = shown && strcmp(shown, html) == 0;
    if (!same)
        conformance_note(c, __FILE__, __LINE__, shown ? shown : "no highlight");
    json_decref(answer);
    return same;
}

static void a_highlight_is_html_that_can_be_shown_as_it_is(struct conformance *c)
{
    make_shop(c);
    EXPECT(highlights(c, "red coa", "name", "<mark>Red</mark> <mark>coat</mark>"));
    EXPECT(put(c, "x",
               thing(5, "<b>\"bold\" & 'brave'</b>",
                     "\2"
                     "a \3\3 word\2",
                     "x", "list")) == FH_OK);
    EXPECT(highlights(c, "brave", "name",
                      "&lt;b&gt;&quot;bold&quot; &amp; &#39;<mark>brave</mark>&#39;&lt;/b&gt;"));
    EXPECT(highlights(c, "brave", "text", "<mark>a </mark> word<mark></mark>"));
    EXPECT(highlights(c, "brave list", "marks", "<mark>list</mark>\nall"));
}

/* Of few texts it is made in memory, of many in the store. */
static void a_highlight_is_the_same_wherever_it_is_made(struct conformance *c)
{
    char text[1400], key[16], after[4096];
    size_t size = 0;
    int compared = 0;
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    for (int i = 0; i < THINGS; i++) {
        size_t length = 0;
        for (int j = 0; j < 100; j++)
            length += (size_t)snprintf(text + length, sizeof text - length, "%s%d%s",
                                       (i + j) % 17 ? "word" : "Other <", (i + 2 * j) % 13,
                                       j % 11 ? " " : ". ");
        snprintf(key, sizeof key, "t%02d", i);
        EXPECT(put_in(c, work, key, thing(i, "Word1 thing", text, "things", "x")) == FH_OK);
    }
    EXPECT(conformance_commit(c, work) == FH_OK);
    struct fh_search search = {
        .text = "\"word2 word4\" other wor", .highlight = "text", .prefix = true, .limit = THINGS};
    json_t *all = ask(c, &search), *hit;
    size_t i;
    EXPECT(json_array_size(json_object_get(all, "hits")) > 40);
    search.limit = 1;
    json_array_foreach (json_object_get(all, "hits"), i, hit) {
        json_t *page = ask(c, &search);
        const json_t *alone = json_array_get(json_object_get(page, "hits"), 0);
        compared += json_equal(hit, alone) && json_object_get(hit, "highlight");
        size += strlen(json_string_at(hit, "value.text"));
        snprintf(after, sizeof after, "%s", json_string_at(page, "next"));
        search.after = after;
        json_decref(page);
    }
    EXPECT(size > SEARCH_HIGHLIGHT_SIZE_MAX);
    EXPECT(compared == (int)json_array_size(json_object_get(all, "hits")));
    json_decref(all);
}

/* ---- Pages ---- */

static void make_things(struct conformance *c)
{
    char key[16];
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    for (int i = 0; i < THINGS; i++) { /* in an order that is nobody's, and with many ties */
        int id = i * 37 % THINGS;
        snprintf(key, sizeof key, "t%02d", id);
        EXPECT(put_in(c, work, key,
                      thing(id % 7, id % 5 ? "Thing" : "Thing thing", "", "things", "x")) == FH_OK);
    }
    EXPECT(conformance_commit(c, work) == FH_OK);
}

/* Each comes once, in pages of 9, in the order of `name` of its value. */
static bool pages_are_whole(struct conformance *c, struct fh_search search, const char *name)
{
    char after[4096], seen[THINGS] = {0};
    int count = 0, pages = 0;
    double last = search.descending ? 1e9 : -1e9;
    bool goes_on = true, good = true;
    search.limit = 9;
    while (goes_on && good) {
        json_t *answer = ask(c, &search), *hit;
        size_t i;
        json_array_foreach (json_object_get(answer, "hits"), i, hit) {
            int id = atoi(json_string_at(hit, "key") + 1);
            double now = name ? json_number_value(json_at(json_object_get(hit, "value"), name)) : 0;
            good =
                good && !seen[id]++ && (!name || (search.descending ? now <= last : now >= last));
            last = now;
            count++;
        }
        const char *next = json_string_at(answer, "next");
        goes_on = next && pages++ < THINGS;
        snprintf(after, sizeof after, "%s", next ? next : "");
        search.after = after;
        good = good && answer && json_integer_value(json_object_get(answer, "total")) == THINGS;
        json_decref(answer);
    }
    if (!good || count != THINGS || pages != THINGS / 9)
        conformance_note(c, __FILE__, __LINE__, name ? name : "the order of the rank or the keys");
    return !c->failure[0];
}

static void pages_are_whole_in_every_order_over_ties(struct conformance *c)
{
    make_things(c);
    json_t *filter = conformance_json("{'kind':'things'}");
    const struct fh_search searches[] = {
        {.text = "thing"}, {0}, {.filter = filter}, {.text = "thing", .filter = filter}};
    for (size_t i = 0; i < sizeof searches / sizeof *searches; i++) {
        struct fh_search search = searches[i];
        EXPECT(pages_are_whole(c, search, NULL));
        search.sort = "id";
        EXPECT(pages_are_whole(c, search, "id"));
        search.sort = "price";
        search.descending = true;
        EXPECT(pages_are_whole(c, search, "price"));
        search.sort = "name";
        EXPECT(pages_are_whole(c, search, NULL));
    }
    json_decref(filter);
}

static void a_cursor_is_of_its_question_alone(struct conformance *c)
{
    char next[4096];
    make_things(c);
    json_t *answer = ask(c, &(struct fh_search){.text = "thing", .sort = "id"});
    snprintf(next, sizeof next, "%s", json_string_at(answer, "next"));
    json_decref(answer);
    EXPECT(refusal(c, &(struct fh_search){.text = "thing", .sort = "id", .after = next}) == FH_OK);
    const struct fh_search others[] = {{.text = "thing", .sort = "price", .after = next},
                                       {.text = "things", .sort = "id", .after = next},
                                       {.text = "thing", .after = next},
                                       {.text = "thing", .sort = "id", .after = ""},
                                       {.text = "thing", .sort = "id", .after = "bm9uc2Vuc2U"},
                                       {.text = "thing", .sort = "id", .after = "' OR 1=1"}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        EXPECT(refusal(c, &others[i]) == FH_INVALID && strcmp(c->error.field, "after") == 0);
    }
    EXPECT(refusal(c, &(struct fh_search){.limit = 1001}) == FH_INVALID);
    EXPECT(refusal(c, &(struct fh_search){.limit = -1}) == FH_INVALID);
    EXPECT(refusal(c, &(struct fh_search){.sort = "kind"}) == FH_INVALID);
    EXPECT(refusal(c, &(struct fh_search){.highlight = "kind"}) == FH_INVALID);
    json_t *with_nul = json_pack("{s:o}", "kind", json_stringn("shoes\0boots", 11));
    EXPECT(refusal(c, &(struct fh_search){.filter = with_nul}) == FH_INVALID &&
           strcmp(c->error.field, "kind") == 0);
    json_decref(with_nul);
}

static void large_values_and_long_answers_come_whole(struct conformance *c)
{
    char *text = malloc(900001);
    size_t length = 0;
    make_things(c);
    for (int i = 0; length < 900000 - 16; i++)
        length += (size_t)snprintf(text + length, 16, "word%d ", i);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(put_in(c, work, "large", thing(1, "Large", text, "large", "x")) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    json_t *answer = ask(c, &(struct fh_search){.text = "word50000", .highlight = "text"});
    const json_t *hit = json_array_get(json_object_get(answer, "hits"), 0);
    const char *whole = json_string_at(hit, "value.text"), *html = json_string_at(hit, "highlight");
    bool same = whole && strcmp(whole, text) == 0 && html && strstr(html, "<mark>word50000</mark>");
    json_decref(answer);
    free(text);
    EXPECT(same);
    answer = ask(c, &(struct fh_search){.limit = SEARCH_LIMIT_MAX});
    same = json_array_size(json_object_get(answer, "hits")) == THINGS + 1;
    json_decref(answer);
    EXPECT(same);
}

/* ---- What may be put ---- */

static void what_does_not_fit_is_refused_and_changes_nothing(struct conformance *c)
{
    char word[DERIVED_WORD_LENGTH_MAX + 2], key[DERIVED_KEY_LENGTH_MAX + 2];
    make_shop(c);
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    memcpy(key, word, sizeof key);
    EXPECT(derived_key_check(key, &c->error) == FH_INVALID);
    EXPECT(derived_key_check("", &c->error) == FH_INVALID);
    key[DERIVED_KEY_LENGTH_MAX] = '\0';
    EXPECT(derived_key_check(key, &c->error) == FH_OK);
    EXPECT(put(c, "x", thing(1, "X", "", word, "x")) == FH_INVALID);
    EXPECT(strcmp(c->error.field, "kind") == 0);
    EXPECT(put(c, "x", thing(1, "X", "", "x", word)) == FH_INVALID);
    EXPECT(put(c, "x", json_pack("{s:i}", "id", 1)) == FH_UNSUPPORTED);
    EXPECT(put(c, "x", json_array()) == FH_UNSUPPORTED);
    json_t *value = thing(1, "X", "", "x", "x");
    json_object_set_new(value, "price", json_null()); /* could not be sorted */
    EXPECT(put(c, "x", value) == FH_UNSUPPORTED);
    value = thing(1, word, "", "x", "x");
    json_object_set_new(value, "price", json_integer(3));
    EXPECT(put(c, key, value) == FH_OK); /* a long name is found, and sorted by its beginning */
    EXPECT(is_member(c, &(struct fh_search){.sort = "name"}, "total", "4"));
}

/* ---- Where the store goes ---- */

static void a_copy_leaves_what_is_derived_behind(struct conformance *c)
{
    struct copy_result result;
    make_shop(c);
    struct store *to = conformance_embedded(c, "to", c->model);
    EXPECT(to != NULL);
    struct copy_options options = {.from = c->store, .to = to};
    enum fh_code code =
        c->model == FH_RELATIONAL ? relational_copy(&options, &result, &c->error) : FH_OK;
    store_close(to);
    EXPECT(code == FH_OK);
}

static void a_copy_of_the_file_has_it_of_the_same_moment(struct conformance *c)
{
    struct store_watch watch = {0};
    struct store *own = c->store;
    char folder[256], path[300];
    make_shop(c);
    struct store *empty = conformance_embedded(c, "copied", c->model); /* makes the folder */
    EXPECT(empty != NULL && own->ops->copy_file);
    store_close(empty);
    snprintf(folder, sizeof folder, "%s/copied", c->harness.folder);
    snprintf(path, sizeof path, "%s/backup.db", folder);
    EXPECT(own->ops->copy_file(own, path, &watch, &c->error) == FH_OK);
    EXPECT(take_out(c, "shoe") == FH_OK);
    struct store_options options = {
        .service = "conformance", .folder = folder, .name = "backup", .model = c->model};
    EXPECT(own->engine->store->open(&options, c->harness.world, &c->store, &c->error) == FH_OK);
    bool same = prepare(c, &plain, 1) == FH_OK && finds(c, "red", "shoe coat boot") &&
                put(c, "hat", thing(4, "Red hat", "", "hats", "red")) == FH_OK;
    store_close(c->store);
    c->store = own;
    EXPECT(same && finds(c, "red", "coat boot"));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE_OF(what_is_derived_is_found_after_the_commit_and_not_before, keeps_derived),
        CASE_OF(a_work_that_is_rolled_back_leaves_nothing, keeps_derived),
        CASE_OF(one_of_several_works_that_fails_takes_only_its_own_along, keeps_derived),
        CASE_OF(a_snapshot_finds_what_there_was_when_it_began, keeps_derived),
        CASE_OF(the_last_value_of_a_key_counts_however_often, keeps_derived),
        CASE_OF(what_is_removed_is_found_no_more, keeps_derived),
        CASE_OF(a_store_opened_again_finds_the_same, keeps_derived),
        CASE_OF(another_declaration_of_one_that_holds_something_is_refused, keeps_derived),
        CASE_OF(one_with_a_state_is_made_anew_and_is_to_be_filled, keeps_derived),
        CASE_OF(a_state_that_is_declared_later_fills_it, keeps_derived),
        CASE_OF(what_is_not_declared_any_more_is_dropped, keeps_derived),
        CASE_OF(words_are_found_in_all_fields_by_their_weight, keeps_derived),
        CASE_OF(accents_and_cases_do_not_matter, keeps_derived),
        CASE_OF(a_text_is_words_whatever_it_holds, keeps_derived),
        CASE_OF(long_texts_are_words_too_up_to_a_bound, keeps_derived),
        CASE_OF(values_are_filtered_by_equality, keeps_derived),
        CASE_OF(facets_count_what_was_found, keeps_derived),
        CASE_OF(of_a_facet_the_hundred_most_frequent_values_are_given, keeps_derived),
        CASE_OF(a_value_that_was_lost_is_an_error_and_no_hit, keeps_derived),
        CASE_OF(a_hit_has_its_value_as_it_was_derived, keeps_derived),
        CASE_OF(a_highlight_is_html_that_can_be_shown_as_it_is, keeps_derived),
        CASE_OF(a_highlight_is_the_same_wherever_it_is_made, keeps_derived),
        CASE_OF(pages_are_whole_in_every_order_over_ties, keeps_derived),
        CASE_OF(a_cursor_is_of_its_question_alone, keeps_derived),
        CASE_OF(large_values_and_long_answers_come_whole, keeps_derived),
        CASE_OF(what_does_not_fit_is_refused_and_changes_nothing, keeps_derived),
        CASE_OF(a_copy_leaves_what_is_derived_behind, keeps_derived),
        CASE_OF(a_copy_of_the_file_has_it_of_the_same_moment, keeps_derived),
    };
    return conformance_main_every(rows, sizeof rows / sizeof *rows);
}
