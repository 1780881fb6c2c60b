/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A break is an error where an older version may run beside the new one. Where a store has one
 * process it is a warning: the older version has ended by then, but there is no way back to it. A
 * break that its migration acknowledges is shown as a warning, with its reason.
 *
 * Only a store knows which migrations it has applied: `check --live` asks its service. Otherwise we
 * use what the service recorded in its folder when it was last ready, which is only right if the
 * system runs with this state folder. Where it runs elsewhere, nothing is known, and we say so.
 */

#define _GNU_SOURCE
#include "system/check/migrations.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "engine/engines.h"
#include "service/process.h"
#include "store/relational/sql.h"
#include "system/check/breaks.h"
#include "system/provision/state.h"

struct check {
    struct system_file *file;
    const struct system_service *service;
    struct findings *findings;
};

/* An engine that is not built in, or has no SQL, is reported elsewhere. */
static const struct engine *engine_with_sql(const char *name)
{
    const struct engine *named = engine_named(name);
    return named && named->sql ? named : engine_embedded();
}

const struct sql_dialect *migrations_dialect(const char *engine)
{
    return engine_with_sql(engine)->sql->dialect;
}

/* On the file's arena, since findings outlive the migrations. */
static struct place place_of_break(const struct check *check, const struct breaking *breaking)
{
    char path[4352];
    snprintf(path, sizeof path, "%s/%s", check->service->migrations, breaking->migration->name);
    return (struct place){arena_text(&check->file->arena, path), breaking->line, 1};
}

static void report_break(void *context, const struct breaking *breaking)
{
    const struct check *check = context;
    struct place place = place_of_break(check, breaking);
    const char *name = check->service->name;
    if (breaking->reason)
        findings_warning(check->findings, place, "%s: it breaks older versions, knowingly: %.*s",
                         name, breaking->reason_length, breaking->reason);
    else if (!breaking->judged)
        findings_warning(check->findings, place,
                         "%s: whether it breaks the version that runs can't be judged, as %s", name,
                         breaking->why);
    else if (!engine_can(engine_with_sql(check->service->engine), ENGINE_MANY_INSTANCES))
        findings_warning(check->findings, place,
                         "%s: after this there is no way back to the version that runs: it %s, %s. "
                         "%s",
                         name, breaking->what, breaking->why, breaking->instead);
    else
        findings_error(check->findings, place,
                       "%s: it %s, %s. %s If it has to be: \"-- freehold: breaks older versions: "
                       "REASON\" on the line before it",
                       name, breaking->what, breaking->why, breaking->instead);
}

void migrations_check(const struct system_service *service, struct findings *findings)
{
    struct migrations all;
    struct fh_error error;
    if (!service->migrations)
        return;
    enum fh_code code = migrations_read(service->migrations, service->engine,
                                        migrations_dialect(service->engine), &all, &error);
    if (code != FH_OK)
        findings_error(findings,
                       service->migrations_place.file ? service->migrations_place : service->place,
                       "%s", error.message);
    else
        migrations_release(&all);
}

void migrations_check_new(struct system_file *file, const struct system_service *service,
                          int64_t applied, struct findings *findings)
{
    struct check check = {file, service, findings};
    struct migrations all;
    struct fh_error ignored;
    int count = 0;
    if (!service->migrations ||
        migrations_read(service->migrations, service->engine, migrations_dialect(service->engine),
                        &all, &ignored) != FH_OK)
        return; /* migrations_check has reported it */
    for (int i = 0; i < all.count; i++)
        count += all.rows[i].version > applied;
    if (count && !breaks_built_in())
        findings_warning(findings, service->place,
                         "%s has %d new migrations; whether they break the version that runs was "
                         "not judged, as this freehold was built without libpg_query",
                         service->name, count);
    breaks_find(&all, applied, migrations_dialect(service->engine), report_break, &check);
    migrations_release(&all);
}

/* ---- By what was recorded ---- */

static bool any_of(const struct system_file *file)
{
    for (size_t i = 0; i < file->service_count; i++) {
        if (file->services[i].migrations)
            return true;
    }
    return false;
}

static void not_known(json_t *not_judged, const char *name, const char *why)
{
    json_array_append_new(
        not_judged,
        json_sprintf("whether new migrations of %s break the version that ran last: %s; "
                     "check --live asks the running system",
                     name, why));
}

static void check_service_migrations(struct system_file *file, const struct state *state,
                                     const struct system_service *service,
                                     struct findings *findings, json_t *not_judged)
{
    json_t *record = NULL;
    json_int_t applied = -1;
    int fd = openat(state->folder_fd, service->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || state_read_json(fd, PROCESS_STORE_FILE, &record, ERROR_UNHEEDED) != FH_OK)
        not_known(not_judged, service->name, "it never ran here");
    else if (strcmp(json_string_at(record, "engine") ? json_string_at(record, "engine") : "",
                    service->engine) != 0)
        not_known(not_judged, service->name, "its data was in another engine then");
    else if (!json_integer_at(record, "migration", &applied) || applied < 0)
        not_known(not_judged, service->name, "it has not written down what its store has");
    else
        migrations_check_new(file, service, applied, findings);
    json_decref(record);
    if (fd >= 0)
        close(fd);
}

void migrations_check_recorded(struct system_file *file, const char *state_folder,
                               struct findings *findings, json_t *not_judged)
{
    struct state state;
    if (!any_of(file))
        return;
    if (state_open(&state, state_folder, ERROR_UNHEEDED) != FH_OK) {
        json_array_append_new(
            not_judged,
            json_sprintf("which migrations are new, and whether they break the version that runs: "
                         "there is no state folder %s; --state names another",
                         state_folder));
        return;
    }
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        if (service->migrations && service->description &&
            strcmp(json_string_at(service->description, "model"), "relational") == 0)
            check_service_migrations(file, &state, service, findings, not_judged);
    }
    state_close(&state);
}
