/* SPDX-License-Identifier: Apache-2.0 */
/* Members that are found by their names, which are personal; and a way to them that is wrong. */

#include <freehold.h>

static void put_member(fh_work *w)
{
    json_t *member = fh_row(w,
                            "INSERT INTO member (id, name, note) VALUES (:id, :name, '') ON "
                            "CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING *",
                            fh_body(w));
    fh_derive(w, "members", fh_format(w, "%d", (int)fh_int(w, member, "id")), member);
}

/* What is personal gets into a field that does not say so. */
static void leak_member(fh_work *w)
{
    const char *name = fh_text(w, fh_body(w), "name");
    json_t *member = fh_row(w,
                            "INSERT INTO member (id, name, note) VALUES (:id, '', 'calls himself ' "
                            "|| :name) RETURNING *",
                            fh_body(w));
    fh_derive(w, "members", fh_format(w, "of %s", name), member);
}

static void remove_member(fh_work *w)
{
    fh_exec(w, "DELETE FROM member WHERE id = :id", fh_path(w));
    fh_derive_gone(w, "members", fh_format(w, "%d", (int)fh_int(w, fh_path(w), "id")));
}

static void find_members(fh_work *w)
{
    const struct fh_search search = {.text = fh_text(w, fh_query(w), "q"), .limit = 3};
    fh_reply(w, 200, fh_search(w, "members", &search));
}

static void members_state(fh_work *w)
{
    fh_reply(
        w, 200,
        fh_rows(w, "SELECT * FROM member WHERE id > :after ORDER BY id LIMIT :limit", fh_query(w)));
}

static const fh_field member_shape[] = {
    {"id", FH_INT}, {"name", FH_STRING, .max = 100, .personal = true}, {0}};
static const fh_field find_shape[] = {{"q", FH_STRING, .max = 100, .personal = true}, {0}};
static const struct fh_derived_field members_fields[] = {
    {"name", FH_STRING, FH_TEXT | FH_SORTED, .personal = true}, {"note", FH_STRING, FH_TEXT}, {0}};

FH_SERVICE(roster, .model = FH_RELATIONAL,
           .routes = {{"PUT", "/api/members", put_member, .body = member_shape, .auth = FH_ANYONE},
                      {"PUT", "/api/leaks", leak_member, .body = member_shape, .auth = FH_ANYONE},
                      {"DELETE", "/api/members/{id:int}", remove_member, .auth = FH_ANYONE},
                      {"GET", "/api/members", find_members, .query = find_shape,
                       .auth = FH_ANYONE}},
           .derives = {{"members", FH_SEARCH, members_fields, members_state, FH_INT}});
