/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions of points, by their time. There is one for each week in which there are points, made
 * with the page that brings the first of them, so that what is kept no longer goes with a whole
 * table. There is none for whatever has no other: points in it would be in the way of every
 * partition that is made later.
 *
 * Points have any time from -8,640,000,000,000,000 to 8,640,000,000,000,000 ms, and a client may be
 * who says which. A server locks each table that a statement touches, some thousand in all. So
 * partitions get longer as there are more of them: four times for each 250, or for each 50 that one
 * page needs. Each begins at a multiple of its length, and ends where the next one is: so no two
 * overlap, whatever lengths they were made with.
 *
 * A partition's name has its bounds, "from-to" in milliseconds, and what the server's catalogue
 * says is all that is known of them. It is made beside, and attached then: that keeps no question
 * waiting.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/postgresql/internal.h"

#define WEEK_MS INT64_C(604800000)
#define LONGER_AFTER 250 /* partitions */
#define LONGER_AFTER_ADDED 50
#define LENGTH_MS_MAX (2 * SERIES_AT_MS_MAX)
#define TRIMMED_AT_ONCE 100
#define SWEPT_AT_ONCE 1000

/* ---- Pure ---- */

/* The place of the first one that ends behind this time. */
static int partition_place(const struct curves_partitions *partitions, int64_t at_ms)
{
    int low = 0, high = partitions->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (partitions->list[middle].to_ms <= at_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct curves_partition *curves_partition_at(const struct curves_partitions *partitions,
                                                   int64_t at_ms)
{
    int place = partition_place(partitions, at_ms);
    bool there = place < partitions->count && partitions->list[place].from_ms <= at_ms;
    return there ? &partitions->list[place] : NULL;
}

static void insert_partition(struct curves_partitions *partitions, int place,
                             struct curves_partition partition)
{
    if (partitions->count == partitions->capacity) {
        partitions->capacity = partitions->capacity ? 2 * partitions->capacity : 64;
        partitions->list =
            realloc(partitions->list, (size_t)partitions->capacity * sizeof *partitions->list);
        FH_ASSERT(partitions->list != NULL);
    }
    memmove(&partitions->list[place + 1], &partitions->list[place],
            (size_t)(partitions->count - place) * sizeof *partitions->list);
    partitions->list[place] = partition;
    partitions->count++;
}

const struct curves_partition *curves_partition_add(struct curves_partitions *partitions,
                                                    int64_t at_ms)
{
    int place = partition_place(partitions, at_ms);
    int64_t length_ms = WEEK_MS;
    int longer = partitions->count / LONGER_AFTER + partitions->added / LONGER_AFTER_ADDED;
    for (int i = 0; i < longer && length_ms < LENGTH_MS_MAX; i++)
        length_ms *= 4;
    struct curves_partition made = {.from_ms = series_floor(at_ms, length_ms)};
    made.to_ms = made.from_ms + length_ms;
    if (place > 0 && partitions->list[place - 1].to_ms > made.from_ms)
        made.from_ms = partitions->list[place - 1].to_ms;
    if (place < partitions->count && partitions->list[place].from_ms < made.to_ms)
        made.to_ms = partitions->list[place].from_ms;
    insert_partition(partitions, place, made);
    partitions->added++;
    return &partitions->list[place];
}

void curves_partitions_release(struct curves_partitions *partitions)
{
    free(partitions->list);
    *partitions = (struct curves_partitions){0};
}

/* ---- On the server ---- */

static void write_partition_name(struct text *sql, const char *schema,
                                 const struct curves_partition *partition)
{
    text_printf(sql, "\"%s\".\"%lld-%lld\"", schema, (long long)partition->from_ms,
                (long long)partition->to_ms);
}

/* What somebody else has attached has another name. */
static bool read_partition_name(const char *name, struct curves_partition *ret)
{
    char *end;
    ret->from_ms = strtoll(name, &end, 10);
    if (end == name || *end != '-')
        return false;
    ret->to_ms = strtoll(end + 1, &end, 10);
    return !*end && ret->from_ms < ret->to_ms;
}

enum fh_code curves_partitions_read(struct curves_session *session,
                                    struct curves_partitions *partitions)
{
    char sql[CURVES_SCHEMA_SIZE + 256];
    snprintf(sql, sizeof sql,
             "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
             " WHERE i.inhparent = to_regclass('\"%s\".point')",
             session->schema);
    enum fh_code code = curves_run(session, sql);
    for (int i = 0; code == FH_OK && i < curves_rows(session); i++) {
        struct curves_partition one;
        if (!read_partition_name(curves_text(session, i, 0), &one))
            return curves_strange(session->server, session->error);
        insert_partition(partitions, partition_place(partitions, one.from_ms), one);
    }
    return code;
}

static enum fh_code make_partition(struct curves_session *session,
                                   const struct curves_partition *partition)
{
    struct text sql;
    text_init(&sql, TEXT_SMALL_MAX);
    text_add(&sql, "CREATE TABLE ");
    write_partition_name(&sql, session->schema, partition);
    text_printf(&sql,
                " (LIKE \"%s\".point INCLUDING ALL); ALTER TABLE \"%s\".point ATTACH PARTITION ",
                session->schema, session->schema);
    write_partition_name(&sql, session->schema, partition);
    text_printf(&sql, " FOR VALUES FROM (%lld) TO (%lld)", (long long)partition->from_ms,
                (long long)partition->to_ms);
    FH_ASSERT(!sql.overflow);
    enum fh_code code = curves_run(session, sql.data);
    text_release(&sql);
    return code;
}

enum fh_code curves_partitions_need(struct curves_session *session, const int64_t *times, int count)
{
    struct curves_partitions partitions = {0};
    enum fh_code code = curves_partitions_read(session, &partitions);
    for (int i = 0; i < count && code == FH_OK; i++) {
        if (!curves_partition_at(&partitions, times[i]))
            code = make_partition(session, curves_partition_add(&partitions, times[i]));
    }
    curves_partitions_release(&partitions);
    return code;
}

enum fh_code curves_partitions_drop(struct curves_session *session, int64_t to_ms, int most,
                                    int *ret_dropped)
{
    struct curves_partitions partitions = {0};
    struct text sql;
    text_init(&sql, CURVES_SQL_SIZE);
    enum fh_code code = curves_partitions_read(session, &partitions);
    *ret_dropped = 0;
    for (int i = 0; i < partitions.count && *ret_dropped < most; i++) {
        if (partitions.list[i].to_ms > to_ms)
            break;
        text_add(&sql, "DROP TABLE ");
        write_partition_name(&sql, session->schema, &partitions.list[i]);
        text_add(&sql, ";");
        ++*ret_dropped;
    }
    FH_ASSERT(!sql.overflow);
    if (code == FH_OK && *ret_dropped)
        code = curves_run(session, sql.data);
    curves_partitions_release(&partitions);
    text_release(&sql);
    return code;
}

/* ---- What is kept no longer ---- */

/* Tags that no point has, of a slice of them that begins anywhere: all are looked at in time. */
static enum fh_code sweep_curves(struct curves_session *session)
{
    const char *schema = session->schema;
    char sql[4 * CURVES_SCHEMA_SIZE + 512];
    uint64_t part = world_random_below(session->server->world, 1000);
    snprintf(sql, sizeof sql,
             "DELETE FROM \"%s\".curve AS c WHERE c.id IN (SELECT s.id FROM \"%s\".curve AS s"
             " WHERE s.id >= (SELECT max(m.id) FROM \"%s\".curve AS m) * %d / 1000 ORDER BY s.id"
             " LIMIT %d) AND (SELECT true FROM \"%s\".point AS p WHERE p.curve = c.id LIMIT 1)"
             " IS NULL",
             schema, schema, schema, (int)part, SWEPT_AT_ONCE, schema);
    return curves_run(session, sql);
}

enum fh_code curves_trim(struct carried_server *base, const struct fh_derived *declared,
                         const struct carried_name *generation, int64_t oldest_ms,
                         struct fh_error *error)
{
    struct curves_session session = {0};
    int dropped = 0;
    enum fh_code code = curves_begin_locked(&session, base, declared, generation, error);
    if (code == FH_OK)
        code = curves_partitions_drop(&session, oldest_ms, TRIMMED_AT_ONCE, &dropped);
    if (code == FH_OK)
        code = sweep_curves(&session);
    if (code == FH_OK)
        code = curves_commit(&session, "");
    curves_end(&session);
    return code;
}
