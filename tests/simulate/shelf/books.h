/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_SHELF_BOOKS_H
#define SIMULATE_SHELF_BOOKS_H

/* What all services do: books that are in a ring. What is derived of one is how often it and the
 * one before it were changed, "3.1"; every so often it is gone. Where they are kept is up to who
 * includes this: books_tables.h, books_keys.h. */

#include <freehold.h>
#include <string.h>

#include "shelves.h"

static int changes_of(fh_work *w, const char *id);  /* how often it was changed */
static int change_once(fh_work *w, const char *id); /* the same, behind one more */
static void note_again(fh_work *w, const char *id); /* something that nobody reads */

static const fh_field change_shape[] = {{"id", FH_STRING}, {0}};
static const struct fh_derived_field books_fields[] = {{"name", FH_STRING, FH_TEXT}, {0}};

static inline const char *book_beside(fh_work *w, const char *id, int step)
{
    return fh_format(w, "k%d", (id[1] - '0' + BOOKS + step) % BOOKS);
}

/* NULL: it is gone. */
static inline const char *name_of_book(fh_work *w, const char *id)
{
    int n = changes_of(w, id), m = changes_of(w, book_beside(w, id, -1));
    return n % GONE_AT == 0 ? NULL : fh_format(w, "%d.%d", n, m);
}

static inline void derive_book(fh_work *w, const char *id)
{
    const char *name = name_of_book(w, id);
    if (name)
        fh_derive(w, "books", id, fh_object(w, "name", name));
    else
        fh_derive_gone(w, "books", id);
}

static inline void change_book(fh_work *w)
{
    const char *id = fh_text(w, fh_body(w), "id");
    int n = change_once(w, id);
    derive_book(w, id);
    derive_book(w, book_beside(w, id, 1));
    fh_reply(w, 201, fh_object(w, "n", n));
}

/* Derives it of what it reads, and changes nothing that others read. */
static inline void derive_again(fh_work *w)
{
    const char *id = fh_text(w, fh_body(w), "id");
    note_again(w, id);
    derive_book(w, id);
    fh_reply(w, 204, NULL);
}

static inline void list_books(fh_work *w)
{
    const char *after = fh_text(w, fh_query(w), "after");
    size_t limit = (size_t)fh_int(w, fh_query(w), "limit");
    json_t *list = fh_array(w);
    for (int i = 0; i < BOOKS && json_array_size(list) < limit; i++) {
        const char *id = fh_format(w, "k%d", i);
        const char *name = strcmp(id, after) > 0 ? name_of_book(w, id) : NULL;
        if (name)
            json_array_append_new(list, fh_object(w, "id", id, "name", name));
    }
    fh_reply(w, 200, list);
}

static inline void find_books(fh_work *w)
{
    const struct fh_search all = {.limit = 100};
    fh_reply(w, 200, fh_object(w, "found", fh_search(w, "books", &all)));
}

#define BOOKS_SERVICE(service, in)                                                                 \
    FH_SERVICE(                                                                                    \
        service, .model = in,                                                                      \
        .routes = {{"POST", "/books", change_book, .body = change_shape, .auth = FH_ANYONE},       \
                   {"POST", "/books/again", derive_again, .body = change_shape,                    \
                    .auth = FH_ANYONE},                                                            \
                   {"GET", "/books", find_books, .auth = FH_ANYONE}},                              \
        .derives = {{"books", FH_SEARCH, books_fields, .state = list_books}})

#endif
