/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many rows a second libpq alone reads one by one: the bench's SELECT, prepared, 64 in the
 * pipeline of one connection. The connection is where PGHOST and the like say.
 *
 *     libpq_rows SECONDS    prints the rows a second
 */

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEPTH 64

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void must(int good, PGconn *connection, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "libpq_rows: %s: %s", what, PQerrorMessage(connection));
    exit(1);
}

static void send_all(PGconn *connection)
{
    static const char *const id[] = {"1"};
    for (int i = 0; i < DEPTH; i++)
        must(PQsendQueryPrepared(connection, "row", 1, id, NULL, NULL, 0), connection, "a query");
    must(PQpipelineSync(connection), connection, "the pipeline's end");
}

static void take_all(PGconn *connection)
{
    for (int i = 0; i < DEPTH; i++) {
        PGresult *result = PQgetResult(connection);
        must(PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
                 strcmp(PQgetvalue(result, 0, 0), "1") == 0,
             connection, "the row");
        PQclear(result);
        must(PQgetResult(connection) == NULL, connection, "the row's end");
    }
    PGresult *result = PQgetResult(connection);
    must(PQresultStatus(result) == PGRES_PIPELINE_SYNC, connection, "the pipeline's end");
    PQclear(result);
}

int main(int count, char **words)
{
    double seconds = count == 2 ? strtod(words[1], NULL) : 0;
    PGconn *connection = PQconnectdb("");
    must(seconds > 0 && PQstatus(connection) == CONNECTION_OK, connection, "no connection");
    PGresult *result = PQprepare(connection, "row", "SELECT * FROM orders WHERE id = $1", 0, NULL);
    must(PQresultStatus(result) == PGRES_COMMAND_OK, connection, "the SELECT");
    PQclear(result);
    must(PQenterPipelineMode(connection), connection, "the pipeline");

    long rows = 0;
    double began = now_s(), took;
    do {
        send_all(connection);
        take_all(connection);
        rows += DEPTH;
        took = now_s() - began;
    } while (took < seconds);
    printf("%.0f\n", (double)rows / took);
    PQfinish(connection);
    return 0;
}
