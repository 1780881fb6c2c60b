/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generation is a measurement in the service's own database, whose name says of which derived
 * store, incarnation and number it is, and two others beside it:
 *
 *     measured-0190a6b2-7c1e-7a55-8d4c-2f6b0e9a1c33-7         its points
 *     measured-0190a6b2-7c1e-7a55-8d4c-2f6b0e9a1c33-7-links   what is carried
 *     measured-0190a6b2-7c1e-7a55-8d4c-2f6b0e9a1c33-7-made    that it is there, and made by what
 *     measured-0190a6b2-7c1e-7a55-8d4c-2f6b0e9a1c33-kept-1    one that the server alone has
 *
 * A database for each would need an administrator to make it, who may do everything to everybody's;
 * so the database is made once, by whoever has that right, and a user of it alone is enough. But a
 * server makes a measurement of any point that comes. So one is there if it is known to be made,
 * which is looked at before each page. What comes late to one that was dropped is not asked, and
 * found as one that is older than what serves, and dropped again.
 */

#include <stdio.h>
#include <stdlib.h>

#include "carrier/influxdb/internal.h"

/* ---- Names ---- */

void influxdb_measurement(const struct fh_derived *declared, const struct carried_name *generation,
                          const char *behind, char ret[static INFLUXDB_NAME_SIZE])
{
    snprintf(ret, INFLUXDB_NAME_SIZE, "%s-%s-%s%lld%s", declared->name, generation->incarnation,
             generation->kept ? INFLUXDB_KEPT : "", (long long)generation->number, behind);
}

static bool name_ends_here(const char *rest, size_t length)
{
    static const char *const ends[] = {"", INFLUXDB_LINKS, INFLUXDB_MADE};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (length == strlen(ends[i]) && memcmp(rest, ends[i], length) == 0)
            return true;
    }
    return false;
}

/* False: it is another measurement. */
static bool read_measurement(const struct fh_derived *declared, const struct influxdb_cell *cell,
                             struct carried_name *ret)
{
    char name[INFLUXDB_NAME_SIZE + 16], again[INFLUXDB_NAME_SIZE];
    size_t prefix = strlen(declared->name), length = cell->length;
    if (cell->kind != INFLUXDB_TEXT || cell->foreign || length >= sizeof name ||
        length < prefix + ID_SIZE + 2)
        return false;
    memcpy(name, cell->text, length);
    name[length] = '\0';
    if (memcmp(name, declared->name, prefix) != 0 || name[prefix] != '-')
        return false;
    memcpy(ret->incarnation, name + prefix + 1, ID_SIZE - 1);
    ret->incarnation[ID_SIZE - 1] = '\0';
    const char *number = name + prefix + ID_SIZE + 1;
    ret->kept = strncmp(number, INFLUXDB_KEPT, sizeof INFLUXDB_KEPT - 1) == 0;
    ret->number = strtoll(number + (ret->kept ? sizeof INFLUXDB_KEPT - 1 : 0), NULL, 10);
    if (!id_time_ms(ret->incarnation) || ret->number <= 0)
        return false;
    influxdb_measurement(declared, ret, "", again);
    return strncmp(name, again, strlen(again)) == 0 &&
           name_ends_here(name + strlen(again), length - strlen(again));
}

void influxdb_digest(const struct fh_derived *declared, char ret[static INFLUXDB_DIGEST_SIZE])
{
    char digest[DERIVED_DIGEST_SIZE];
    derived_digest(declared, digest);
    snprintf(ret, INFLUXDB_DIGEST_SIZE, "%d-%s", INFLUXDB_FORM, digest);
}

/* ---- What is there ---- */

void influxdb_add_state(struct text *statements, const struct influxdb *server,
                        const char *measurement)
{
    char made[INFLUXDB_NAME_SIZE + sizeof INFLUXDB_MADE];
    snprintf(made, sizeof made, "%s" INFLUXDB_MADE, measurement);
    text_add(statements, "SELECT \"digest\",\"form\" FROM ");
    influxdb_add_identifier(statements, made);
    text_add(statements, ";SHOW RETENTION POLICIES ON ");
    influxdb_add_identifier(statements, server->owner);
}

void influxdb_state_init(struct influxdb_state *state, const struct fh_derived *declared)
{
    *state = (struct influxdb_state){0};
    influxdb_digest(declared, state->own);
}

/* "168h0m0s". -1: it is not of whole hours. */
static int64_t hours_of(const struct influxdb_cell *cell)
{
    char text[32], *end;
    if (cell->kind != INFLUXDB_TEXT || cell->foreign || cell->length >= sizeof text)
        return -1;
    memcpy(text, cell->text, cell->length);
    text[cell->length] = '\0';
    long long hours = strtoll(text, &end, 10);
    return end > text && strcmp(end, "h0m0s") == 0 && hours >= 0 ? hours : -1;
}

