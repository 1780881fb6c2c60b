/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page is one transaction, and its link the last statement of it: so it is there whole or not at
 * all, and nobody ever sees half of it.
 *
 *     BEGIN, and lock it        so two carriers come after each other, and neither meets a deadlock
 *     make partitions           that its points' times need
 *     tags that are new         by their digest; and the ids of all
 *     points                    ON CONFLICT DO UPDATE where the position is higher: it compares;
 *                               of those that are kept, the life, and then the position
 *     link, COMMIT              in one message; if that is not answered, nobody knows
 *
 * A point that the server will not have (SQLSTATE 22...: a character that its encoding lacks) is
 * looked for by halves, each behind a savepoint, until it is alone, and refused.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/postgresql/internal.h"

#define ARRAY_ON_LOOP_MAX 100 /* rows: less work than the way to another thread */

struct sending {
    struct curves_session session;
    struct curves_page *page;
    const struct fh_derived *declared;
    const struct carried_page *carried;
    /* Of the arrays: */
    int from, to;
    bool points;
    char *arrays[DERIVED_FIELDS_MAX + 4];
    int count, borrowed; /* the last ones: the page's own */
};

/* ---- Off the loop ---- */

static void write_point_arrays(struct sending *sending)
{
    struct curves_page *page = sending->page;
    bool whole = sending->from == 0 && sending->to == page->count;
    sending->arrays[0] = curves_page_curves(page, sending->from, sending->to);
    if (whole)
        memcpy(sending->arrays + 1, page->arrays, sizeof page->arrays);
    sending->borrowed = whole ? page->arrays_count : 0;
    sending->count =
        1 + (whole ? page->arrays_count
                   : curves_page_points(page, sending->from, sending->to, sending->arrays + 1));
}

static void write_arrays(void *context)
{
    struct sending *sending = context;
    if (sending->points)
        write_point_arrays(sending);
    else
        sending->count =
            curves_page_tags(sending->page, sending->from, sending->to, sending->arrays);
}

static void make_arrays(struct sending *sending, bool points, int from, int to)
{
    sending->points = points;
    sending->from = from;
    sending->to = to;
    if (to - from <= ARRAY_ON_LOOP_MAX)
        write_arrays(sending);
    else
        world_blocking(sending->session.server->world, write_arrays, sending);
}

static enum fh_code run_with_arrays(struct sending *sending, const struct text *sql, int count)
{
    FH_ASSERT(!sql->overflow);
    return curves_run_with(&sending->session, sql->data, (const char *const *)sending->arrays,
                           count);
}

static void free_arrays(struct sending *sending)
{
    for (int i = 0; i < sending->count - sending->borrowed; i++)
        free(sending->arrays[i]);
    sending->count = sending->borrowed = 0;
}

/* ---- Tags ---- */

/* The ids of those that the server has. *ret_missing: it has not all of them. */
static enum fh_code read_ids(struct sending *sending, int from, int to, bool *ret_missing)
{
    struct curves_session *session = &sending->session;
    struct text sql;
    text_init(&sql, CURVES_SQL_SIZE);
    text_printf(&sql,
                "SELECT n.place, c.id FROM unnest($1::bytea[]) WITH ORDINALITY AS n(digest, place)"
                " JOIN \"%s\".curve AS c ON c.digest = n.digest ORDER BY n.place",
                session->schema);
    enum fh_code code = run_with_arrays(sending, &sql, 1);
    text_release(&sql);
    *ret_missing = false;
    int row = 0;
    int64_t place = 0;
    for (int i = from; i < to && code == FH_OK; i++) {
        struct curves_tags *tags = &sending->page->tags[i];
        if (tags->id)
            continue;
        place++;
        if (row < curves_rows(session) && curves_integer(session, row, 0) == place)
            tags->id = curves_integer(session, row++, 1);
        *ret_missing |= !tags->id;
    }
    return code;
}

static void write_tag_columns(struct text *sql, const struct fh_derived *declared,
                              const char *before)
{
    for (int i = 0; declared->fields[i].name; i++) {
        if (series_is_tag(&declared->fields[i]))
            text_printf(sql, ", %st%d", before, i);
    }
}

