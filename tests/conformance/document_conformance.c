/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The document model. Finding is compared with a reference that checks every document with
 * document_matches and sorts them all: whatever an engine does with its indexes, its answers are
 * the same, page by page.
 */

#include "conformance.h"

#include <stdlib.h>

#include "store/document/document.h"
#include "store/document/value.h"

#define THINGS 120
#define BUYERS 20
#define STOCK 12

static const struct document_ops *documents(struct conformance *c)
{
    return document_engine(c->store);
}

static bool prepare(struct conformance *c, const struct fh_collection *collections, int count)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    if (!work)
        return false;
    if (documents(c)->prepare(work, collections, count, &c->error) == FH_OK)
        return conformance_commit(c, work) == FH_OK;
    conformance_rollback(c, work);
    return false;
}

static const struct fh_collection thing_collection = {"thing", {"v", "o.v"}};

static void make_things(struct conformance *c)
{
    EXPECT(prepare(c, &thing_collection, 1));
}

static enum fh_code insert_value(struct conformance *c, struct store_work *work,
                                 const char *collection, json_t *document)
{
    enum fh_code code = documents(c)->insert(work, collection, document, &c->error);
    json_decref(document);
    return code;
}

/* One document in a unit of work of its own. */
static enum fh_code insert(struct conformance *c, const char *collection, const char *text)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return c->error.code;
    enum fh_code code = insert_value(c, work, collection, conformance_json(text));
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

static enum fh_code update_in(struct conformance *c, struct store_work *work, const char *id,
                              const char *filter_text, const char *update_text, json_t **ret)
{
    json_t *filter = filter_text ? conformance_json(filter_text) : NULL;
    json_t *update = conformance_json(update_text);
    struct fh_error error = {0};
    enum fh_code code = documents(c)->update(work, "thing", id, filter, update, ret, &error);
    json_decref(filter);
    json_decref(update);
    if (code != FH_OK)
        c->error = error;
    return code;
}

static enum fh_code update(struct conformance *c, const char *id, const char *filter_text,
                           const char *update_text)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    json_t *document = NULL;
    if (!work)
        return c->error.code;
    enum fh_code code = update_in(c, work, id, filter_text, update_text, &document);
    json_decref(document);
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

static bool holds(struct conformance *c, const char *id, const char *text)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    json_t *document = NULL;
    if (!work)
        return false;
    documents(c)->get(work, "thing", id, &document, &c->error);
    conformance_rollback(c, work);
    bool same = conformance_is(c, document, text);
    json_decref(document);
    return same;
}

static json_t *find_in(struct conformance *c, struct store_work *work, const char *filter_text,
                       const char *sort_text, const char *after, int limit)
{
    json_t *filter = filter_text ? conformance_json(filter_text) : NULL;
    json_t *sort = sort_text ? conformance_json(sort_text) : NULL, *list = NULL;
    struct document_find find = {filter, sort, after, limit};
    documents(c)->find(work, "thing", &find, &list, &c->error);
    json_decref(filter);
    json_decref(sort);
    return list;
}

/* The ids found, as "a b c". */
static bool finds(struct conformance *c, const char *filter, const char *sort, const char *after,
                  int limit, const char *ids)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    if (!work)
        return false;
    json_t *list = find_in(c, work, filter, sort, after, limit);
    conformance_rollback(c, work);
    char got[1024] = "";
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t used = strlen(got);
        snprintf(got + used, sizeof got - used, "%s%s", i ? " " : "",
                 json_string_at(json_array_get(list, i), "id"));
    }
    bool same = list && strcmp(got, ids) == 0;
    json_decref(list);
    if (!same && !c->failure[0])
        snprintf(c->failure, sizeof c->failure, "%.200s sort %.60s after %.60s: %.300s; not %.300s",
                 filter ? filter : "{}", sort ? sort : "-", after ? after : "-", got, ids);
    return same;
}

/* ---- One document ---- */

