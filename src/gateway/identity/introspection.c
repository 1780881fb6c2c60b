/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token is asked of once at a time: those who bring it meanwhile wait for that one answer. What
 * an answer said is kept by a keyed hash of the token, in two maps, so that tokens that are no good
 * drive out none that is:
 *
 *     good   an identity: fresh for `kept`, and while the provider is away for `away`;
 *            never longer than the token's own `exp`
 *     bad    why, for `kept`
 *
 * An answer that is malformed (`active` as a text, no JSON, another status than 200) is none: the
 * provider is away. So a provider that fails locks nobody out and lets nobody in. After a failure
 * nothing is asked for INTROSPECTION_PAUSE_MS, so that a provider that hangs is not waited for by
 * each request in turn.
 *
 * Times are the wall clock's, as `exp` is. One that is set back makes no answer live longer than it
 * would have: what claims to have been kept for less than no time is forgotten.
 */

#define _GNU_SOURCE
#include "gateway/identity/introspection.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"
#include "gateway/identity/issuer.h"
#include "gateway/identity/jws.h"
#include "gateway/identity/strict.h"

#define SECRET_LENGTH_MAX ((size_t)1024)
#define BODY_LENGTH_MAX (3 * JWS_LENGTH_MAX + 100)
#define WHY_SIZE 256
#define MS_PER_S INT64_C(1000)

/* What the provider said of a token. */
struct kept_answer {
    json_t *identity; /* NULL: no */
    int64_t said_ms, fresh_until_ms, away_until_ms;
    char why[WHY_SIZE]; /* it is refused, for the log */
};

/* A token that the provider is being asked of. */
struct token_asked {
    struct fiber_queue waiting;
};

struct introspection {
    struct world *world;
    struct claims_rules rules;
    const char *endpoint;
    char *authorization; /* the header's value */
    int64_t kept_ms, away_ms;
    struct map good, bad, asked;
    unsigned waiting_count;
    bool silent;         /* as the log was told */
    int64_t ask_from_ns; /* of the monotonic clock: nothing is asked before */
};

/* ---- What is kept ---- */

static void free_kept_answer(struct kept_answer *answer)
{
    if (!answer)
        return;
    json_decref(answer->identity);
    free(answer);
}

static void release_kept_answers(struct map *map)
{
    struct map_entry *entry = NULL;
    void *answer;
    while (map_next(map, &entry, NULL, &answer))
        free_kept_answer(answer);
    map_release(map);
}

static void keep_answer(struct map *map, size_t count_max, const char *name,
                        struct kept_answer *answer)
{
    free_kept_answer(map_remove(map, name));
    if (map->count == count_max) {
        struct map_entry *entry = NULL;
        const char *oldest;
        map_next(map, &entry, &oldest, NULL);
        char *copy = strdup(oldest);
        FH_ASSERT(copy != NULL);
        free_kept_answer(map_remove(map, copy));
        free(copy);
    }
    map_put(map, name, answer);
}

/* NULL: there is none, or it has ended. */
static struct kept_answer *find_kept_answer(struct map *map, const char *name, int64_t now_ms)
{
    struct kept_answer *answer = map_get(map, name);
    if (!answer || (answer->said_ms <= now_ms && now_ms < answer->away_until_ms))
        return answer;
    free_kept_answer(map_remove(map, name));
    return NULL;
}

/* ---- Asking ---- */

static void add_form_text(struct text *text, const char *value)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._";
    for (; *value; value++) {
        if (strchr(plain, *value))
            text_append(text, value, 1);
        else
            text_printf(text, "%%%02X", (unsigned char)*value);
    }
}

/* Whether the answer says whose token it is. FH_UNAVAILABLE: it says nothing that counts;
 * FH_INVALID: the token is no good. */
