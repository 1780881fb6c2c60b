/* SPDX-License-Identifier: Apache-2.0 */
/* What an FH_NUMBER and an FH_DECIMAL may be, in each model of each engine: written, read in
 * another unit of work and read again from the store that was opened anew, each is the same, digit
 * by digit. */

#include "keyvalue.h"

#include "store/document/document.h"

/* As JSON, and written as Freehold writes it. */
static const char *const numbers[] = {
    "19.99",
    "0.1",
    "0.30000000000000004", /* 0.1 + 0.2 */
    "1e308",
    "-1.7976931348623157e308",
    "5e-324",
    "-5e-324",
    "2.2250738585072014e-308",
    "5.684341886080802e-14", /* a power of two that needs fewer digits than it seems */
    "9007199254740991.0",
    "9007199254740992.0",
    "9007199254740994.0",
    "9.007199254740993e18",
    "1e15",
    "100000.0",
    "0.0",
    "7.0",
};

/* With the scale of a column of DECIMAL(12, 2), and with a wide one's. */
static const char *const decimals[] = {
    "'19.99'", "'19.90'", "'0.10'", "'-0.05'", "'0.00'", "'9999999999.99'", "'-9999999999.99'",
};
static const char *const wide_decimals[] = {
    "'12345678901234567890123456789012345.123456789012345678901234567890'",
    "'-0.000000000000000000000000000001'",
    "'9007199254740993.000000000000000000000000000000'",
    "'0.100000000000000000000000000000'",
};
#define COUNT(values) (sizeof(values) / sizeof *(values))

static bool make_place(struct conformance *c)
{
    static const struct fh_collection collection = {"measured", {"v"}};
    char sql[200];
    if (c->model == FH_RELATIONAL) {
        snprintf(sql, sizeof sql,
                 "CREATE TABLE measured (id INTEGER PRIMARY KEY, r DOUBLE PRECISION, %s, j %s)",
                 c->engine->decimals, c->engine->json);
        return conformance_does(c, sql, NULL) == FH_OK;
    }
    if (c->model == FH_KEY_VALUE)
        return prepare(c);
    struct store_work *work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    if (!work || document_engine(c->store)->prepare(work, &collection, 1, &c->error) != FH_OK)
        return false;
    return conformance_commit(c, work) == FH_OK;
}

static bool put_document(struct conformance *c, const char *text)
{
    json_t *document = conformance_json(text);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    bool put =
        work && document_engine(c->store)->insert(work, "measured", document, &c->error) == FH_OK;
    json_decref(document);
    return put && conformance_commit(c, work) == FH_OK;
}

/* The first one that is found by exactly this value, through the index. */
static bool finds_document(struct conformance *c, const char *value, const char *text)
{
    char wanted[200];
    json_t *list = NULL;
    struct store_work *work = conformance_begin(c, STORE_READ);
    snprintf(wanted, sizeof wanted, "{'v':%s}", value);
    json_t *filter = conformance_json(wanted);
    struct document_find find = {filter, NULL, NULL, 1};
    if (work)
        document_engine(c->store)->find(work, "measured", &find, &list, &c->error);
    bool found = conformance_is(c, json_array_get(list, 0), text);
    json_decref(filter);
    json_decref(list);
    if (work)
        conformance_rollback(c, work);
    return found;
}

static void write_row(char *text, size_t size, const char *column, int id, const char *value)
{
    snprintf(text, size, "{'id':%d,'%s':%s}", id, column, value);
}

static void write_document(char *text, size_t size, int id, const char *value)
{
    snprintf(text, size, "{'id':'m%d','v':%s,'in':{'list':[%s]}}", id, value, value);
}

static bool put_number(struct conformance *c, const char *column, int id, const char *value)
{
    char sql[120], text[400];
    if (c->model == FH_RELATIONAL) {
        snprintf(sql, sizeof sql, "INSERT INTO measured (id, %s) VALUES (:id, :%s)", column,
                 column);
        write_row(text, sizeof text, column, id, value);
        return conformance_does(c, sql, text) == FH_OK;
    }
    if (c->model == FH_DOCUMENT) {
        write_document(text, sizeof text, id, value);
        return put_document(c, text);
    }
    json_t *json = conformance_json(value);
    char *json_as_text = json_text(json), key[16];
    snprintf(key, sizeof key, "m%d", id);
    bool put = puts_value(c, key, json_as_text) && puts_field(c, "all", key, json_as_text);
    json_text_free(json_as_text);
    json_decref(json);
    return put;
}

static bool holds_number(struct conformance *c, const char *column, int id, const char *value)
{
    char sql[120], text[400], listed[402];
    if (c->model == FH_RELATIONAL) {
        snprintf(sql, sizeof sql, "SELECT id, %s FROM measured WHERE id = %d", column, id);
        write_row(text, sizeof text, column, id, value);
        snprintf(listed, sizeof listed, "[%s]", text);
        return conformance_reads(c, sql, listed);
    }
    if (c->model == FH_DOCUMENT) {
        write_document(text, sizeof text, id, value);
        return finds_document(c, value, text);
    }
    char key[16];
    snprintf(key, sizeof key, "m%d", id);
    struct keyvalue_view view = begin(c, STORE_READ, 0);
    json_t *all = view.work ? read_key(c, &view, "all") : NULL;
    bool same = view.work && shows(c, &view, key, value) &&
                conformance_is(c, json_object_get(all, key), value);
    json_decref(all);
    if (view.work)
        conformance_rollback(c, view.work);
    return same;
}

static void they_come_back(struct conformance *c, const char *column, const char *const *values,
                           size_t count)
{
    EXPECT(make_place(c));
    for (size_t i = 0; i < count; i++) {
        EXPECT(put_number(c, column, (int)i, values[i]));
        EXPECT(holds_number(c, column, (int)i, values[i]));
    }
    conformance_reopen(c);
    for (size_t i = 0; i < count; i++)
        EXPECT(holds_number(c, column, (int)i, values[i]));
}

static void numbers_come_back_as_the_same_doubles(struct conformance *c)
{
    they_come_back(c, "r", numbers, COUNT(numbers));
}

static void decimals_come_back_with_their_zeros(struct conformance *c)
{
    they_come_back(c, "d", decimals, COUNT(decimals));
}

static void decimals_of_65_digits_come_back(struct conformance *c)
{
    they_come_back(c, "w", wide_decimals, COUNT(wide_decimals));
}

/* A zero's sign is no part of its value, and not every store keeps it. */
static void a_negative_zero_comes_back_as_a_real_zero(struct conformance *c)
{
    bool signless = c->engine->signless_zero & 1u << c->model;
    EXPECT(make_place(c));
    EXPECT(put_number(c, "r", 1, "-0.0"));
    EXPECT(holds_number(c, "r", 1, signless ? "0.0" : "-0.0"));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(numbers_come_back_as_the_same_doubles),
        CASE(decimals_come_back_with_their_zeros),
        CASE(decimals_of_65_digits_come_back),
        CASE(a_negative_zero_comes_back_as_a_real_zero),
    };
    return conformance_main_every(rows, sizeof rows / sizeof *rows);
}
