/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_VERSIONS_H
#define EVENT_VERSIONS_H

/*
 * Versions of events: which a subscriber reads, what makes those of others, and what a publisher
 * makes for those who read an earlier one. An event is stored, relayed and parked in the version in
 * which it was published; casts run when its data are read. docs/internals/versions.md has the
 * rules.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"
#include "freehold.h"
#include "work/work.h"

/* ---- Declarations ---- */

/* FH_INVALID: casts are missing, there twice, or do not fit one another. */
enum fh_code versions_check(const fh_service *service, struct fh_error *error);

/* The cast from this version of what `subscribed` reads; NULL: none is declared. */
const struct fh_upcast *versions_upcast(const fh_service *service,
                                        const struct fh_subscription *subscribed, int from);
/* The cast to this version of a type that the service publishes; NULL: none is declared. */
const struct fh_downcast *versions_downcast(const fh_service *service, const char *type, int to);
/* What a declaration says: 1 where it says nothing. */
static inline int versions_published(const struct fh_published *published)
{
    return published->version ? published->version : 1;
}

/* The shape of a version as the subscription's casts know it: what one takes, or the last one
 * makes. NULL: none does. */
const fh_field *versions_shape(const fh_service *service, const struct fh_subscription *subscribed,
                               int version);

/* "2". 0: it is no version. */
int versions_number(const char *text);

/* ---- Fields ---- */

/* "TYPE@2" of names of fields and of grants: of that version, where the subscriber reads another.
 */
#define VERSIONS_TYPE_SIZE 320
void versions_type(char out[static VERSIONS_TYPE_SIZE], const char *type, int version);
/* Is that what `type` is? */
bool versions_is_typed(const char *type, size_t length);
/* Does the subscription get this field of an event in that version? */
bool versions_gets(const fh_service *service, const struct fh_subscription *subscribed, int version,
                   const char *field);
/* Whether the list, as of `.fields`, names any, and whether this one. */
bool versions_names_fields(const char *fields);
bool versions_names_field(const char *fields, const char *name);

/* ---- The subscriber ---- */

/* Prepares a unit of work for an event of the subscription that came in `version` (0: it does not
 * say): if its handler reads another, that is made of it before it runs. What can't be made is the
 * event's fault, whatever the cast says. */
void versions_prepare(fh_work *w, const struct fh_subscription *subscribed, int version);

/* ---- The publisher ---- */

/* The version of this type that a request's `versions`, "Type:2", asks for; 0: it does not say. */
int versions_asked(const json_t *versions, const char *type);
/* False: an entry is malformed, which VERSIONS_WRONG tells. */
#define VERSIONS_WRONG "`versions` must be Type:version, separated by commas."
bool versions_are_asked(const json_t *versions);

enum versions_verdict {
    VERSIONS_AS_IT_IS, /* it is in this version or an earlier one, or nothing makes that of it */
    VERSIONS_CAST,     /* *ret_data are in this version: json_text_free */
    VERSIONS_NEWER,    /* than all that this program knows: another instance has to be asked */
    VERSIONS_FAILED,   /* a cast has failed, and `error` says why */
};

/* What is sent of an event of this service, published in version `from`, to who asks for version
 * `to`. Takes no more than a unit of work's memory; does not park. */
enum versions_verdict versions_for_reader(struct work_context *context, const char *type, int from,
                                          int to, const char *data, char **ret_data,
                                          struct fh_error *error);

#endif
