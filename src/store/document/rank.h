/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DOCUMENT_RANK_H
#define STORE_DOCUMENT_RANK_H

/* A sort as read, and the rank that it gives each document: see rank.c. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/text.h"
#include "store/document/key.h"

#define RANK_FIELDS_MAX 4
#define RANK_SIZE_MAX (DOCUMENT_KEY_SIZE_MAX * (RANK_FIELDS_MAX + 1))

struct rank_field {
    const char *path;
    bool descending;
};

struct rank_order {
    struct rank_field fields[RANK_FIELDS_MAX];
    int count;       /* 0: only by id */
    bool descending; /* that of the first field, and so of ids */
};

/* *order must be cleared. NULL: by id. FH_INVALID says what is wrong. */
enum fh_code rank_order_read(struct rank_order *order, const json_t *sort, struct fh_error *error);
/* Appends to `rank`, which has room for RANK_SIZE_MAX. */
enum fh_code rank_document(const struct rank_order *order, const json_t *document,
                           struct text *rank, struct fh_error *error);
void rank_id(const struct rank_order *order, const char *id, size_t length, struct text *rank);

#endif
