/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup and its restore, in most runs of a system whose simulation names who may be restored, by
 * the service's own code and an operator who does what `freehold backup` and `freehold restore` do:
 *
 *   1. ask the service for a backup, look at how far it is, and take the file once it says done
 *   2. some time later lay the file and the order into its folder, and end its process
 *   3. the next process carries the order out; if it gives it up, order again
 *
 * while everything fails. Who dies over a backup has made none, and is asked again. A restore that
 * was ordered may come after the faults; of one that was not, nothing comes any more. Runs without
 * a restore are as strict as they are in other systems.
 *
 * What must hold: the backup has all that the service had before it was asked for; the restored
 * store goes on from the backup's moment as another one, and what it replaces is kept.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "service/backup.h"
#include "service/restore.h"
#include "simulate/run_parts.h"

#define RESTORE_RUNS 800000 /* in a million */
#define COPY_MS_MAX 3000
#define BACK_MS_MAX 3000
#define LOOK_MS 40
#define PAUSE_MS_MAX 300
#define ID "1" /* of the only order */

static struct simulate *node_simulate(const struct run_node *node)
{
    return &node->run->simulate;
}

static void path_in_folder(const struct run_node *node, const char *name, char ret[static 96])
{
    snprintf(ret, 96, "%s/%s", node->folder, name);
}

static void sleep_up_to(struct run_node *node, int64_t ms_max)
{
    struct world *world = &node->run->outside->world;
    fiber_sleep_until(world, world_in_ms(world, simulate_between(node_simulate(node), 1, ms_max)));
}

static int ask_node(struct run_node *node, const char *method, const char *path, json_t **ret)
{
    struct fh_client client = {.run = node->run};
    struct fh_ask ask = {node->service->name, method, path, .as_operator = true};
    return fh_client_ask(&client, &ask, ret);
}

/* ---- the backup ---- */

/* What the service has written of it into a file of its folder; NULL: nothing. */
static json_t *said_read(struct run_node *node, const char *name, const char *id)
{
    char path[96];
    size_t size = 0;
    json_t *status = NULL;
    path_in_folder(node, name, path);
    unsigned char *text = simulate_disk_take(node->node->disk, path, &size);
    if (text)
        json_parse((const char *)text, size, &status, ERROR_UNHEEDED);
    free(text);
    const char *of = json_string_at(status, "id");
    if (of && strcmp(of, id) == 0)
        return status;
    json_decref(status);
    return NULL;
}

/* What it says when it is done; NULL: it failed, or its process died. */
static json_t *await_backup(struct run_node *node, const char *id, unsigned life)
{
    for (;;) {
        bool over = node->node->life != life || !node->node->alive;
        json_t *status = said_read(node, SERVICE_BACKUP_STATUS, id);
        const char *state = json_string_at(status, "state");
        if (state && strcmp(state, "done") == 0)
            return status;
        bool failed = over || (state && strcmp(state, "failed") == 0);
        json_decref(status);
        if (failed)
            return NULL;
        sleep_up_to(node, LOOK_MS);
    }
}

/* `position`: what the service had published before it was asked. */
static bool take_file(struct run_node *node, const json_t *status, json_int_t position)
{
    struct run_restore *restore = &node->run->restore;
    char path[96];
    json_int_t copied = -1;
    path_in_folder(node, SERVICE_BACKUP_NAME ".db", path);
    restore->data = simulate_disk_take(node->node->disk, path, &restore->size);
    if (!restore->data)
        return false; /* another one has been begun meanwhile */
    json_integer_at(status, "position", &copied);
    if (copied < position)
        run_fail(node->run,
                 "the backup of %s ends at position %" JSON_INTEGER_FORMAT
                 ", and there was one at %" JSON_INTEGER_FORMAT " before it was asked for",
                 node->service->name, copied, position);
    restore->position = copied;
    simulate_say(node_simulate(node), node->node,
                 "its backup is taken: position %" JSON_INTEGER_FORMAT ", %zu bytes", copied,
                 restore->size);
    return true;
}

static bool take_backup(struct run_node *node)
{
    json_t *state = NULL, *begun = NULL, *status = NULL;
    json_int_t position = -1;
    bool taken = false;
    if (ask_node(node, "GET", "/_freehold/state", &state) == 200)
        json_integer_at(state, "position", &position);
    unsigned life = node->node->life;
    if (position >= 0 && ask_node(node, "POST", SERVICE_BACKUP_PATH, &begun) == 200)
        status = await_backup(node, json_string_at(begun, "id"), life);
    if (status) {
        char id[ID_SIZE];
        snprintf(id, sizeof id, "%s", json_string_at(status, "id"));
        json_decref(status);
        sleep_up_to(node, PAUSE_MS_MAX);
        status = said_read(node, SERVICE_BACKUP_STATUS,
                           id); /* a backup is durable, whatever has come in between */
        taken = status && take_file(node, status, position);
    }
    json_decref(status);
    json_decref(begun);
    json_decref(state);
    return taken;
}