static enum fh_code add_tags(struct sending *sending)
{
    const char *schema = sending->session.schema;
    const struct fh_derived_field *fields = sending->declared->fields;
    struct text sql;
    int parameter = 1;
    text_init(&sql, CURVES_SQL_SIZE);
    text_printf(&sql, "INSERT INTO \"%s\".curve (digest", schema);
    write_tag_columns(&sql, sending->declared, "");
    text_add(&sql, ") SELECT n.digest");
    write_tag_columns(&sql, sending->declared, "n.");
    text_add(&sql, " FROM unnest($1::bytea[]");
    for (int i = 0; fields[i].name; i++) {
        if (series_is_tag(&fields[i]))
            text_printf(&sql, ", $%d::%s[]", ++parameter,
                        fields[i].type == FH_STRING ? "text" : "bigint");
    }
    text_add(&sql, ") AS n(digest");
    write_tag_columns(&sql, sending->declared, "");
    text_add(&sql, ") ON CONFLICT (digest) DO NOTHING");
    enum fh_code code = run_with_arrays(sending, &sql, sending->count);
    text_release(&sql);
    return code;
}

static enum fh_code put_tags(struct sending *sending, int from, int to)
{
    bool missing;
    make_arrays(sending, false, from, to);
    enum fh_code code = read_ids(sending, from, to, &missing);
    free_arrays(sending);
    if (code != FH_OK || !missing)
        return code;
    make_arrays(sending, false, from, to); /* of those that are missing */
    code = add_tags(sending);
    if (code == FH_OK)
        code = read_ids(sending, from, to, &missing);
    free_arrays(sending);
    return code == FH_OK && missing
               ? curves_strange(sending->session.server, sending->session.error)
               : code;
}

/* ---- Points ---- */

static void write_measured_array(struct text *sql, const struct fh_derived *declared, bool sets)
{
    for (int i = 0; declared->fields[i].name; i++) {
        if (series_is_tag(&declared->fields[i]))
            continue;
        text_printf(sql, ", v%d", i);
        if (sets)
            text_printf(sql, " = excluded.v%d", i);
    }
}

static enum fh_code insert_points(struct sending *sending)
{
    const struct fh_derived *declared = sending->declared;
    bool kept = sending->page->kept;
    struct text sql;
    int parameter = kept ? 4 : 3;
    text_init(&sql, CURVES_SQL_SIZE);
    text_printf(&sql, "INSERT INTO \"%s\".point AS p (curve, at_ms, fh_position%s",
                sending->session.schema, kept ? ", fh_life" : "");
    write_measured_array(&sql, declared, false);
    text_add(&sql, ") SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]");
    text_add(&sql, kept ? ", $4::uuid[]" : "");
    for (int i = 0; declared->fields[i].name; i++) {
        if (!series_is_tag(&declared->fields[i]))
            text_printf(&sql, ", $%d::%s[]", ++parameter,
                        declared->fields[i].type == FH_INT ? "bigint" : "double precision");
    }
    text_add(&sql, ") ON CONFLICT (curve, at_ms) DO UPDATE SET fh_position = excluded.fh_position");
    write_measured_array(&sql, declared, true);
    if (kept)
        text_add(&sql, ", fh_life = excluded.fh_life WHERE (excluded.fh_life, excluded.fh_position)"
                       " > (p.fh_life, p.fh_position)");
    else
        text_add(&sql, " WHERE excluded.fh_position > p.fh_position");
    enum fh_code code = run_with_arrays(sending, &sql, sending->count);
    text_release(&sql);
    return code;
}

/* What the page's place `from` on, and before `to`, has. */
static enum fh_code put_range(struct sending *sending, int from, int to)
{
    int first = sending->page->points[from].tags, last = sending->page->points[to - 1].tags;
    enum fh_code code = put_tags(sending, first, last + 1);
    if (code != FH_OK)
        return code;
    make_arrays(sending, true, from, to);
    code = insert_points(sending);
    free_arrays(sending);
    return code;
}

