/* SPDX-License-Identifier: Apache-2.0 */
/* gateway.auth.introspection. The client's secret is in a file of its own, so that the system file
 * can be shown; it goes into the gateway's configuration, which only the gateway reads. */

#define _GNU_SOURCE
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "gateway/identity/introspection.h"
#include "system/file/auth_reading.h"
#include "system/file/file.h"
#include "system/file/private_key.h"

#define SECRET_SIZE_MAX ((size_t)1024)
#define COUNT(array) (sizeof(array) / sizeof *(array))

static void read_endpoint(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    const char *url = yaml_text(reader, node, what);
    auth_check_url(reader, node, what, url);
    if (url)
        json_object_set_new(((struct auth_reading *)into)->into, "endpoint", json_string(url));
}

static void read_client(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    auth_set_text(reader, node, what, into, "client");
}

/* Without the line's end. */
static void read_client_secret(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                               void *into)
{
    struct auth_reading *reading = into;
    size_t length;
    const char *path = yaml_text(reader, node, what);
    if (path && path[0] != '/')
        path = arena_printf(reader->arena, "%s/%s", reading->file->folder, path);
    char *text =
        path ? auth_read_file(reader, node, what, reading->file, path, SECRET_SIZE_MAX, &length)
             : NULL;
    if (!text)
        return;
    private_key_check(reader, node, what, path);
    size_t used = strcspn(text, "\r\n");
    bool sound = used > 0 && used + strspn(text + used, "\r\n") == length;
    for (size_t i = 0; i < used; i++)
        sound = sound && (unsigned char)text[i] >= ' ' && text[i] != 0x7f;
    json_t *secret = sound ? json_stringn(text, used) : NULL;
    if (secret)
        json_object_set_new(reading->into, "secret", secret);
    else
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: %s is not a secret: expected one line of text", what, path);
    sodium_memzero(text, length);
    free(text);
}

static void read_issuer_named(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    auth_set_text(reader, node, what, into, "issuer");
}

static void read_audience_named(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                void *into)
{
    auth_set_text(reader, node, what, into, "audience");
}

static void read_kept_time(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    auth_set_integer(reader, node, what, into, "kept_s", 1, INTROSPECTION_KEPT_S_MAX);
}

static void read_away_time(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    auth_set_integer(reader, node, what, into, "away_s", 0, INTROSPECTION_AWAY_S_MAX);
}

void auth_read_introspection(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    static const struct yaml_key keys[] = {
        {"endpoint", read_endpoint, true, "the URL that is asked (RFC 7662)"},
        {"client", read_client, true, "the gateway's client id at the provider"},
        {"secret", read_client_secret, true, "a file with the client's secret, on one line"},
        {"audience", read_audience_named, true, "the `aud` that tokens must have; *: any"},
        {"issuer", read_issuer_named, false, "the `iss` of its tokens, where they have one"},
        {"subjects", auth_read_subjects, false,
         "a prefix for its users' subjects; needed beside other issuers"},
        {"kept_s", read_kept_time, false, "how many seconds an answer counts; default: 60"},
        {"away_s", read_away_time, false,
         "how many seconds longer a good answer counts while the provider is away; default: 300"},
        {"leeway_s", auth_read_leeway, false,
         "seconds that its clock may differ from this machine's; default: 60"},
        {"scopes", auth_read_scopes_place, false, "the member with the scopes; default: scope"},
        {"roles", auth_read_roles_place, false,
         "the claim with the roles, such as realm_access.roles; default: roles"},
        {"claims", auth_read_claims_passed, false,
         "claims that are passed on to services; default: none"}};
    struct auth_reading *reading = into;
    struct auth_reading own = {.file = reading->file, .into = json_object()};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), &own);
    json_object_set_new(reading->into, "introspection", own.into);
}
