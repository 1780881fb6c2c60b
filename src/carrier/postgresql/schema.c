/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generation is a schema, whose name says which one it is (name.c). Its comment has the whole
 * name, and by that generations are found. In it are
 *
 *     generation   digest                       one row, of the declaration; whoever changes
 *                                               anything holds it locked
 *     link         ends, begins                 (carrier/server.h)
 *     curve        id, digest, t0, t1, ...      tags, once; t0: of the field 0, if FH_TAG; the
 *                                               digest is of all of them
 *     point        curve, at_ms, fh_position,   a point; v1: of the field 1, if it is measured.
 *                  v1, ...                      Partitions of it: partitions.c
 *
 * Where the server alone has it (`kept`), links have the ids of events, too, and points the lives
 * of those who wrote them, which come before positions.
 *
 * A generation is made by one transaction, and so is there whole or not at all; and what is sent
 * makes none.
 */

#include <stdio.h>
#include <string.h>

#include "carrier/postgresql/internal.h"

#define COMMENT "freehold "
#define DROPPED_AT_ONCE 200 /* partitions: a server locks some thousand tables in all */

static void declaration_digest(const struct fh_derived *declared,
                               char ret[static CURVES_DIGEST_SIZE])
{
    char digest[DERIVED_DIGEST_SIZE];
    derived_digest(declared, digest);
    snprintf(ret, CURVES_DIGEST_SIZE, "%d %s", CURVES_FORM, digest);
}

/* ---- Made ---- */

static void write_column_fields(struct text *sql, const struct fh_derived *declared, bool tags)
{
    for (int i = 0; declared->fields[i].name; i++) {
        const struct fh_derived_field *field = &declared->fields[i];
        if (series_is_tag(field) != tags)
            continue;
        if (tags)
            text_printf(sql, ", t%d %s NOT NULL", i,
                        field->type == FH_STRING ? "text COLLATE \"C\"" : "bigint");
        else
            text_printf(sql, ", v%d %s", i, field->type == FH_INT ? "bigint" : "double precision");
    }
}

/* Those that are kept are counted by their positions, which rise as they are written. */
static void write_points(struct text *sql, const char *schema, const struct fh_derived *declared,
                         bool kept)
{
    text_printf(sql,
                "); CREATE TABLE \"%s\".point (curve bigint NOT NULL, at_ms bigint NOT NULL,"
                " fh_position bigint NOT NULL%s",
                schema, kept ? ", fh_life uuid NOT NULL" : "");
    write_column_fields(sql, declared, false);
    text_add(sql, ", PRIMARY KEY (curve, at_ms)) PARTITION BY RANGE (at_ms)");
    if (kept)
        text_printf(sql,
                    "; CREATE INDEX ON \"%s\".point USING brin (fh_position)"
                    " WITH (autosummarize = on)",
                    schema);
}

static void write_generation(struct text *sql, const char *schema, const char *name,
                             const struct fh_derived *declared, bool kept)
{
    char digest[CURVES_DIGEST_SIZE];
    declaration_digest(declared, digest);
    text_printf(sql,
                "CREATE SCHEMA \"%s\"; COMMENT ON SCHEMA \"%s\" IS '" COMMENT "%s';"
                "CREATE TABLE \"%s\".generation (digest text NOT NULL);"
                "INSERT INTO \"%s\".generation VALUES ('%s');",
                schema, schema, name, schema, schema, digest);
    text_printf(sql,
                "CREATE TABLE \"%s\".link (ends bigint, begins bigint%s);"
                "CREATE TABLE \"%s\".curve (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                " digest bytea NOT NULL UNIQUE",
                schema,
                kept ? ", begins_id text COLLATE \"C\", ends_id text COLLATE \"C\","
                       " PRIMARY KEY (ends, begins, begins_id, ends_id)"
                     : ", PRIMARY KEY (ends, begins)",
                schema);
    write_column_fields(sql, declared, true);
    write_points(sql, schema, declared, kept);
}

