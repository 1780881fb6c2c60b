/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns: that each fact counts, once for each time it is added, and is part of the unit of work;
 * that what is answered of them is exact; and what is removed of them. Tried in stores of every
 * model, on engines that keep derived stores.
 */

#include "derived_bed.h"

#define WHENEVER INT64_MIN

static const struct fh_derived_field fields[] = {
    {"kind", FH_STRING, FH_TAG}, {"site", FH_INT, FH_TAG}, {"paid", FH_BOOL, FH_TAG},
    {"kg", FH_NUMBER},           {"cents", FH_INT},        {0}};
static const struct fh_derived plain = {"sold", FH_COLUMNS, fields};

static enum fh_code add_in(struct conformance *c, struct store_work *work, int64_t at_ms,
                           json_t *fact)
{
    int64_t number = 0, seq;
    enum fh_code code = series_fact_check(&plain, at_ms, fact, &c->error);
    if (code == FH_OK)
        code = derived(c)->add(work, &plain, &number, at_ms, fact, &seq, &c->error);
    json_decref(fact);
    return code;
}

static json_t *fact(const char *kind, json_int_t cents)
{
    return json_pack("{s:s, s:i, s:b, s:f, s:I, s:s}", "kind", kind, "site", 1, "paid", 1, "kg",
                     0.5, "cents", cents, "left", "out");
}

/* `text`: of a fact; in JSON with ' for ". NULL: of this kind and price. */
static enum fh_code add(struct conformance *c, int64_t at_ms, const char *text, const char *kind,
                        json_int_t cents)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return c->error.code;
    enum fh_code code = add_in(c, work, at_ms, text ? conformance_json(text) : fact(kind, cents));
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

static enum fh_code sell(struct conformance *c, const char *kind, int64_t at_ms, json_int_t cents)
{
    return add(c, at_ms, NULL, kind, cents);
}

/* NULL: c->error says why. */
static json_t *ask_within(struct conformance *c, struct store_work *work,
                          const struct fh_columns *columns, int64_t oldest_ms)
{
    json_t *answer = NULL;
    c->error.code = derived(c)->columns(work, &plain, columns, oldest_ms, &answer, &c->error);
    return answer;
}

static bool answers_since(struct conformance *c, const struct fh_columns *columns,
                          int64_t oldest_ms, const char *rows)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    json_t *answer = work ? ask_within(c, work, columns, oldest_ms) : NULL;
    conformance_rollback(c, work);
    if (!answer)
        conformance_note(c, __FILE__, __LINE__, c->error.message);
    bool same = answer && conformance_is(c, json_object_get(answer, "rows"), rows);
    json_decref(answer);
    return same;
}

static bool answers(struct conformance *c, const struct fh_columns *columns, const char *rows)
{
    return answers_since(c, columns, WHENEVER, rows);
}

static bool refuses(struct conformance *c, const struct fh_columns *columns, const char *field)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    json_t *answer = work ? ask_within(c, work, columns, WHENEVER) : NULL;
    conformance_rollback(c, work);
    bool refused = !answer && c->error.code == FH_INVALID && strcmp(c->error.field, field) == 0;
    if (!refused)
        conformance_note(c, __FILE__, __LINE__, answer ? "it was answered" : c->error.message);
    json_decref(answer);
    return refused;
}

#define NAMES(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define BY_KIND                                                                                    \
    &(struct fh_columns)                                                                           \
    {                                                                                              \
        .by = NAMES("kind"), .values = NAMES("count", "sum cents")                                 \
    }

/* ---- What counts ---- */

static void each_fact_counts_in_whatever_order_they_come(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(answers(c, BY_KIND, "[]"));
    EXPECT(sell(c, "b", 5, 1) == FH_OK && sell(c, "a", -5, 2) == FH_OK);
    EXPECT(sell(c, "b", 5, 1) == FH_OK && sell(c, "b", -7, 4) == FH_OK);
    EXPECT(answers(c, BY_KIND, "[['a',1,2],['b',3,6]]"));
    EXPECT(answers(c,
                   &(struct fh_columns){
                       .every_ms = 5, .values = NAMES("sum cents"), .from_ms = -7, .to_ms = 6},
                   "[[-10,4],[-5,2],[5,2]]"));
}

static void facts_of_a_work_that_is_rolled_back_are_not_there(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK && sell(c, "a", 1, 1) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work && add_in(c, work, 1, fact("a", 7)) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(answers(c, BY_KIND, "[['a',1,1]]"));
    EXPECT(sell(c, "a", 1, 1) == FH_OK);
    EXPECT(answers(c, BY_KIND, "[['a',2,2]]"));
}

