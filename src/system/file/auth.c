/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system file's gateway.auth: by what the gateway finds out who a client is. It becomes the
 * gateway's own configuration (docs/internals/processes.md), so most of it is read into JSON as it
 * stands; what names a file is read here, so that its faults are found by `check`.
 */

#define _GNU_SOURCE
#include "system/file/auth.h"
#include "system/file/auth_reading.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "gateway/identity/authenticate.h"
#include "gateway/identity/issuer.h"
#include "system/file/file.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void read_issuer(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    auth_set_text(reader, node, what, into, "issuer");
}

static void read_audience(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    auth_set_text(reader, node, what, into, "audience");
}

static void read_keys_file(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           struct auth_reading *reading, const char *path)
{
    struct jwks *jwks;
    struct fh_error error;
    json_t *set = NULL;
    size_t length;
    char *text = auth_read_file(reader, node, what, reading->file, path, JWKS_LENGTH_MAX, &length);
    if (!text)
        return;
    if (jwks_parse(text, length, &jwks, &error) != FH_OK) {
        findings_error(reader->findings, yaml_place(reader, node), "%s: %s: %s", what, path,
                       error.message);
    } else {
        if (jwks_fault(jwks))
            findings_warning(reader->findings, yaml_place(reader, node),
                             "%s: %s has a key that is left out: %s", what, path, jwks_fault(jwks));
        jwks_free(jwks);
        json_parse(text, length, &set, ERROR_UNHEEDED);
        json_object_set_new(reading->into, "keys", set);
    }
    free(text);
}

static void read_issuer_keys(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    struct auth_reading *reading = into;
    const char *place = yaml_text(reader, node, what);
    if (!place)
        return;
    json_object_set_new(reading->into, "keys", json_null()); /* given, whatever is wrong with it */
    if (!strstr(place, "://")) {
        read_keys_file(reader, node, what, reading, place);
        return;
    }
    auth_check_url(reader, node, what, place);
    json_object_del(reading->into, "keys");
    json_object_set_new(reading->into, "keys_url", json_string(place));
}

static void read_algorithm(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    const char *words[16] = {NULL};
    size_t count = 0;
    for (const struct jws_algorithm *at = jws_algorithm_next(NULL); at; at = jws_algorithm_next(at))
        words[count++] = at->name;
    int chosen = yaml_word(reader, node, what, words, false);
    if (chosen >= 0)
        json_array_append_new(into, json_string(words[chosen]));
}

static void read_algorithms_taken(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                  void *into)
{
    json_t *list = json_array();
    yaml_read_list(reader, node, what, 16, read_algorithm, list);
    json_object_set_new(((struct auth_reading *)into)->into, "algorithms", list);
}

/* Keys that are found by discovery need an issuer that is a URL; and no two may be the same. */
static void check_issuer(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         const json_t *issuers, const json_t *issuer)
{
    size_t i;
    json_t *other;
    const char *name = json_string_at(issuer, "issuer");
    if (!name)
        return;
    if (!json_object_get(issuer, "keys") && !json_object_get(issuer, "keys_url") &&
        !issuer_url_is_safe(name))
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: without 'keys' the issuer's keys are found by its URL: 'issuer' must "
                       "begin with https:// (or http:// with a loopback address)",
                       what);
    json_array_foreach (issuers, i, other) {
        if (other != issuer && strcmp(json_string_at(other, "issuer"), name) == 0)
            findings_error(reader->findings, yaml_place(reader, node),
                           "%s: a second issuer '%.200s'", what, name);
    }
}

