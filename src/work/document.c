/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The document model as handlers see it.
 *
 * One unit of work changes one document, on every engine: a service may later move to a server
 * without transactions over several documents. The same document may be changed again within the
 * unit of work. Changing a second one is the handler's fault, and so is a malformed filter or
 * update.
 *
 * A document that a keyed command creates without an id gets one derived from the key. If the
 * command is repeated where its record is gone (another instance, a restored store), it meets its
 * own document instead of creating a second one.
 */

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "store/document/document.h"
#include "work/work.h"

#define DERIVED_ID_BYTES 15 /* 120 bits: 24 characters of 5 bits each */
#define DERIVED_ID_SIZE 25

static const struct document_ops *documents_of(fh_work *w)
{
    if (w->context->service->model == FH_DOCUMENT)
        return document_engine(w->context->store);
    struct fh_error error;
    error_set(&error, FH_UNSUPPORTED,
              "fh_doc and its like are for services of the document model.");
    work_fail(w, &error);
}

/* An error that names no field is a wrong filter, update or collection: the handler's fault, not
 * the client's. An invalid value names its field and is answered with 422. */
static _Noreturn void fail_document(fh_work *w, struct fh_error *error)
{
    if (error->code == FH_INVALID && !error->field[0])
        error->code = FH_UNSUPPORTED;
    work_fail(w, error);
}

static _Noreturn void fail_memory(fh_work *w)
{
    struct fh_error error;
    error_set(&error, FH_NO_MEMORY, "The document does not fit into the unit of work's memory.");
    work_fail(w, &error);
}

/* ---- Reading ---- */

static json_t *get_document(fh_work *w, struct store_work *work, const char *collection,
                            const char *id, struct fh_error *error)
{
    json_t *document = NULL;
    error->code = documents_of(w)->get(work, collection, id, &document, error);
    return document;
}

json_t *fh_try_doc(fh_work *w, const char *collection, const char *id)
{
    struct fh_error error;
    documents_of(w);
    json_t *document = get_document(w, work_store_read(w), collection, id, &error);
    if (!document && error.code != FH_NOT_FOUND)
        fail_document(w, &error);
    return document;
}

json_t *fh_doc(fh_work *w, const char *collection, const char *id)
{
    struct fh_error error;
    documents_of(w);
    json_t *document = get_document(w, work_store_read(w), collection, id, &error);
    if (!document)
        fail_document(w, &error);
    return document;
}

json_t *fh_docs(fh_work *w, const char *collection, json_t *filter, json_t *sort, const char *after,
                int limit)
{
    const struct document_ops *documents = documents_of(w);
    struct document_find find = {filter, sort, after, limit};
    struct fh_error error;
    json_t *list;
    if (documents->find(work_store_read(w), collection, &find, &list, &error) != FH_OK)
        fail_document(w, &error);
    return list;
}

json_t *fh_peek_doc(fh_work *w, const char *collection, const char *id)
{
    struct store_work *work;
    struct fh_error error;
    documents_of(w);
    work_asks(w);
    if (store_begin(w->context->store, STORE_READ_COMMITTED, &work, &error) != FH_OK)
        work_fail(w, &error);
    json_t *document = get_document(w, work, collection, id, &error);
    store_rollback(work);
    if (!document && error.code != FH_NOT_FOUND)
        fail_document(w, &error);
    return document;
}

/* ---- Changing ---- */

static _Noreturn void fail_second(fh_work *w, const char *name)
{
    struct fh_error error;
    error_set(&error, FH_UNSUPPORTED,
              "One unit of work changes one document: this one has changed %.80s and would change "
              "%.80s. Keep what changes together in one document, or use an event or a saga.",
              w->document_changed, name);
    work_fail(w, &error);
}

/* The name to remember once the change is made; fails if the unit of work has changed another
 * document. */
static const char *may_change(fh_work *w, const char *collection, const char *id)
{
    const char *name = work_printf(w, "%s/%s", collection, id);
    if (w->documents_changed && strcmp(name, w->document_changed) != 0)
        fail_second(w, name);
    return name;
}

static void note_changed_document(fh_work *w, const char *name)
{
    w->documents_changed = 1;
    w->document_changed = name;
}

