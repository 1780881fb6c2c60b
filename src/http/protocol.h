/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_PROTOCOL_H
#define HTTP_PROTOCOL_H

/*
 * The version of the protocol between the processes of a system (docs/internals/processes.md).
 * Every request between them carries it. A process understands its own version and the previous
 * one, since both run side by side during an upgrade; it refuses other versions with an
 * explanation.
 */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define PROTOCOL_HEADER "Freehold-Protocol"
/* Increase it with every change that the previous version does not understand. Version 0 has no
 * header, and neither have requests from outside the system. */
#define PROTOCOL_VERSION 1
#define PROTOCOL_FORMER 0

#define PROTOCOL_TEXT_OF(number) #number
#define PROTOCOL_TEXT(number) PROTOCOL_TEXT_OF(number)
#define PROTOCOL_NOT_UNDERSTOOD                                                                    \
    "The request is of a version of Freehold's protocol between processes that this one does not " \
    "understand; it knows " PROTOCOL_TEXT(PROTOCOL_FORMER) " and " PROTOCOL_TEXT(                  \
        PROTOCOL_VERSION) ". Upgrade the older of the two: versions may differ by one."

/* `said`: the header's value, or NULL. */
static inline bool protocol_is_understood(const char *said)
{
    if (!said)
        return PROTOCOL_FORMER == 0;
    return strcmp(said, PROTOCOL_TEXT(PROTOCOL_VERSION)) == 0 ||
           strcmp(said, PROTOCOL_TEXT(PROTOCOL_FORMER)) == 0;
}

#endif
