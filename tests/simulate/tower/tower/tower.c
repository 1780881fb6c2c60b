/* SPDX-License-Identifier: Apache-2.0 */
/* Tower: blocks on blocks. A level stands only on the one below it, so undoing has an order; a
 * handler may change rows and then refuse, or break the whole group's transaction. */

#include <freehold.h>

static void put_block(fh_work *w)
{
    json_t *path = fh_path(w);
    json_int_t build = json_integer_value(json_object_get(path, "build"));
    json_int_t level = json_integer_value(json_object_get(path, "level"));
    if (level == 3 && build % 3 == 0)
        fh_fail(w, 409, "Towers with such a number stay low.");
    fh_exec(w,
            "INSERT INTO fall SELECT :build, :level WHERE :level > 1 AND NOT EXISTS"
            " (SELECT 1 FROM block WHERE build = :build AND level = :level - 1)",
            path);
    fh_exec(w, "INSERT INTO block VALUES (:build, :level)", path);
    fh_publish(w, "BlockPut", path);
    fh_reply(w, 200, path);
}

static void take_block(fh_work *w)
{
    json_t *path = fh_path(w);
    fh_exec(w,
            "INSERT INTO fall SELECT :build, :level WHERE EXISTS"
            " (SELECT 1 FROM block WHERE build = :build AND level > :level)",
            path);
    fh_exec(w, "DELETE FROM block WHERE build = :build AND level = :level", path);
    fh_publish(w, "BlockTaken", path);
    fh_reply(w, 200, path);
}

/* One part of a crown, put on the one below it. The third can't be put on before it is oiled. */
static void put_part(fh_work *w)
{
    json_t *path = fh_path(w);
    json_int_t crown = json_integer_value(json_object_get(path, "crown"));
    json_int_t part = json_integer_value(json_object_get(path, "part"));
    if (part == 3 && crown % 2 == 0 &&
        !fh_try_row(w, "SELECT 1 FROM oil WHERE crown = :crown", path))
        fh_fail(w, 409, "It is not oiled.");
    fh_exec(w,
            "INSERT INTO fall SELECT :crown, :part WHERE :part - 1 <>"
            " (SELECT count(*) FROM part WHERE crown = :crown)",
            path);
    fh_exec(w, "INSERT INTO part VALUES (:crown, :part)", path);
    fh_reply(w, 200, path);
}

static void take_part(fh_work *w)
{
    json_t *path = fh_path(w);
    if (fh_exec_count(w, "DELETE FROM part WHERE crown = :crown AND part = :part", path) != 1)
        fh_exec(w, "INSERT INTO fall VALUES (:crown, :part)", path);
    fh_reply(w, 200, path);
}

static void oil(fh_work *w)
{
    fh_exec(w, "INSERT OR IGNORE INTO oil VALUES (:crown)", fh_body(w));
}

/* Refuses after it has changed something. */
static void take_room(fh_work *w)
{
    json_t *room = fh_row(w, "UPDATE room SET taken = taken + 1 RETURNING taken", fh_body(w));
    if (json_integer_value(json_object_get(room, "taken")) > 20)
        fh_fail(w, 409, "There is no room left.");
    fh_reply(w, 200, room);
}

/* Refused only when it ends, by a deferred constraint, with an event that nobody may hear. */
static void take_suite(fh_work *w)
{
    fh_exec(w, "INSERT INTO suite VALUES (2)", NULL);
    fh_publish(w, "BlockPut", json_pack("{s:i, s:i}", "build", 0, "level", 1));
}

/* A name that is taken ends the transaction of all that are in the group. */
static void take_name(fh_work *w)
{
    fh_exec(w, "INSERT OR ROLLBACK INTO name VALUES (:name)", fh_body(w));
    fh_reply(w, 201, fh_body(w));
}

static const fh_field name_shape[] = {{"name", FH_STRING, .min = 1, .max = 50}, {0}};
static const fh_field oil_shape[] = {{"crown", FH_INT}, {0}};
/* Nobody publishes a blessing: operators write it into what is parked. */
static const fh_field block_shape[] = {
    {"build", FH_INT}, {"level", FH_INT}, {"blessing", FH_INT, .optional = true}, {0}};

FH_SERVICE(tower, .model = FH_RELATIONAL,
           .routes = {{"POST", "/blocks/{build:int}/{level:int}", put_block,
                       .audience = FH_SERVICES},
                      {"POST", "/blocks/{build:int}/{level:int}/off", .undo = take_block,
                       .audience = FH_SERVICES},
                      {"POST", "/crowns/{crown:int}/{part:int}", put_part, .audience = FH_SERVICES},
                      {"POST", "/crowns/{crown:int}/{part:int}/off", .undo = take_part,
                       .audience = FH_SERVICES},
                      {"POST", "/oil", oil, .body = oil_shape, .auth = FH_ANYONE},
                      {"POST", "/rooms", take_room, .auth = FH_ANYONE},
                      {"POST", "/suites", take_suite, .auth = FH_ANYONE},
                      {"POST", "/names", take_name, .body = name_shape, .auth = FH_ANYONE}},
           .publishes = {{"BlockPut", 1, block_shape, .key = "build"},
                         {"BlockTaken", 1, block_shape, .key = "build"}});
