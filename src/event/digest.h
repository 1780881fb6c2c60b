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

#endif