static enum fh_code read_answer(const struct introspection *introspection, const json_t *said,
                                int64_t now_ms, json_t **ret, int64_t *ret_until_ms,
                                struct fh_error *error)
{
    int64_t until_s;
    struct claims_rules rules = introspection->rules;
    const json_t *active = json_object_get(said, "active");
    if (!json_is_boolean(active))
        return error_set(error, FH_UNAVAILABLE,
                         "Its answer has no \"active\" that is true or false.");
    if (!json_is_true(active))
        return error_set(error, FH_INVALID, "The provider says that the token is not active.");
    /* A refresh token is active, too, and one that is bound to a key is worth nothing without. */
    if (!claims_say_bearer(json_object_get(said, "token_type")))
        return error_set(error, FH_INVALID, "The token is of another type than Bearer.");
    if (!json_object_get(said, "iss"))
        rules.issuer = NULL; /* it need not be there, and must be right where it is */
    enum fh_code code =
        claims_take(&rules, said, "introspection", now_ms / MS_PER_S, ret, &until_s, error);
    if (code != FH_OK)
        return code;
    if (introspection->rules.issuer)
        json_object_set_new(*ret, "iss", json_string(introspection->rules.issuer));
    json_int_t expires_s;
    *ret_until_ms = INT64_MAX;
    if (json_integer_at(*ret, "exp", &expires_s))
        *ret_until_ms = expires_s * MS_PER_S; /* without leeway: the provider can be asked */
    if (*ret_until_ms > now_ms)
        return FH_OK;
    json_decref(*ret);
    *ret = NULL;
    return error_set(error, FH_INVALID, "The token has expired.");
}

