/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order in which documents are found.
 *
 * It is the order of one byte string per document, its rank: the keys of the fields sorted by (an
 * array's least, or greatest if descending), inverted where the sort descends, then the id, which
 * makes the order total. To continue after a document is to take only greater ranks. Ties are
 * ordered by id, in the direction of the sort's first field, so that an index can be walked either
 * way.
 */

#include "store/document/rank.h"

#include <stdlib.h>
#include <string.h>

#include "store/document/key.h"
#include "store/document/value.h"

enum fh_code rank_order_read(struct rank_order *order, const json_t *sort, struct fh_error *error)
{
    if (!sort)
        return FH_OK;
    if (!json_is_object(sort) || json_object_size(sort) == 0 ||
        json_object_size(sort) > RANK_FIELDS_MAX)
        return error_set(error, FH_INVALID,
                         "A sort is an object of 1 to %d fields, as in {\"price\": -1}.",
                         RANK_FIELDS_MAX);
    const char *path;
    json_t *direction;
    json_object_foreach (document_iterable(sort), path, direction) {
        struct fh_error why;
        if (document_path_check(path, &why))
            return error_set(error, FH_INVALID, "Wrong field '%.60s' in the sort: %.160s", path,
                             why.message);
        if (!json_is_integer(direction) || llabs(json_integer_value(direction)) != 1)
            return error_set(error, FH_INVALID,
                             "The sort by '%.60s' is 1 (ascending) or -1 (descending).", path);
        order->fields[order->count++] =
            (struct rank_field){path, json_integer_value(direction) < 0};
    }
    order->descending = order->fields[0].descending;
    if (strcmp(order->fields[0].path, "id") == 0)
        order->count = 0; /* ids are unique: later fields don't matter */
    return FH_OK;
}

static void invert_bytes(struct text *text, size_t from)
{
    for (size_t i = from; i < text->length; i++)
        text->data[i] = (char)~text->data[i];
}

void rank_id(const struct rank_order *order, const char *id, size_t length, struct text *rank)
{
    size_t from = rank->length;
    document_key_append_string(rank, id, length);
    if (order->descending)
        invert_bytes(rank, from);
    FH_ASSERT(!rank->overflow);
}

enum fh_code rank_document(const struct rank_order *order, const json_t *document,
                           struct text *rank, struct fh_error *error)
{
    const json_t *id = json_object_get(document, "id");
    for (int i = 0; i < order->count; i++) {
        const struct rank_field *field = &order->fields[i];
        struct document_keys keys;
        enum fh_code code = document_keys_init(&keys, document, field->path, error);
        if (code)
            return code;
        int which = field->descending ? keys.count - 1 : 0;
        size_t from = rank->length;
        text_append(rank, document_key_bytes(&keys, which), keys.items[which].length);
        if (field->descending)
            invert_bytes(rank, from);
        document_keys_release(&keys);
    }
    rank_id(order, json_string_value(id), json_string_length(id), rank);
    return FH_OK;
}