static void documents_come_back_as_they_were_stored(struct conformance *c)
{
    static const char *const texts[] = {
        "{'id':'d0'}",
        "{'z':1,'id':'d1','a':[1,{'b':null},[]],'t':true,'f':false,'e':{},'s':''}",
        "{'id':'d2','i':9223372036854775807,'j':-9223372036854775808,'r':0.5,'w':3.0}",
        "{'id':'d3','\u00e9':'\u4e2d\U0001f600','nul':'a\\u0000b','a.b':1,'':2}",
    };
    make_things(c);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char id[8];
        snprintf(id, sizeof id, "d%zu", i);
        EXPECT(insert(c, "thing", texts[i]) == FH_OK);
        EXPECT(holds(c, id, texts[i]));
    }
    conformance_reopen(c);
    EXPECT(!c->failure[0]);
    EXPECT(holds(c, "d1", texts[1]));
}

static void an_id_is_taken_once(struct conformance *c)
{
    make_things(c);
    EXPECT(insert(c, "thing", "{'id':'a','v':1}") == FH_OK);
    EXPECT(insert(c, "thing", "{'id':'a','v':2}") == FH_CONFLICT);
    EXPECT(!c->error.retryable && strcmp(c->error.field, "id") == 0);
    EXPECT(strstr(c->error.message, "'a'"));
    EXPECT(holds(c, "a", "{'id':'a','v':1}"));
}

static void what_is_no_document_is_refused(struct conformance *c)
{
    make_things(c);
    EXPECT(insert(c, "thing", "{'v':1}") == FH_INVALID && strcmp(c->error.field, "id") == 0);
    EXPECT(insert(c, "thing", "{'id':7}") == FH_INVALID && strcmp(c->error.field, "id") == 0);
    EXPECT(insert(c, "thing", "{'id':'x','a':{'$b':1}}") == FH_INVALID);
    EXPECT(strcmp(c->error.field, "a/$b") == 0);
    EXPECT(insert(c, "thing", "[]") == FH_INVALID);
    EXPECT(finds(c, NULL, NULL, NULL, 10, ""));
}

static bool insert_of_size(struct conformance *c, const char *id, size_t size,
                           enum fh_code expected)
{
    char *text = malloc(size + 1);
    memset(text, 'x', size);
    text[size] = '\0';
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    enum fh_code code =
        insert_value(c, work, "thing", json_pack("{s:s, s:s}", "id", id, "t", text));
    if (code == FH_OK)
        code = conformance_commit(c, work);
    else
        conformance_rollback(c, work);
    json_t *document = NULL;
    if (code == FH_OK) {
        work = conformance_begin(c, STORE_READ);
        documents(c)->get(work, "thing", id, &document, &c->error);
        conformance_rollback(c, work);
    }
    const char *read = json_string_at(document, "t");
    bool same = code == expected && (code != FH_OK || (read && strcmp(read, text) == 0));
    json_decref(document);
    free(text);
    return same;
}

static void a_megabyte_fits_and_more_is_refused(struct conformance *c)
{
    make_things(c);
    EXPECT(insert_of_size(c, "large", 1000000, FH_OK));
    EXPECT(insert_of_size(c, "larger", DOCUMENT_SIZE_MAX, FH_INVALID));
    EXPECT(strcmp(c->error.field, "document") == 0);
}

static void a_document_that_is_not_there_is_not_found(struct conformance *c)
{
    make_things(c);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    json_t *document = NULL;
    bool existed = true;
    EXPECT(documents(c)->get(work, "thing", "no", &document, &c->error) == FH_NOT_FOUND);
    EXPECT(strstr(c->error.message, "'no'"));
    EXPECT(update_in(c, work, "no", NULL, "{'$set':{'v':1}}", &document) == FH_NOT_FOUND);
    EXPECT(documents(c)->remove(work, "thing", "no", &existed, &c->error) == FH_OK && !existed);
}

