/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a folder of migrations, and their notes. An unknown note is an error: otherwise it would be
 * ignored silently. */

#define _GNU_SOURCE
#include "service/migration.h"

#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define SQL_FILE_SIZE_MAX ((size_t)4 << 20)

static const char *const note_alone = "alone";
static const char *const note_breaks = "breaks older versions:";

void migrations_release(struct migrations *all)
{
    for (int i = 0; i < all->count; i++)
        free(all->rows[i].sql);
    free(all->rows);
    *all = (struct migrations){0};
}

struct migration *migrations_find(const struct migrations *all, int64_t version)
{
    for (int i = 0; i < all->count; i++) {
        if (all->rows[i].version == version)
            return &all->rows[i];
    }
    return NULL;
}

void migration_checksum(const char *sql, size_t length, char ret[65])
{
    unsigned char hash[32];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)sql, length, NULL, 0);
    sodium_bin2hex(ret, 65, hash, sizeof hash);
}

enum fh_code sql_file_read(const char *path, const char *what, char **ret, struct fh_error *error)
{
    FILE *file = fopen(path, "re");
    *ret = NULL;
    if (!file)
        return error_set_errno(error, FH_INVALID, errno, "The %s %s can't be read", what, path);
    struct text text;
    char buffer[4096];
    size_t got;
    text_init(&text, SQL_FILE_SIZE_MAX);
    text_add(&text, "");
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
        text_append(&text, buffer, got);
    bool failed = ferror(file) || text.overflow;
    fclose(file);
    bool is_text = text.length == strlen(text.data);
    if (failed)
        error_set(error, FH_INVALID, "The %s %s can't be read whole.", what, path);
    else if (!is_text)
        error_set(error, FH_INVALID, "The %s %s contains a NUL: is it text?", what, path);
    else
        *ret = text_take(&text);
    text_release(&text);
    return *ret ? FH_OK : FH_INVALID;
}

/* ---- Notes ---- */

static bool note_is(const char *note, size_t length, const char *known, bool with_reason)
{
    size_t begins = strlen(known);
    return strncmp(note, known, begins) == 0 && (with_reason ? length > begins : length == begins);
}

bool migration_breaks(const struct migration *migration, const struct script_statement *statement,
                      const char **ret_reason, int *ret_length)
{
    const char *at = migration->sql + statement->start, *note;
    size_t length;
    while (script_note(&at, statement->text, &note, &length)) {
        if (!note_is(note, length, note_breaks, true))
            continue;
        size_t begins = strlen(note_breaks);
        begins += strspn(note + begins, " \t");
        *ret_reason = note + begins;
        *ret_length = (int)(length - begins);
        return true;
    }
    return false;
}

/* Reads the notes between two statements, or after the last one. */
static enum fh_code read_gap(struct migration *migration, size_t start, const char *end, bool first,
                             struct fh_error *error)
{
    const char *at = migration->sql + start, *note;
    size_t length;
    while (script_note(&at, end, &note, &length)) {
        if (first && note_is(note, length, note_alone, false))
            migration->alone = true;
        else if (!*end || !note_is(note, length, note_breaks, true))
            return error_set(error, FH_INVALID,
                             "The migration %s: nobody knows the note \"%.*s\" there; expected "
                             "\"%s\" before the first statement, or \"%s REASON\" before any.",
                             migration->name, length < 40 ? (int)length : 40, note, note_alone,
                             note_breaks);
    }
    return FH_OK;
}

static enum fh_code read_notes(struct migration *migration, const struct sql_dialect *dialect,
                               struct fh_error *error)
{
    struct script script = script_begin(migration->sql, dialect);
    struct script_statement statement;
    size_t end = 0;
    enum fh_code code = FH_OK;
    while (code == FH_OK && script_next(&script, &statement)) {
        code = read_gap(migration, statement.start, statement.text, statement.number == 1, error);
        end = statement.end;
    }
    if (code == FH_OK)
        code = read_gap(migration, end, migration->sql + strlen(migration->sql), false, error);
    return code;
}

/* ---- The folder ---- */

/* "0001_create_orders.sql" -> 1; 0: not a migration's name */
static int64_t version_of(const char *name)
{
    size_t digits = strspn(name, "0123456789"), length = strlen(name);
    if (!digits || digits > 9 || name[digits] != '_' || length < digits + 6 ||
        strcmp(name + length - 4, ".sql") != 0)
        return 0;
    return strtoll(name, NULL, 10);
}

/* `variant`: the engine's name, if this is the engine's own folder; otherwise NULL. */
static enum fh_code add_file(struct migrations *all, const char *folder, const char *name,
                             const char *variant, struct fh_error *error)
{
    int64_t version = version_of(name);
    size_t length = strlen(name);
    if (!version) {
        if (length > 4 && strcmp(name + length - 4, ".sql") == 0)
            return error_set(error, FH_INVALID,
                             "%s/%s: expected a name like 0001_create_orders.sql.", folder, name);
        return FH_OK;
    }
    struct migration *migration = migrations_find(all, version);
    if (migration && (!variant || strchr(migration->name, '/')))
        return error_set(error, FH_INVALID, "%s: %s and %s have the same number.", folder,
                         migration->name, name);
    if (all->count == MIGRATIONS_MAX || length >= sizeof migration->name - 16)
        return error_set(error, FH_INVALID, "%s: too many migrations, or a name too long.", folder);
    if (!migration)
        migration = &all->rows[all->count++];
    free(migration->sql);
    *migration = (struct migration){.version = version};
    snprintf(migration->name, sizeof migration->name, "%s%s%s", variant ? variant : "",
             variant ? "/" : "", name);
    char path[4352];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    enum fh_code code = sql_file_read(path, "migration", &migration->sql, error);
    if (code == FH_OK)
        migration_checksum(migration->sql, strlen(migration->sql), migration->checksum);
    return code;
}

static enum fh_code add_folder(struct migrations *all, const char *folder, const char *variant,
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

static int compare_versions(const void *one, const void *other)
{
    const struct migration *a = one, *b = other;
    return (a->version > b->version) - (a->version < b->version);
}

enum fh_code migrations_read(const char *folder, const char *engine,
                             const struct sql_dialect *dialect, struct migrations *ret,
                             struct fh_error *error)
{
    *ret = (struct migrations){.rows = calloc(MIGRATIONS_MAX, sizeof(struct migration))};
    FH_ASSERT(ret->rows != NULL);
    if (!folder)
        return FH_OK;
    char variant[4200];
    snprintf(variant, sizeof variant, "%s/%s", folder, engine);
    enum fh_code code = add_folder(ret, folder, NULL, error);
    if (code == FH_OK)
        code = add_folder(ret, variant, engine, error);
    qsort(ret->rows, (size_t)ret->count, sizeof *ret->rows, compare_versions);
    for (int i = 0; i < ret->count && code == FH_OK; i++)
        code = read_notes(&ret->rows[i], dialect, error);
    if (code != FH_OK)
        migrations_release(ret);
    return code;
}
