/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys are read in each engine's own way, part by part, and written to the target through the
 * model's own operations, many in one unit of work. A key's time is set after its last part, so
 * that no key expires half copied.
 *
 * Then each key is read once more on both sides. Keys expire while this goes on, by the clock of
 * this machine or of a server: one that disappears from the target at about its time is no
 * difference.
 */

#include "store/copy/keyvalue.h"

#include <string.h>

#include "store/copy/digest.h"

#define KEYS "keys"        /* their name in progress reports */
#define WORK_PARTS_MAX 500 /* that one unit of work writes */
#define WORK_SIZE_MAX ((size_t)4 << 20)
#define CLOCKS_DIFFER_MS 60000

struct keyvalue_copying {
    const struct copy_options *options;
    int64_t keys;

    struct store_work *work; /* in the target; NULL: none is open */
    int work_parts;
    size_t work_size;
};

static const struct copied_keys_ops *keyvalue_ops_of(const struct store *store)
{
    return store->engine->copied_keys;
}

static int64_t now_ms(const struct store *store)
{
    return world_wall_ms(store->world);
}

/* ---- Writing ---- */

static enum fh_code commit_keys(struct keyvalue_copying *copying, struct fh_error *error)
{
    struct store_work *work = copying->work;
    copying->work = NULL;
    copying->work_parts = 0;
    copying->work_size = 0;
    return work ? store_commit(work, error) : FH_OK;
}

static enum fh_code write_part(const struct keyvalue_view *view, const struct copied_key *key,
                               const struct copied_part *part, struct fh_error *error)
{
    const struct keyvalue_ops *keys = keyvalue_engine(view->work->store);
    switch (key->kind) {
    case KEYVALUE_VALUE:
        return keys->put(view, key->name, part->text, false, error);
    case KEYVALUE_HASH:
        return keys->field_put(view, key->name, part->name, part->text, error);
    case KEYVALUE_SORTED:
        return keys->member_put(view, key->name, part->name, part->score, error);
    case KEYVALUE_NONE:
        break;
    }
    return FH_OK;
}

/* Writes a part, or (NULL) the key's time; commits a unit of work that is full. */
static enum fh_code write_one(struct keyvalue_copying *copying, const struct copied_key *key,
                              const struct copied_part *part, struct fh_error *error)
{
    struct store *to = copying->options->to;
    enum fh_code code = FH_OK;
    if (!copying->work)
        code = store_begin(to, STORE_WRITE_EXCLUSIVE, &copying->work, error);
    if (code != FH_OK)
        return code;
    struct keyvalue_view view = {copying->work, 1}; /* so nothing counts as expired */
    code = part ? write_part(&view, key, part, error)
                : keyvalue_engine(to)->expire(&view, key->name, key->ends_ms, error);
    copying->work_parts++;
    copying->work_size += part && part->text ? strlen(part->text) : 0;
    bool full = copying->work_parts >= WORK_PARTS_MAX || copying->work_size >= WORK_SIZE_MAX;
    return code == FH_OK && full ? commit_keys(copying, error) : code;
}

struct written {
    struct keyvalue_copying *copying;
    struct copied_key key; /* its kind and its time */
};

static enum fh_code write_parts(void *context, const struct copied_key *key,
                                const struct copied_part *parts, int count, struct fh_error *error)
{
    struct written *written = context;
    enum fh_code code = FH_OK;
    written->key = *key;
    for (int i = 0; i < count && code == FH_OK; i++)
        code = write_one(written->copying, key, &parts[i], error);
    return code;
}

static enum fh_code copy_names(void *context, const char *const *names, int count,
                               struct fh_error *error)
{
    struct keyvalue_copying *copying = context;
    const struct copy_options *options = copying->options;
    enum fh_code code = FH_OK;
    for (int i = 0; i < count && code == FH_OK; i++) {
        struct written written = {.copying = copying};
        code = keyvalue_ops_of(options->from)
                   ->read(options->from, names[i], now_ms(options->from), write_parts, &written,
                          error);
        written.key.name = names[i];
        if (code == FH_OK && written.key.ends_ms)
            code = write_one(copying, &written.key, NULL, error);
        copying->keys += code == FH_OK;
        if (code == FH_NOT_FOUND) /* it has expired */
            code = FH_OK;
    }
    if (code == FH_OK)
        code = copy_passed(options, KEYS, count, false, error);
    return code;
}

/* ---- Comparing ---- */

struct seen {
    enum keyvalue_kind kind;
    int64_t ends_ms;
    struct digest digest;
};