/* ---- the restore ---- */

static void order_simulated_restore(struct run_node *node)
{
    struct run_restore *restore = &node->run->restore;
    char path[96];
    json_t *said = json_pack("{s:i, s:s, s:s, s:s}", "freehold", 1, "id", ID, "file", "restore-" ID,
                             "replaces", node->incarnation);
    char *text = json_text(said);
    simulate_say(node_simulate(node), node->node, "its backup is ordered to be restored");
    path_in_folder(node, "restore-" ID ".db", path);
    simulate_disk_lay(node->node->disk, path, restore->data, restore->size);
    path_in_folder(node, SERVICE_RESTORE_ORDER, path);
    simulate_disk_lay(node->node->disk, path, text, strlen(text));
    restore->ordered = true;
    json_text_free(text);
    json_decref(said);
    if (!node->node->alive)
        return;
    if (simulate_chance(node_simulate(node), 500000))
        run_node_restart(node);
    else
        simulate_node_crash(node->node, SIMULATE_KILLED, "its operator kills it");
}

/* It says so before it removes the order, and is ready only some time later. */
static bool is_carried_out(struct run_node *node)
{
    json_t *result = said_read(node, SERVICE_RESTORE_RESULT, ID);
    const char *state = json_string_at(result, "state");
    bool done = state && strcmp(state, "done") == 0;
    json_decref(result);
    return done;
}

static void restore_operator(void *argument)
{
    struct run_node *node = argument;
    struct run *run = node->run;
    char path[96];
    path_in_folder(node, SERVICE_RESTORE_ORDER, path);
    sleep_up_to(node, COPY_MS_MAX);
    while (run->faulty && !take_backup(node))
        sleep_up_to(node, PAUSE_MS_MAX);
    sleep_up_to(node, BACK_MS_MAX);
    while (run->faulty && run->restore.data && !run->restore.done) {
        if (!simulate_disk_has(node->node->disk, path) && !is_carried_out(node))
            order_simulated_restore(node);
        sleep_up_to(node, PAUSE_MS_MAX);
    }
}

static bool restore_came(struct run_node *node, const char *incarnation)
{
    struct run_restore *restore = &node->run->restore;
    if (restore->node != node || !restore->ordered || restore->done)
        return false;
    if (strcmp(incarnation, node->incarnation) < 0)
        run_fail(node->run, "%s was restored as a store that is older than the one before",
                 node->service->name);
    simulate_say(node_simulate(node), node->node, "is restored from its backup");
    restore->done = true;
    return true;
}

void run_restore_check(fh_client *client)
{
    const struct run_restore *restore = &client->run->restore;
    char cut[48], path[96];
    if (!restore->done)
        return;
    const char *name = restore->node->service->name;
    json_t *rows =
        fh_client_rows(client, name, "SELECT value FROM fh_meta WHERE name = 'ancestors'");
    const char *ancestors = json_string_at(json_array_get(rows, 0), "value");
    snprintf(cut, sizeof cut, "\"position\":%" PRId64 ",", restore->position);
    fh_client_expect(client, ancestors && strstr(ancestors, cut),
                     "%s does not remember that it was restored to position %" PRId64, name,
                     restore->position);
    path_in_folder(restore->node, "replaced-" ID ".db", path);
    fh_client_expect(client, simulate_disk_has(restore->node->node->disk, path),
                     "%s has not kept the store that its backup replaced", name);
    fh_client_count(client, "restored", 1);
    json_decref(rows);
}

void run_restore_begin(struct run *run)
{
    struct simulate *simulate = &run->simulate;
    const fh_simulation *simulation = run->system->simulation;
    size_t count = 0;
    while (count < FH_SIMULATION_NAMES_MAX && simulation->restored[count])
        count++;
    if (count == 0 || !simulate_chance(simulate, RESTORE_RUNS))
        return;
    const char *name = simulation->restored[simulate_below(simulate, count)];
    for (int i = 0; i < run->node_count; i++) {
        if (strcmp(run->nodes[i].service->name, name) != 0)
            continue;
        run->restore.node = &run->nodes[i];
        run->restore.node->replaced = restore_came;
        FH_ASSERT(fiber_start(run->outside->world.fibers, restore_operator, run->restore.node));
    }
}
