/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_DIGEST_H
#define EVENT_DIGEST_H

/*
 * Digests by which a publisher and a subscriber find out whether they have the same of a key
 * without sending it. They are made of values, not of their text, since each side's store has its
 * own way to keep them: 1 is 1.0 and true, and null is as good as missing. Against mistakes, not
 * against people: whoever has the publisher's rows is trusted with them. Part of the protocol.
 * Pure.
 */

#include <jansson.h>

#define DIGEST_SIZE 33 /* 32 digits in hex, and the NUL */

/* Of these members of `data`, in the order of `names`, an array of strings. */
void digest_of(const json_t *data, const json_t *names, char ret[static DIGEST_SIZE]);

/* Of a page: of its keys, in their order, each with its digest, and of the key after which the next
 * page begins; NULL: there is no other. The last call frees it. */
struct digest_page;
struct digest_page *digest_page_begin(void);
void digest_page_add(struct digest_page *page, const char *key, const char *digest);
void digest_page_end(struct digest_page *page, const char *after, char ret[static DIGEST_SIZE]);

#endif
