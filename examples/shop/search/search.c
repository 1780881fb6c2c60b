/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Search: finds products by the words in their names, categories and descriptions. Owns `products`,
 * a projection: what it has heard, as text in one form.
 *
 * A text is kept as its words in lower case (of A to Z; other letters are kept as they are), each
 * between blanks. A product is found when every word that is looked for begins one of its own.
 */

#include <ctype.h>
#include <freehold.h>
#include <string.h>

#define WORDS_LENGTH_MAX 4000 /* of a product; what is behind is not found */
#define TERMS_MAX 8
#define SHOWN "id,name,price,category,description" /* all that is kept of a product */

/* ASCII letters and digits, and whatever is beyond ASCII, make up words. */
static bool is_of_word(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* Appends the words of `text`, each with a blank behind it. Words are kept whole. */
static size_t add_words(char *words, size_t length, const char *text)
{
    while (text && *text) {
        while (*text && !is_of_word(*text))
            text++;
        size_t word = 0;
        while (text[word] && is_of_word(text[word]))
            word++;
        if (length + word + 2 > WORDS_LENGTH_MAX)
            return length;
        for (size_t i = 0; i < word; i++)
            words[length++] = (char)tolower((unsigned char)text[i]);
        if (word > 0)
            words[length++] = ' ';
        text += word;
    }
    return length;
}

static const char *text_of(json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void product_heard(fh_work *w)
{
    json_t *product = fh_event_data(w);
    char words[WORDS_LENGTH_MAX + 1] = " ";
    size_t length = add_words(words, 1, text_of(product, "name"));
    length = add_words(words, length, text_of(product, "category"));
    length = add_words(words, length, text_of(product, "description"));
    words[length] = '\0';
    fh_exec(w,
            "INSERT INTO products VALUES (:id, :name, :price, :words) ON CONFLICT (id)"
            " DO UPDATE SET name = excluded.name, price = excluded.price, words = excluded.words",
            fh_object(w, "words", words), product);
}

static void product_deleted(fh_work *w)
{
    fh_exec(w, "DELETE FROM products WHERE id = :id", fh_event_data(w));
}

/* A search that begins anew takes over all products there are, and gives up what is gone. Once a
 * day it compares what it shows of them with what they are: a wrong price is worse than a late one.
 */
static void product_gone(fh_work *w)
{
    fh_exec(w, "DELETE FROM products WHERE id = :key", fh_event_data(w));
}

static void products_held(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT id, name, price FROM products WHERE id > :after ORDER BY id"
                     " LIMIT :limit",
                     fh_query(w)));
}

/* What a term looks like in the words, for LIKE: no word has one of its wildcards in it. */
static json_t *patterns_of(fh_work *w)
{
    char terms[WORDS_LENGTH_MAX + 1] = "";
    json_t *patterns = json_object();
    terms[add_words(terms, 0, text_of(fh_query(w), "q"))] = '\0';
    char *rest = terms;
    for (int i = 0; i < TERMS_MAX; i++) {
        const char *term = strsep(&rest, " ");
        json_object_set_new(patterns, fh_format(w, "term%d", i),
                            json_sprintf("%% %s%%", term ? term : ""));
    }
    if (!*terms)
        fh_fail_at(w, 422, "/q", "expected at least one word to look for");
    if (rest && *rest)
        fh_fail_at(w, 422, "/q", "expected at most %d words", TERMS_MAX);
    return patterns;
}

/* In the order of ids, which is no ranking: that is another model's. */
static void search(fh_work *w)
{
    json_t *page = fh_object(w, "after", "", "limit", 20);
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT id, name, price FROM products WHERE id > :after AND words LIKE :term0"
                     " AND words LIKE :term1 AND words LIKE :term2 AND words LIKE :term3"
                     " AND words LIKE :term4 AND words LIKE :term5 AND words LIKE :term6"
                     " AND words LIKE :term7 ORDER BY id LIMIT :limit",
                     patterns_of(w), fh_query(w), page));
}

static const fh_field search_shape[] = {{"q", FH_STRING, .min = 1, .max = 500},
                                        {"limit", FH_INT, .min = 1, .max = 100, .optional = true},
                                        {"after", FH_STRING, .max = 200, .optional = true},
                                        {0}};

static const fh_field found_shape[] = {
    {"id", FH_STRING}, {"name", FH_STRING}, {"price", FH_INT}, {0}};

FH_SERVICE(search, .model = FH_RELATIONAL,
           .routes = {{"GET", "/api/search", search, .query = search_shape,
                       .answer = {200, .each = found_shape}, .auth = FH_ANYONE, .name = "search",
                       .summary = "Finds products by words", .of_view = true}},
           .subscribes = {{"products", "ProductUpdated", product_heard, .fields = SHOWN,
                           .upsert = product_heard, .gone = product_gone, .held = products_held,
                           .sync_s = 24 * 60 * 60},
                          {"products", "ProductCreated", product_heard, .fields = SHOWN,
                           .covered_by = "ProductUpdated"},
                          {"products", "ProductDeleted", product_deleted, .fields = "id",
                           .covered_by = "ProductUpdated"}},
           .shapes = {{"FoundProduct", found_shape}});
