/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Migrations: numbered SQL files beside the service, "0001_create_orders.sql", each applied once,
 * in order. An engine's own variant of a file stands in a folder of the engine's name
 * ("sqlite/0001_...") and wins over the plain one of that number.
 *
 * Each is applied in a work of its own together with its row in fh_migration: dying in between
 * leaves it wholly applied or not at all. An applied file that has changed or is gone is an error,
 * since the store could then not be made again; so is a new file with a lower number.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/log.h"
#include "base/mutation.h"
#include "base/text.h"
#include "service/runtime.h"
#include "store/ledger.h"
#include "store/relational/sql.h"

#define MIGRATIONS_MAX 1000
#define MIGRATION_SIZE_MAX ((size_t)4 << 20)

struct migration {
    int64_t version;
    char name[128]; /* the file's */
    char *sql;
    char checksum[65];
    bool applied;
};

struct migrations {
    struct migration *rows;
    int count;
    struct fh_error error;
};

static void migrations_release(struct migrations *all)
{
    for (int i = 0; i < all->count; i++)
        free(all->rows[i].sql);
    free(all->rows);
}

static enum fh_code read_file(const char *path, struct migration *migration, struct fh_error *error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set_errno(error, FH_INVALID, errno, "The migration %s can't be read", path);
    struct text text;
    char buffer[4096];
    size_t got;
    text_init(&text, MIGRATION_SIZE_MAX);
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
        text_append(&text, buffer, got);
    bool failed = ferror(file) || text.overflow;
    fclose(file);
    if (failed) {
        text_release(&text);
        return error_set(error, FH_INVALID, "The migration %s can't be read whole.", path);
    }
    unsigned char hash[32];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)(text.data ? text.data : ""),
                       text.length, NULL, 0);
    sodium_bin2hex(migration->checksum, sizeof migration->checksum, hash, sizeof hash);
    migration->sql = text_take(&text);
    return FH_OK;
}

static struct migration *migration_find(struct migrations *all, int64_t version)
{
    for (int i = 0; i < all->count; i++) {
        if (all->rows[i].version == version)
            return &all->rows[i];
    }
    return NULL;
}

/* "0001_create_orders.sql" -> 1; 0: no migration's name */
static int64_t version_of(const char *name)
{
    size_t digits = strspn(name, "0123456789"), length = strlen(name);
    if (!digits || digits > 9 || name[digits] != '_' || length < digits + 6 ||
        strcmp(name + length - 4, ".sql") != 0)
        return 0;
    return strtoll(name, NULL, 10);
}

static enum fh_code add_file(struct migrations *all, const char *folder, const char *name,
                             bool variant, struct fh_error *error)
{
    int64_t version = version_of(name);
    size_t length = strlen(name);
    if (!version) {
        if (length > 4 && strcmp(name + length - 4, ".sql") == 0)
            return error_set(error, FH_INVALID,
                             "%s/%s: expected a name like 0001_create_orders.sql.", folder, name);
        return FH_OK;
    }
    struct migration *migration = migration_find(all, version);
    if (migration && !variant)
        return error_set(error, FH_INVALID, "%s: %s and %s have the same number.", folder,
                         migration->name, name);
    if (all->count == MIGRATIONS_MAX || length >= sizeof migration->name)
        return error_set(error, FH_INVALID, "%s: too many migrations, or a name too long.", folder);
    if (!migration)
        migration = &all->rows[all->count++];
    free(migration->sql);
    *migration = (struct migration){.version = version};
    snprintf(migration->name, sizeof migration->name, "%s", name);
    char path[4352];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return read_file(path, migration, error);
}

static enum fh_code add_folder(struct migrations *all, const char *folder, bool variant,
                               struct fh_error *error)
{
    DIR *directory = opendir(folder);
    if (!directory && variant && errno == ENOENT)
        return FH_OK;
    if (!directory)
        return error_set_errno(error, FH_INVALID, errno, "The migrations in %s can't be read",
                               folder);
    enum fh_code code = FH_OK;
    for (struct dirent *entry; code == FH_OK && (entry = readdir(directory));)
        code = add_file(all, folder, entry->d_name, variant, error);
    closedir(directory);
    return code;
}

