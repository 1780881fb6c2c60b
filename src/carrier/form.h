/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_FORM_H
#define CARRIER_FORM_H

/* Events of points and facts (work/carried.h), read as they are written. Pure. */

#include "base/json_scan.h"
#include "base/text.h"
#include "carrier/server.h"
#include "store/derived/derived.h"

struct carried_form {
    const struct fh_derived *declared;
    int field_count;
    struct json_piece pieces[DERIVED_FIELDS_MAX + 3]; /* around the key, the time and each value */
    struct text text;                                 /* of these */
};

/* What an event has for a derived store. */
struct carried_found {
    struct carried_op *ops; /* `count` of them; their keys end with a quote in the event's text */
    int count;
    struct carried_value *values;  /* of all, field_count each */
    struct json_piece incarnation; /* of rows for one generation; else its `at` is NULL */
    int64_t number, as_of;
    struct json_piece last; /* the same */
    struct json_piece life; /* of points that the server alone has; else the same */
};

/* Of a series, or of columns. */
void carried_form_init(struct carried_form *form, const struct fh_derived *declared);
void carried_form_release(struct carried_form *form);
/* As many ops as an event of so many bytes may have. */
size_t carried_form_room(const struct carried_form *form, size_t length);
/* False: it is of another form, though it may be right: ask json.h. There is room in ret->ops and
 * ret->values, and behind the text as json_scan.h wants it. The text stays as it is. */
bool carried_form_read(const struct carried_form *form, const char *data, size_t length,
                       struct carried_found *ret);

#endif