/* Crockford's digits, 5 bits each: no letters that look like digits. */
static void derive_id(char out[static DERIVED_ID_SIZE], const char *service, const char *collection,
                      const char *key)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    const char *const parts[] = {service, collection, key};
    unsigned char hash[crypto_generichash_BYTES];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    for (int i = 0; i < 3; i++) /* each with its NUL, so that no two triples hash the same bytes */
        crypto_generichash_update(&state, (const unsigned char *)parts[i], strlen(parts[i]) + 1);
    crypto_generichash_final(&state, hash, sizeof hash);
    unsigned pending = 0;
    int bits = 0;
    char *at = out;
    for (int i = 0; i < DERIVED_ID_BYTES; i++) {
        pending = pending << 8 | hash[i];
        for (bits += 8; bits >= 5; bits -= 5)
            *at++ = digits[pending >> (bits - 5) & 31];
    }
    *at = '\0';
}

/* `document` with an id as its first member. `ret_drawn`: the id is new, and no other document has
 * it. */
static json_t *with_id(fh_work *w, const char *collection, json_t *document, bool *ret_drawn)
{
    *ret_drawn = false;
    if (!json_is_object(document) || json_object_get(document, "id"))
        return document; /* a malformed id is refused by the engine, with the rest */
    char derived[DERIVED_ID_SIZE];
    const char *id = derived;
    *ret_drawn = !w->command_key;
    if (*ret_drawn)
        id = fh_id_new(w);
    else if (!w->documents_changed)
        derive_id(derived, w->context->service->name, collection, w->command_key);
    else /* a second document would get the first one's id, and be taken for it */
        fail_second(w, work_printf(w, "a new one in %s", collection));
    json_t *complete = json_object();
    if (!complete || json_object_set_new(complete, "id", json_string(id)) != 0 ||
        json_object_update(complete, document) != 0)
        fail_memory(w);
    return complete;
}

json_t *fh_doc_insert(fh_work *w, const char *collection, json_t *document)
{
    const struct document_ops *documents = documents_of(w);
    struct store_work *work = work_store_write(w);
    struct fh_error error;
    bool drawn;
    json_t *complete = with_id(w, collection, document, &drawn);
    const char *id = json_string_value(json_object_get(complete, "id"));
    const char *name = may_change(w, collection, id ? id : "");
    if ((drawn && documents->add ? documents->add : documents->insert)(work, collection, complete,
                                                                       &error) != FH_OK)
        fail_document(w, &error);
    note_changed_document(w, name);
    return complete;
}

/* NULL: *error says why. */
static json_t *update_one(fh_work *w, const char *collection, const char *id, const json_t *filter,
                          const json_t *update, struct fh_error *error)
{
    const struct document_ops *documents = documents_of(w);
    struct store_work *work = work_store_write(w);
    const char *name = may_change(w, collection, id);
    json_t *document = NULL;
    error->code = documents->update(work, collection, id, filter, update, &document, error);
    if (document)
        note_changed_document(w, name);
    return document;
}

json_t *fh_doc_update(fh_work *w, const char *collection, const char *id, json_t *filter,
                      json_t *update)
{
    struct fh_error error;
    json_t *document = update_one(w, collection, id, filter, update, &error);
    if (!document)
        fail_document(w, &error);
    return document;
}

json_t *fh_try_doc_update(fh_work *w, const char *collection, const char *id, json_t *filter,
                          json_t *update)
{
    struct fh_error error;
    json_t *document = update_one(w, collection, id, filter, update, &error);
    /* A conflict that names a field is between the update and the stored document: not an expected
     * one. */
    bool expected = error.code == FH_NOT_FOUND ||
                    (error.code == FH_CONFLICT && !error.retryable && !error.field[0]);
    if (!document && !expected)
        fail_document(w, &error);
    return document;
}

bool fh_doc_delete(fh_work *w, const char *collection, const char *id)
{
    const struct document_ops *documents = documents_of(w);
    struct store_work *work = work_store_write(w);
    const char *name = may_change(w, collection, id);
    struct fh_error error;
    bool existed;
    if (documents->remove(work, collection, id, &existed, &error) != FH_OK)
        fail_document(w, &error);
    if (existed)
        note_changed_document(w, name);
    return existed;
}
