/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directory: a copy of the registry's people, which counts what it was told, and what it was told
 * late. Its program comes in editions, which read:
 *
 *     EDITION 1   version 1
 *     EDITION 2   version 2, and version 1 by an upcast
 *     EDITION 3   version 2 alone
 */

#include "../people.h"

#include <string.h>

#ifndef EDITION
#define EDITION 1
#endif

static void get_entry(fh_work *w)
{
    fh_reply(w, 200,
             fh_row(w,
                    "SELECT id, name, changes, applied, out_of_order FROM entries WHERE id = :id",
                    fh_path(w)));
}

#if EDITION == 1
#define READS 1
static json_t *entry_of(fh_work *w)
{
    return json_copy(fh_event_data(w));
}
#else
#define READS 2
static json_t *entry_of(fh_work *w)
{
    json_t *entry = json_copy(fh_event_data(w));
    const char *given = json_string_value(json_object_get(entry, "given"));
    const char *family = json_string_value(json_object_get(entry, "family"));
    json_object_set_new(entry, "name", json_string(fh_format(w, "%s %s", given, family)));
    return entry;
}
#endif

static void person_changed(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO entries (id, name, changes, applied, out_of_order)"
            " VALUES (:id, :name, :changes, 1, 0)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, applied = entries.applied + 1,"
            " out_of_order = entries.out_of_order"
            " + CASE WHEN excluded.changes = entries.changes + 1 THEN 0 ELSE 1 END,"
            " changes = excluded.changes",
            entry_of(w));
}

static void person_is(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO entries (id, name, changes, applied, out_of_order)"
            " VALUES (:id, :name, :changes, :changes, 0)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, changes = excluded.changes,"
            " applied = excluded.changes",
            entry_of(w));
}

#if EDITION == 2
static json_t *split_name(fh_work *w, json_t *person)
{
    const char *name = json_string_value(json_object_get(person, "name"));
    const char *space = strchr(name, ' ');
    if (!space)
        fh_fail(w, 422, "%s is no given and family name", name);
    json_object_set_new(person, "given", json_stringn(name, (size_t)(space - name)));
    json_object_set_new(person, "family", json_string(space + 1));
    json_object_del(person, "name");
    return person;
}
#endif

#if EDITION == 2
#define UPCAST                                                                                     \
    {                                                                                              \
        "registry", "PersonChanged", 1, person_1, person_2, split_name                             \
    }
#else
#define UPCAST                                                                                     \
    {                                                                                              \
        0                                                                                          \
    }
#endif

FH_SERVICE(directory, .model = FH_RELATIONAL,
           .routes = {{"GET", "/api/entries/{id:int}", get_entry, .auth = FH_ANYONE}},
           .upcasts = {UPCAST},
           .subscribes = {{"registry", "PersonChanged", person_changed, .upsert = person_is,
                           .version = READS}});
