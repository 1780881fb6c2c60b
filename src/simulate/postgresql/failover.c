/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restart: what is committed outlives it; of commits that are under way then, each is there or
 * not.
 *
 * A standby takes over that lacks the last commits: the server ends, and comes back without them.
 * Each is taken back by its inverse, the newest first, as one more version. What is under way then
 * is lost with them. A commit that has made tables is never among the lost.
 */

#include "simulate/postgresql/model.h"

#include "base/error.h"

static void on_standby_up(struct simulate_event *event)
{
    struct model_server *server = event->owner;
    server->down = false;
    simulate_say(server->simulate, NULL, "server: takes connections again");
}

void model_restart(struct model_server *server)
{
    struct simulate *simulate = server->simulate;
    if (server->down)
        return;
    simulate_say(simulate, NULL, "server: restarts");
    server->down = true;
    bool says_why = simulate_chance(simulate, 500000);
    for (struct model_session *session = server->sessions; session; session = session->next) {
        bool lost = session->commits && simulate_chance(simulate, 500000);
        if (lost)
            session->commits = false;
        else if (session->commits)
            simulate_say(simulate, NULL, "server: %d commits, and notifies nobody", session->pid);
        if (session->commits && session->link)
            model_link_cut(session->link, false);
        model_session_end(session, says_why ? "57P01" : NULL,
                          "terminating connection due to administrator command");
    }
    server->up =
        (struct simulate_event){.fire = on_standby_up, .owner = server, .place = server->up.place};
    simulate_plan(simulate, &server->up, simulate->now_ns + wire_down_ns(&server->wire));
}

/* ---- a standby ---- */

/* An event that came with it may come once more: whoever wrote it got no answer. */
static bool unnote_event(void *context, const char *row)
{
    const struct model_commit *commit = context;
    struct map *born = &commit->database->born;
    if (model_changed_at(born, row) == commit->version) {
        map_remove(born, row);
        map_remove(&commit->database->rows, row);
    }
    return true;
}

static bool take_commit_back(struct model_commit *commit)
{
    struct model_database *database = commit->database;
    struct model_change inverse = {0};
    if (commit->schema != database->schema)
        return false;
    const struct model_change *change =
        &database->changes[commit->version - 1 - database->first_version];
    FH_ASSERT(sqlite3changeset_invert(change->size, change->data, &inverse.size, &inverse.data) ==
              SQLITE_OK);
    model_database_change(database, inverse);
    model_change_rows(&inverse, unnote_event, commit);
    return true;
}

int model_lose(struct simulate_server *base, int commits_max)
{
    struct model_server *server = model_server_of(base);
    int wanted = 1 + (int)simulate_below(server->simulate, (uint64_t)commits_max), lost = 0;
    for (struct model_session *session = server->sessions; session; session = session->next) {
        session->commits = false;
        if (session->ends_after_commit) /* of a restart that is not over yet */
            model_session_end(session, NULL, "its commit is not on the standby");
    }
    model_restart(server);
    FH_ASSERT(wanted < MODEL_NEWEST);
    while (lost < wanted && server->commits > 0 &&
           take_commit_back(&server->newest[--server->commits % MODEL_NEWEST]))
        lost++;
    simulate_say(server->simulate, NULL, "server: a standby takes over, without %d commits", lost);
    return lost;
}