static int by_version(const void *one, const void *other)
{
    const struct migration *a = one, *b = other;
    return (a->version > b->version) - (a->version < b->version);
}

static bool compare_applied(void *context, int64_t version, const char *name, const char *checksum)
{
    struct migrations *all = context;
    struct migration *migration = migration_find(all, version);
    if (!migration)
        error_set(&all->error, FH_INVALID,
                  "The migration %s was applied to this store, and its file is gone.", name);
    else if (strcmp(migration->checksum, checksum) != 0)
        error_set(&all->error, FH_INVALID,
                  "The migration %s was applied to this store, and its file has changed since. "
                  "Write a new one instead.",
                  migration->name);
    else
        migration->applied = true;
    return all->error.code == FH_OK;
}

static enum fh_code read_applied(struct store *store, struct migrations *all,
                                 struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_migrations_get(work, compare_applied, all, error);
    store_rollback(work);
    if (code == FH_OK && all->error.code != FH_OK) {
        *error = all->error;
        code = error->code;
    }
    return code;
}

static enum fh_code record_apart(struct store *store, const struct migration *migration,
                                 struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_ALONE, &work, error);
    if (code == FH_OK)
        code = ledger_migration_put(work, migration->version, migration->name, migration->checksum,
                                    world_wall_ms(store->world), error);
    return code == FH_OK ? store_commit(work, error) : code;
}

static enum fh_code apply(struct store *store, const struct migration *migration,
                          struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_ALONE, &work, error);
    if (code != FH_OK)
        return code;
    struct fh_error why = {0};
    CRASH_POINT("migration.begun");
    code = store->ops->sql->script(work, migration->sql, &why);
    if (code != FH_OK) {
        /* A full disk may have room at the next start; wrong SQL stays wrong. */
        bool may_pass = code == FH_UNAVAILABLE || code == FH_NO_MEMORY;
        code = error_set(error, may_pass ? code : FH_INVALID,
                         "The migration %s failed, nothing of it stands: %.140s", migration->name,
                         why.message);
    } else if (!MUTATION(migration_recorded_apart)) {
        CRASH_POINT("migration.applied");
        code = ledger_migration_put(work, migration->version, migration->name, migration->checksum,
                                    world_wall_ms(store->world), error);
    }
    if (code != FH_OK) {
        store_rollback(work);
        return code;
    }
    CRASH_POINT("migration.recorded");
    code = store_commit(work, error);
    CRASH_POINT("migration.durable");
    if (code == FH_OK && MUTATION(migration_recorded_apart))
        code = record_apart(store, migration, error);
    return code;
}

static enum fh_code apply_new(struct store *store, struct migrations *all, int *ret_applied,
                              struct fh_error *error)
{
    int64_t newest = 0;
    for (int i = 0; i < all->count; i++) {
        if (all->rows[i].applied)
            newest = all->rows[i].version;
    }
    for (int i = 0; i < all->count; i++) {
        const struct migration *migration = &all->rows[i];
        if (migration->applied)
            continue;
        if (migration->version < newest)
            return error_set(error, FH_INVALID,
                             "The migration %s is new, but %" PRId64
                             " was applied already. Give it a higher number.",
                             migration->name, newest);
        enum fh_code code = apply(store, migration, error);
        if (code != FH_OK)
            return code;
        log_info("migration %s applied", migration->name);
        ++*ret_applied;
    }
    return FH_OK;
}

enum fh_code service_migrate(struct store *store, const char *folder, int *ret_applied,
                             struct fh_error *error)
{
    struct migrations all = {.rows = calloc(MIGRATIONS_MAX, sizeof(struct migration))};
    FH_ASSERT(all.rows != NULL);
    *ret_applied = 0;
    enum fh_code code = FH_OK;
    if (folder) {
        char variant[4200];
        snprintf(variant, sizeof variant, "%s/%s", folder, store->ops->name);
        code = add_folder(&all, folder, false, error);
        if (code == FH_OK)
            code = add_folder(&all, variant, true, error);
    }
    qsort(all.rows, (size_t)all.count, sizeof *all.rows, by_version);
    if (code == FH_OK)
        code = read_applied(store, &all, error);
    if (code == FH_OK)
        code = apply_new(store, &all, ret_applied, error);
    migrations_release(&all);
    return code;
}
