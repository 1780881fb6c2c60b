/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_INSIDE_H
#define GATEWAY_INSIDE_H

/* Who may see the gateway's measurements and documents (service/exposure.h). */

#include "http/server.h"
#include "service/exposure.h"
#include "world/world.h"

struct inside {
    enum exposure exposures[EXPOSED_COUNT];
    struct identity_verifier *operators; /* NULL: nobody has a key */
    struct world *world;
};

/* From the gateway's configuration: "exposure", and "keys" as inside_take_keys. */
enum fh_code inside_init(struct inside *inside, struct world *world, const json_t *config,
                         struct fh_error *error);
/* The operator's keys from now on: "takes.operator", and "also.operator" besides. FH_INVALID:
 * nothing has changed. */
enum fh_code inside_take_keys(struct inside *inside, const json_t *keys, struct fh_error *error);
void inside_release(struct inside *inside);
/* `came_inside`: the request came by the listener that is inside. */
bool inside_shows(const struct inside *inside, enum exposed what,
                  const struct http_request *request, bool came_inside);

#endif
