/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 7519 and RFC 8725: `iss` and `aud` are compared byte by byte with what is configured, `exp`
 * must be there, `nbf` and `iat` must have come, all with the leeway of two clocks.
 *
 * Scopes and roles are words. `scope` is one text of them with blanks between (RFC 8693), `scp` and
 * the roles of many providers are lists of them: both are taken from wherever the configuration
 * points. What has another form grants nothing, and is not an error: it is the token's own affair.
 * Words that could not be told apart later (empty ones, those with blanks or control characters)
 * grant nothing either.
 */

#include "gateway/identity/claims.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"

/* ---- The rules ---- */

static enum fh_code read_passed(const json_t *list, struct claims_rules *rules,
                                struct fh_error *error)
{
    size_t i;
    json_t *name;
    json_array_foreach (list, i, name) {
        if (!json_is_string(name) || rules->passed_count == CLAIMS_PASSED_MAX)
            return error_set(error, FH_INVALID, "\"claims\" must be a list of at most %d names.",
                             CLAIMS_PASSED_MAX);
        rules->passed[rules->passed_count++] = json_string_value(name);
    }
    return FH_OK;
}

enum fh_code claims_rules_read(const json_t *config, struct claims_rules *ret,
                               struct fh_error *error)
{
    json_int_t leeway_s = CLAIMS_LEEWAY_S;
    const char *scopes = json_string_at(config, "scopes"), *roles = json_string_at(config, "roles");
    const char *subjects = json_string_at(config, "subjects");
    json_integer_at(config, "leeway_s", &leeway_s);
    if (leeway_s < 0 || leeway_s > CLAIMS_LEEWAY_S_MAX)
        return error_set(error, FH_INVALID, "\"leeway_s\" must be 0 to %d.", CLAIMS_LEEWAY_S_MAX);
    *ret = (struct claims_rules){.issuer = json_string_at(config, "issuer"),
                                 .audience = json_string_at(config, "audience"),
                                 .subjects = subjects ? subjects : "",
                                 .scopes = scopes ? scopes : "scope",
                                 .roles = roles ? roles : "roles",
                                 .leeway_s = (int)leeway_s};
    return read_passed(json_object_get(config, "claims"), ret, error);
}

/* ---- Times ---- */

/* A NumericDate, which may have a fraction. False: it is there, and is none. */
static bool read_time(const json_t *claims, const char *name, int64_t now_s, bool *ret_there,
                      int64_t *ret)
{
    const json_t *value = json_object_get(claims, name);
    *ret_there = value != NULL;
    if (!value)
        return true;
    if (!json_is_number(value))
        return false;
    double seconds = json_number_value(value);
    if (!isfinite(seconds) || fabs(seconds - (double)now_s) > CLAIMS_AGE_S_MAX)
        return false;
    *ret = (int64_t)floor(seconds);
    return true;
}

static enum fh_code check_times(const struct claims_rules *rules, const json_t *claims,
                                int64_t now_s, int64_t *ret_expires_s, struct fh_error *error)
{
    bool expires, begins, issued;
    int64_t expires_s = INT64_MAX, begins_s = 0, issued_s = 0;
    if (!read_time(claims, "exp", now_s, &expires, &expires_s) ||
        !read_time(claims, "nbf", now_s, &begins, &begins_s) ||
        !read_time(claims, "iat", now_s, &issued, &issued_s))
        return error_set(
            error, FH_INVALID,
            "The token's \"exp\", \"nbf\" or \"iat\" is not a time, or ten years away.");
    if (!expires && !rules->expiry_optional)
        return error_set(error, FH_INVALID, "The token never expires: it has no \"exp\".");
    if (expires && now_s >= expires_s + rules->leeway_s)
        return error_set(error, FH_INVALID, "The token has expired.");
    if ((begins && now_s < begins_s - rules->leeway_s) ||
        (issued && now_s < issued_s - rules->leeway_s))
        return error_set(error, FH_INVALID,
                         "The token is from the future: its provider's clock is ahead, or this "
                         "machine's behind, by more than %d s.",
                         rules->leeway_s);
    *ret_expires_s = expires_s;
    return FH_OK;
}

/* ---- Who it is from, and for ---- */

static bool is_text_of(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static bool names_audience(const json_t *value, const char *audience)
{
    size_t i;
    json_t *one;
    if (is_text_of(value, audience))
        return true;
    json_array_foreach (value, i, one) {
        if (is_text_of(one, audience))
            return true;
    }
    return false;
}

static enum fh_code check_parties(const struct claims_rules *rules, const json_t *claims,
                                  struct fh_error *error)
{
    const json_t *issuer = json_object_get(claims, "iss");
    if (rules->issuer && !is_text_of(issuer, rules->issuer))
        return error_set(error, FH_INVALID, "The token is of another issuer.");
    if (rules->audience && !names_audience(json_object_get(claims, "aud"), rules->audience))
        return error_set(error, FH_INVALID, "The token is for another audience.");
    return FH_OK;
}

bool claims_say_bearer(const json_t *type)
{
    return !type || (json_is_string(type) && strcasecmp(json_string_value(type), "Bearer") == 0);
}

/* What its provider signs with the same keys for other uses says so: by `typ` at Keycloak, and by
 * the hashes that an ID token has of what it came with (OpenID Connect Core 1.0, 3.3.2.11), which
 * no token can have of itself. `nonce` tells nothing, since some access tokens have one. A token
 * that is bound to a key (RFC 7800) is meant to be of no use to whoever has stolen it. */
static enum fh_code check_kind(const json_t *claims, struct fh_error *error)
{
    if (json_object_get(claims, "at_hash") || json_object_get(claims, "c_hash"))
        return error_set(error, FH_INVALID,
                         "It is an ID token, which tells a client who has logged in. Access "
                         "tokens are taken here.");
    if (json_object_get(claims, "cnf"))
        return error_set(error, FH_INVALID,
                         "The token is bound to a key (\"cnf\"), and proof of possession is not "
                         "supported here.");
    if (!claims_say_bearer(json_object_get(claims, "typ")))
        return error_set(error, FH_INVALID,
                         "The token is not an access token: its claim \"typ\" is not Bearer.");
    return FH_OK;
}

/* ---- The identity ---- */

static bool is_word(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            return false;
    }
    return length > 0 && length <= CLAIMS_WORD_LENGTH_MAX;
}

