/* SPDX-License-Identifier: Apache-2.0 */
/* Connects the pure identity.c with the client: keys from a configuration, time from the world. */

#include "call/sign.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct signing {
    struct identity_signer *signer;
    struct world *world;
};

struct identity_time identity_now(struct world *world)
{
    return (struct identity_time){world_wall_ms(world), world_monotonic_ns(world)};
}

static const char *sign_request(void *context, const char *service)
{
    struct signing *signing = context;
    return identity_sign(signing->signer, service, identity_now(signing->world));
}

enum fh_code sign_take_keys(struct signing *signing, const json_t *keys, struct fh_error *error)
{
    const char *service;
    json_t *text;
    struct identity_key key;
    json_object_foreach ((json_t *)(uintptr_t)keys, service, text) {
        if (strlen(service) > IDENTITY_NAME_LENGTH_MAX ||
            !identity_key_parse(json_string_value(text), &key))
            return error_set(
                error, FH_INVALID,
                "The key to call \"%.64s\" with is not valid: expected 64 hexadecimal digits.",
                service);
    }
    json_object_foreach ((json_t *)(uintptr_t)keys, service, text) {
        identity_key_parse(json_string_value(text), &key);
        identity_signer_add(signing->signer, service, &key);
    }
    return FH_OK;
}

enum fh_code sign_requests(struct http_client *client, struct world *world, const char *self,
                           const json_t *keys, struct signing **ret, struct fh_error *error)
{
    struct signing *signing = calloc(1, sizeof *signing);
    FH_ASSERT(signing != NULL);
    *signing = (struct signing){identity_signer_new(self), world};
    enum fh_code code = sign_take_keys(signing, keys, error);
    if (code != FH_OK) {
        sign_free(signing);
        return code;
    }
    http_client_set_signer(client, IDENTITY_HEADER, sign_request, signing);
    *ret = signing;
    return FH_OK;
}

void sign_free(struct signing *signing)
{
    if (!signing)
        return;
    identity_signer_free(signing->signer);
    free(signing);
}
