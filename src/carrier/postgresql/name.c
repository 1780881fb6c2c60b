/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generation's name, and that of its schema. It says of which owner, derived store, incarnation
 * and number it is:
 *
 *     shop.climate-measured-0190a6b2-7c1e-7a55-8d4c-2f6b0e9a1c33-7
 *     shop.climate-measured-0190a6b2-7c1e-7a55-8d4c-2f6b0e9a1c33-kept-1    the server alone has it
 *
 * A store's name has no '-', and an incarnation has a form of its own: so no owner's name, which
 * may have one, makes a name that is also another's. PostgreSQL keeps 63 bytes of a name: where it
 * is longer, the schema is "freehold-" and a digest of it.
 */

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/postgresql/internal.h"

#define KEPT "kept-"

void curves_prefix(const struct curves_server *server, const struct fh_derived *declared,
                   char ret[static CURVES_NAME_SIZE])
{
    snprintf(ret, CURVES_NAME_SIZE, "%s-%s-", server->owner, declared->name);
}

void curves_name(const struct curves_server *server, const struct fh_derived *declared,
                 const struct carried_name *generation, char ret[static CURVES_NAME_SIZE])
{
    curves_prefix(server, declared, ret);
    size_t length = strlen(ret);
    snprintf(ret + length, CURVES_NAME_SIZE - length, "%s-%s%lld", generation->incarnation,
             generation->kept ? KEPT : "", (long long)generation->number);
}

void curves_schema(const struct curves_server *server, const struct fh_derived *declared,
                   const struct carried_name *generation, char ret[static CURVES_SCHEMA_SIZE])
{
    char name[CURVES_NAME_SIZE], hex[2 * 24 + 1];
    unsigned char digest[24];
    curves_name(server, declared, generation, name);
    if (strlen(name) < CURVES_SCHEMA_SIZE) {
        memcpy(ret, name, strlen(name) + 1);
        return;
    }
    crypto_generichash(digest, sizeof digest, (const unsigned char *)name, strlen(name), NULL, 0);
    sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
    snprintf(ret, CURVES_SCHEMA_SIZE, "freehold-%s", hex);
}

bool curves_name_read(const char *prefix, const char *name, struct carried_name *ret)
{
    char again[ID_SIZE + sizeof KEPT + 24];
    size_t length = strlen(prefix);
    if (strncmp(name, prefix, length) != 0 || strlen(name + length) <= ID_SIZE)
        return false;
    name += length;
    memcpy(ret->incarnation, name, ID_SIZE - 1);
    ret->incarnation[ID_SIZE - 1] = '\0';
    ret->kept = strncmp(name + ID_SIZE, KEPT, sizeof KEPT - 1) == 0;
    ret->number = strtoll(name + ID_SIZE + (ret->kept ? sizeof KEPT - 1 : 0), NULL, 10);
    if (!id_time_ms(ret->incarnation))
        return false;
    snprintf(again, sizeof again, "%s-%s%lld", ret->incarnation, ret->kept ? KEPT : "",
             (long long)ret->number);
    return ret->number > 0 && strcmp(name, again) == 0;
}
