/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials that are shown are judged on every route, those of routes for anyone too: a client
 * learns at once that its token has ended, instead of being served as if it were nobody.
 *
 * Why credentials are refused goes into the log, at most one line in LOG_PAUSE_NS, and never to the
 * client, who gets what RFC 6750 says: "invalid_token". The log never has a token, nor a part of
 * one.
 */

#include "gateway/identity/authenticate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/log.h"
#include "call/user.h"
#include "gateway/identity/certificate.h"
#include "gateway/identity/introspection.h"
#include "gateway/identity/issuer.h"
#include "gateway/identity/jws.h"
#include "gateway/identity/key_file.h"

_Static_assert(CLAIMS_SUBJECT_LENGTH_MAX == USER_SUBJECT_LENGTH_MAX &&
                   CLAIMS_WORDS_MAX == USER_GRANTS_MAX &&
                   CLAIMS_WORD_LENGTH_MAX == USER_GRANT_LENGTH_MAX,
               "what is taken from a token can be stated");

struct authenticator {
    struct world *world;
    json_t *config;
    char *system; /* its name */
    struct user_signer *signer;
    struct issuer *issuers[AUTHENTICATE_ISSUERS_MAX];
    size_t issuer_count;
    struct key_file *keys;               /* NULL: API keys are not taken */
    struct introspection *introspection; /* NULL: opaque tokens are not taken */
    struct certificate_rules certificates;
    bool takes_certificates;
    struct known_users known;
    bool forwards;
    struct log_pause pause; /* of credentials-refused */
};

/* What was found out about credentials that are not known yet. */
struct judgement {
    json_t *identity;       /* AUTHENTICATED_USER: new */
    int64_t until_ms;       /* of the wall clock; INT64_MAX: they do not end */
    const uint64_t *source; /* as in struct known_user */
    struct fh_error error;  /* AUTHENTICATED_REFUSED: why, for the log */
};

/* ---- The header ---- */

static void count_authorization(void *context, const char *name, const char *value)
{
    int *count = context;
    (void)value;
    if (strcasecmp(name, "Authorization") == 0)
        ++*count;
}

static bool is_credentials_text(const char *text)
{
    size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                 "-._~+/");
    return length > 0 && text[length + strspn(text + length, "=")] == '\0' &&
           strlen(text) <= JWS_LENGTH_MAX;
}

/* What follows "Bearer"; NULL: the header has another form, or is there twice. */
static const char *bearer_of(const struct http_request *request, const char *header)
{
    int count = 0;
    http_request_headers(request, count_authorization, &count);
    if (count != 1 || strncasecmp(header, "Bearer ", 7) != 0)
        return NULL;
    const char *credentials = header + 7 + strspn(header + 7, " ");
    return is_credentials_text(credentials) ? credentials : NULL;
}

/* ---- Judging ---- */

static struct issuer *issuer_of(struct authenticator *authenticator, const struct jws *jws)
{
    const char *name = json_string_value(json_object_get(jws->claims, "iss"));
    for (size_t i = 0; name && i < authenticator->issuer_count; i++) {
        if (strcmp(issuer_name(authenticator->issuers[i]), name) == 0)
            return authenticator->issuers[i];
    }
    return NULL;
}

static int64_t ms_of_seconds(int64_t seconds)
{
    return seconds > INT64_MAX / 1000 ? INT64_MAX : seconds * 1000;
}

static enum authenticated judge_jwt(struct authenticator *authenticator, const char *token,
                                    struct judgement *judgement)
{
    struct jws jws;
    if (jws_read(token, &jws, &judgement->error) != FH_OK)
        return AUTHENTICATED_REFUSED;
    struct issuer *issuer = issuer_of(authenticator, &jws);
    enum authenticated result = AUTHENTICATED_REFUSED;
    if (issuer) {
        int64_t until_s = 0;
        enum issuer_verdict verdict =
            issuer_judge(issuer, &jws, &judgement->identity, &until_s, &judgement->error);
        judgement->until_ms = ms_of_seconds(until_s);
        result = verdict == ISSUER_PROVED ? AUTHENTICATED_USER
                 : verdict == ISSUER_AWAY ? AUTHENTICATED_AWAY
                                          : AUTHENTICATED_REFUSED;
        judgement->source = issuer_generation(issuer);
    } else {
        error_set(&judgement->error, FH_INVALID, "It is of an issuer that is not configured here.");
    }
    jws_release(&jws);
    return result;
}

