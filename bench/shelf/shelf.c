/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Books, for the benchmarks: a hundred at a time, as rows alone or with what is searched of them,
 * and questions. Their words are made up, and as uneven as those of a language: of 5,000 the first
 * one is in most books, the last ones in a few.
 */

#include <freehold.h>
#include <stdio.h>

#define BOOKS_AT_ONCE 100
#define WORDS 5000
#define TITLE_WORDS 5
#define TEXT_WORDS 60
#define WORD_SIZE 12

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13; /* xorshift */
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static json_t *words_of(uint64_t *state, int count)
{
    char text[TEXT_WORDS * WORD_SIZE] = "";
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        double even = (double)(next_random(state) >> 11) / (double)(UINT64_C(1) << 53);
        int word = (int)(even * even * even * WORDS);
        length +=
            (size_t)snprintf(text + length, sizeof text - length, "%sword%d", i ? " " : "", word);
    }
    return json_string(text);
}

static json_t *book_of(fh_work *w, int id)
{
    uint64_t state = (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int i = 0; i < 8; i++)
        next_random(&state);
    json_t *title = words_of(&state, TITLE_WORDS), *text = words_of(&state, TEXT_WORDS);
    return fh_object(w, "id", id, "title", title, "text", text, "shelf",
                     fh_format(w, "shelf%d", (int)(next_random(&state) % 20)), "year",
                     (int)(1900 + next_random(&state) % 120));
}

static void add_books(fh_work *w)
{
    int from = (int)json_integer_value(json_object_get(fh_path(w), "from"));
    bool searched = json_is_true(json_object_get(fh_body(w), "searched"));
    for (int i = 0; i < BOOKS_AT_ONCE; i++) {
        json_t *book = book_of(w, from + i);
        fh_exec(w, "INSERT INTO books VALUES (:id, :title, :text, :shelf, :year)", book);
        if (searched)
            fh_derive(w, "books", fh_format(w, "%d", from + i), book);
    }
    fh_reply(w, 201, NULL);
}

/* One more, of a word that no other book has: its number. */
static void add_marked_book(fh_work *w)
{
    int id = (int)json_integer_value(json_object_get(fh_path(w), "id"));
    json_t *book = book_of(w, id);
    json_object_set(book, "title", json_string(fh_format(w, "mark%d", id)));
    fh_exec(w, "INSERT INTO books VALUES (:id, :title, :text, :shelf, :year)", book);
    fh_derive(w, "books", fh_format(w, "%d", id), book);
    fh_reply(w, 201, NULL);
}

/* Of all of them, though not all may have been given out to be searched: those on a server are. */
static void every_book(fh_work *w)
{
    fh_reply(
        w, 200,
        fh_rows(w, "SELECT * FROM books WHERE id > :after ORDER BY id LIMIT :limit", fh_query(w)));
}

/* What a rival is given: the same books, as they are. */
static void make_books(fh_work *w)
{
    int from = (int)json_integer_value(json_object_get(fh_path(w), "from"));
    json_t *books = json_array();
    for (int i = 0; i < BOOKS_AT_ONCE; i++)
        json_array_append(books, book_of(w, from + i));
    fh_reply(w, 200, books);
}

static void search(fh_work *w)
{
    const struct fh_search question = {.text = json_string_value(json_object_get(fh_query(w), "q")),
                                       .facets = (const char *const[]){"shelf", NULL},
                                       .highlight = "text",
                                       .prefix = true};
    fh_reply(w, 200, fh_search(w, "books", &question));
}

static const fh_field added_shape[] = {{"searched", FH_BOOL}, {0}};
static const fh_field search_shape[] = {{"q", FH_STRING, .max = 200}, {0}};
static const struct fh_derived_field book_fields[] = {{"title", FH_STRING, FH_TEXT, .weight = 5},
                                                      {"text", FH_STRING, FH_TEXT},
                                                      {"shelf", FH_STRING, FH_FACET},
                                                      {"year", FH_INT, FH_SORTED},
                                                      {0}};

FH_SERVICE(shelf, .model = FH_RELATIONAL,
           .routes = {{"POST", "/books/{from:int}", add_books, .body = added_shape},
                      {"POST", "/marked/{id:int}", add_marked_book, .auth = FH_ANYONE},
                      {"GET", "/books/{from:int}", make_books},
                      {"GET", "/search", search, .query = search_shape, .auth = FH_ANYONE}},
           .derives = {{"books", FH_SEARCH, book_fields, .state = every_book, .keys = FH_INT}});
