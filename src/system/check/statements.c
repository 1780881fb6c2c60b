/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One service after the other, each on a store of its own. A migration that fails is named with its
 * line, and then nothing more is said of this service: what its handlers lack may be what it would
 * have made.
 *
 * A program of several services does not say whose a statement is, so its statements are not
 * judged; nor is what a service without migrations does. A handler's own CREATE is run first, since
 * others rely on it.
 */

#define _GNU_SOURCE
#include "system/check/statements.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/engines.h"
#include "service/migration.h"
#include "store/relational/relational.h"
#include "store/relational/trial.h"
#include "system/check/arguments.h"
#include "system/check/breaks.h"
#include "system/check/describe.h"
#include "system/check/migrations.h"
#include "system/check/reports.h"

#define SHOWN_LENGTH_MAX 120 /* of a statement, in a message */
#define PARSED_LIST "(?%d)"
/* A warning: the server's grammar may be newer than the parser's. */
#define UNREAD "%s: PostgreSQL's parser does not read this statement: %s"

struct trying {
    struct system_file *file;
    const struct system_service *service;
    const struct engine *engine;
    struct sql_trial *trial; /* NULL: PostgreSQL's parser reads it */
    struct findings *findings;
    json_t *not_judged;
    json_t *rounding; /* "table.column" that was told of */
    struct reports reports;
};

static void not_judged_of(const struct trying *trying, const char *what, const char *why)
{
    if (trying->not_judged)
        json_array_append_new(trying->not_judged,
                              json_sprintf("%s of %s: %s", what, trying->service->name, why));
}

/* ---- One statement ---- */

/* Its last character is the comment's, too. */
static char *end_of_comment(char *at)
{
    char *end = at[1] == '*' ? strstr(at + 2, "*/") : strchr(at, '\n');
    return end ? end + (at[1] == '*') : at + strlen(at) - 1;
}

/* PostgreSQL's parameters are $1, $2; what is quoted or commented is left alone. */
static char *number_for_postgresql(const char *sql)
{
    char *text = strdup(sql), quote = '\0';
    FH_ASSERT(text != NULL);
    for (char *at = text; *at; at++) {
        if (quote)
            quote = *at == quote ? '\0' : quote;
        else if (strncmp(at, "--", 2) == 0 || strncmp(at, "/*", 2) == 0)
            at = end_of_comment(at);
        else if (*at == '\'' || *at == '"')
            quote = *at;
        else if (*at == '?' && isdigit((unsigned char)at[1]))
            *at = '$';
    }
    return text;
}

static enum fh_code try_statement(const struct trying *trying, const char *sql, bool runs,
                                  struct fh_error *error)
{
    const struct sql_trial_ops *ops = trying->engine->sql->trial;
    if (trying->trial)
        return runs ? ops->run(trying->trial, sql, error) : ops->prepare(trying->trial, sql, error);
    char *text = number_for_postgresql(sql);
    enum fh_code code = breaks_parse(text, error);
    free(text);
    return code;
}

/* ---- Columns that round ---- */

struct rounding {
    const struct trying *trying;
    struct place place;
};

static void report_rounding(void *context, const char *table, const char *column, const char *type)
{
    const struct rounding *rounding = context;
    const struct trying *trying = rounding->trying;
    char name[256];
    snprintf(name, sizeof name, "%.120s.%.120s", table, column);
    if (json_object_get(trying->rounding, name))
        return;
    json_object_set_new(trying->rounding, name, json_true());
    findings_warning(
        trying->findings, rounding->place,
        "%s: %s makes a double of what is stored in %s, which is declared %.40s: "
        "\"19.90\" comes back as 19.9; declare it TEXT for an FH_DECIMAL, or count the "
        "smallest unit in an INTEGER",
        trying->service->name, trying->engine->title, name, type);
}

/* Of those that are there, the ones that were not there before. */
static void check_rounding(const struct trying *trying, struct place place)
{
    struct rounding rounding = {trying, place};
    if (trying->trial && trying->engine->sql->trial->rounding)
        trying->engine->sql->trial->rounding(trying->trial, report_rounding, &rounding);
}

/* ---- Migrations ---- */

static struct place place_of_migration(const struct trying *trying,
                                       const struct migration *migration, int line)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.3000s/%s", trying->service->migrations, migration->name);
    return (struct place){arena_text(&trying->file->arena, path), line, 1};
}

/* A statement that takes too long for a trial leaves the rest unknown. */
static bool try_migration(const struct trying *trying, const struct migration *migration)
{
    const struct sql_dialect *dialect = trying->engine->sql->dialect;
    struct script script = script_begin(migration->sql, dialect);
    struct script_statement statement;
    struct fh_error error;
    enum fh_code code = FH_OK;
    while (code == FH_OK && script_next(&script, &statement)) {
        char *sql = strndup(statement.text, statement.length);
        FH_ASSERT(sql != NULL);
        code = try_statement(trying, sql, true, &error);
        free(sql);
        if (code == FH_OK)
            check_rounding(trying, place_of_migration(trying, migration, statement.line));
    }
    if (code == FH_OK)
        return true;
    if (code == FH_UNAVAILABLE) {
        not_judged_of(trying, "the migrations and the handlers' SQL", error.message);
        return false;
    }
    struct place place = place_of_migration(trying, migration, statement.line);
    if (trying->trial)
        findings_error(trying->findings, place, "%s: on an empty store this statement fails: %s",
                       trying->service->name, error.message);
    else
        findings_warning(trying->findings, place, UNREAD, trying->service->name, error.message);
    return false;
}

