/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators prove by a token that they have this system's key; others come by the listener that is
 * inside, which serves nothing else. No address and no header that a client or a proxy could set
 * counts: a proxy on this machine makes all clients come from a loopback address.
 */

#include "gateway/inside.h"

#include "base/json.h"
#include "call/identity.h"
#include "call/sign.h"

static bool is_operator_key(const char *text, struct identity_key *ret, struct fh_error *error)
{
    if (!text || identity_key_parse(text, ret))
        return true;
    error_set(error, FH_INVALID,
              "The operator's key is not valid: expected 64 hexadecimal digits.");
    return false;
}

enum fh_code inside_take_keys(struct inside *inside, const json_t *keys, struct fh_error *error)
{
    struct identity_key key, other;
    const char *text = json_string_at(keys, "takes.operator");
    const char *also = json_string_at(keys, "also.operator");
    if (!is_operator_key(text, &key, error) || !is_operator_key(also, &other, error))
        return FH_INVALID;
    if (!text)
        return FH_OK;
    if (!inside->operators)
        inside->operators = identity_verifier_new("gateway", identity_now(inside->world));
    identity_verifier_add(inside->operators, "operator", &key, also ? &other : NULL);
    return FH_OK;
}

enum fh_code inside_init(struct inside *inside, struct world *world, const json_t *config,
                         struct fh_error *error)
{
    *inside = (struct inside){.world = world};
    enum fh_code code = exposure_read(config, inside->exposures, error);
    return code == FH_OK ? inside_take_keys(inside, json_object_get(config, "keys"), error) : code;
}

void inside_release(struct inside *inside)
{
    identity_verifier_free(inside->operators);
    *inside = (struct inside){0};
}

static bool is_operators(const struct inside *inside, const struct http_request *request)
{
    const char *caller, *token = http_request_header(request, IDENTITY_HEADER);
    return token && inside->operators &&
           identity_verify(inside->operators, token, identity_now(inside->world), &caller) ==
               IDENTITY_PROVED;
}

bool inside_shows(const struct inside *inside, enum exposed what,
                  const struct http_request *request, bool came_inside)
{
    switch (inside->exposures[what]) {
    case EXPOSURE_PUBLIC:
        return true;
    case EXPOSURE_INSIDE:
        return came_inside || is_operators(inside, request);
    case EXPOSURE_OFF:
        return false;
    }
    return false;
}