static enum authenticated judge_key(struct authenticator *authenticator, const char *key,
                                    struct judgement *judgement)
{
    int64_t now_s = world_wall_ms(authenticator->world) / 1000;
    json_t *identity = key_set_find(key_file_keys(authenticator->keys), key), *expires;
    if (!identity) {
        error_set(&judgement->error, FH_INVALID, "The file of keys has no such key.");
        return AUTHENTICATED_REFUSED;
    }
    expires = json_object_get(identity, "exp");
    if (expires && json_integer_value(expires) <= now_s) {
        error_set(&judgement->error, FH_INVALID, "The key has expired.");
        json_decref(identity);
        return AUTHENTICATED_REFUSED;
    }
    json_object_set_new(identity, "iat", json_integer(now_s));
    judgement->identity = identity;
    judgement->until_ms = expires ? ms_of_seconds(json_integer_value(expires)) : INT64_MAX;
    judgement->source = key_file_generation(authenticator->keys);
    return AUTHENTICATED_USER;
}

static enum authenticated judge_opaque(struct authenticator *authenticator, const char *token,
                                       const char *name, struct judgement *judgement)
{
    switch (introspect(authenticator->introspection, token, name, &judgement->identity,
                       &judgement->until_ms, &judgement->error)) {
    case INTROSPECTED_ACTIVE:
        return AUTHENTICATED_USER;
    case INTROSPECTED_REFUSED:
        return AUTHENTICATED_REFUSED;
    case INTROSPECTED_AWAY:
        return AUTHENTICATED_AWAY;
    }
    return AUTHENTICATED_REFUSED;
}

/* `name`: under which they are remembered. No API key is told to a provider. */
static enum authenticated judge_credentials(struct authenticator *authenticator,
                                            const char *credentials, const char *name,
                                            struct judgement *judgement)
{
    bool is_key = strncmp(credentials, KEY_FILE_PREFIX, strlen(KEY_FILE_PREFIX)) == 0;
    if (is_key && authenticator->keys)
        return judge_key(authenticator, credentials, judgement);
    if (authenticator->issuer_count && jws_has_form(credentials))
        return judge_jwt(authenticator, credentials, judgement);
    if (!is_key && authenticator->introspection)
        return judge_opaque(authenticator, credentials, name, judgement);
    error_set(&judgement->error, FH_INVALID, "They are of no kind that is taken here.");
    return AUTHENTICATED_REFUSED;
}

static void log_refusal(struct authenticator *authenticator, const char *why)
{
    unsigned more;
    if (!log_pause_passes(&authenticator->pause, world_monotonic_ns(authenticator->world), &more))
        return;
    log_warning("credentials-refused",
                "A client's credentials are refused. %s (%u more since the last such line.)", why,
                more);
}

/* States who it is, and remembers that. `credentials` NULL: a certificate. */
static enum authenticated take_judgement(struct authenticator *authenticator, const char *name,
                                         const char *credentials, struct judgement *judgement,
                                         struct known_user **ret_user)
{
    char statement[USER_STATEMENT_SIZE];
    if (user_sign(authenticator->signer, judgement->identity, statement, &judgement->error) !=
        FH_OK) {
        json_decref(judgement->identity);
        log_refusal(authenticator, judgement->error.message);
        return AUTHENTICATED_REFUSED;
    }
    *ret_user = known_user_new(judgement->identity, statement, world_wall_ms(authenticator->world),
                               judgement->until_ms, judgement->source);
    known_put(&authenticator->known, name, credentials, *ret_user);
    return AUTHENTICATED_USER;
}

static bool shows_certificate(const struct authenticator *authenticator,
                              const struct http_request *request, const unsigned char **ret,
                              size_t *ret_length)
{
    return authenticator->takes_certificates && http_request_certificate(request, ret, ret_length);
}

struct known_user *authenticate_known(struct authenticator *authenticator,
                                      const struct http_request *request)
{
    const char *header = http_request_header(request, "Authorization");
    const char *credentials = header ? bearer_of(request, header) : NULL;
    char name[KNOWN_NAME_SIZE];
    const unsigned char *der;
    size_t length;
    if (credentials)
        known_name(&authenticator->known, credentials, name);
    else if (!header && shows_certificate(authenticator, request, &der, &length))
        known_name_of_bytes(&authenticator->known, der, length, name);
    else
        return NULL;
    return known_find(&authenticator->known, name, world_wall_ms(authenticator->world));
}

enum authenticated authenticate(struct authenticator *authenticator,
                                const struct http_request *request, struct known_user **ret_user)
{
    const char *header = http_request_header(request, "Authorization");
    char name[KNOWN_NAME_SIZE];
    *ret_user = NULL;
    if (!header)
        return AUTHENTICATED_NOBODY;
    const char *credentials = bearer_of(request, header);
    if (!credentials) {
        log_refusal(authenticator, "The header Authorization is not one of the form Bearer TOKEN.");
        return AUTHENTICATED_REFUSED;
    }
    known_name(&authenticator->known, credentials, name);
    *ret_user = known_find(&authenticator->known, name, world_wall_ms(authenticator->world));
    if (*ret_user)
        return AUTHENTICATED_USER;
    struct judgement judgement = {.until_ms = INT64_MAX};
    enum authenticated result = judge_credentials(authenticator, credentials, name, &judgement);
    if (result == AUTHENTICATED_REFUSED)
        log_refusal(authenticator, judgement.error.message);
    return result == AUTHENTICATED_USER
               ? take_judgement(authenticator, name, credentials, &judgement, ret_user)
               : result;
}

