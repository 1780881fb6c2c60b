/* SPDX-License-Identifier: Apache-2.0 */
/* Builder: builds towers of three blocks, each step of which can be undone, and counts what it
 * hears of them. */

#include <freehold.h>

static void start_build(fh_work *w)
{
    json_t *build = fh_row(w, "INSERT INTO build (status) VALUES ('OPEN') RETURNING id, status");
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

static void count(fh_work *w, int blocks)
{
    fh_exec(w,
            "INSERT INTO heard VALUES (:build, :blocks, 1) ON CONFLICT (build) DO UPDATE SET"
            " blocks = blocks + excluded.blocks, events = events + 1",
            fh_event_data(w), json_pack("{s:i}", "blocks", blocks));
}

static void block_put(fh_work *w)
{
    count(w, 1);
}

static void block_taken(fh_work *w)
{
    count(w, -1);
}

static const fh_step build_steps[] = {
    {"first", .call = "tower POST /blocks/{id}/1", .undo = "tower POST /blocks/{id}/1/off"},
    {"second", .call = "tower POST /blocks/{id}/2", .undo = "tower POST /blocks/{id}/2/off"},
    {"third", .call = "tower POST /blocks/{id}/3", .undo = "tower POST /blocks/{id}/3/off"},
    {"finish", .run = finish},
    {0}};

FH_SERVICE(builder, .model = FH_RELATIONAL, .routes = {{"POST", "/builds", start_build}},
           .hears = {{"tower", "BlockPut", block_put}, {"tower", "BlockTaken", block_taken}},
           .sagas = {{"build", build_steps, .undone = give_up}});
