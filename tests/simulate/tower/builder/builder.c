/* SPDX-License-Identifier: Apache-2.0 */
/* Builder: builds towers of three blocks, each step of which can be undone, and counts what it
 * hears of them. What it hears of a cursed build it can't bear, until the curse is lifted, or an
 * operator has written a blessing into the event. */

#include <freehold.h>

static void start_build(fh_work *w)
{
    json_t *build = fh_row(w, "INSERT INTO build (status) VALUES ('OPEN') RETURNING id, status");
    fh_exec(w, "INSERT INTO curse (build) SELECT :id WHERE :id % 4 = 2", build);
    fh_saga_start(w, "build", build);
    fh_reply(w, 202, build);
}

static void finish(fh_work *w)
{
    fh_exec(w, "UPDATE build SET status = 'BUILT' WHERE id = :id", fh_saga_input(w));
}

static void give_up(fh_work *w)
{
    fh_exec(w, "UPDATE build SET status = 'GONE' WHERE id = :id", fh_saga_input(w));
}

static void start_crown(fh_work *w)
{
    json_t *crown = fh_row(w, "INSERT INTO crown (status) VALUES ('OPEN') RETURNING id, status");
    fh_saga_start(w, "crown", crown);
    fh_reply(w, 202, crown);
}

static void end_crown(fh_work *w)
{
    fh_exec(w, "UPDATE crown SET status = 'DONE' WHERE id = :id", fh_saga_input(w));
}

static void give_up_crown(fh_work *w)
{
    fh_exec(w, "UPDATE crown SET status = 'GONE' WHERE id = :id", fh_saga_input(w));
}

static void lift_curse(fh_work *w)
{
    fh_exec(w, "UPDATE curse SET lifted = 1 WHERE build = :build", fh_body(w));
}

/* `blocks` more or less; `below`: the level was the highest one then, or came on top of it. */
static void count(fh_work *w, int blocks, int below)
{
    json_t *how = json_pack("{s:i, s:i}", "blocks", blocks, "below", below);
    fh_exec(w,
            "INSERT INTO disorder SELECT :build, :level WHERE :level <> :below +"
            " coalesce((SELECT blocks FROM heard WHERE build = :build), 0)",
            fh_event_data(w), how);
    fh_exec(w,
            "INSERT INTO heard VALUES (:build, :blocks, 1) ON CONFLICT (build) DO UPDATE SET"
            " blocks = blocks + excluded.blocks, events = events + 1",
            fh_event_data(w), how);
    if (json_object_get(fh_event_data(w), "blessing"))
        fh_exec(w, "INSERT INTO blessing VALUES (:position, :blessing)", fh_event_data(w),
                json_pack("{s:O}", "position", json_object_get(fh_event(w), "position")));
    else if (fh_try_row(w, "SELECT 1 FROM curse WHERE build = :build AND NOT lifted",
                        fh_event_data(w)))
        fh_fail(w, 422, "It is cursed.");
}

static void block_put(fh_work *w)
{
    count(w, 1, 1);
}

static void block_taken(fh_work *w)
{
    count(w, -1, 0);
}

static const fh_step build_steps[] = {
    {"first", .call = "tower POST /blocks/{id}/1", .undo = "tower POST /blocks/{id}/1/off"},
    {"second", .call = "tower POST /blocks/{id}/2", .undo = "tower POST /blocks/{id}/2/off"},
    {"third", .call = "tower POST /blocks/{id}/3", .undo = "tower POST /blocks/{id}/3/off"},
    {"finish", .run = finish},
    {0}};

/* Behind its pivot a crown may be refused its third part: then a person has the word. */
static const fh_step crown_steps[] = {
    {"first", .call = "tower POST /crowns/{id}/1", .undo = "tower POST /crowns/{id}/1/off"},
    {"second", .call = "tower POST /crowns/{id}/2", .undo = "tower POST /crowns/{id}/2/off",
     .pivot = true},
    {"third", .call = "tower POST /crowns/{id}/3", .undo = "tower POST /crowns/{id}/3/off"},
    {"end", .run = end_crown},
    {0}};

static const fh_field curse_shape[] = {{"build", FH_INT}, {0}};

FH_SERVICE(builder, .model = FH_RELATIONAL,
           .routes = {{"POST", "/builds", start_build, .auth = FH_ANYONE},
                      {"POST", "/crowns", start_crown, .auth = FH_ANYONE},
                      {"POST", "/lifted", lift_curse, .body = curse_shape, .auth = FH_ANYONE}},
           .subscribes = {{"tower", "BlockPut", block_put}, {"tower", "BlockTaken", block_taken}},
           .sagas = {{"build", build_steps, .undone = give_up},
                     {"crown", crown_steps, .undone = give_up_crown}});