enum authenticated authenticate_certificate(struct authenticator *authenticator,
                                            const struct http_request *request,
                                            struct known_user **ret_user)
{
    const unsigned char *der;
    size_t length;
    char name[KNOWN_NAME_SIZE];
    int64_t now_ms = world_wall_ms(authenticator->world);
    struct judgement judgement = {.until_ms = INT64_MAX};
    *ret_user = NULL;
    if (!shows_certificate(authenticator, request, &der, &length))
        return AUTHENTICATED_NOBODY;
    known_name_of_bytes(&authenticator->known, der, length, name);
    *ret_user = known_find(&authenticator->known, name, now_ms);
    if (*ret_user)
        return AUTHENTICATED_USER;
    if (certificate_identity(&authenticator->certificates, der, length, now_ms, &judgement.identity,
                             &judgement.until_ms, &judgement.error) != FH_OK) {
        log_refusal(authenticator, judgement.error.message);
        return AUTHENTICATED_REFUSED;
    }
    return take_judgement(authenticator, name, NULL, &judgement, ret_user);
}

bool authenticator_forwards(const struct authenticator *authenticator)
{
    return authenticator->forwards;
}

/* ---- The configuration ---- */

static enum fh_code add_issuers(struct authenticator *authenticator, const json_t *list,
                                struct fh_error *error)
{
    size_t i;
    json_t *config;
    json_array_foreach (list, i, config) {
        if (i == AUTHENTICATE_ISSUERS_MAX)
            return error_set(error, FH_INVALID, "\"jwt\" has more than %d issuers.",
                             AUTHENTICATE_ISSUERS_MAX);
        enum fh_code code =
            issuer_new(authenticator->world, config, &authenticator->issuers[i], error);
        if (code != FH_OK)
            return code;
        authenticator->issuer_count++;
    }
    return FH_OK;
}

enum fh_code authenticator_new(struct world *world, const json_t *config,
                               struct authenticator **ret, struct fh_error *error)
{
    json_t *auth = json_object_get(config, "auth");
    unsigned char key[32];
    *ret = NULL;
    if (!json_is_object(auth))
        return FH_OK;
    struct authenticator *authenticator = calloc(1, sizeof *authenticator);
    FH_ASSERT(authenticator != NULL);
    authenticator->world = world;
    authenticator->config = json_incref(auth);
    authenticator->forwards = json_is_true(json_object_get(auth, "forward"));
    world_random(world, key, sizeof key);
    known_init(&authenticator->known, key);
    const char *system = json_string_at(config, "system");
    enum fh_code code = user_signer_new(system, json_string_at(config, "keys.user_secret"),
                                        &authenticator->signer, error);
    authenticator->system = strdup(system ? system : "");
    FH_ASSERT(authenticator->system != NULL);
    if (code == FH_OK)
        code = add_issuers(authenticator, json_object_get(auth, "jwt"), error);
    const json_t *introspection = json_object_get(auth, "introspection");
    if (code == FH_OK && introspection)
        code = introspection_new(world, introspection, &authenticator->introspection, error);
    const json_t *certificates = json_object_get(auth, "certificates");
    authenticator->takes_certificates = certificates != NULL;
    if (code == FH_OK && certificates)
        code = certificate_rules_read(certificates, &authenticator->certificates, error);
    const char *keys = json_string_at(auth, "keys");
    if (code == FH_OK && keys)
        code = key_file_new(world, keys, &authenticator->keys, error);
    if (code == FH_OK)
        *ret = authenticator;
    else
        authenticator_free(authenticator);
    return code;
}

enum fh_code authenticator_take_keys(struct authenticator *authenticator, const json_t *keys,
                                     struct fh_error *error)
{
    struct user_signer *signer;
    enum fh_code code =
        user_signer_new(authenticator->system, json_string_at(keys, "user_secret"), &signer, error);
    if (code != FH_OK)
        return code;
    user_signer_free(authenticator->signer);
    authenticator->signer = signer;
    known_forget_all(&authenticator->known);
    return FH_OK;
}

void authenticator_free(struct authenticator *authenticator)
{
    if (!authenticator)
        return;
    for (size_t i = 0; i < authenticator->issuer_count; i++)
        issuer_free(authenticator->issuers[i]);
    key_file_free(authenticator->keys);
    introspection_free(authenticator->introspection);
    known_release(&authenticator->known);
    user_signer_free(authenticator->signer);
    json_decref(authenticator->config);
    free(authenticator->system);
    free(authenticator);
}
