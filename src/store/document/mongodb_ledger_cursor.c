/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on MongoDB: cursors, and leases. A cursor's move goes with the document that the
 * event's handler changes, as a part of the one write: an event's effect and its mark stand or fall
 * together, and nobody reads the cursor before it has come to its own document.
 */

#include <inttypes.h>
#include <string.h>

#include "store/document/mongodb_ledger.h"

static enum fh_code cursor_id(char id[static MONGODB_ID_SIZE], const char *source,
                              const char *share, struct fh_error *error)
{
    return mongodb_id(id, error, "%s" MONGODB_SEPARATOR "%s", source, share);
}

static enum fh_code cursor_read(struct store_work *work, const char *id, struct ledger_cursor *ret,
                                bool *ret_found, struct fh_error *error)
{
    json_t *document;
    *ret = (struct ledger_cursor){0};
    enum fh_code code = mongodb_get(work, "fh_cursor", id, &document, error);
    *ret_found = document != NULL;
    if (code || !document)
        return code;
    snprintf(ret->incarnation, ID_SIZE, "%s", mongodb_text(document, "incarnation"));
    snprintf(ret->event_id, ID_SIZE, "%s", mongodb_text(document, "event_id"));
    ret->position = mongodb_integer(document, "position");
    ret->epoch = mongodb_integer(document, "epoch");
    json_decref(document);
    return FH_OK;
}

static enum fh_code cursor_write(struct store_work *work, const char *id, const char *source,
                                 const char *share, const struct ledger_cursor *cursor,
                                 struct fh_error *error)
{
    return mongodb_put(work, "fh_cursor", id,
                       mongodb_pack("{s:s, s:s, s:s, s:I, s:s, s:I}", "source", source, "share",
                                    share, "incarnation", cursor->incarnation, "position",
                                    (json_int_t)cursor->position, "event_id", cursor->event_id,
                                    "epoch", (json_int_t)cursor->epoch),
                       error);
}

enum fh_code mongodb_ledger_cursor_get(struct store_work *work, const char *source,
                                       const char *share, struct ledger_cursor *ret,
                                       struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    bool found;
    enum fh_code code = cursor_id(id, source, share, error);
    return code ? code : cursor_read(work, id, ret, &found, error);
}

enum fh_code mongodb_ledger_cursor_move(struct store_work *work, const char *source,
                                        const char *share, const struct ledger_cursor *old,
                                        const struct ledger_cursor *next, struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    struct ledger_cursor now;
    bool found;
    enum fh_code code = cursor_id(id, source, share, error);
    if (!code)
        code = cursor_read(work, id, &now, &found, error);
    if (code)
        return code;
    if (strcmp(now.incarnation, old->incarnation) != 0 || now.position != old->position ||
        now.epoch != old->epoch)
        return error_set(error, FH_CONFLICT,
                         "The cursor of %s is not at %" PRId64 " any more: these were applied.",
                         source, old->position);
    return cursor_write(work, id, source, share, next, error);
}

struct shares {
    bool (*visit)(void *context, const char *share);
    void *context;
};

static bool visit_share(void *context, const json_t *document)
{
    const struct shares *to = context;
    return to->visit(to->context, mongodb_text(document, "share"));
}

enum fh_code mongodb_ledger_cursor_shares(struct store_work *work, const char *source,
                                          bool (*visit)(void *context, const char *share),
                                          void *context, struct fh_error *error)
{
    struct shares to = {visit, context};
    return mongodb_each(work, "fh_cursor", mongodb_pack("{s:s}", "source", source), visit_share,
                        &to, error);
}

enum fh_code mongodb_ledger_cursor_take(struct store_work *work, const char *source,
                                        const char *share, int64_t epoch, struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    struct ledger_cursor cursor;
    bool found;
    enum fh_code code = cursor_id(id, source, share, error);
    if (!code)
        code = cursor_read(work, id, &cursor, &found, error);
    if (code)
        return code;
    cursor.epoch = epoch;
    return cursor_write(work, id, source, share, &cursor, error);
}

/* ---- Leases ---------------------------------------------------------------------------------- */

struct leases {
    bool (*visit)(void *context, const struct ledger_lease *lease);
    void *context;
};

static struct ledger_lease lease_of(const json_t *document)
{
    return (struct ledger_lease){.name = mongodb_text(document, "id"),
                                 .owner = mongodb_text(document, "owner"),
                                 .epoch = mongodb_integer(document, "epoch"),
                                 .beat = mongodb_integer(document, "beat"),
                                 .note = mongodb_text(document, "note")};
}

static bool visit_lease(void *context, const json_t *document)
{
    const struct leases *to = context;
    struct ledger_lease lease = lease_of(document);
    return to->visit(to->context, &lease);
}

enum fh_code mongodb_ledger_leases_get(struct store_work *work,
                                       bool (*visit)(void *context,
                                                     const struct ledger_lease *lease),
                                       void *context, struct fh_error *error)
{
    struct leases to = {visit, context};
    return mongodb_each(work, "fh_lease", NULL, visit_lease, &to, error);
}

static enum fh_code lease_lost(const char *name, struct fh_error *error)
{
    return error_set(error, FH_CONFLICT, "Somebody else has the lease of %s.", name);
}

enum fh_code mongodb_ledger_lease_take(struct store_work *work, const char *name, int64_t epoch,
                                       const char *owner, struct fh_error *error)
{
    json_t *document;
    enum fh_code code = mongodb_get(work, "fh_lease", name, &document, error);
    if (!code && (document ? mongodb_integer(document, "epoch") : 0) != epoch)
        code = lease_lost(name, error);
    if (!code)
        code = mongodb_put(work, "fh_lease", name,
                           mongodb_pack("{s:s, s:I, s:i, s:s}", "owner", owner, "epoch",
                                        (json_int_t)epoch + 1, "beat", 0, "note", ""),
                           error);
    json_decref(document);
    return code;
}

enum fh_code mongodb_ledger_lease_renew(struct store_work *work, const char *name,
                                        const char *owner, const char *note, struct fh_error *error)
{
    json_t *document;
    enum fh_code code = mongodb_get(work, "fh_lease", name, &document, error);
    if (code)
        return code;
    if (!document || strcmp(mongodb_text(document, "owner"), owner) != 0) {
        json_decref(document);
        return lease_lost(name, error);
    }
    json_t *values =
        mongodb_pack("{s:I, s:s}", "beat", (json_int_t)mongodb_integer(document, "beat") + 1,
                     "note", note ? note : mongodb_text(document, "note"));
    code = mongodb_set(work, "fh_lease", name, document, values, error);
    json_decref(document);
    return code;
}

enum fh_code mongodb_ledger_lease_drop(struct store_work *work, const char *name, const char *owner,
                                       int64_t beat, struct fh_error *error)
{
    json_t *document;
    enum fh_code code = mongodb_get(work, "fh_lease", name, &document, error);
    if (code)
        return code;
    bool is_so = document && strcmp(mongodb_text(document, "owner"), owner) == 0 &&
                 (beat < 0 || mongodb_integer(document, "beat") == beat);
    json_decref(document);
    return is_so ? mongodb_put(work, "fh_lease", name, NULL, error) : lease_lost(name, error);
}