static bool try_migrations(const struct trying *trying)
{
    struct migrations all;
    bool goes_on = true;
    if (migrations_read(trying->service->migrations, trying->service->engine,
                        trying->engine->sql->dialect, &all, ERROR_UNHEEDED) != FH_OK)
        return false; /* migrations_check has reported it */
    for (int i = 0; i < all.count && goes_on; i++)
        goes_on = try_migration(trying, &all.rows[i]);
    migrations_release(&all);
    return goes_on;
}

/* ---- Where a handler is ---- */

/* The compiler was told a path from its build folder, which is where the program is, or above. */
static const char *source_path(const struct trying *trying, const char *file)
{
    char folder[PATH_MAX], path[PATH_MAX], here[PATH_MAX], found[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", trying->service->program_path);
    for (char *slash; *file != '/' && (slash = strrchr(folder, '/')) && slash != folder;) {
        *slash = '\0';
        int length = snprintf(path, sizeof path, "%s/%s", folder, file);
        if (length < 0 || (size_t)length >= sizeof path || !realpath(path, found))
            continue;
        size_t above = getcwd(here, sizeof here) ? strlen(here) : 0;
        bool below = above && strncmp(found, here, above) == 0 && found[above] == '/';
        return arena_text(&trying->file->arena, below ? found + above + 1 : found);
    }
    return arena_text(&trying->file->arena, file);
}

static struct place place_of_statement(const struct trying *trying, const json_t *statement)
{
    json_int_t line = 0;
    json_integer_at(statement, "line", &line);
    return (struct place){source_path(trying, json_string_at(statement, "file")), (int)line, 1};
}

/* On one line, and cut where it is long. */
static void show_statement(const char *sql, char shown[static SHOWN_LENGTH_MAX + 8])
{
    size_t length = 0;
    for (; *sql && length < SHOWN_LENGTH_MAX; sql++) {
        bool blank = isspace((unsigned char)*sql);
        if (!blank || (length && shown[length - 1] != ' '))
            shown[length++] = blank ? ' ' : *sql;
    }
    while (length && ((unsigned char)shown[length - 1] & 0xc0) == 0x80)
        length--; /* not in the middle of a character */
    if (*sql && length && (unsigned char)shown[length - 1] >= 0xc0)
        length--;
    snprintf(shown + length, 8, "%s", *sql ? " ..." : "");
}

/* ---- Handlers ---- */

static void report_statement(const struct trying *trying, const json_t *statement, const char *why)
{
    char shown[SHOWN_LENGTH_MAX + 8];
    show_statement(json_string_at(statement, "sql"), shown);
    findings_error(trying->findings, place_of_statement(trying, statement),
                   "%s: %s can't run \"%s\": %s", trying->service->name,
                   json_string_at(statement, "call"), shown, why);
}

static void report_refused(const struct trying *trying, const json_t *statement, const char *why)
{
    if (trying->trial)
        report_statement(trying, statement, why);
    else
        findings_warning(trying->findings, place_of_statement(trying, statement), UNREAD,
                         trying->service->name, why);
}

/* The names that the text has, against those that the call gives it. `optional`: which of them may
 * be missing; NULL: none. */
static void check_names(const struct trying *trying, const json_t *statement,
                        const struct relational_reading *reading, const bool *optional)
{
    char why[256];
    struct arguments given;
    arguments_read(json_string_at(statement, "written"), &given);
    if (given.fault[0])
        findings_error(trying->findings, place_of_statement(trying, statement), "%s: %s",
                       trying->service->name, given.fault);
    for (int i = 0; i < reading->count && given.known && !given.fault[0]; i++) {
        if ((optional && optional[i]) || arguments_have(&given, reading->names[i]))
            continue;
        snprintf(why, sizeof why,
                 "no object that it is given has \"%.100s\", for its parameter :%.60s",
                 reading->names[i], reading->names[i]);
        report_statement(trying, statement, why);
        break;
    }
    arguments_release(&given);
}

static void check_handler_statement(const struct trying *trying, const json_t *statement)
{
    struct relational_reading reading;
    struct fh_error error;
    relational_read(json_string_at(statement, "sql"),
                    trying->trial ? trying->engine->sql->list_format : PARSED_LIST, &reading);
    enum fh_code code = reading.control ? FH_OK : try_statement(trying, reading.sql, false, &error);
    if (reading.control)
        report_statement(trying, statement,
                         "Freehold begins and ends the transaction and owns the store");
    else if (code != FH_OK && code != FH_UNAVAILABLE)
        report_refused(trying, statement, error.message);
    else
        check_names(trying, statement, &reading, NULL);
    relational_reading_release(&reading);
}

static bool is_report_call(const json_t *statement)
{
    const char *call = json_string_at(statement, "call");
    return call && strcmp(call, "fh_report") == 0;
}

/* Its literal is a report's name. */
static void check_report_call(const struct trying *trying, const json_t *statement)
{
    const char *name = json_string_at(statement, "sql");
    const struct report *report = name ? reports_find(&trying->reports, name) : NULL;
    if (report)
        check_names(trying, statement, &report->reading, report->optional);
    else if (name)
        report_statement(trying, statement, "there is no report of that name");
}

/* What it fails for is reported with the others. */
static void run_creation(const struct trying *trying, const json_t *statement)
{
    const char *sql = json_string_at(statement, "sql");
    sql += sql ? strspn(sql, " \t\r\n") : 0;
    if (sql && !is_report_call(statement) && trying->trial && strncasecmp(sql, "CREATE", 6) == 0 &&
        try_statement(trying, sql, true, ERROR_UNHEEDED) == FH_OK)
        check_rounding(trying, place_of_statement(trying, statement));
}

static bool is_created(const char *sql)
{
    sql += strspn(sql, " \t\r\n");
    return strncasecmp(sql, "CREATE", 6) == 0 || strncasecmp(sql, "DROP", 4) == 0;
}

static int compare_statements(const void *left, const void *right)
{
    const json_t *const *a = left, *const *b = right;
    json_int_t line = 0, other = 0;
    json_integer_at(*a, "line", &line);
    json_integer_at(*b, "line", &other);
    int files = strcmp(json_string_at(*a, "file"), json_string_at(*b, "file"));
    return files ? files : (line > other) - (line < other);
}

/* In the order in which they are written; compilers leave them in others. New reference. */
static json_t *statements_in_order(const json_t *said)
{
    const json_t *statements = json_object_get(said, "statements");
    size_t count = json_array_size(statements);
    const json_t **all = calloc(count + 1, sizeof *all);
    json_t *sorted = json_array();
    FH_ASSERT(all != NULL);
    for (size_t i = 0; i < count; i++)
        all[i] = json_array_get(statements, i);
    qsort(all, count, sizeof *all, compare_statements);
    for (size_t i = 0; i < count; i++)
        json_array_append(sorted, (json_t *)(uintptr_t)all[i]);
    free(all);
    return sorted;
}

static void check_handlers(const struct trying *trying, const json_t *said)
{
    size_t i;
    json_t *statement;
    if (!said) {
        not_judged_of(trying, "the SQL of the handlers",
                      "its program does not say it; build it with this version");
        return;
    }
    if (json_array_size(json_object_get(said, "services")) != 1) {
        not_judged_of(trying, "the SQL of the handlers", "its program has several services");
        return;
    }
    json_t *statements = statements_in_order(said);
    json_array_foreach (statements, i, statement)
        run_creation(trying, statement);
    json_array_foreach (statements, i, statement) {
        const char *sql = json_string_at(statement, "sql");
        if (is_report_call(statement))
            check_report_call(trying, statement);
        else if (sql && !is_created(sql))
            check_handler_statement(trying, statement);
    }
    json_decref(statements);
}

static enum fh_code parse_report(const void *context, const char *sql, struct fh_error *error)
{
    return try_statement(context, sql, false, error);
}

/* ---- A service ---- */

static void check_service(struct trying *trying, const json_t *said)
{
    const struct sql_ops *sql = trying->engine->sql;
    struct fh_error error;
    if (!trying->service->migrations)
        return;
    if (sql->trial && sql->trial->open(&trying->trial, &error) != FH_OK) {
        not_judged_of(trying, "the SQL", error.message);
        return;
    }
    if (!trying->trial && !(sql->dialect->postgresql_grammar && breaks_built_in())) {
        char why[128];
        snprintf(why, sizeof why, "nothing here reads that of %s", trying->engine->title);
        not_judged_of(trying, "the SQL", why);
        return;
    }
    if (try_migrations(trying)) {
        check_handlers(trying, said);
        if (trying->trial)
            reports_check_statements(trying->file, trying->service, trying->engine, trying->trial,
                                     &trying->reports, trying->findings);
        else
            reports_check_parsed(trying->file, trying->service, &trying->reports, parse_report,
                                 trying, trying->findings);
    }
    if (sql->trial)
        sql->trial->close(trying->trial);
}

void statements_check(struct system_file *file, struct findings *findings, json_t *not_judged)
{
    json_t *said[SYSTEM_SERVICES_MAX];
    describe_statements(file, said);
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        const char *model = json_string_at(service->description, "model");
        struct trying trying = {.file = file,
                                .service = service,
                                .engine = engine_named(service->engine),
                                .findings = findings,
                                .not_judged = not_judged,
                                .rounding = json_object()};
        reports_check(file, service, trying.engine, findings, &trying.reports);
        if (model && strcmp(model, "relational") == 0 && trying.engine && trying.engine->sql)
            check_service(&trying, said[i]);
        reports_release(&trying.reports);
        json_decref(trying.rounding);
        json_decref(said[i]);
    }
}
