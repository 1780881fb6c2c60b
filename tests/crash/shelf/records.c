/* SPDX-License-Identifier: Apache-2.0 */
/* The books of shelf.c without tables: documents, or keys with values (KEYS). The second and third
 * editions, which declare their derived store each in their own way. */

#include <freehold.h>
#include <stdlib.h>

#if KEYS
#define BOOK_MODEL FH_KEY_VALUE

/* Ids have a score of their own, their number, and books are listed in that order. */
static void put_book(fh_work *w, const char *id, json_t *book)
{
    fh_kv_set(w, id, book);
    fh_kv_score_set(w, "books", id, atoi(id + 1));
}

static json_t *list_books(fh_work *w, const char *after, int limit)
{
    json_t *list = json_array(), *each;
    size_t i;
    int64_t least = *after ? atoi(after + 1) + 1 : 0;
    json_array_foreach (fh_kv_lowest(w, "books", least, INT32_MAX, 0, limit), i, each)
        json_array_append_new(list, fh_kv(w, fh_text(w, each, "member")));
    return list;
}
#else
#define BOOK_MODEL FH_DOCUMENT

static void put_book(fh_work *w, const char *id, json_t *book)
{
    (void)id;
    fh_doc_insert(w, "books", book);
}

static json_t *list_books(fh_work *w, const char *after, int limit)
{
    return fh_docs(w, "books", NULL, NULL, *after ? after : NULL, limit);
}
#endif

static const char *make_book(fh_work *w, int number, const char *title, json_t **ret)
{
    const char *id = fh_format(w, "b%07d", number);
    *ret = json_pack("{s:s, s:s}", "id", id, "title", title);
    return id;
}

/* Which no handler derives. */
static void add_quietly(fh_work *w)
{
    json_t *book;
    int number = (int)fh_int(w, fh_body(w), "id");
    const char *id = make_book(w, number, fh_format(w, "Running number %d", number), &book);
    put_book(w, id, book);
}

static void add_book(fh_work *w)
{
    json_t *book;
    const char *title = fh_text(w, fh_body(w), "title");
    const char *id = make_book(w, (int)fh_int(w, fh_body(w), "id"), title, &book);
    fh_derive(w, "books", id, json_pack("{s:s, s:s}", "id", id, "title", title));
    put_book(w, id, book);
    fh_reply(w, 201, fh_object(w, "id", id));
}

static void books_state(fh_work *w)
{
    json_t *query = fh_query(w);
    fh_reply(w, 200, list_books(w, fh_text(w, query, "after"), (int)fh_int(w, query, "limit")));
}

static void find_books(fh_work *w)
{
    const struct fh_search search = {.text = fh_text(w, fh_query(w), "q"), .limit = 3};
    fh_reply(w, 200, fh_search(w, "books", &search));
}

static const fh_field book_shape[] = {{"id", FH_INT}, {"title", FH_STRING}, {0}};
static const fh_field quiet_shape[] = {{"id", FH_INT}, {0}};
static const fh_field find_shape[] = {{"q", FH_STRING, .max = 100}, {0}};
static const struct fh_derived_field books_fields[] = {{"title", FH_STRING, FH_TEXT}, {0}};

FH_SERVICE(shelf, .model = BOOK_MODEL, .collections = {{KEYS ? NULL : "books"}},
           .routes = {{"POST", "/api/books/quiet", add_quietly, .body = quiet_shape,
                       .auth = FH_ANYONE},
                      {"POST", "/api/books", add_book, .body = book_shape, .auth = FH_ANYONE},
                      {"GET", "/api/books", find_books, .query = find_shape, .auth = FH_ANYONE}},
           .derives = {{"books", FH_SEARCH, books_fields, books_state, FH_STRING,
                        EDITION == 3 ? "english" : NULL}});