/* It is there already: by this declaration? */
static enum fh_code compare_digest(struct curves_session *session,
                                   const struct fh_derived *declared)
{
    char digest[CURVES_DIGEST_SIZE], sql[CURVES_SCHEMA_SIZE + 64];
    declaration_digest(declared, digest);
    snprintf(sql, sizeof sql, "SELECT digest FROM \"%s\".generation", session->schema);
    enum fh_code code = curves_run(session, sql);
    if (code == FH_NOT_FOUND) /* dropped in between; or somebody else's */
        return error_retry(session->error, FH_UNAVAILABLE,
                           "PostgreSQL at %.100s has a schema %s that is no generation.",
                           session->server->at, session->schema);
    if (code == FH_OK && strcmp(curves_text(session, 0, 0), digest) != 0)
        return error_set(session->error, FH_INVALID,
                         "PostgreSQL at %.100s has a schema of that name by another declaration.",
                         session->server->at);
    return code;
}

/* 23505: another one made it at the same time. */
static bool is_there_already(const struct curves_session *session)
{
    return strcmp(session->state, "42P06") == 0 || strcmp(session->state, "23505") == 0;
}

enum fh_code curves_make(struct carried_server *base, const struct fh_derived *declared,
                         const struct carried_name *generation, struct fh_error *error)
{
    struct curves_session session = {0};
    struct text sql;
    char name[CURVES_NAME_SIZE];
    text_init(&sql, CURVES_SQL_SIZE);
    enum fh_code code = curves_begin_of(&session, base, declared, generation, error);
    curves_name(curves_of(base), declared, generation, name);
    write_generation(&sql, session.schema, name, declared, generation->kept);
    FH_ASSERT(!sql.overflow);
    if (code == FH_OK) {
        code = curves_run(&session, sql.data);
        if (code == FH_OK)
            code = curves_commit(&session, "");
        else if (is_there_already(&session) &&
                 (code = curves_run(&session, "ROLLBACK; BEGIN")) == FH_OK)
            code = compare_digest(&session, declared);
    }
    curves_end(&session);
    text_release(&sql);
    return code;
}

/* ---- Dropped ---- */

/* Some of it, in a transaction of its own. */
static enum fh_code drop_part(struct curves_session *session, bool *ret_done)
{
    struct curves_partitions partitions = {0};
    char sql[CURVES_SCHEMA_SIZE + 64];
    int dropped = 0;
    enum fh_code code = curves_partitions_read(session, &partitions);
    *ret_done = partitions.count <= DROPPED_AT_ONCE;
    curves_partitions_release(&partitions);
    if (code != FH_OK)
        return code;
    snprintf(sql, sizeof sql, "DROP SCHEMA IF EXISTS \"%s\" CASCADE", session->schema);
    code = *ret_done ? curves_run(session, sql)
                     : curves_partitions_drop(session, INT64_MAX, DROPPED_AT_ONCE, &dropped);
    return code == FH_OK ? curves_commit(session, "") : code;
}

enum fh_code curves_drop(struct carried_server *base, const struct fh_derived *declared,
                         const struct carried_name *generation, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (bool done = false; code == FH_OK && !done;) {
        struct curves_session session = {0};
        code = curves_begin_of(&session, base, declared, generation, error);
        if (code == FH_OK)
            code = drop_part(&session, &done);
        curves_end(&session);
    }
    return code;
}

/* ---- All of them ---- */

enum fh_code curves_generations(struct carried_server *base, const struct fh_derived *declared,
                                void (*visit)(void *context, const struct carried_name *name),
                                void *context, struct fh_error *error)
{
    struct curves_server *server = curves_of(base);
    struct curves_session session = {0};
    char prefix[CURVES_NAME_SIZE];
    enum fh_code code = curves_begin(&session, server, &server->carrying, 0, error);
    curves_prefix(server, declared, prefix);
    if (code == FH_OK)
        code = curves_run(&session, "SELECT d.description FROM pg_description AS d WHERE"
                                    " d.classoid = 'pg_namespace'::regclass AND d.objsubid = 0 AND"
                                    " starts_with(d.description, '" COMMENT "')");
    for (int i = 0; code == FH_OK && i < curves_rows(&session); i++) {
        struct carried_name name = {0};
        if (curves_name_read(prefix, curves_text(&session, i, 0) + strlen(COMMENT), &name))
            visit(context, &name);
    }
    curves_end(&session);
    return code;
}