static bool take_policy(struct influxdb_state *state, const struct influxdb_rows *rows)
{
    bool keeps = false, of_days = false, default_one = false;
    for (int i = 0; i < rows->column_count; i++) {
        const struct influxdb_cell *cell = &rows->cells[i];
        int64_t hours = hours_of(cell);
        if (influxdb_cell_is(&rows->columns[i], "duration"))
            keeps = influxdb_cell_is(cell, "0s");
        if (influxdb_cell_is(&rows->columns[i], "shardGroupDuration"))
            of_days = hours > 0 && hours % 24 == 0 && hours <= INFLUXDB_SHARD_HOURS_MAX;
        if (influxdb_cell_is(&rows->columns[i], "default"))
            default_one = cell->kind == INFLUXDB_TRUE;
    }
    if (default_one) {
        state->keeps = keeps;
        state->divides = of_days;
    }
    return true;
}

bool influxdb_state_row(struct influxdb_state *state, const struct influxdb_rows *rows)
{
    if (rows->statement == 1)
        return take_policy(state, rows);
    if (rows->column_count != 3 || rows->cells[1].kind != INFLUXDB_TEXT)
        return false;
    if (influxdb_cell_is(&rows->cells[1], state->own))
        state->made = true;
    else
        state->made_otherwise = true;
    return true;
}

/* What the database is like, which its administrator may have changed. */
static enum fh_code check_database(const struct influxdb *server,
                                   const struct influxdb_state *state, struct fh_error *error)
{
    if (!state->keeps)
        return error_set(error, FH_UNSUPPORTED,
                         "The default retention policy of the database %s of InfluxDB at %.100s "
                         "does not keep everything: expected DURATION INF.",
                         server->owner, server->base_url);
    if (!state->divides)
        return error_set(error, FH_UNSUPPORTED,
                         "The default retention policy of the database %s of InfluxDB at %.100s "
                         "has shards of no whole days: expected SHARD DURATION of 1d to 52w.",
                         server->owner, server->base_url);
    return FH_OK;
}

enum fh_code influxdb_state_check(const struct influxdb *server, const struct influxdb_state *state,
                                  struct fh_error *error)
{
    enum fh_code code = check_database(server, state, error);
    if (code == FH_OK && !state->made)
        code = error_set(error, FH_NOT_FOUND, "InfluxDB at %.100s has no such generation.",
                         server->base_url);
    return code;
}

static bool take_row_of_state(void *context, const struct influxdb_rows *rows)
{
    return influxdb_state_row(context, rows);
}

static enum fh_code ask_state(struct influxdb *server, const char *measurement,
                              struct influxdb_state *state, struct fh_error *error)
{
    struct influxdb_reader reader = {.context = state, .row = take_row_of_state};
    struct influxdb_call call = {0};
    struct text statements;
    text_init(&statements, INFLUXDB_SMALL);
    influxdb_add_state(&statements, server, measurement);
    call.body = statements.data;
    call.body_length = statements.length;
    enum fh_code code = influxdb_query(server, &call, error);
    if (code == FH_OK)
        code = influxdb_read(server, &call, &reader, error);
    influxdb_call_release(&call);
    text_release(&statements);
    return code;
}

enum fh_code influxdb_look(struct influxdb *server, const struct fh_derived *declared,
                           const char *measurement, struct fh_error *error)
{
    struct influxdb_state state;
    influxdb_state_init(&state, declared);
    enum fh_code code = ask_state(server, measurement, &state, error);
    return code == FH_OK ? influxdb_state_check(server, &state, error) : code;
}

static bool take_no_row(void *context, const struct influxdb_rows *rows)
{
    (void)context;
    (void)rows;
    return true;
}

enum fh_code influxdb_run(struct influxdb *server, const struct text *statements,
                          struct fh_error *error)
{
    struct influxdb_reader reader = {.row = take_no_row};
    struct influxdb_call call = {.body = statements->data, .body_length = statements->length};
    enum fh_code code = influxdb_query(server, &call, error);
    if (code == FH_OK)
        code = influxdb_read(server, &call, &reader, error);
    influxdb_call_release(&call);
    return code;
}

/* ---- Made ---- */

static enum fh_code make_owner_database(struct influxdb *server, struct fh_error *error)
{
    struct text statement;
    text_init(&statement, INFLUXDB_SMALL);
    text_add(&statement, "CREATE DATABASE ");
    influxdb_add_identifier(&statement, server->owner);
    enum fh_code code = influxdb_run(server, &statement, error);
    text_release(&statement);
    return code;
}

