/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LINKS_TALLY_H
#define TESTS_LINKS_TALLY_H

/*
 * What took effect, how often, under a name: the one thing that the services of the link points
 * keep, in each model. Nothing in it prevents a double: that is the runtime's promise, and the
 * tests' question. Compiled once a model, by TALLY_RELATIONAL, TALLY_DOCUMENT or TALLY_KEY_VALUE.
 */

#include <freehold.h>
#include <stdlib.h>

#if defined(TALLY_RELATIONAL)
#define TALLY_MODEL FH_RELATIONAL

/* One statement: requested without a key it is a unit of work that may share its transaction. */
static inline void tally_add(fh_work *w, const char *name, const char *what)
{
    fh_exec(w, "INSERT INTO tally (name, what) VALUES (:name, :what)",
            json_pack("{s:s, s:s}", "name", name, "what", what));
}

/* {"made": 1, "noted": 2} */
static inline json_t *tally_of(fh_work *w, const char *name)
{
    json_t *found = json_object(), *row;
    size_t i;
    json_t *rows =
        fh_rows(w, "SELECT what, count(*) AS times FROM tally WHERE name = :name GROUP BY what",
                json_pack("{s:s}", "name", name));
    json_array_foreach (rows, i, row)
        json_object_set(found, json_string_value(json_object_get(row, "what")),
                        json_object_get(row, "times"));
    return found;
}

/* [{"name"}], after the query's `after`, at most its `limit`. */
static inline json_t *tally_names(fh_work *w)
{
    return fh_rows(w,
                   "SELECT DISTINCT name FROM tally WHERE name > :after ORDER BY name LIMIT :limit",
                   fh_query(w));
}

#elif defined(TALLY_DOCUMENT)
#define TALLY_MODEL FH_DOCUMENT

static inline void tally_add(fh_work *w, const char *name, const char *what)
{
    if (!fh_try_doc_update(w, "tally", name, NULL, json_pack("{s:{s:i}}", "$inc", what, 1)))
        fh_doc_insert(w, "tally", json_pack("{s:s, s:i}", "id", name, what, 1));
}

static inline json_t *tally_of(fh_work *w, const char *name)
{
    json_t *found = fh_try_doc(w, "tally", name);
    if (!found)
        return json_object();
    found = json_copy(found);
    json_object_del(found, "id");
    return found;
}

static inline json_t *tally_names(fh_work *w)
{
    json_t *names = json_array(), *document;
    size_t i;
    json_t *found = fh_docs(w, "tally", json_object(), NULL,
                            json_string_value(json_object_get(fh_query(w), "after")),
                            (int)json_integer_value(json_object_get(fh_query(w), "limit")));
    json_array_foreach (found, i, document)
        json_array_append_new(names, json_pack("{s:O}", "name", json_object_get(document, "id")));
    return names;
}

#else
#define TALLY_MODEL FH_KEY_VALUE

/* Names are numbers of twelve digits: so their scores are in their order. */
static inline void tally_add(fh_work *w, const char *name, const char *what)
{
    fh_kv_field_add(w, fh_format(w, "tally:%s", name), what, 1);
    fh_kv_score_set(w, "names", name, strtoll(name, NULL, 10));
}

static inline json_t *tally_of(fh_work *w, const char *name)
{
    return fh_kv_fields(w, fh_format(w, "tally:%s", name));
}

static inline json_t *tally_names(fh_work *w)
{
    json_t *names = json_array(), *member;
    size_t i;
    const char *after = json_string_value(json_object_get(fh_query(w), "after"));
    json_t *found = fh_kv_lowest(w, "names", strtoll(after, NULL, 10) + 1, FH_SCORE_MAX, 0,
                                 (int)json_integer_value(json_object_get(fh_query(w), "limit")));
    json_array_foreach (found, i, member)
        json_array_append_new(names, json_pack("{s:O}", "name", json_object_get(member, "member")));
    return names;
}
#endif

#define NAME_LENGTH 12

static const fh_field tally_query[] = {{"name", FH_STRING, .min = NAME_LENGTH, .max = NAME_LENGTH},
                                       {0}};
static const fh_field name_shape[] = {{"name", FH_STRING, .min = NAME_LENGTH, .max = NAME_LENGTH},
                                      {0}};

static inline void get_tally(fh_work *w)
{
    fh_reply(w, 200, tally_of(w, json_string_value(json_object_get(fh_query(w), "name"))));
}

static inline void get_names(fh_work *w)
{
    fh_reply(w, 200, tally_names(w));
}

#endif