static bool has_word(const json_t *list, const char *text, size_t length)
{
    size_t i;
    json_t *one;
    json_array_foreach (list, i, one) {
        if (json_string_length(one) == length && memcmp(json_string_value(one), text, length) == 0)
            return true;
    }
    return false;
}

/* False: there are too many. */
static bool add_word(json_t *list, const char *text, size_t length)
{
    if (!is_word(text, length) || has_word(list, text, length))
        return true;
    return json_array_size(list) < CLAIMS_WORDS_MAX &&
           json_array_append_new(list, json_stringn(text, length)) == 0;
}

/* A text with blanks between words, or a list of them. NULL: too many. */
static json_t *take_words(const json_t *value)
{
    json_t *list = json_array(), *one;
    size_t i;
    bool fits = true;
    for (const char *at = json_string_value(value); at && *at && fits;) {
        size_t length = strcspn(at, " ");
        fits = add_word(list, at, length);
        at += length + (at[length] == ' ');
    }
    json_array_foreach (value, i, one) {
        if (json_is_string(one))
            fits = fits && add_word(list, json_string_value(one), json_string_length(one));
    }
    if (fits)
        return list;
    json_decref(list);
    return NULL;
}

/* `name` is a whole name ("https://example.org/roles") or a path of names ("realm_access.roles").
 */
static const json_t *find_claim(const json_t *claims, const char *name)
{
    const json_t *whole = json_object_get(claims, name);
    return whole ? whole : json_at(claims, name);
}

static enum fh_code add_grants(const struct claims_rules *rules, const json_t *claims,
                               json_t *identity, struct fh_error *error)
{
    json_t *scopes = take_words(find_claim(claims, rules->scopes));
    json_t *roles = take_words(find_claim(claims, rules->roles));
    if (!scopes || !roles) {
        json_decref(scopes);
        json_decref(roles);
        return error_set(error, FH_INVALID, "The token has more than %d scopes or roles.",
                         CLAIMS_WORDS_MAX);
    }
    json_object_set_new(identity, "scopes", scopes);
    json_object_set_new(identity, "roles", roles);
    return FH_OK;
}

static void add_passed(const struct claims_rules *rules, const json_t *claims, json_t *identity)
{
    json_t *passed = json_object();
    for (size_t i = 0; i < rules->passed_count; i++) {
        const json_t *value = find_claim(claims, rules->passed[i]);
        if (value)
            json_object_set_new(passed, rules->passed[i], json_deep_copy(value));
    }
    json_object_set_new(identity, "claims", passed);
}

static bool is_subject(const json_t *value)
{
    const char *text = json_string_value(value);
    if (!text || !*text || strlen(text) > CLAIMS_SUBJECT_LENGTH_MAX)
        return false;
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    }
    return true;
}

enum fh_code claims_take(const struct claims_rules *rules, const json_t *claims, const char *via,
                         int64_t now_s, json_t **ret, int64_t *ret_until_s, struct fh_error *error)
{
    int64_t expires_s = INT64_MAX;
    const char *issuer = rules->issuer ? rules->issuer : json_string_at(claims, "iss");
    const json_t *subject = json_object_get(claims, "sub");
    *ret = NULL;
    enum fh_code code = check_parties(rules, claims, error);
    if (code == FH_OK)
        code = check_kind(claims, error);
    if (code == FH_OK)
        code = check_times(rules, claims, now_s, &expires_s, error);
    if (code == FH_OK && !is_subject(subject))
        code = error_set(error, FH_INVALID, "The token's \"sub\" is not a string of 1 to %d bytes.",
                         CLAIMS_SUBJECT_LENGTH_MAX);
    if (code != FH_OK)
        return code;
    json_t *identity = json_pack(
        "{s:o, s:s, s:I}", "sub",
        json_sprintf("%s%s", rules->subjects ? rules->subjects : "", json_string_value(subject)),
        "via", via, "iat", (json_int_t)now_s);
    FH_ASSERT(identity != NULL);
    if (issuer)
        json_object_set_new(identity, "iss", json_string(issuer));
    if (expires_s != INT64_MAX)
        json_object_set_new(identity, "exp", json_integer(expires_s));
    code = add_grants(rules, claims, identity, error);
    if (code != FH_OK) {
        json_decref(identity);
        return code;
    }
    add_passed(rules, claims, identity);
    *ret = identity;
    *ret_until_s = expires_s == INT64_MAX ? INT64_MAX : expires_s + rules->leeway_s;
    return FH_OK;
}