static int64_t earlier_of_both(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Keeps what the provider said. FH_UNAVAILABLE: nothing. */
static enum fh_code take_answer(struct introspection *introspection, const char *name,
                                const json_t *said, struct fh_error *error)
{
    int64_t now_ms = world_wall_ms(introspection->world), until_ms = INT64_MAX;
    json_t *identity = NULL;
    enum fh_code code = read_answer(introspection, said, now_ms, &identity, &until_ms, error);
    if (code == FH_UNAVAILABLE)
        return code;
    struct kept_answer *answer = calloc(1, sizeof *answer);
    FH_ASSERT(answer != NULL);
    answer->identity = identity;
    answer->said_ms = now_ms;
    if (!identity)
        until_ms = INT64_MAX; /* a no counts on after the token's end */
    answer->fresh_until_ms = earlier_of_both(now_ms + introspection->kept_ms, until_ms);
    answer->away_until_ms =
        identity
            ? earlier_of_both(now_ms + introspection->kept_ms + introspection->away_ms, until_ms)
            : answer->fresh_until_ms;
    if (!identity)
        snprintf(answer->why, sizeof answer->why, "%s", error->message);
    free_kept_answer(map_remove(identity ? &introspection->bad : &introspection->good, name));
    if (identity)
        keep_answer(&introspection->good, INTROSPECTION_GOOD_MAX, name, answer);
    else
        keep_answer(&introspection->bad, INTROSPECTION_BAD_MAX, name, answer);
    return FH_OK;
}

static enum fh_code ask_provider(struct introspection *introspection, const char *token,
                                 const char *name, struct fh_error *error)
{
    struct text body;
    json_t *said = NULL;
    enum fh_code code = FH_OK;
    text_init(&body, BODY_LENGTH_MAX);
    text_add(&body, "token_type_hint=access_token&token=");
    add_form_text(&body, token);
    FH_ASSERT(!body.overflow); /* tokens are bounded: authenticate.c */
    struct world_request request = {
        .method = "POST",
        .url = introspection->endpoint,
        .headers = {{"Content-Type", "application/x-www-form-urlencoded"},
                    {"Accept", "application/json"},
                    {"Authorization", introspection->authorization}},
        .body = body.data,
        .body_length = body.length,
        .answer_size_max = INTROSPECTION_ANSWER_SIZE_MAX,
        .deadline_ns = world_in_ms(introspection->world, INTROSPECTION_ASK_MS),
    };
    world_request_wait(introspection->world, &request);
    if (!request.status)
        code = error_set(error, FH_UNAVAILABLE, "%.120s: %.80s.", introspection->endpoint,
                         request.failure);
    else if (request.status == 401 || request.status == 400)
        code = error_set(error, FH_UNAVAILABLE,
                         "%.100s answers with status %d: look at the client and its secret in "
                         "gateway.auth.introspection.",
                         introspection->endpoint, request.status);
    else if (request.status != 200)
        code = error_set(error, FH_UNAVAILABLE, "%.120s answers with status %d.",
                         introspection->endpoint, request.status);
    else if (strict_object(request.answer, request.answer_length, &said, error) != FH_OK)
        code = FH_UNAVAILABLE;
    if (code == FH_OK)
        code = take_answer(introspection, name, said, error);
    json_decref(said);
    world_request_release(&request);
    sodium_memzero(body.data, body.length);
    text_release(&body);
    return code;
}

/* Says once that it begins, and once that it has ended. */
static void note_outcome(struct introspection *introspection, enum fh_code code,
                         const struct fh_error *error)
{
    bool silent = code != FH_OK;
    if (silent)
        introspection->ask_from_ns = world_in_ms(introspection->world, INTROSPECTION_PAUSE_MS);
    if (silent && !introspection->silent)
        log_warning("introspection-silent",
                    "Tokens can't be introspected; what was said of them counts for %d s more: %s",
                    (int)(introspection->away_ms / MS_PER_S), error->message);
    else if (!silent && introspection->silent)
        log_info("introspection-answers", "%s introspects tokens again.", introspection->endpoint);
    introspection->silent = silent;
}

/* Asks, or waits for the answer to whoever asks already. */
static void ask_once(struct introspection *introspection, const char *token, const char *name)
{
    struct fh_error error = {0};
    struct token_asked *asked = map_get(&introspection->asked, name);
    if (asked && introspection->waiting_count < INTROSPECTION_WAITING_MAX) {
        introspection->waiting_count++;
        fiber_wait_until(&asked->waiting, introspection->world,
                         world_in_ms(introspection->world, INTROSPECTION_ASK_MS));
        introspection->waiting_count--;
    }
    if (asked || introspection->asked.count == INTROSPECTION_ASKING_MAX ||
        world_monotonic_ns(introspection->world) < introspection->ask_from_ns)
        return;
    asked = calloc(1, sizeof *asked);
    FH_ASSERT(asked != NULL);
    map_put(&introspection->asked, name, asked);
    note_outcome(introspection, ask_provider(introspection, token, name, &error), &error);
    map_remove(&introspection->asked, name);
    fiber_wake_all(&asked->waiting);
    free(asked);
}

/* ---- Judging ---- */

static enum introspected take_kept_identity(const struct introspection *introspection,
                                            const struct kept_answer *good, int64_t now_ms,
                                            json_t **ret, int64_t *ret_until_ms)
{
    *ret = json_copy_all(good->identity);
    FH_ASSERT(*ret != NULL);
    *ret_until_ms = good->fresh_until_ms;
    if (introspection->silent && *ret_until_ms <= now_ms) /* it is asked again before long */
        *ret_until_ms = earlier_of_both(now_ms + INTROSPECTION_PAUSE_MS, good->away_until_ms);
    return INTROSPECTED_ACTIVE;
}

enum introspected introspect(struct introspection *introspection, const char *token,
                             const char *name, json_t **ret, int64_t *ret_until_ms,
                             struct fh_error *error)
{
    *ret = NULL;
    for (int asked = 0; asked < 2; asked++) {
        int64_t now_ms = world_wall_ms(introspection->world);
        struct kept_answer *good = find_kept_answer(&introspection->good, name, now_ms);
        struct kept_answer *bad = find_kept_answer(&introspection->bad, name, now_ms);
        if (bad) {
            error_set(error, FH_INVALID, "%s", bad->why);
            return INTROSPECTED_REFUSED;
        }
        if (good && (asked || now_ms < good->fresh_until_ms))
            return take_kept_identity(introspection, good, now_ms, ret, ret_until_ms);
        if (!asked)
            ask_once(introspection, token, name);
    }
    return INTROSPECTED_AWAY;
}

/* ---- The configuration ---- */

/* RFC 6749, 2.3.1: both are form-encoded before they are joined. */
static enum fh_code make_authorization(struct introspection *introspection, const char *client,
                                       const char *secret, struct fh_error *error)
{
    struct text pair;
    text_init(&pair, 6 * SECRET_LENGTH_MAX + 1);
    add_form_text(&pair, client);
    text_add(&pair, ":");
    add_form_text(&pair, secret);
    if (pair.overflow || strlen(secret) > SECRET_LENGTH_MAX) {
        text_release(&pair);
        return error_set(error, FH_INVALID,
                         "\"introspection\": \"client\" and \"secret\" have at most %zu bytes.",
                         SECRET_LENGTH_MAX);
    }
    size_t size = sodium_base64_ENCODED_LEN(pair.length, sodium_base64_VARIANT_ORIGINAL);
    static const char scheme[] = "Basic ";
    introspection->authorization = malloc(sizeof scheme + size);
    FH_ASSERT(introspection->authorization != NULL);
    memcpy(introspection->authorization, scheme, sizeof scheme);
    sodium_bin2base64(introspection->authorization + sizeof scheme - 1, size,
                      (const unsigned char *)pair.data, pair.length,
                      sodium_base64_VARIANT_ORIGINAL);
    sodium_memzero(pair.data, pair.length);
    text_release(&pair);
    return FH_OK;
}

static enum fh_code read_introspection(struct introspection *introspection, const json_t *config,
                                       struct fh_error *error)
{
    json_int_t kept_s = INTROSPECTION_KEPT_S, away_s = INTROSPECTION_AWAY_S;
    const char *client = json_string_at(config, "client");
    const char *secret = json_string_at(config, "secret");
    introspection->endpoint = json_string_at(config, "endpoint");
    json_integer_at(config, "kept_s", &kept_s);
    json_integer_at(config, "away_s", &away_s);
    if (!introspection->endpoint || !issuer_url_is_safe(introspection->endpoint) || !client ||
        !secret)
        return error_set(error, FH_INVALID,
                         "\"introspection\" needs an \"endpoint\" that is https or of this "
                         "machine, a \"client\" and its \"secret\".");
    if (kept_s < 1 || kept_s > INTROSPECTION_KEPT_S_MAX || away_s < 0 ||
        away_s > INTROSPECTION_AWAY_S_MAX)
        return error_set(error, FH_INVALID, "\"kept_s\" must be 1 to %d, \"away_s\" 0 to %d.",
                         INTROSPECTION_KEPT_S_MAX, INTROSPECTION_AWAY_S_MAX);
    introspection->kept_ms = kept_s * MS_PER_S;
    introspection->away_ms = away_s * MS_PER_S;
    enum fh_code code = claims_rules_read(config, &introspection->rules, error);
    if (code != FH_OK)
        return code;
    if (!introspection->rules.audience)
        return error_set(error, FH_INVALID, "\"introspection\" needs an \"audience\".");
    if (strcmp(introspection->rules.audience, "*") == 0)
        introspection->rules.audience = NULL;
    introspection->rules.expiry_optional = true;
    return make_authorization(introspection, client, secret, error);
}

enum fh_code introspection_new(struct world *world, const json_t *config,
                               struct introspection **ret, struct fh_error *error)
{
    struct introspection *introspection = calloc(1, sizeof *introspection);
    FH_ASSERT(introspection != NULL);
    *ret = NULL;
    introspection->world = world;
    map_init(&introspection->good);
    map_init(&introspection->bad);
    map_init(&introspection->asked);
    enum fh_code code = read_introspection(introspection, config, error);
    if (code == FH_OK)
        *ret = introspection;
    else
        introspection_free(introspection);
    return code;
}

void introspection_free(struct introspection *introspection)
{
    if (!introspection)
        return;
    if (introspection->authorization)
        sodium_memzero(introspection->authorization, strlen(introspection->authorization));
    free(introspection->authorization);
    release_kept_answers(&introspection->good);
    release_kept_answers(&introspection->bad);
    map_release(&introspection->asked);
    free(introspection);
}