/* The digest is a tag: so of two that make it at a time, by two declarations, both see it. */
static enum fh_code write_made(struct influxdb *server, const char *measurement,
                               const struct influxdb_state *state, struct fh_error *error)
{
    struct influxdb_call call = {0};
    struct text body;
    text_init(&body, INFLUXDB_SMALL);
    influxdb_add_key(&body, measurement, strlen(measurement));
    text_printf(&body, INFLUXDB_MADE ",digest=%s form=%di 0\n", state->own, INFLUXDB_FORM);
    call.body = body.data;
    call.body_length = body.length;
    enum fh_code code = influxdb_write(server, &call, error);
    influxdb_call_release(&call);
    text_release(&body);
    return code;
}

static enum fh_code made_otherwise(const struct influxdb *server, struct fh_error *error)
{
    return error_set(error, FH_INVALID,
                     "InfluxDB at %.100s has a generation of that name by another declaration.",
                     server->base_url);
}

enum fh_code influxdb_make(struct carried_server *base, const struct fh_derived *declared,
                           const struct carried_name *generation, struct fh_error *error)
{
    struct influxdb *server = influxdb_of(base);
    struct influxdb_state state;
    char measurement[INFLUXDB_NAME_SIZE];
    influxdb_measurement(declared, generation, "", measurement);
    influxdb_state_init(&state, declared);
    enum fh_code code = ask_state(server, measurement, &state, error);
    if (code == FH_NOT_FOUND) {
        code = make_owner_database(server, error);
        if (code == FH_OK)
            code = ask_state(server, measurement, &state, error);
    }
    if (code == FH_OK)
        code = check_database(server, &state, error);
    if (code == FH_OK && !state.made && !state.made_otherwise) {
        code = write_made(server, measurement, &state, error);
        if (code == FH_OK)
            code = ask_state(server, measurement, &state, error);
    }
    if (code == FH_NOT_FOUND) /* dropped in between */
        return error_retry(error, FH_UNAVAILABLE, "The database %s is being dropped.",
                           server->owner);
    return code == FH_OK && state.made_otherwise ? made_otherwise(server, error) : code;
}

/* ---- Dropped ---- */

/* First that it was made: what is left of it, if this is cut short, is not asked. */
enum fh_code influxdb_drop(struct carried_server *base, const struct fh_derived *declared,
                           const struct carried_name *generation, struct fh_error *error)
{
    static const char *const parts[] = {INFLUXDB_MADE, INFLUXDB_LINKS, ""};
    struct influxdb *server = influxdb_of(base);
    struct text statements;
    text_init(&statements, INFLUXDB_SMALL);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char measurement[INFLUXDB_NAME_SIZE];
        influxdb_measurement(declared, generation, parts[i], measurement);
        text_add(&statements, i ? ";DROP SERIES FROM " : "DROP SERIES FROM ");
        influxdb_add_identifier(&statements, measurement);
    }
    enum fh_code code = influxdb_run(server, &statements, error);
    text_release(&statements);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

/* ---- All of them ---- */

struct generation_list {
    const struct fh_derived *declared;
    void (*visit)(void *context, const struct carried_name *name);
    void *context;
    struct carried_name last; /* number 0: there is none */
};

/* In the order of their names, so the three of one generation are beside each other. */
static bool take_measurement(void *context, const struct influxdb_rows *rows)
{
    struct generation_list *list = context;
    struct carried_name name = {0};
    if (rows->column_count != 1)
        return false;
    if (!read_measurement(list->declared, &rows->cells[0], &name) ||
        (list->last.number && carried_name_compare(&name, &list->last) == 0))
        return true;
    list->visit(list->context, &name);
    list->last = name;
    return true;
}

enum fh_code influxdb_generations(struct carried_server *base, const struct fh_derived *declared,
                                  void (*visit)(void *context, const struct carried_name *name),
                                  void *context, struct fh_error *error)
{
    struct influxdb *server = influxdb_of(base);
    struct generation_list list = {.declared = declared, .visit = visit, .context = context};
    struct influxdb_reader reader = {.context = &list, .row = take_measurement};
    struct influxdb_call call = {.body = "SHOW MEASUREMENTS", .body_length = 17};
    enum fh_code code = influxdb_query(server, &call, error);
    if (code == FH_OK)
        code = influxdb_read(server, &call, &reader, error);
    influxdb_call_release(&call);
    return code == FH_NOT_FOUND ? FH_OK : code;
}
