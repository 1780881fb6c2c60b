/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One task, from opening the store to the file with the result. That file is the only thing that a
 * task itself leaves: killed before writing it, the task has reported nothing and can be done
 * again, since applying and adopting can (migrate.c, adopt.c).
 */

#define _GNU_SOURCE
#include "service/task.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "engine/engines.h"
#include "service/adopt.h"
#include "service/backup.h"
#include "service/exchange.h"
#include "service/move.h"
#include "service/restore.h"
#include "service/trial.h"
#include "store/model.h"
#include "store/relational/catalog.h"

/* ---- what a store has ---- */

static bool see_applied_row(void *context, const struct sql_row *row)
{
    json_array_append_new(context, json_pack("{s:I, s:s, s:s, s:I}", "version",
                                             (json_int_t)row->values[0].integer, "name",
                                             row->values[1].text, "checksum", row->values[2].text,
                                             "applied_ms", (json_int_t)row->values[3].integer));
    return json_array_size(context) < MIGRATIONS_MAX;
}

static bool see_open(void *context, const struct sql_row *row)
{
    json_array_append_new(
        context, json_pack("{s:I, s:s, s:I, s:I}", "version", (json_int_t)row->values[0].integer,
                           "name", row->values[1].text, "done", (json_int_t)row->values[2].integer,
                           "running", (json_int_t)row->values[3].integer));
    return json_array_size(context) < MIGRATIONS_MAX;
}

static enum fh_code read_open_migration(struct store_work *work, json_t *open,
                                        struct fh_error *error)
{
    bool there;
    enum fh_code code = catalog_has_table(work, "fh_migration_open", &there, error);
    if (code != FH_OK || !there)
        return code;
    return sql_run(work,
                   "SELECT version, name, done, running FROM fh_migration_open ORDER BY version",
                   NULL, 0, see_open, open, NULL, error);
}

enum fh_code service_migrations(struct store *store, json_t **ret, struct fh_error *error)
{
    struct store_work *work;
    json_t *applied = json_array(), *open = json_array();
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code == FH_OK) {
        code = sql_run(work,
                       "SELECT version, name, checksum, applied_ms FROM fh_migration"
                       " ORDER BY version",
                       NULL, 0, see_applied_row, applied, NULL, error);
        if (code == FH_OK)
            code = read_open_migration(work, open, error);
        store_rollback(work);
    }
    json_t *told = json_pack("{s:s, s:o, s:o}", "engine", store->engine->name, "applied", applied,
                             "open", open);
    FH_ASSERT(told != NULL);
    if (code == FH_OK)
        *ret = told;
    else
        json_decref(told);
    return code;
}

static bool has_migrations(const fh_service *service)
{
    const struct model *model = model_of(service->model);
    return model && model->has_migrations;
}

void migrations_answer(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error;
    json_t *told;
    if (!has_migrations(runtime->service)) {
        exchange_problem(exchange, PROBLEM_OPERATION_TARGET_MISSING,
                         "Only stores of tables have migrations.");
    } else if (service_migrations(runtime->context.store, &told, &error) != FH_OK) {
        exchange_problem(exchange, PROBLEM_DEPENDENCY_UNAVAILABLE, error.message);
    } else {
        char *text = json_text(told);
        exchange_answer(exchange, 200, NULL, text, strlen(text), NULL, 0);
        json_text_free(text);
        json_decref(told);
    }
}

/* ---- records in the folder ---- */

void service_record_store(const struct runtime *runtime)
{
    struct fh_error error;
    const json_t *config = runtime->config;
    const char *folder = json_string_at(config, "folder"),
               *engine = json_string_at(config, "engine");
    json_t *store = json_object_get(config, "store");
    json_t *record =
        json_pack("{s:i, s:s, s:s, s:I, s:O*}", "freehold", 1, "engine",
                  engine ? engine : engine_embedded()->name, "incarnation",
                  runtime->context.store->incarnation, "migration",
                  (json_int_t)service_migrated(runtime->context.store), "store", store);
    FH_ASSERT(record != NULL);
    if (process_write(runtime->world, folder, PROCESS_STORE_FILE, record, &error) != FH_OK)
        log_warning("store-record-unsaved", "%s", error.message);
    json_decref(record);
}

/* ---- the task ---- */

/* Is there a store? Opening one that does not exist would create its file. */
static bool store_is_there(const struct runtime *runtime)
{
    char path[4200];
    const char *folder = json_string_at(runtime->config, "folder");
    if (json_object_get(runtime->config, "store"))
        return true;
    snprintf(path, sizeof path, "%s/store.db", folder ? folder : ".");
    return access(path, F_OK) == 0;
}