static void a_snapshot_has_the_facts_of_when_it_began(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK && sell(c, "a", 1, 1) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_READ);
    json_t *before = work ? ask_within(c, work, BY_KIND, WHENEVER) : NULL;
    EXPECT(before && sell(c, "b", 1, 1) == FH_OK);
    json_t *after = ask_within(c, work, BY_KIND, WHENEVER);
    EXPECT(after && json_equal(before, after));
    json_decref(before);
    json_decref(after);
    conformance_rollback(c, work);
    EXPECT(answers(c, BY_KIND, "[['a',1,1],['b',1,1]]"));
}

static void a_store_opened_again_has_the_same_facts(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK && sell(c, "a", 1, 1) == FH_OK);
    conformance_reopen(c);
    EXPECT(prepare(c, &plain, 1) == FH_OK && sell(c, "a", 1, 1) == FH_OK);
    EXPECT(answers(c, BY_KIND, "[['a',2,2]]"));
}

/* ---- What is answered ---- */

static void functions_are_of_the_values_that_there_are(struct conformance *c)
{
    const struct fh_columns all = {.by = NAMES("kind"),
                                   .values = NAMES("count", "count kg", "sum kg", "mean kg",
                                                   "min kg", "max kg", "uniq kg", "uniq kind",
                                                   "uniq site", "uniq paid", "count paid")};
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(add(c, 1, "{'kind':'','site':-1,'paid':true,'kg':null,'cents':null}", NULL, 0) == FH_OK);
    EXPECT(add(c, 1, "{'kind':'a','site':1,'paid':false,'kg':2,'cents':1}", NULL, 0) == FH_OK);
    EXPECT(add(c, 1, "{'kind':'a','site':'2','paid':true,'kg':2.0,'cents':1}", NULL, 0) == FH_OK);
    EXPECT(add(c, 2, "{'kind':'a','site':2,'paid':true,'kg':-0.5,'cents':1}", NULL, 0) == FH_OK);
    EXPECT(answers(c, &all,
                   "[['',1,0,null,null,null,null,0,1,1,1,1],"
                   "['a',3,3,3.5,1.1666666666666667,-0.5,2.0,2,1,2,2,3]]"));
}

static void integers_are_whole_to_the_last_of_64_bits(struct conformance *c)
{
    const struct fh_columns all = {.by = NAMES("site"),
                                   .values = NAMES("sum cents", "min cents", "max cents")};
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(add(c, 1,
               "{'kind':'a','site':'9007199254740993','paid':true,'kg':1,"
               "'cents':'9223372036854775807'}",
               NULL, 0) == FH_OK);
    EXPECT(add(c, 1,
               "{'kind':'a','site':'9007199254740992','paid':true,'kg':1,"
               "'cents':'-9223372036854775808'}",
               NULL, 0) == FH_OK);
    EXPECT(add(c, 1,
               "{'kind':'a','site':'9007199254740993','paid':true,'kg':1,"
               "'cents':'-9223372036854775807'}",
               NULL, 0) == FH_OK);
    EXPECT(answers(c, &all,
                   "[[9007199254740992,'-9223372036854775808','-9223372036854775808',"
                   "'-9223372036854775808'],"
                   "['9007199254740993',0,'-9223372036854775807','9223372036854775807']]"));
    json_t *having = conformance_json("{'sum cents':{'max':'-9223372036854775808'}}");
    EXPECT(answers(
        c,
        &(struct fh_columns){.by = NAMES("site"), .values = NAMES("sum cents"), .having = having},
        "[[9007199254740992,'-9223372036854775808']]"));
    json_decref(having);
}

static void filters_are_of_values_and_of_several(struct conformance *c)
{
    static const struct {
        const char *filter, *rows;
    } of[] = {{"{}", "[['a',1,1],['b',1,2],['c',1,4]]"},
              {"{'kind':'b'}", "[['b',1,2]]"},
              {"{'kind':['c','a','a']}", "[['a',1,1],['c',1,4]]"},
              {"{'kind':[]}", "[]"},
              {"{'kind':'a','site':2}", "[]"},
              {"{'site':['1',2],'paid':true,'kind':['a','c']}", "[['a',1,1],['c',1,4]]"},
              {"{'kind':'\\u0027) OR 1=1 --'}", "[]"}};
    EXPECT(prepare(c, &plain, 1) == FH_OK && sell(c, "a", 1, 1) == FH_OK);
    EXPECT(sell(c, "b", 1, 2) == FH_OK && sell(c, "c", 1, 4) == FH_OK);
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        json_t *filter = conformance_json(of[i].filter);
        EXPECT(answers(c,
                       &(struct fh_columns){.by = NAMES("kind"),
                                            .values = NAMES("count", "sum cents"),
                                            .filter = filter},
                       of[i].rows));
        json_decref(filter);
    }
}