static enum fh_code see_parts(void *context, const struct copied_key *key,
                              const struct copied_part *parts, int count, struct fh_error *error)
{
    struct seen *seen = context;
    (void)error;
    seen->kind = key->kind;
    seen->ends_ms = key->ends_ms;
    for (int i = 0; i < count; i++) {
        struct sql_value values[] = {sql_text(parts[i].name), sql_text(parts[i].text),
                                     sql_integer(parts[i].score)};
        digest_add(&seen->digest, values, 3);
    }
    return FH_OK;
}

/* A key that does not exist is NONE. */
static enum fh_code read_key(struct store *store, const char *name, struct seen *ret,
                             struct fh_error *error)
{
    *ret = (struct seen){.kind = KEYVALUE_NONE};
    enum fh_code code =
        keyvalue_ops_of(store)->read(store, name, now_ms(store), see_parts, ret, error);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

static bool are_alike(const struct seen *source, const struct seen *target, int64_t at_ms)
{
    if (source->kind == KEYVALUE_NONE) /* it has expired since it was listed */
        return true;
    if (target->kind == KEYVALUE_NONE)
        return source->ends_ms && source->ends_ms <= at_ms + CLOCKS_DIFFER_MS;
    return source->kind == target->kind && source->ends_ms == target->ends_ms &&
           digest_equal(&source->digest, &target->digest);
}

static enum fh_code compare_copied_keys(void *context, const char *const *names, int count,
                                        struct fh_error *error)
{
    const struct copy_options *options = context;
    enum fh_code code = FH_OK;
    for (int i = 0; i < count && code == FH_OK; i++) {
        struct seen source, target;
        code = read_key(options->from, names[i], &source, error);
        if (code == FH_OK)
            code = read_key(options->to, names[i], &target, error);
        if (code == FH_OK && !are_alike(&source, &target, now_ms(options->to)))
            code = copy_differs(options, names[i], target.digest.rows, source.digest.rows, error);
    }
    if (code == FH_OK)
        code = copy_passed(options, KEYS, count, true, error);
    return code;
}

/* ---- Everything ---- */

/* Only for the progress: an error here comes up again when the keys are read. */
static void count_keys(const struct copy_options *options)
{
    struct fh_error error;
    int64_t keys = 0;
    copy_ledger_count(options);
    keyvalue_ops_of(options->from)->count(options->from, &keys, &error);
    copy_found(options, keys, true); /* some expire meanwhile */
}

enum fh_code keyvalue_copy(const struct copy_options *options, struct copy_result *ret,
                           struct fh_error *error)
{
    struct store *from = options->from, *to = options->to;
    struct keyvalue_copying copying = {.options = options};
    *ret = (struct copy_result){0};
    if (!copy_knows(from) || !copy_knows(to) || !keyvalue_ops_of(from) || !keyvalue_ops_of(to))
        return error_set(error, FH_UNSUPPORTED,
                         "Stores of keys and values are moved between SQLite and Redis, and not "
                         "yet from %s to %s.",
                         from->engine->name, to->engine->name);
    if (options->count)
        count_keys(options);
    enum fh_code code = copy_ledger(options, ret, error);
    if (code == FH_OK)
        code = keyvalue_ops_of(to)->empty(to, error);
    if (code == FH_OK)
        code = keyvalue_ops_of(from)->names(from, now_ms(from), copy_names, &copying, error);
    if (code == FH_OK)
        code = commit_keys(&copying, error);
    if (copying.work)
        store_rollback(copying.work);
    if (code == FH_OK)
        code = keyvalue_ops_of(from)->names(from, now_ms(from), compare_copied_keys,
                                            (void *)(uintptr_t)options, error);
    ret->tables++;
    ret->rows += copying.keys;
    return code;
}

struct looking {
    struct store *store;
    bool found;
};

static enum fh_code find_any_key(void *context, const char *const *names, int count,
                                 struct fh_error *error)
{
    struct looking *looking = context;
    enum fh_code code = FH_OK;
    for (int i = 0; i < count && code == FH_OK && !looking->found; i++) {
        struct seen seen;
        code = read_key(looking->store, names[i], &seen, error);
        looking->found = code == FH_OK && seen.kind != KEYVALUE_NONE;
    }
    return code == FH_OK && looking->found ? FH_CONFLICT : code; /* ends the search */
}

enum fh_code keyvalue_any(struct store *store, bool *ret, struct fh_error *error)
{
    struct looking looking = {.store = store};
    enum fh_code code =
        keyvalue_ops_of(store)
            ? keyvalue_ops_of(store)->names(store, now_ms(store), find_any_key, &looking, error)
            : FH_OK;
    *ret = looking.found;
    return looking.found ? FH_OK : code;
}