static enum fh_code change_store(struct runtime *runtime, json_t *result, struct fh_error *error)
{
    struct store *store = runtime->context.store;
    const json_t *task = json_object_get(runtime->config, "task");
    const char *folder = json_string_at(runtime->config, "migrations");
    const char *what = json_string_at(task, "do");
    const char *named = "applied_now";
    json_int_t version = 0;
    int count = 0;
    enum fh_code code = service_store_serves(store, error);
    if (code != FH_OK)
        return code;
    if (what && strcmp(what, "apply") == 0) {
        code = service_migrate(store, folder, &count, error);
    } else if (what && strcmp(what, "adopt") == 0 && json_integer_at(task, "version", &version)) {
        named = "adopted_now";
        code = service_adopt(store, folder, json_string_at(task, "from"), version, &count, error);
    } else {
        return error_set(error, FH_INVALID, "Nobody knows the task \"%s\".", what ? what : "");
    }
    json_object_set_new(result, named, json_integer(count));
    if (code == FH_OK)
        service_record_store(runtime);
    return code;
}

/* Refuses while a move or a restore is pending: there is no single state to back up then. */
static enum fh_code check_settled(const struct runtime *runtime, struct fh_error *error)
{
    char path[4300];
    json_t *record;
    const char *folder = json_string_at(runtime->config, "folder");
    const char *name = runtime->service->name;
    snprintf(path, sizeof path, "%s/" PROCESS_STORE_FILE, folder ? folder : ".");
    if (!store_is_there(runtime) ||
        process_config_read(runtime->world, path, &record, ERROR_UNHEEDED) != FH_OK)
        return error_set(error, FH_NOT_FOUND, "%s has no store yet: it has never served.", name);
    const char *engine = json_string_at(record, "engine");
    bool elsewhere = engine && strcmp(engine, runtime->engine) != 0;
    if (elsewhere)
        error_set(error, FH_CONFLICT,
                  "The store of %s is on its way from %s to %s; end the move first.", name, engine,
                  runtime->engine);
    json_decref(record);
    snprintf(path, sizeof path, "%s/" SERVICE_RESTORE_ORDER, folder);
    if (!elsewhere && access(path, F_OK) == 0)
        return error_set(error, FH_CONFLICT,
                         "A restore of %s was ordered, and is carried out by the next start; back "
                         "it up after that.",
                         name);
    return elsewhere ? FH_CONFLICT : FH_OK;
}

static enum fh_code back_up_alone(struct runtime *runtime, json_t *result, struct fh_error *error)
{
    enum fh_code code = check_settled(runtime, error);
    if (code == FH_OK)
        code = service_store_open(runtime->service, runtime->config, runtime->world,
                                  &runtime->context.store, error);
    if (code != FH_OK)
        return code;
    code = service_store_serves(runtime->context.store, error);
    if (code == FH_OK)
        code = backup_alone(runtime, result, error);
    store_close(runtime->context.store);
    runtime->context.store = NULL;
    return code;
}

static bool task_is(const struct runtime *runtime, const char *what)
{
    const char *said = json_string_at(json_object_get(runtime->config, "task"), "do");
    return said && strcmp(said, what) == 0;
}

static enum fh_code work_on_store(struct runtime *runtime, json_t *result, struct fh_error *error)
{
    struct fh_error unseen;
    json_t *told = NULL;
    bool looks = task_is(runtime, "look");
    if (task_is(runtime, "backup"))
        return back_up_alone(runtime, result, error);
    if (task_is(runtime, SERVICE_TASK_TRY)) {
        json_object_set_new(result, SERVICE_TASK_TRIED, json_true());
        return service_try(runtime, error);
    }
    if (!has_migrations(runtime->service))
        return error_set(error, FH_UNSUPPORTED,
                         "Only stores of tables have migrations; %s keeps others.",
                         runtime->service->name);
    if (looks && !store_is_there(runtime)) {
        json_object_set_new(result, "store", json_false());
        return FH_OK;
    }
    enum fh_code code = service_store_open(runtime->service, runtime->config, runtime->world,
                                           &runtime->context.store, error);
    if (code != FH_OK)
        return code;
    if (!looks)
        code = change_store(runtime, result, error);
    /* Even after a failure: then it matters how far it has come. */
    enum fh_code seen =
        service_migrations(runtime->context.store, &told, code == FH_OK ? error : &unseen);
    if (seen == FH_OK)
        json_object_update(result, told);
    json_decref(told);
    store_close(runtime->context.store);
    runtime->context.store = NULL;
    return code == FH_OK ? seen : code;
}

int service_task(struct runtime *runtime)
{
    struct fh_error error = {0}, unwritten;
    json_t *result = json_object();
    enum fh_code code = work_on_store(runtime, result, &error);
    if (code != FH_OK) {
        log_error("task-failed", "%s", error.message);
        json_t *why = json_string(error.message); /* NULL: a name in it is not UTF-8 */
        json_object_set_new(result, "error", why ? why : json_string("It failed; see its log."));
    }
    if (process_write(runtime->world, json_string_at(runtime->config, "folder"),
                      SERVICE_TASK_RESULT, result, &unwritten) != FH_OK) {
        log_error("task-result-unsaved", "%s", unwritten.message);
        code = unwritten.code;
    }
    json_decref(result);
    return code == FH_OK ? 0 : process_exit_of(code, runtime->migrating);
}