static void rows_are_sorted_and_those_without_the_value_come_last(struct conformance *c)
{
    struct fh_columns sorted = {
        .by = NAMES("kind"), .values = NAMES("max cents"), .sort = "max cents"};
    EXPECT(prepare(c, &plain, 1) == FH_OK && sell(c, "b", 1, 2) == FH_OK);
    EXPECT(sell(c, "c", 1, 7) == FH_OK && sell(c, "a", 1, 2) == FH_OK);
    EXPECT(add(c, 1, "{'kind':'\xc3\xa4','site':1,'paid':true,'kg':1,'cents':null}", NULL, 0) ==
           FH_OK);
    EXPECT(answers(c, &sorted, "[['a',2],['b',2],['c',7],['\xc3\xa4',null]]"));
    sorted.descending = true;
    EXPECT(answers(c, &sorted, "[['c',7],['a',2],['b',2],['\xc3\xa4',null]]"));
    sorted.sort = NULL;
    sorted.limit = 2;
    EXPECT(answers(c, &sorted, "[['\xc3\xa4',null],['c',7]]"));
}

static void a_wrong_question_of_columns_names_what_may_be_a_clients(struct conformance *c)
{
    const char *const count[] = {"count", NULL}, *many[35] = {NULL};
    json_t *null = conformance_json("{'kind':null}"), *object = conformance_json("{'kind':{}}");
    json_t *real = conformance_json("{'site':1.5}"), *measured = conformance_json("{'cents':1}");
    json_t *hostile = conformance_json("{'kind) OR (1=1':1}"), *list = json_array();
    json_t *nul = json_object(), *nested = conformance_json("{'kind':['a',['b']]}");
    json_object_set_new(nul, "kind", json_stringn("a\0b", 3));
    for (int i = 0; i < 33; i++)
        many[i] = "count";
    const struct {
        struct fh_columns columns;
        const char *field;
    } wrong[] = {
        {{.values = count, .from_ms = 5, .to_ms = 5}, "to_ms"},
        {{.values = count, .to_ms = INT64_MIN}, "to_ms"},
        {{.values = count, .from_ms = INT64_MAX, .to_ms = INT64_MAX}, "from_ms"},
        {{.values = count, .every_ms = INT64_MAX}, "every_ms"},
        {{.values = count, .limit = INT32_MIN}, "limit"},
        {{.values = count, .filter = null}, "kind"},
        {{.values = count, .filter = object}, "kind"},
        {{.values = count, .filter = nested}, "kind"},
        {{.values = count, .filter = nul}, "kind"},
        {{.values = count, .filter = real}, "site"},
        {{.values = count, .filter = measured}, ""},
        {{.values = count, .filter = hostile}, ""},
        {{.values = count, .filter = list}, ""},
        {{.values = count, .having = list}, ""},
        {{.values = count, .by = NAMES("kind, (SELECT 1)")}, ""},
        {{.values = count, .by = NAMES("")}, ""},
        {{.values = count, .sort = "kind; DROP TABLE x"}, ""},
        {{.values = NAMES("count) FROM x --")}, ""},
        {{.values = NAMES("")}, ""},
        {{.values = NAMES(" cents")}, ""},
        {{.values = NAMES("sum  cents")}, ""},
        {{.values = NAMES("sum cents ")}, ""},
        {{.values = NAMES("SUM cents")}, ""},
        {{.values = NAMES("uniq")}, ""},
        {{.values = many}, ""},
    };
    EXPECT(prepare(c, &plain, 1) == FH_OK && sell(c, "a", 0, 1) == FH_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (!refuses(c, &wrong[i].columns, wrong[i].field)) {
            conformance_note(c, __FILE__, (int)i, "this one");
            return;
        }
    }
    EXPECT(answers(c, BY_KIND, "[['a',1,1]]"));
    json_t *const all[] = {null, object, real, measured, hostile, list, nul, nested};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        json_decref(all[i]);
}

/* ---- What is too old ---- */

static bool trims(struct conformance *c, int64_t oldest_ms, struct series_trimming *at)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    return work && derived(c)->trim(work, &plain, oldest_ms, at, &c->error) == FH_OK &&
           conformance_commit(c, work) == FH_OK;
}

static bool sell_many(struct conformance *c, int64_t at_ms, int count)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    bool added = work;
    for (int i = 0; i < count && added; i++)
        added = add_in(c, work, at_ms, fact("a", 1)) == FH_OK;
    return added && conformance_commit(c, work) == FH_OK;
}