static void an_update_returns_the_document_as_it_is_then(struct conformance *c)
{
    make_things(c);
    EXPECT(insert(c, "thing", "{'id':'a','v':5}") == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    json_t *document = NULL;
    EXPECT(update_in(c, work, "a", "{'v':{'$gte':3}}", "{'$inc':{'v':-3},'$set':{'w':1}}",
                     &document) == FH_OK);
    bool same = conformance_is(c, document, "{'id':'a','v':2,'w':1}");
    json_decref(document);
    EXPECT(same);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(holds(c, "a", "{'id':'a','v':2,'w':1}"));
}

static void an_update_that_does_not_fit_changes_nothing(struct conformance *c)
{
    make_things(c);
    EXPECT(insert(c, "thing", "{'id':'a','v':2,'s':'x'}") == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    json_t *document = NULL;
    EXPECT(update_in(c, work, "a", "{'v':{'$gte':3}}", "{'$inc':{'v':-3}}", &document) ==
           FH_CONFLICT);
    EXPECT(!c->error.retryable && !c->error.field[0]);
    EXPECT(update_in(c, work, "a", NULL, "{'$inc':{'s':1,'v':1}}", &document) == FH_CONFLICT);
    EXPECT(!c->error.retryable && strcmp(c->error.field, "s") == 0);
    EXPECT(update_in(c, work, "a", NULL, "{'$set':{'id':'b'}}", &document) == FH_INVALID);
    EXPECT(strcmp(c->error.field, "id") == 0);
    EXPECT(update_in(c, work, "a", NULL, "{'$replace':{}}", &document) == FH_INVALID);
    EXPECT(!c->error.field[0] && strstr(c->error.message, "$replace"));
    EXPECT(update_in(c, work, "a", "{'v':{'$regex':'x'}}", "{'$set':{'v':1}}", &document) ==
           FH_INVALID);
    EXPECT(!c->error.field[0] && strstr(c->error.message, "$regex"));
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(holds(c, "a", "{'id':'a','v':2,'s':'x'}"));
    EXPECT(finds(c, "{'v':2}", NULL, NULL, 10, "a"));
}

/* ---- Units of work ---- */

static void a_rolled_back_work_leaves_no_document_and_no_key(struct conformance *c)
{
    make_things(c);
    EXPECT(insert(c, "thing", "{'id':'a','v':1}") == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    json_t *document = NULL;
    bool existed = false;
    EXPECT(insert_value(c, work, "thing", conformance_json("{'id':'b','v':1}")) == FH_OK);
    conformance_rollback(c, work);
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(update_in(c, work, "a", NULL, "{'$set':{'v':7}}", &document) == FH_OK);
    json_decref(document);
    EXPECT(documents(c)->remove(work, "thing", "a", &existed, &c->error) == FH_OK && existed);
    conformance_rollback(c, work);
    EXPECT(finds(c, NULL, NULL, NULL, 10, "a"));
    EXPECT(finds(c, "{'v':1}", NULL, NULL, 10, "a"));
    EXPECT(finds(c, "{'v':7}", NULL, NULL, 10, ""));
}

static void a_work_finds_its_own_changes_and_a_snapshot_none_of_them(struct conformance *c)
{
    make_things(c);
    EXPECT(insert(c, "thing", "{'id':'a','v':1}") == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    json_t *document = NULL;
    EXPECT(update_in(c, work, "a", NULL, "{'$set':{'v':2}}", &document) == FH_OK);
    json_decref(document);
    json_t *list = find_in(c, work, "{'v':2}", NULL, NULL, 10);
    bool same = conformance_is(c, list, "[{'id':'a','v':2}]");
    json_decref(list);
    EXPECT(same);
    EXPECT(finds(c, "{'v':2}", NULL, NULL, 10, ""));
    EXPECT(holds(c, "a", "{'id':'a','v':1}"));
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(finds(c, "{'v':2}", NULL, NULL, 10, "a"));
}

static void a_reading_work_changes_no_document(struct conformance *c)
{
    make_things(c);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    EXPECT(insert_value(c, work, "thing", conformance_json("{'id':'b','v':1}")) != FH_OK);
    conformance_rollback(c, work);
    EXPECT(finds(c, NULL, NULL, NULL, 10, ""));
}

struct buyer {
    struct conformance *c;
    int bought, refused;
};

static void buy(void *argument)
{
    struct buyer *buyer = argument;
    struct conformance *c = buyer->c;
    for (int tries = 0; tries < 100; tries++) {
        struct store_work *work = conformance_begin(c, tries ? STORE_WRITE_EXCLUSIVE : STORE_WRITE);
        json_t *document = NULL;
        EXPECT(work);
        enum fh_code code =
            update_in(c, work, "a", "{'v':{'$gte':1}}", "{'$inc':{'v':-1}}", &document);
        json_decref(document);
        if (code == FH_OK)
            fiber_yield();
        if (code == FH_OK)
            code = conformance_commit(c, work);
        else
            conformance_rollback(c, work);
        if (code == FH_CONFLICT && c->error.retryable)
            continue;
        buyer->bought += code == FH_OK;
        buyer->refused += code == FH_CONFLICT;
        return;
    }
}

static void stock_is_sold_once(struct conformance *c)
{
    make_things(c);
    char text[64];
    snprintf(text, sizeof text, "{'id':'a','v':%d}", STOCK);
    EXPECT(insert(c, "thing", text) == FH_OK);
    struct buyer buyers[BUYERS] = {0};
    int bought = 0, refused = 0;
    for (int i = 0; i < BUYERS; i++) {
        buyers[i].c = c;
        conformance_start(c, buy, &buyers[i]);
    }
    conformance_join(c);
    for (int i = 0; i < BUYERS; i++) {
        bought += buyers[i].bought;
        refused += buyers[i].refused;
    }
    EXPECT(bought == STOCK && refused == BUYERS - STOCK);
    EXPECT(holds(c, "a", "{'id':'a','v':0}"));
}

/* ---- Collections ---- */

static void collections_are_what_is_declared(struct conformance *c)
{
    make_things(c);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    json_t *ret = NULL;
    EXPECT(documents(c)->get(work, "other", "a", &ret, &c->error) == FH_INVALID);
    EXPECT(strstr(c->error.message, "other") && !c->error.field[0]);
    EXPECT(insert_value(c, work, "other", conformance_json("{'id':'a'}")) == FH_INVALID);
    struct document_find find = {.limit = 1};
    EXPECT(documents(c)->find(work, "thing; --", &find, &ret, &c->error) == FH_INVALID);
    conformance_rollback(c, work);
    static const struct fh_collection wrong[] = {
        {"Thing", {NULL}},   {"", {NULL}},      {"1st", {NULL}},
        {"thing", {"a..b"}}, {"thing", {"$a"}}, {"thing", {"id"}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        EXPECT(!prepare(c, &wrong[i], 1) && c->error.code == FH_INVALID);
    make_things(c);
}

static void indexes_are_built_of_what_is_there_and_dropped(struct conformance *c)
{
    static const struct fh_collection bare = {"thing", {NULL}}, other = {"thing", {"w"}};
    EXPECT(prepare(c, &bare, 1));
    EXPECT(insert(c, "thing", "{'id':'a','v':[1,2],'w':'x'}") == FH_OK);
    EXPECT(insert(c, "thing", "{'id':'b','v':2}") == FH_OK);
    make_things(c);
    EXPECT(finds(c, "{'v':2}", NULL, NULL, 10, "a b"));
    EXPECT(finds(c, "{'v':{'$gt':1,'$lt':2}}", NULL, NULL, 10, "a"));
    EXPECT(prepare(c, &other, 1));
    EXPECT(update(c, "b", NULL, "{'$set':{'v':9}}") == FH_OK);
    EXPECT(finds(c, "{'v':2}", NULL, NULL, 10, "a"));
    EXPECT(finds(c, NULL, "{'w':-1}", NULL, 10, "a b"));
    make_things(c);
    EXPECT(finds(c, "{'v':2}", NULL, NULL, 10, "a"));
    EXPECT(finds(c, NULL, "{'v':-1}", NULL, 10, "b a"));
    conformance_reopen(c);
    EXPECT(!c->failure[0]);
    make_things(c);
    EXPECT(finds(c, "{'v':9}", NULL, NULL, 10, "b"));
}

static void indexes_follow_every_change(struct conformance *c)
{
    make_things(c);
    EXPECT(insert(c, "thing", "{'id':'a','v':[1,2,3]}") == FH_OK);
    EXPECT(insert(c, "thing", "{'id':'b','v':2}") == FH_OK);
    EXPECT(finds(c, "{'v':{'$in':[1,3]}}", NULL, NULL, 10, "a"));
    EXPECT(finds(c, "{'v':{'$gt':1,'$lt':3}}", NULL, NULL, 10, "a b"));
    EXPECT(update(c, "a", NULL, "{'$pull':{'v':{'$gte':2}}}") == FH_OK);
    EXPECT(finds(c, "{'v':3}", NULL, NULL, 10, ""));
    EXPECT(finds(c, "{'v':{'$gt':0,'$lt':2}}", NULL, NULL, 10, "a"));
    EXPECT(update(c, "a", NULL, "{'$set':{'v':[7,8]}}") == FH_OK);
    EXPECT(finds(c, "{'v':8}", NULL, NULL, 10, "a"));
    EXPECT(update(c, "a", NULL, "{'$unset':{'v':''}}") == FH_OK);
    EXPECT(finds(c, "{'v':null}", NULL, NULL, 10, "a"));
    EXPECT(update(c, "a", NULL, "{'$set':{'v':[]}}") == FH_OK);
    EXPECT(finds(c, "{'v':null}", NULL, NULL, 10, ""));
    EXPECT(finds(c, NULL, "{'v':1}", NULL, 10, "a b"));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    bool existed = false;
    EXPECT(documents(c)->remove(work, "thing", "a", &existed, &c->error) == FH_OK && existed);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(finds(c, NULL, "{'v':1}", NULL, 10, "b"));
    EXPECT(insert(c, "thing", "{'id':'a','v':5}") == FH_OK);
    EXPECT(finds(c, NULL, "{'v':-1}", NULL, 10, "a b"));
}

/* Of the last two nothing is found without a number: a path goes through one array by itself. */
static void elements_are_found_by_their_numbers_in_arrays_of_arrays_too(struct conformance *c)
{
    make_things(c);
    EXPECT(insert(c, "thing", "{'id':'a','v':[[{'b':1}],[4,5]]}") == FH_OK);
    EXPECT(insert(c, "thing", "{'id':'b','v':[{'b':1}]}") == FH_OK);
    EXPECT(finds(c, "{'v.0.b':1}", NULL, NULL, 10, "a b"));
    EXPECT(finds(c, "{'v.1.1':5}", NULL, NULL, 10, "a"));
    EXPECT(finds(c, "{'$or':[{'v.1.0':{'$gt':3}},{'v.b':2}]}", NULL, NULL, 10, "a"));
    EXPECT(finds(c, "{'v.b':1}", NULL, NULL, 10, "b"));
    EXPECT(finds(c, "{'v':5}", NULL, NULL, 10, ""));
}

static void finds_are_checked(struct conformance *c)
{
    static const struct {
        const char *filter, *sort, *after;
        int limit;
        const char *field, *names;
    } rows[] = {
        {"{'v':{'$bad':1}}", NULL, NULL, 1, "", "$bad"},
        {NULL, "{}", NULL, 1, "", "sort"},
        {NULL, "{'v':2}", NULL, 1, "", "'v'"},
        {NULL, "{'v':'up'}", NULL, 1, "", "'v'"},
        {NULL, "{'$v':1}", NULL, 1, "", "$v"},
        {NULL, "{'a':1,'b':1,'c':1,'d':1,'e':1}", NULL, 1, "", "fields"},
        {NULL, NULL, NULL, 0, "limit", "limit"},
        {NULL, NULL, NULL, DOCUMENTS_MAX + 1, "limit", "limit"},
        {NULL, "{'v':1}", "gone", 1, "after", "gone"},
    };
    make_things(c);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct store_work *work = conformance_begin(c, STORE_READ);
        EXPECT(work);
        json_t *list = find_in(c, work, rows[i].filter, rows[i].sort, rows[i].after, rows[i].limit);
        conformance_rollback(c, work);
        bool refused = !list && c->error.code == FH_INVALID;
        json_decref(list);
        EXPECT(refused);
        EXPECT(strcmp(c->error.field, rows[i].field) == 0);
        EXPECT(strstr(c->error.message, rows[i].names));
    }
    EXPECT(finds(c, NULL, NULL, "gone", 10, "")); /* by id alone it need not be there */
}

/* ---- Finding, held against a reference ---- */

/* What `v`, `o.v` and the unindexed `u` take: each kind, arrays, nothing. */
static const char *const values[] = {
    "1",
    "2",
    "2.0",
    "3",
    "2.5",
    "-1",
    "null",
    "'a'",
    "'b'",
    "'ab'",
    "''",
    "true",
    "false",
    "[]",
    "[1,3]",
    "[0,9]",
    "['a',2]",
    "[[1]]",
    "[null,5]",
    "{'x':1}",
    "[{'x':1},'b']",
    "{'x':[]}",
    "100000000000000000",
};
#define VALUES (sizeof values / sizeof *values)

static const char *const filters[] = {
    NULL,
    "{'%s':2}",
    "{'%s':null}",
    "{'%s':'a'}",
    "{'%s':true}",
    "{'%s':{'x':1}}",
    "{'%s':[1,3]}",
    "{'%s':[]}",
    "{'%s':{'$ne':2}}",
    "{'%s':{'$in':[2,'b',null]}}",
    "{'%s':{'$in':[]}}",
    "{'%s':{'$in':[[1,3],7]}}",
    "{'%s':{'$in':[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,'a']}}",
    "{'%s':{'$gt':2}}",
    "{'%s':{'$gte':2}}",
    "{'%s':{'$lt':2}}",
    "{'%s':{'$lte':2}}",
    "{'%s':{'$gt':1,'$lt':3}}",
    "{'%s':{'$gte':2,'$lte':2}}",
    "{'%s':{'$gt':5,'$lt':1}}",
    "{'%s':{'$gte':'a','$lt':'b'}}",
    "{'%s':{'$gte':null}}",
    "{'%s':{'$gt':false}}",
    "{'%s':{'$gt':1,'$lt':'b'}}",
    "{'%s':{'$not':{'$gt':1}}}",
    "{'%s':{'$exists':false}}",
    "{'%s':{'$elemMatch':{'$gt':0,'$lt':4}}}",
    "{'$or':[{'%s':2},{'%s':'a'}]}",
    "{'$and':[{'%s':{'$gt':0}},{'%s':{'$lt':3}}]}",
    "{'id':{'$in':['t7','t3','none','t3']}}",
    "{'id':'t9','%s':{'$exists':true}}",
    "{'id':{'$gt':'t5'}}",
};
#define FILTERS (sizeof filters / sizeof *filters)

static const char *const sorts[] = {
    NULL, "{'id':-1}", "{'%s':1}", "{'%s':-1}", "{'%s':1,'n':-1}", "{'n':-1,'%s':1}", "{'n':1}",
};
#define SORTS (sizeof sorts / sizeof *sorts)

static void make_many(struct conformance *c)
{
    make_things(c);
    unsigned random = 1;
    for (int i = 0; i < THINGS; i++) {
        char text[256], v[80] = "";
        random = random * 1103515245 + 12345;
        const char *value = values[random / 65536 % VALUES];
        if (i % 10) /* every tenth has none */
            snprintf(v, sizeof v, "'v':%s,'u':%s,'o':{'v':%s},", value, value, value);
        snprintf(text, sizeof text, "{'id':'t%d',%s'n':%d}", i, v, i % 3);
        EXPECT(insert(c, "thing", text) == FH_OK);
    }
}

/* What a document sorts by: an array by its least element, or greatest. */
static const json_t *sort_value(const json_t *document, const char *path, bool descending)
{
    const json_t *value = json_at(document, path), *best = NULL;
    if (!json_is_array(value) || json_array_size(value) == 0)
        return value;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *element = json_array_get(value, i);
        int order = best ? document_compare(element, best) : 0;
        if (!best || (descending ? order > 0 : order < 0))
            best = element;
    }
    return best;
}

static int compare_sorted(const json_t *left, const json_t *right, bool descending)
{
    bool left_empty = json_is_array(left) && json_array_size(left) == 0;
    bool right_empty = json_is_array(right) && json_array_size(right) == 0;
    int order =
        left_empty || right_empty ? right_empty - left_empty : document_compare(left, right);
    return descending ? -order : order;
}

static const json_t *sorting_by; /* of compare_documents, as qsort passes nothing on */

static int compare_documents(const void *left, const void *right)
{
    json_t *const *a = left, *const *b = right;
    bool first_descending = false, first = true;
    const char *path;
    json_t *direction;
    json_object_foreach (document_iterable(sorting_by), path, direction) {
        bool descending = json_integer_value(direction) < 0;
        if (first)
            first_descending = descending;
        first = false;
        int order = compare_sorted(sort_value(*a, path, descending),
                                   sort_value(*b, path, descending), descending);
        if (order)
            return order;
    }
    int order = strcmp(json_string_at(*a, "id"), json_string_at(*b, "id"));
    return first_descending ? -order : order;
}

/* All that match, in order, found by checking every one. */
static json_t *reference(const json_t *all, const char *filter_text, const char *sort_text)
{
    json_t *filter = filter_text ? conformance_json(filter_text) : NULL;
    json_t *sort = sort_text ? conformance_json(sort_text) : NULL;
    json_t *matching[THINGS], *list = json_array();
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(all); i++) {
        enum fh_code code;
        if (document_matches(json_array_get(all, i), filter, &code, ERROR_UNHEEDED))
            matching[count++] = json_array_get(all, i);
    }
    sorting_by = sort;
    qsort(matching, count, sizeof *matching, compare_documents);
    for (size_t i = 0; i < count; i++)
        json_array_append(list, matching[i]);
    json_decref(filter);
    json_decref(sort);
    return list;
}

/* All pages of `limit`, each after the last document of the one before. */
static json_t *all_pages(struct conformance *c, struct store_work *work, const char *filter,
                         const char *sort, int limit)
{
    json_t *list = json_array();
    const char *after = NULL;
    for (int pages = 0; pages <= THINGS; pages++) {
        json_t *page = find_in(c, work, filter, sort, after, limit);
        size_t count = json_array_size(page);
        if (!page || count > (size_t)limit) {
            conformance_note(c, __FILE__, __LINE__, "a page is found, no larger than asked for");
            break;
        }
        json_array_extend(list, page);
        json_decref(page);
        if (count == 0)
            break;
        after = json_string_at(json_array_get(list, json_array_size(list) - 1), "id");
    }
    return list;
}

static void compare_with_reference(struct conformance *c, struct store_work *work,
                                   const json_t *all, const char *filter, const char *sort)
{
    static const int limits[] = {1000, 7};
    json_t *wanted = reference(all, filter, sort);
    for (int i = 0; i < 2 && !c->failure[0]; i++) {
        json_t *got = all_pages(c, work, filter, sort, limits[i]);
        if (!json_equal(got, wanted) && !c->failure[0]) {
            char *got_text = json_text(got), *wanted_text = json_text(wanted);
            snprintf(c->failure, sizeof c->failure,
                     "%.120s sort %.60s, pages of %d: got %.380s, expected %.380s",
                     filter ? filter : "all", sort ? sort : "none", limits[i], got_text,
                     wanted_text);
            json_text_free(got_text);
            json_text_free(wanted_text);
        }
        json_decref(got);
    }
    json_decref(wanted);
}

/* Up to two %s of a row, for one field. */
static const char *with_field(char *out, size_t size, const char *row, const char *field)
{
    if (!row)
        return NULL;
    size_t used = 0;
    while (*row && used + 1 < size) {
        bool here = strncmp(row, "%s", 2) == 0;
        int added = here ? snprintf(out + used, size - used, "%s", field)
                         : snprintf(out + used, size - used, "%c", *row);
        used += (size_t)added;
        row += here ? 2 : 1;
    }
    return out;
}

static void compare_field(struct conformance *c, const char *field)
{
    make_many(c);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    json_t *all = find_in(c, work, NULL, NULL, NULL, 1000);
    if (json_array_size(all) != THINGS)
        conformance_note(c, __FILE__, __LINE__, "all documents are found");
    for (size_t f = 0; f < FILTERS && !c->failure[0]; f++) {
        for (size_t s = 0; s < SORTS && !c->failure[0]; s++) {
            char filter[256], sort[128];
            if (c->engine->slow && (f + s) % SORTS != 0)
                continue; /* each filter with one of the sorts */
            compare_with_reference(c, work, all,
                                   with_field(filter, sizeof filter, filters[f], field),
                                   with_field(sort, sizeof sort, sorts[s], field));
        }
    }
    json_decref(all);
}

static void an_indexed_field_is_found_as_by_looking_at_everything(struct conformance *c)
{
    compare_field(c, "v");
}

static void an_indexed_nested_field_is_found_as_by_looking_at_everything(struct conformance *c)
{
    compare_field(c, "o.v");
}

static void an_unindexed_field_is_found_as_by_looking_at_everything(struct conformance *c)
{
    compare_field(c, "u");
}

static void ranges_of_an_index_without_arrays_use_both_bounds(struct conformance *c)
{
    make_things(c);
    for (int i = 0; i < 50; i++) {
        char text[64];
        snprintf(text, sizeof text, "{'id':'t%02d','v':%d}", i, i);
        EXPECT(insert(c, "thing", text) == FH_OK);
    }
    EXPECT(finds(c, "{'v':{'$gt':10,'$lt':13}}", NULL, NULL, 10, "t11 t12"));
    EXPECT(finds(c, "{'v':{'$gte':10,'$lte':12}}", "{'v':-1}", NULL, 10, "t12 t11 t10"));
    EXPECT(finds(c, "{'v':{'$gte':10,'$lte':12}}", "{'v':-1}", "t12", 10, "t11 t10"));
    EXPECT(finds(c, "{'v':{'$gte':10}}", "{'v':1}", "t03", 2, "t10 t11"));
    EXPECT(finds(c, "{'v':{'$lt':3}}", "{'v':-1}", "t40", 10, "t02 t01 t00"));
    EXPECT(finds(c, "{'v':{'$gt':45}}", "{'v':1}", "t49", 10, ""));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(documents_come_back_as_they_were_stored),
        CASE(an_id_is_taken_once),
        CASE(what_is_no_document_is_refused),
        CASE(a_megabyte_fits_and_more_is_refused),
        CASE(a_document_that_is_not_there_is_not_found),
        CASE(an_update_returns_the_document_as_it_is_then),
        CASE(an_update_that_does_not_fit_changes_nothing),
        CASE(a_rolled_back_work_leaves_no_document_and_no_key),
        CASE(a_work_finds_its_own_changes_and_a_snapshot_none_of_them),
        CASE(a_reading_work_changes_no_document),
        CASE(stock_is_sold_once),
        CASE(collections_are_what_is_declared),
        CASE(indexes_are_built_of_what_is_there_and_dropped),
        CASE(indexes_follow_every_change),
        CASE(elements_are_found_by_their_numbers_in_arrays_of_arrays_too),
        CASE(finds_are_checked),
        CASE(an_indexed_field_is_found_as_by_looking_at_everything),
        CASE(an_indexed_nested_field_is_found_as_by_looking_at_everything),
        CASE(an_unindexed_field_is_found_as_by_looking_at_everything),
        CASE(ranges_of_an_index_without_arrays_use_both_bounds),
    };
    return conformance_main(FH_DOCUMENT, rows, sizeof rows / sizeof *rows);
}
