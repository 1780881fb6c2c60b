/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_OWNED_ITEMS_H
#define TESTS_OWNED_ITEMS_H

/* What owners of derived stores have in their own, in each model: items with a name, and the one
 * before each; and notes that nobody reads. Header only. */

#include <stdio.h>

#include "conformance.h"

#include "base/json.h"
#include "store/model.h"

#define ITEMS 5
#define ITEM_ID_SIZE 8

static inline void item_id(char ret[static ITEM_ID_SIZE], int number)
{
    snprintf(ret, ITEM_ID_SIZE, "k%d", number % ITEMS);
}

struct item_ways {
    void (*make)(fh_work *w, const char *id, const char *before);
    json_t *(*read)(fh_work *w, const char *id); /* its "name" and "before" */
    void (*rename)(fh_work *w, const char *id, const char *name);
    void (*note)(fh_work *w, const char *text);
};

/* ---- Tables ---- */

static inline void make_row(fh_work *w, const char *id, const char *before)
{
    fh_exec(w, "INSERT INTO item VALUES (:id, 'n', :before)",
            fh_object(w, "id", id, "before", before), NULL);
}

static inline json_t *read_row(fh_work *w, const char *id)
{
    return fh_row(w, "SELECT name, before_id AS \"before\" FROM item WHERE id = :id",
                  fh_object(w, "id", id), NULL);
}

static inline void rename_row(fh_work *w, const char *id, const char *name)
{
    fh_exec(w, "UPDATE item SET name = :name WHERE id = :id", fh_object(w, "id", id, "name", name),
            NULL);
}

static inline void note_row(fh_work *w, const char *text)
{
    fh_exec(w, "INSERT INTO note VALUES (:text)", fh_object(w, "text", text), NULL);
}

/* ---- Documents ---- */

static inline void make_document(fh_work *w, const char *id, const char *before)
{
    fh_doc_insert(w, "item", fh_object(w, "id", id, "name", "n", "before", before));
}

static inline json_t *read_document(fh_work *w, const char *id)
{
    return fh_doc(w, "item", id);
}

static inline void rename_document(fh_work *w, const char *id, const char *name)
{
    fh_doc_update(w, "item", id, NULL, fh_object(w, "$set", fh_object(w, "name", name)));
}

static inline void note_document(fh_work *w, const char *text)
{
    fh_doc_insert(w, "note", fh_object(w, "text", text));
}

/* ---- Keys ---- */

static inline void make_key(fh_work *w, const char *id, const char *before)
{
    fh_kv_field_set(w, id, "name", json_string("n"));
    fh_kv_field_set(w, id, "before", json_string(before));
}

static inline json_t *read_item_key(fh_work *w, const char *id)
{
    return fh_kv_fields(w, id);
}

static inline void rename_key(fh_work *w, const char *id, const char *name)
{
    fh_kv_field_set(w, id, "name", json_string(name));
}

static inline void note_key(fh_work *w, const char *text)
{
    fh_kv_set(w, "note", json_string(text));
}

/* ---- Of each model ---- */

static const struct item_ways ways_of_items[] = {
    [FH_RELATIONAL] = {make_row, read_row, rename_row, note_row},
    [FH_DOCUMENT] = {make_document, read_document, rename_document, note_document},
    [FH_KEY_VALUE] = {make_key, read_item_key, rename_key, note_key},
};

/* What the items are kept in. */
static inline bool prepare_items(struct conformance *c, const fh_service *service)
{
    char notes[64];
    snprintf(notes, sizeof notes, "CREATE TABLE note (text %s)", c->engine->text);
    struct model_data data = model_data_of(service);
    if (service->model != FH_RELATIONAL)
        return model_prepare(c->store, &data, &c->error) == FH_OK;
    return conformance_does(c,
                            "CREATE TABLE item (id VARCHAR(20) PRIMARY KEY, name VARCHAR(40), "
                            "before_id VARCHAR(20))",
                            NULL) == FH_OK &&
           conformance_does(c, notes, NULL) == FH_OK;
}

#endif
