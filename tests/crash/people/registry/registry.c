/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registry: people and their names, which change. Its program comes in editions, which publish:
 *
 *     EDITION 1   version 1 of each change: one name
 *     EDITION 2   version 2: given and family name; who reads version 1 gets that
 *     EDITION 3   version 2 alone
 */

#include "../people.h"

#include <string.h>

#ifndef EDITION
#define EDITION 1
#endif

static void get_person(fh_work *w)
{
    fh_reply(w, 200,
             fh_row(w, "SELECT id, given, family, changes FROM people WHERE id = :id", fh_path(w)));
}

#if EDITION <= 2
static json_t *join_name(fh_work *w, json_t *person)
{
    const char *given = json_string_value(json_object_get(person, "given"));
    const char *family = json_string_value(json_object_get(person, "family"));
    json_object_set_new(person, "name", json_string(fh_format(w, "%s %s", given, family)));
    json_object_del(person, "given");
    json_object_del(person, "family");
    return person;
}
#endif

#if EDITION == 1
static json_t *as_published(fh_work *w, json_t *person)
{
    return join_name(w, person);
}
#else
static json_t *as_published(fh_work *w, json_t *person)
{
    (void)w;
    return person;
}
#endif

static void put_person(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO people (id, given, family, changes) VALUES (:id, :given, :family, 1)"
            " ON CONFLICT (id) DO UPDATE SET given = excluded.given, family = excluded.family,"
            " changes = people.changes + 1",
            fh_body(w));
    json_t *person =
        fh_row(w, "SELECT id, given, family, changes FROM people WHERE id = :id", fh_body(w));
    fh_reply(w, 200, json_deep_copy(person));
    fh_publish(w, "PersonChanged", as_published(w, person));
}

static void every_person(fh_work *w)
{
    size_t i;
    json_t *person;
    json_t *people = fh_rows(w,
                             "SELECT id, given, family, changes FROM people WHERE id > :after"
                             " ORDER BY id LIMIT :limit",
                             fh_query(w));
    json_array_foreach (people, i, person)
        as_published(w, person);
    fh_reply(w, 200, people);
}

static const fh_field wanted_shape[] = {{"id", FH_INT, .min = 1},
                                        {"given", FH_STRING, .min = 1, .max = 40},
                                        {"family", FH_STRING, .min = 1, .max = 40},
                                        {0}};

#if EDITION == 1
#define PUBLISHED                                                                                  \
    {                                                                                              \
        "PersonChanged", 1, person_1, .key = "id", .state = every_person                           \
    }
#else
#define PUBLISHED                                                                                  \
    {                                                                                              \
        "PersonChanged", 2, person_2, .key = "id", .state = every_person                           \
    }
#endif
#if EDITION == 2
#define DOWNCAST                                                                                   \
    {                                                                                              \
        "PersonChanged", 1, person_1, join_name                                                    \
    }
#else
#define DOWNCAST                                                                                   \
    {                                                                                              \
        0                                                                                          \
    }
#endif

FH_SERVICE(registry, .model = FH_RELATIONAL,
           .routes = {{"GET", "/api/people/{id:int}", get_person, .auth = FH_ANYONE},
                      {"POST", "/api/people", put_person, .body = wanted_shape, .auth = FH_ANYONE}},
           .publishes = {PUBLISHED}, .downcasts = {DOWNCAST});
