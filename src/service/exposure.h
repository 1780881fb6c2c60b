/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_EXPOSURE_H
#define SERVICE_EXPOSURE_H

/*
 * Who may see what a process tells of itself and of the system: its measurements, and the documents
 * of its routes and events. They are of use to whoever attacks it, too, so they are for the inside
 * unless the system file says otherwise (docs/guide/gateway.md).
 */

#include <jansson.h>

#include "base/error.h"

enum exposure {
    EXPOSURE_INSIDE, /* operators, and the gateway's listener that is inside */
    EXPOSURE_PUBLIC, /* whoever reaches the port */
    EXPOSURE_OFF,    /* nobody */
};

enum exposed { EXPOSED_METRICS, EXPOSED_DOCS, EXPOSED_OPENAPI, EXPOSED_ASYNCAPI, EXPOSED_COUNT };

/* Their words in the system file and in configurations, ended by NULL, in the enums' order. */
extern const char *const exposure_words[];
extern const char *const exposed_words[];

/* The "exposure" of a process's configuration: {"metrics": "inside", ...}. What is absent is
 * inside. */
enum fh_code exposure_read(const json_t *config, enum exposure ret[static EXPOSED_COUNT],
                           struct fh_error *error);
/* The same as JSON. New reference. */
json_t *exposure_json(const enum exposure exposures[static EXPOSED_COUNT]);

#endif
