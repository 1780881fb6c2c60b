/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the results of `freehold migrate` for people. */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/operate/migrate.h"

#define WHEN_SIZE 32

static void format_when(char out[WHEN_SIZE], const json_t *applied_ms)
{
    struct tm parts;
    time_t seconds = (time_t)(json_integer_value(applied_ms) / 1000);
    if (!json_is_integer(applied_ms) || !localtime_r(&seconds, &parts) ||
        strftime(out, WHEN_SIZE, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        snprintf(out, WHEN_SIZE, "-");
}

static size_t count_that(const json_t *migrations, bool (*that)(const json_t *migration))
{
    size_t i, count = 0;
    json_t *migration;
    json_array_foreach (migrations, i, migration)
        count += that(migration);
    return count;
}

static bool is_applied(const json_t *migration)
{
    return json_object_get(migration, "applied_ms") != NULL;
}

static void print_todo(const json_t *migration)
{
    const char *todo = json_string_at(migration, "todo");
    if (todo)
        cli_line(6, "      %s%s.%s",
                 cli_colour(stdout, migrations_hinders(migration) ? CLI_RED : CLI_YELLOW), todo,
                 cli_colour(stdout, CLI_PLAIN));
}

/* The service, its store, and what is to be said of it; with `found` NULL, why it has no
 * migrations.
 */
static void print_service(const json_t *service, const char *found)
{
    if (!found && json_object_get(service, "error"))
        found = "it could not be asked";
    else if (!found && strcmp(json_string_at(service, "model"), "document") == 0)
        found = "no migrations; collections and their indexes are made when it starts";
    cli_line(4, "%s%s%s  %s, %s: %s", cli_colour(stdout, CLI_BOLD),
             json_string_at(service, "service"), cli_colour(stdout, CLI_PLAIN),
             json_string_at(service, "engine"), json_string_at(service, "where"),
             found ? found : "no migrations; keys and values need none");
}

/* ---- Plan ---- */

static void print_sql(const char *sql)
{
    while (sql && *sql) {
        size_t length = strcspn(sql, "\n");
        printf("      %s%.*s%s\n", cli_colour(stdout, CLI_DIM), (int)length, sql,
               cli_colour(stdout, CLI_PLAIN));
        sql += length + (sql[length] == '\n');
    }
}

static void print_planned(const json_t *migration)
{
    json_int_t statements = 0, done = 0;
    json_integer_at(migration, "statements", &statements);
    json_integer_at(migration, "done", &done);
    printf("    %s", json_string_at(migration, "name"));
    if (done)
        printf("  %lld of its %lld statements", (long long)(statements - done),
               (long long)statements);
    else if (statements)
        printf("  %lld statement%s", (long long)statements, statements == 1 ? "" : "s");
    if (migrations_hinders(migration))
        printf("  %s%s%s", cli_colour(stdout, CLI_RED), json_string_at(migration, "state"),
               cli_colour(stdout, CLI_PLAIN));
    printf("\n");
    print_todo(migration);
    if (migrations_applies(migration))
        print_sql(json_string_at(migration, "sql"));
}

void migrate_show_plan(const json_t *services, bool running)
{
    size_t i, j, all = 0;
    json_t *service, *migration;
    json_array_foreach (services, i, service) {
        const json_t *migrations = json_object_get(service, "migrations");
        size_t count = count_that(migrations, migrations_applies);
        char counts[64];
        snprintf(counts, sizeof counts, "%zu applied, %zu to apply",
                 count_that(migrations, is_applied), count);
        all += count;
        print_service(service, migrations ? counts : NULL);
        json_array_foreach (migrations, j, migration) {
            if (migrations_applies(migration) || migrations_hinders(migration))
                print_planned(migration);
        }
    }
    if (all)
        cli_line(0, "Nothing was changed. %s",
                 running ? "`freehold upgrade SERVICE` applies them and starts the new version."
                         : "The next `freehold up` applies them, or `freehold migrate apply`.");
}

/* ---- State ---- */

static void print_migration(const json_t *service, const json_t *migration, int width)
{
    char when[WHEN_SIZE], state[64];
    const char *word = json_string_at(migration, "state");
    format_when(when, json_object_get(migration, "applied_ms"));
    snprintf(state, sizeof state, "%s", word);
    if (json_object_get(migration, "done"))
        snprintf(state, sizeof state, "%s at line %d", word,
                 (int)json_integer_value(json_object_get(migration, "line")));
    cli_line(4, "%-*s %-20s %-20s %s", width, json_string_at(service, "service"), when, state,
             json_string_at(migration, "name"));
    print_todo(migration);
}

void migrate_show_state(const json_t *services)
{
    size_t i, j;
    json_t *service, *migration;
    int width = 0;
    json_array_foreach (services, i, service) {
        int length = (int)strlen(json_string_at(service, "service"));
        width = length > width ? length : width;
    }
    json_array_foreach (services, i, service) {
        json_array_foreach (json_object_get(service, "migrations"), j, migration)
            print_migration(service, migration, width);
    }
}

/* ---- Apply, adopt ---- */

void migrate_show_done(const json_t *services)
{
    size_t i;
    json_t *service;
    json_array_foreach (services, i, service) {
        json_int_t applied = 0, adopted = 0;
        bool adopts = json_integer_at(service, "adopted_now", &adopted);
        if (!json_object_get(service, "migrations"))
            continue;
        json_integer_at(service, "applied_now", &applied);
        printf("%s: %lld migration%s %s\n", json_string_at(service, "service"),
               (long long)(applied + adopted), applied + adopted == 1 ? "" : "s",
               adopts ? "adopted" : "applied");
    }
}
