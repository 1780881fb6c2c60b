/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DOCUMENT_UPDATE_H
#define STORE_DOCUMENT_UPDATE_H

/* An update as read: update.c makes it from JSON, change.c applies it to a document. */

#include <jansson.h>
#include <string.h>

#include "base/error.h"

#define DOCUMENT_CHANGES_MAX 256

enum update_kind {
    UPDATE_SET,
    UPDATE_UNSET,
    UPDATE_INC,
    UPDATE_MUL,
    UPDATE_MIN,
    UPDATE_MAX,
    UPDATE_PUSH,
    UPDATE_PULL,
    UPDATE_ADD_TO_SET,
    UPDATE_POP,
    UPDATE_RENAME,
    UPDATE_RENAMED /* the path that a $rename removes: added together with UPDATE_RENAME */
};

struct change {
    enum update_kind kind;
    const char *name; /* the operator's */
    const char *path;
    const json_t *argument;
    const char *from; /* UPDATE_RENAME: the old path */
};

/* Sorted by path; no path equals another one or is its prefix. */
struct changes {
    struct change items[DOCUMENT_CHANGES_MAX];
    size_t count;
};

/* The changes borrow their texts from `update`. */
enum fh_code update_read(struct changes *changes, const json_t *update, struct fh_error *error);

/* Sets error->field: that field's value, or its name, is wrong. A client may have sent it; a wrong
 * operator is always the service's own mistake and names no field. */
static inline enum fh_code update_at_field(struct fh_error *error, enum fh_code code,
                                           const char *path)
{
    memset(error->field, 0, sizeof error->field);
    strncpy(error->field, path, sizeof error->field - 1);
    return code;
}

#endif
