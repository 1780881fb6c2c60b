/* SPDX-License-Identifier: Apache-2.0 */
/* Lists the points of a series curve by curve, and the facts of columns by their times: both as
 * their table has them, so that a page begins where the one before ended without a search. */

#include <stdio.h>

#include "store/derived/columns.h"

struct facts_listing {
    const struct fh_derived *declared;
    int64_t id, at_ms; /* behind these */
    int64_t oldest_ms;
    derived_visit *visit;
    void *context;
};

static bool show_fact(void *context, const struct sql_row *row)
{
    struct facts_listing *listing = context;
    const struct derived_fact fact = {
        .id = row->values[0].integer, .at_ms = row->values[1].integer, .values = &row->values[2]};
    return listing->visit(listing->context, &fact);
}

static void write_points_sql(const struct facts_listing *listing, int64_t number, struct text *sql)
{
    const struct fh_derived_field *fields = listing->declared->fields;
    text_add(sql, "SELECT p.curve, p.at");
    for (int i = 0; fields[i].name; i++)
        text_printf(sql, series_is_tag(&fields[i]) ? ", c.t%d" : ", p.v%d", i);
    text_printf(sql,
                " FROM fh_derived_%lld AS p CROSS JOIN fh_derived_%lld_curve AS c"
                " WHERE (p.curve, p.at) > (?1, ?2) AND p.at >= ?3 AND c.id = p.curve"
                " ORDER BY p.curve, p.at",
                (long long)number, (long long)number);
}

static void write_facts_sql(const struct facts_listing *listing, int64_t number, struct text *sql)
{
    text_add(sql, "SELECT seq, at");
    for (int i = 0; listing->declared->fields[i].name; i++)
        text_printf(sql, ", f%d", i);
    text_printf(sql,
                " FROM fh_derived_%lld WHERE (at, seq) > (?2, ?1) AND at >= ?3 ORDER BY at, seq",
                (long long)number);
}

/* Off the loop, where the engine lives in this process: sql_ask. */
static enum fh_code list_facts(struct store_work *work, void *context, struct fh_error *error)
{
    struct facts_listing *listing = context;
    const struct sql_value values[] = {sql_integer(listing->id), sql_integer(listing->at_ms),
                                       sql_integer(listing->oldest_ms)};
    int64_t number;
    struct text sql;
    enum fh_code code = derived_number(work, listing->declared->name, &number, error);
    if (code != FH_OK)
        return code;
    text_init(&sql, DERIVED_SQL_SIZE);
    if (listing->declared->model == FH_SERIES)
        write_points_sql(listing, number, &sql);
    else
        write_facts_sql(listing, number, &sql);
    FH_ASSERT(!sql.overflow);
    code = sql_run(work, sql.data, values, 3, show_fact, listing, NULL, error);
    text_release(&sql);
    return code;
}

enum fh_code derived_sql_list(struct store_work *work, const struct fh_derived *declared,
                              const struct derived_fact *after, int64_t oldest_ms,
                              derived_visit *visit, void *context, struct fh_error *error)
{
    struct facts_listing listing = {.declared = declared,
                                    .id = after ? after->id : INT64_MIN,
                                    .at_ms = after ? after->at_ms : INT64_MIN,
                                    .oldest_ms = oldest_ms,
                                    .visit = visit,
                                    .context = context};
    /* Facts are in the order of time: those that are too old are not even passed over. */
    if (declared->model == FH_COLUMNS && listing.at_ms < oldest_ms) {
        listing.at_ms = oldest_ms;
        listing.id = INT64_MIN;
    }
    return sql_ask(work, list_facts, &listing, error);
}