static void read_jwt_issuer(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    static const struct yaml_key keys[] = {
        {"issuer", read_issuer, true, "the `iss` of its tokens; its keys are found from there"},
        {"audience", read_audience, true, "the `aud` of tokens that are meant for this system"},
        {"subjects", auth_read_subjects, false,
         "a prefix for its users' subjects; needed beside other issuers"},
        {"keys", read_issuer_keys, false, "a JWK set: a file, or a URL; default: by discovery"},
        {"algorithms", read_algorithms_taken, false,
         "signature algorithms that are accepted; default: all that are known"},
        {"leeway_s", auth_read_leeway, false,
         "seconds that its clock may differ from this machine's; default: 60"},
        {"scopes", auth_read_scopes_place, false, "the claim with the scopes; default: scope"},
        {"roles", auth_read_roles_place, false,
         "the claim with the roles, such as realm_access.roles; default: roles"},
        {"claims", auth_read_claims_passed, false,
         "claims that are passed on to services; default: none"}};
    struct auth_reading *reading = into;
    struct auth_reading issuer = {.file = reading->file, .into = json_object()};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), &issuer);
    if (node)
        check_issuer(reader, node, what, reading->into, issuer.into);
    if (json_string_at(issuer.into, "issuer"))
        json_array_append(reading->into, issuer.into);
    json_decref(issuer.into);
}

/* The user 7 of one issuer is not the user 7 of another. So none may make a subject that another
 * makes, whatever its users are called. Two that are of one name are one issuer, if they agree. */
static bool subjects_collide(const json_t *one, const json_t *other)
{
    const char *prefix = json_string_at(one, "subjects"),
               *longer = json_string_at(other, "subjects");
    const char *name = json_string_at(one, "issuer"), *second = json_string_at(other, "issuer");
    prefix = prefix ? prefix : "";
    longer = longer ? longer : "";
    if (name && second && strcmp(name, second) == 0 && strcmp(prefix, longer) == 0)
        return false;
    return strncmp(prefix, longer, strlen(prefix)) == 0;
}

static const char *name_of_source(const json_t *source)
{
    const char *name = json_string_at(source, "issuer");
    return name ? name : json_object_get(source, "ca") ? "gateway.tls.clients" : "introspection";
}

static void check_subjects(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           const json_t *auth, json_t *clients)
{
    json_t *sources = json_copy(json_object_get(auth, "jwt")), *one, *other;
    size_t i, j;
    if (!sources)
        sources = json_array();
    if (json_object_get(auth, "introspection"))
        json_array_append(sources, json_object_get(auth, "introspection"));
    if (clients)
        json_array_append(sources, clients);
    json_array_foreach (sources, i, one) {
        json_array_foreach (sources, j, other) {
            if (i == j || !subjects_collide(one, other))
                continue;
            findings_error(reader->findings, yaml_place(reader, node),
                           "%s: users of '%.100s' could be taken for users of '%.100s'. Give each "
                           "issuer a prefix of its own in 'subjects', such as staff/",
                           what, name_of_source(one), name_of_source(other));
            json_decref(sources);
            return;
        }
    }
    json_decref(sources);
}

static void read_jwt(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct auth_reading *reading = into;
    struct auth_reading list = {.file = reading->file, .into = json_array()};
    yaml_read_list(reader, node, what, AUTHENTICATE_ISSUERS_MAX, read_jwt_issuer, &list);
    json_object_set_new(reading->into, "jwt", list.into);
}

static void read_forward(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    bool forward = false;
    yaml_bool(reader, node, what, &forward);
    json_object_set_new(((struct auth_reading *)into)->into, "forward", json_boolean(forward));
}

void file_read_auth(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"jwt", read_jwt, false, "issuers of signed tokens"},
        {"introspection", auth_read_introspection, false,
         "the provider that is asked what opaque tokens mean"},
        {"keys", auth_read_keys, false, "a file of hashes of API keys"},
        {"forward", read_forward, false, "services get the header Authorization; default: false"}};
    struct system_file *file = into;
    struct auth_reading reading = {.file = file, .into = json_object()};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), &reading);
    if (node && !json_array_size(json_object_get(reading.into, "jwt")) &&
        !json_object_get(reading.into, "keys") && !json_object_get(reading.into, "introspection"))
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s needs an issuer in 'jwt', or 'introspection', or 'keys': otherwise "
                       "nobody could log "
                       "in",
                       what);
    if (node)
        check_subjects(reader, node, what, reading.into, file->door_clients);
    json_decref(file->auth);
    file->auth = reading.into;
}
