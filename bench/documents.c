/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents for the benchmark of snapshots, past the service whose store they are in:
 *
 *     documents fill FOLDER COUNT    makes the catalog's store, as COUNT works would have left it
 *                                    whose events everybody had: all are trimmed, and each
 *                                    document's last position is known
 *     documents copy FOLDER TO ROWS  the same documents into a file TO, by SQLite alone: the
 *                                    baseline. Each ROWS of them are a transaction that is synced
 *
 * The second prints how many documents it has copied, and the microseconds that this took.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/json.h"
#include "engine/engines.h"
#include "store/document/document.h"
#include "store/ledger.h"
#include "world/real.h"

#define WORK_DOCUMENTS 2000
#define PAGE_ROWS 960
#define COUNT_MAX 100000000

static _Noreturn void fail(const char *why)
{
    fprintf(stderr, "documents: %s\n", why);
    exit(1);
}

/* ---- Filling ---- */

struct filling {
    struct world *world;
    const char *folder;
    int count;
    struct store *store;
    struct fh_error error;
};

static json_t *product(int number)
{
    return json_pack("{s:o, s:o, s:s, s:i, s:i}", "id", json_sprintf("p%08d", number), "name",
                     json_sprintf("Product %d", number), "description",
                     "One of many, and like all the others but for its name", "price",
                     number % 10000, "stock", number % 100);
}

static enum fh_code put_product(struct filling *filling, struct store_work *work, int number)
{
    char id[16], event_id[ID_SIZE];
    json_t *document = product(number);
    char *text = json_text(document);
    snprintf(id, sizeof id, "p%08d", number);
    snprintf(event_id, sizeof event_id, "event-%d", number);
    struct ledger_event event = {.id = event_id,
                                 .type = "ProductChanged",
                                 .version = 1,
                                 .key = id,
                                 .time_ms = 1,
                                 .data = text};
    enum fh_code code =
        document_engine(filling->store)->insert(work, "products", document, &filling->error);
    if (code == FH_OK)
        code = ledger_outbox_append(work, &event, &filling->error);
    json_text_free(text);
    json_decref(document);
    return code;
}

/* Documents from `from` on, and no event of the work before. */
static enum fh_code fill_some(struct filling *filling, int from, int through)
{
    static const struct fh_collection products[] = {{"products"}, {0}};
    struct store_work *work;
    int64_t last = 0, removed;
    struct fh_error *error = &filling->error;
    enum fh_code code = store_begin(filling->store, STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    if (from == 1)
        code = document_engine(filling->store)->prepare(work, products, 1, error);
    if (code == FH_OK)
        code = ledger_position(work, &last, error);
    if (code == FH_OK)
        code = ledger_outbox_trim(work, last, WORK_DOCUMENTS, &removed, error);
    for (int number = from; number <= through && code == FH_OK; number++)
        code = put_product(filling, work, number);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static void fill(void *argument)
{
    struct filling *filling = argument;
    struct store_options options = {
        .service = "catalog", .folder = filling->folder, .model = FH_DOCUMENT};
    enum fh_code code =
        engine_embedded()->store->open(&options, filling->world, &filling->store, &filling->error);
    for (int from = 1; from <= filling->count && code == FH_OK; from += WORK_DOCUMENTS) {
        int through = from + WORK_DOCUMENTS - 1;
        code = fill_some(filling, from, through < filling->count ? through : filling->count);
    }
    if (code == FH_OK) /* the last events */
        code = fill_some(filling, filling->count + 1, filling->count);
    if (code != FH_OK)
        fail(filling->error.message);
    store_close(filling->store);
    filling->count = 0;
}

static void fill_store(const char *folder, int count)
{
    uv_loop_t loop;
    struct filling filling = {.folder = folder, .count = count};
    json_memory_init();
    uv_loop_init(&loop);
    filling.world = world_real_new(&loop, &filling.error);
    if (!filling.world || !fiber_start(filling.world->fibers, fill, &filling))
        fail("there is no world");
    while (filling.count > 0)
        uv_run(&loop, UV_RUN_ONCE);
    world_real_free(filling.world);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

/* ---- The baseline ---- */

static sqlite3 *open_file(const char *path, int flags)
{
    sqlite3 *file;
    if (sqlite3_open_v2(path, &file, flags, NULL) != SQLITE_OK)
        fail(sqlite3_errmsg(file));
    return file;
}

static void run(sqlite3 *file, const char *sql)
{
    if (sqlite3_exec(file, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail(sqlite3_errmsg(file));
}

static sqlite3_stmt *prepare(sqlite3 *file, const char *sql)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(file, sql, -1, &statement, NULL) != SQLITE_OK)
        fail(sqlite3_errmsg(file));
    return statement;
}

/* One page behind `after`; how many rows it had. */
static int copy_page(sqlite3_stmt *read, sqlite3_stmt *write, sqlite3 *to, int rows, char after[64])
{
    int count = 0;
    sqlite3_bind_text(read, 1, after, -1, SQLITE_TRANSIENT);
    run(to, "BEGIN IMMEDIATE");
    while (sqlite3_step(read) == SQLITE_ROW) {
        sqlite3_bind_value(write, 1, sqlite3_column_value(read, 0));
        sqlite3_bind_value(write, 2, sqlite3_column_value(read, 1));
        if (sqlite3_step(write) != SQLITE_DONE)
            fail(sqlite3_errmsg(to));
        sqlite3_reset(write);
        if (++count % rows == 0) {
            run(to, "COMMIT");
            run(to, "BEGIN IMMEDIATE");
        }
        snprintf(after, 64, "%s", sqlite3_column_text(read, 0));
    }
    run(to, "COMMIT");
    sqlite3_reset(read);
    return count;
}

static void copy_bare(const char *folder, const char *path, int rows)
{
    char from_path[4096], after[64] = "";
    snprintf(from_path, sizeof from_path, "%s/store.db", folder);
    uint64_t began_ns = uv_hrtime();
    sqlite3 *from = open_file(from_path, SQLITE_OPEN_READWRITE);
    sqlite3 *to = open_file(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    run(to, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    run(to, "CREATE TABLE doc (id TEXT PRIMARY KEY, body TEXT NOT NULL)");
    sqlite3_stmt *read =
        prepare(from, "SELECT id, body FROM doc_products WHERE id > ?1 ORDER BY id LIMIT 960");
    sqlite3_stmt *write = prepare(to, "INSERT INTO doc (id, body) VALUES (?1, ?2)");
    long long copied = 0;
    int count;
    do {
        count = copy_page(read, write, to, rows, after);
        copied += count;
    } while (count == PAGE_ROWS);
    printf("%lld %llu\n", copied, (unsigned long long)(uv_hrtime() - began_ns) / 1000);
    sqlite3_finalize(read);
    sqlite3_finalize(write);
    sqlite3_close(from);
    sqlite3_close(to);
}

/* 0: it is none. */
static int number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    return *end == '\0' && value > 0 && value <= COUNT_MAX ? (int)value : 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (argc == 4 && strcmp(what, "fill") == 0 && number(argv[3]))
        fill_store(argv[2], number(argv[3]));
    else if (argc == 5 && strcmp(what, "copy") == 0 && number(argv[4]))
        copy_bare(argv[2], argv[3], number(argv[4]));
    else
        fail("documents fill FOLDER COUNT, or documents copy FOLDER TO ROWS");
    return 0;
}