static enum fh_code undo_range(struct sending *sending, int from, int to)
{
    for (int i = sending->page->points[from].tags; i <= sending->page->points[to - 1].tags; i++)
        sending->page->tags[i].id = 0;
    return curves_run(&sending->session, "ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part");
}

static void refuse_op(struct carried_op *op, const char *state)
{
    snprintf(op->refused, sizeof op->refused, "PostgreSQL does not take it: %.5s", state);
}

/* Left halves first; `to` and `from` are at most as far apart as half the page then, so it is not
 * deep. */
static enum fh_code put_points(struct sending *sending, int from, int to)
{
    struct curves_session *session = &sending->session;
    char state[6];
    if (from >= to)
        return FH_OK;
    enum fh_code code = curves_run(session, "SAVEPOINT part");
    if (code == FH_OK)
        code = put_range(sending, from, to);
    if (code == FH_OK && to - from == sending->page->count)
        return FH_OK; /* COMMIT follows */
    if (code == FH_OK)
        return curves_run(session, "RELEASE SAVEPOINT part");
    if (strncmp(session->state, "22", 2) != 0)
        return code;
    memcpy(state, session->state, sizeof state);
    code = undo_range(sending, from, to);
    if (code != FH_OK)
        return code;
    if (to - from == 1) {
        refuse_op(sending->page->points[from].op, state);
        return FH_OK;
    }
    int middle = from + (to - from) / 2;
    code = put_points(sending, from, middle);
    return code == FH_OK ? put_points(sending, middle, to) : code;
}

static enum fh_code commit_link(struct sending *sending)
{
    const struct carried_link *link = &sending->carried->link;
    char sql[CURVES_SCHEMA_SIZE + 2 * ID_SIZE + 160];
    enum fh_code code = carried_page_is_plain(sending->carried, sending->session.error);
    if (code != FH_OK)
        return code;
    if (sending->page->kept)
        snprintf(sql, sizeof sql,
                 "INSERT INTO \"%s\".link (ends, begins, begins_id, ends_id)"
                 " VALUES (%lld, %lld, '%s', '%s') ON CONFLICT DO NOTHING",
                 sending->session.schema, (long long)link->to, (long long)link->from, link->from_id,
                 link->to_id);
    else
        snprintf(
            sql, sizeof sql,
            "INSERT INTO \"%s\".link (ends, begins) VALUES (%lld, %lld) ON CONFLICT DO NOTHING",
            sending->session.schema, (long long)link->to, (long long)link->from);
    return curves_commit(&sending->session, sql);
}

/* What is kept is there as a whole, or nothing of it is. */
static enum fh_code send_curves(struct sending *sending, struct carried_server *base,
                                const struct carried_name *generation, struct fh_error *error)
{
    struct curves_session *session = &sending->session;
    struct curves_page *page = sending->page;
    for (int i = 0; i < page->tags_count; i++)
        page->tags[i].id = 0; /* what an earlier transaction knew may have been undone */
    enum fh_code code = curves_begin_locked(session, base, sending->declared, generation, error);
    if (code == FH_OK && page->count)
        code = curves_partitions_need(session, page->times, page->count);
    if (code == FH_OK)
        code = put_points(sending, 0, page->count);
    if (code == FH_OK && !(page->kept && carried_page_is_refused(sending->carried)))
        code = commit_link(sending);
    curves_end(session);
    return code;
}

enum fh_code curves_send(struct carried_server *base, const struct fh_derived *declared,
                         const struct carried_name *generation, struct carried_page *page,
                         struct fh_error *error)
{
    struct world *world = curves_of(base)->world;
    bool own = carried_write(world, base->ops, declared, generation, page);
    struct sending sending = {.page = page->written, .declared = declared, .carried = page};
    enum fh_code code =
        sending.page ? send_curves(&sending, base, generation, error)
                     : error_set(error, FH_NO_MEMORY, "There is no memory for a page of points.");
    if (own)
        carried_unwrite(base->ops, page);
    return code;
}