/* Half of those of one time at once, too. */
static void old_facts_are_not_answered_and_removed_slice_by_slice(struct conformance *c)
{
    struct series_trimming at = {0};
    int slices = 0;
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(sell_many(c, 5, SERIES_TRIM_ROWS + 500) && sell_many(c, 6, SERIES_TRIM_ROWS));
    EXPECT(sell_many(c, 7, 3));
    EXPECT(answers_since(c, BY_KIND, 7, "[['a',3,3]]"));
    EXPECT(answers_since(c, BY_KIND, 8, "[]"));
    EXPECT(trims(c, 7, &at) && !at.done && at.removed == SERIES_TRIM_ROWS);
    EXPECT(answers(c, BY_KIND, "[['a',1503,1503]]"));
    while (!at.done && slices++ < 10)
        EXPECT(trims(c, 7, &at));
    EXPECT(at.done && at.removed == 2 * SERIES_TRIM_ROWS + 500);
    EXPECT(answers(c, BY_KIND, "[['a',3,3]]"));
    EXPECT(sell(c, "b", 5, 1) == FH_OK); /* its time is empty: it begins anew */
    EXPECT(answers(c, BY_KIND, "[['a',3,3],['b',1,1]]"));
}

/* ---- All of them ---- */

static void facts_are_listed_by_their_times_behind_any(struct conformance *c)
{
    const struct derived_fact second = {.id = 2, .at_ms = 7}, none = {.id = 9, .at_ms = 8};
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(lists(c, &plain, NULL, WHENEVER, 9, ""));
    EXPECT(sell(c, "a", 7, 1) == FH_OK && sell(c, "b", -3, 1) == FH_OK);
    EXPECT(sell(c, "a", 7, 1) == FH_OK && sell(c, "c", 9, 1) == FH_OK);
    EXPECT(lists(c, &plain, NULL, WHENEVER, 9, "1@-3 1@7 2@7 1@9 "));
    EXPECT(lists(c, &plain, NULL, WHENEVER, 2, "1@-3 1@7 "));
    EXPECT(lists(c, &plain, &second, WHENEVER, 9, "1@9 "));
    EXPECT(lists(c, &plain, &none, WHENEVER, 9, "1@9 "));
    EXPECT(lists(c, &plain, NULL, 7, 9, "1@7 2@7 1@9 ")); /* and none that is too old */
    EXPECT(lists(c, &plain, &second, 8, 9, "1@9 "));
}

/* ---- Another declaration ---- */

static void facts_keep_their_declaration_while_there_are_some(struct conformance *c)
{
    static const struct fh_derived_field less[] = {{"kind", FH_STRING, FH_TAG}, {0}};
    static const struct fh_derived others[] = {{"sold", FH_COLUMNS, less},
                                               {"sold", FH_SERIES, fields}};
    struct series_trimming at = {0};
    EXPECT(prepare(c, &plain, 1) == FH_OK && sell(c, "a", 1, 1) == FH_OK);
    EXPECT(prepare(c, &others[0], 1) == FH_UNSUPPORTED);
    EXPECT(prepare(c, &others[1], 1) == FH_UNSUPPORTED);
    EXPECT(prepare(c, NULL, 0) == FH_OK && prepare(c, &plain, 1) == FH_OK);
    EXPECT(answers(c, BY_KIND, "[['a',1,1]]"));
    EXPECT(trims(c, 2, &at) && at.done);
    EXPECT(prepare(c, &others[0], 1) == FH_OK && prepare(c, &plain, 1) == FH_OK);
    EXPECT(answers(c, BY_KIND, "[]"));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE_OF(each_fact_counts_in_whatever_order_they_come, keeps_derived),
        CASE_OF(facts_of_a_work_that_is_rolled_back_are_not_there, keeps_derived),
        CASE_OF(a_snapshot_has_the_facts_of_when_it_began, keeps_derived),
        CASE_OF(a_store_opened_again_has_the_same_facts, keeps_derived),
        CASE_OF(functions_are_of_the_values_that_there_are, keeps_derived),
        CASE_OF(integers_are_whole_to_the_last_of_64_bits, adds_beyond_doubles),
        CASE_OF(filters_are_of_values_and_of_several, keeps_derived),
        CASE_OF(rows_are_sorted_and_those_without_the_value_come_last, keeps_derived),
        CASE_OF(a_wrong_question_of_columns_names_what_may_be_a_clients, keeps_derived),
        CASE_OF(old_facts_are_not_answered_and_removed_slice_by_slice, keeps_derived),
        CASE_OF(facts_are_listed_by_their_times_behind_any, keeps_derived),
        CASE_OF(facts_keep_their_declaration_while_there_are_some, keeps_derived),
    };
    return conformance_main_every(rows, sizeof rows / sizeof *rows);
}
