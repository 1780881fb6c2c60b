/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A refresh is a fiber: it asks the provider for its configuration (OpenID Connect Discovery 1.0)
 * and then for its keys, and puts them in place of the former ones. Whatever fails, the former ones
 * stay: a provider that is away costs nobody whose token they verify.
 *
 *     begun by    the start; a timer, when the keys are no longer fresh or the last try failed;
 *                 a token with an unknown key id, as far as take_credit lets it
 *
 * So forged key ids make no storm at the provider, however many there are, and
 * those who send them wait with everybody else, at most ISSUER_WAITING_MAX of them.
 *
 * Whether a token with an unknown key is refused or only can't be judged now (ISSUER_AWAY)
 * depends on the last try: where it failed, the provider may have newer keys.
 */

#define _GNU_SOURCE
#include "gateway/identity/issuer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "gateway/identity/strict.h"

#define URL_LENGTH_MAX 2048
#define DISCOVERY "/.well-known/openid-configuration"

struct issuer {
    struct world *world;
    struct claims_rules rules;
    const char *keys_url; /* NULL: found by discovery */
    bool fixed;           /* the keys are in the configuration, and are never fetched */
    unsigned algorithms;  /* a bit for each that is taken */
    struct jwks *keys;    /* NULL: none yet */
    uint64_t generation;
    int64_t busy_until_ns; /* with refreshes that unknown key ids asked for: take_credit */
    bool refreshing;
    int failures; /* since the last success */
    struct world_timer timer;
    struct fiber_queue waiting;
    unsigned waiting_count;
};

/* ---- URLs ---- */

static bool is_loopback_host(const char *host, size_t length)
{
    static const char *const hosts[] = {"127.0.0.1", "[::1]", "localhost"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        if (strlen(hosts[i]) == length && strncasecmp(hosts[i], host, length) == 0)
            return true;
    }
    return false;
}

bool issuer_url_is_safe(const char *url)
{
    bool plain = strncasecmp(url, "http://", 7) == 0;
    if (!plain && strncasecmp(url, "https://", 8) != 0)
        return false;
    const char *authority = url + (plain ? 7 : 8);
    size_t length = strcspn(authority, "/?#"), host = length;
    for (const char *at = url; *at; at++) {
        if (*at <= ' ' || *at > '~' || *at == '\\')
            return false;
    }
    if (!length || memchr(authority, '@', length) || strlen(url) > URL_LENGTH_MAX)
        return false;
    if (*authority == '[') {
        const char *end = memchr(authority, ']', length);
        host = end ? (size_t)(end + 1 - authority) : 0;
    } else if (memchr(authority, ':', length)) {
        host = strcspn(authority, ":");
    }
    return host > 0 && (!plain || is_loopback_host(authority, host));
}

/* ---- Fetching ---- */

static enum fh_code fetch_identity_document(struct issuer *issuer, const char *url,
                                            struct world_request *request, struct fh_error *error)
{
    if (!issuer_url_is_safe(url))
        return error_set(error, FH_INVALID,
                         "The URL of the keys is neither https nor of this machine.");
    *request = (struct world_request){
        .method = "GET",
        .url = url,
        .headers = {{"Accept", "application/json"}},
        .answer_size_max = JWKS_LENGTH_MAX,
        .deadline_ns = world_in_ms(issuer->world, ISSUER_FETCH_MS),
    };
    world_request_wait(issuer->world, request);
    if (request->status == 200)
        return FH_OK;
    if (request->status)
        return error_set(error, FH_UNAVAILABLE, "%.160s answers with status %d.", url,
                         request->status);
    return error_set(error, FH_UNAVAILABLE, "%.120s: %.80s.", url, request->failure);
}

/* The provider's `jwks_uri`, by discovery, appended to `ret`. */
static enum fh_code discover_keys(struct issuer *issuer, struct text *ret, struct fh_error *error)
{
    struct world_request request = {0};
    struct text url;
    json_t *found = NULL;
    size_t length = strlen(issuer->rules.issuer);
    if (length && issuer->rules.issuer[length - 1] == '/')
        length--;
    text_init(&url, URL_LENGTH_MAX);
    text_append(&url, issuer->rules.issuer, length);
    text_add(&url, DISCOVERY);
    enum fh_code code = url.overflow
                            ? error_set(error, FH_INVALID, "The issuer's name is too long.")
                            : fetch_identity_document(issuer, url.data, &request, error);
    if (code == FH_OK)
        code = strict_object(request.answer, request.answer_length, &found, error);
    const char *named = json_string_at(found, "issuer"), *keys = json_string_at(found, "jwks_uri");
    if (code == FH_OK && !(named && strcmp(named, issuer->rules.issuer) == 0))
        code = error_set(error, FH_INVALID, "Its discovery document is of another issuer.");
    if (code == FH_OK && !keys)
        code = error_set(error, FH_INVALID, "Its discovery document has no \"jwks_uri\".");
    if (code == FH_OK)
        text_add(ret, keys);
    json_decref(found);
    world_request_release(&request);
    text_release(&url);
    return code;
}

/* Seconds of Cache-Control's max-age, within bounds. */
static int fresh_for_s(const struct world_request *answered)
{
    const char *control = world_answer_header(answered, "cache-control");
    const char *age = control ? strcasestr(control, "max-age=") : NULL;
    long seconds = age ? strtol(age + 8, NULL, 10) : ISSUER_FRESH_S;
    if (seconds < ISSUER_FRESH_S_MIN)
        return ISSUER_FRESH_S_MIN;
    return seconds > ISSUER_FRESH_S_MAX ? ISSUER_FRESH_S_MAX : (int)seconds;
}

static void put_keys(struct issuer *issuer, struct jwks *keys)
{
    if (jwks_equal(issuer->keys, keys)) {
        jwks_free(keys);
        return;
    }
    const char *fault = jwks_fault(keys);
    log_info("issuer-keys-changed", "The issuer %s has %zu keys that verify tokens here.%s%s",
             issuer->rules.issuer, jwks_count(keys), fault ? " One is left out: " : "",
             fault ? fault : "");
    jwks_free(issuer->keys);
    issuer->keys = keys;
    issuer->generation++;
}

static enum fh_code fetch_keys(struct issuer *issuer, int *ret_fresh_s, struct fh_error *error)
{
    struct world_request request = {0};
    struct text url;
    struct jwks *keys = NULL;
    enum fh_code code = FH_OK;
    text_init(&url, URL_LENGTH_MAX);
    if (issuer->keys_url)
        text_add(&url, issuer->keys_url);
    else
        code = discover_keys(issuer, &url, error);
    if (code == FH_OK && (url.overflow || !url.data))
        code = error_set(error, FH_INVALID, "The URL of its keys is empty or too long.");
    if (code == FH_OK)
        code = fetch_identity_document(issuer, url.data, &request, error);
    if (code == FH_OK)
        code = jwks_parse(request.answer, request.answer_length, &keys, error);
    if (code == FH_OK) {
        *ret_fresh_s = fresh_for_s(&request);
        put_keys(issuer, keys);
    }
    world_request_release(&request);
    text_release(&url);
    return code;
}

/* ---- Refreshing ---- */

static void begin_refresh(struct issuer *issuer);

static void on_refresh_due(struct world_timer *timer)
{
    begin_refresh(timer->owner);
}

static void schedule_refresh(struct issuer *issuer, int64_t delay_ms)
{
    world_timer_stop(issuer->world, &issuer->timer);
    /* A tenth sooner or later: gateways that began together do not ask together. */
    delay_ms -= (int64_t)world_random_below(issuer->world, (uint64_t)delay_ms / 10 + 1);
    world_timer_start(issuer->world, &issuer->timer, world_in_ms(issuer->world, delay_ms));
}

static int64_t retry_delay_ms(const struct issuer *issuer)
{
    int64_t delay_ms = ISSUER_RETRY_MS_MIN;
    for (int i = 1; i < issuer->failures && delay_ms < ISSUER_RETRY_MS_MAX; i++)
        delay_ms *= 2;
    return delay_ms < ISSUER_RETRY_MS_MAX ? delay_ms : ISSUER_RETRY_MS_MAX;
}

static void run_refresh(void *argument)
{
    struct issuer *issuer = argument;
    struct fh_error error = {0};
    int fresh_s = ISSUER_FRESH_S;
    enum fh_code code = fetch_keys(issuer, &fresh_s, &error);
    if (code == FH_OK && issuer->failures)
        log_info("issuer-answers", "The issuer %s gives its keys again.", issuer->rules.issuer);
    else if (code != FH_OK && !issuer->failures)
        log_warning("issuer-silent", "The keys of the issuer %s can't be fetched; %s: %s",
                    issuer->rules.issuer,
                    issuer->keys ? "the former ones are kept" : "its tokens can't be judged",
                    error.message);
    issuer->failures = code == FH_OK ? 0 : issuer->failures + 1;
    issuer->refreshing = false;
    schedule_refresh(issuer, code == FH_OK ? (int64_t)fresh_s * 1000 : retry_delay_ms(issuer));
    fiber_wake_all(&issuer->waiting);
}

static void begin_refresh(struct issuer *issuer)
{
    if (issuer->refreshing || issuer->fixed)
        return;
    issuer->refreshing = fiber_start(issuer->world->fibers, run_refresh, issuer);
    if (!issuer->refreshing)
        schedule_refresh(issuer, ISSUER_RETRY_MS_MIN);
}

/* Whether an unknown key id may ask for a refresh now: as if each took ISSUER_PAUSE_MS, and
 * ISSUER_ASKED_MAX of them could be begun early. */
static bool take_credit(struct issuer *issuer)
{
    const int64_t pause_ns = ISSUER_PAUSE_MS * INT64_C(1000000);
    int64_t now_ns = world_monotonic_ns(issuer->world);
    int64_t busy_until_ns = issuer->busy_until_ns > now_ns ? issuer->busy_until_ns : now_ns;
    if (busy_until_ns - now_ns > (ISSUER_ASKED_MAX - 1) * pause_ns)
        return false;
    issuer->busy_until_ns = busy_until_ns + pause_ns;
    return true;
}

/* Waits for keys that are newer than those at hand. False: there will be none now. */
static bool wait_for_keys(struct issuer *issuer)
{
    if (issuer->fixed || issuer->waiting_count == ISSUER_WAITING_MAX)
        return false;
    if (!issuer->refreshing && !take_credit(issuer))
        return false;
    begin_refresh(issuer);
    issuer->waiting_count++;
    bool ended = issuer->refreshing && fiber_wait_until(&issuer->waiting, issuer->world,
                                                        world_in_ms(issuer->world, ISSUER_WAIT_MS));
    issuer->waiting_count--;
    return ended;
}

/* ---- Judging ---- */

/* Whether a later try might tell more about a token whose key is not known. */
static bool is_undecided(const struct issuer *issuer)
{
    return !issuer->fixed && (!issuer->keys || issuer->failures || issuer->refreshing);
}

enum issuer_verdict issuer_judge(struct issuer *issuer, const struct jws *jws, json_t **ret,
                                 int64_t *ret_until_s, struct fh_error *error)
{
    int bit = 0;
    for (const struct jws_algorithm *at = jws_algorithm_next(NULL); at != jws->algorithm;
         at = jws_algorithm_next(at))
        bit++;
    *ret = NULL;
    if (!(issuer->algorithms >> bit & 1)) {
        error_set(error, FH_INVALID, "Tokens of this issuer are not signed by %s.",
                  jws->algorithm->name);
        return ISSUER_REFUSED;
    }
    /* What no key can mend is not worth asking for newer ones. */
    enum fh_code code = claims_take(&issuer->rules, jws->claims, "jwt",
                                    world_wall_ms(issuer->world) / 1000, ret, ret_until_s, error);
    if (code != FH_OK)
        return ISSUER_REFUSED;
    enum jwks_verdict verdict = issuer->keys ? jwks_verify(issuer->keys, jws) : JWKS_UNKNOWN;
    if (verdict == JWKS_UNKNOWN && wait_for_keys(issuer) && issuer->keys)
        verdict = jwks_verify(issuer->keys, jws);
    if (verdict == JWKS_VERIFIED)
        return ISSUER_PROVED;
    json_decref(*ret);
    *ret = NULL;
    if (verdict == JWKS_UNKNOWN && is_undecided(issuer))
        return ISSUER_AWAY;
    error_set(error, FH_INVALID, "%s",
              verdict == JWKS_UNKNOWN ? "Its issuer has no such key."
                                      : "It is not signed with the key that it names.");
    return ISSUER_REFUSED;
}

/* ---- The configuration ---- */

static enum fh_code read_algorithms(const json_t *list, unsigned *ret, struct fh_error *error)
{
    size_t i;
    json_t *name;
    *ret = list ? 0 : ~0U;
    json_array_foreach (list, i, name) {
        unsigned bit = 1;
        const struct jws_algorithm *at = jws_algorithm_next(NULL);
        for (; at && !(json_is_string(name) && strcmp(at->name, json_string_value(name)) == 0);
             at = jws_algorithm_next(at))
            bit <<= 1;
        if (!at)
            return error_set(error, FH_INVALID, "\"algorithms\" has one that is not known.");
        *ret |= bit;
    }
    return FH_OK;
}

enum fh_code issuer_new(struct world *world, const json_t *config, struct issuer **ret,
                        struct fh_error *error)
{
    struct issuer *issuer = calloc(1, sizeof *issuer);
    FH_ASSERT(issuer != NULL);
    *ret = NULL;
    issuer->world = world;
    issuer->timer = (struct world_timer){.fire = on_refresh_due, .owner = issuer};
    issuer->keys_url = json_string_at(config, "keys_url");
    enum fh_code code = claims_rules_read(config, &issuer->rules, error);
    if (code == FH_OK && (!issuer->rules.issuer || !issuer->rules.audience))
        code = error_set(error, FH_INVALID, "\"jwt\" needs an \"issuer\" and an \"audience\".");
    if (code == FH_OK)
        code = read_algorithms(json_object_get(config, "algorithms"), &issuer->algorithms, error);
    json_t *keys = json_object_get(config, "keys");
    if (code == FH_OK && keys) {
        char *text = json_text(keys);
        issuer->fixed = true;
        code = jwks_parse(text, strlen(text), &issuer->keys, error);
        json_text_free(text);
    }
    if (code != FH_OK) {
        issuer_free(issuer);
        return code;
    }
    begin_refresh(issuer);
    *ret = issuer;
    return FH_OK;
}

void issuer_free(struct issuer *issuer)
{
    if (!issuer)
        return;
    world_timer_stop(issuer->world, &issuer->timer);
    jwks_free(issuer->keys);
    free(issuer);
}

const char *issuer_name(const struct issuer *issuer)
{
    return issuer->rules.issuer;
}

const uint64_t *issuer_generation(const struct issuer *issuer)
{
    return &issuer->generation;
}

size_t issuer_key_count(const struct issuer *issuer)
{
    return issuer->keys ? jwks_count(issuer->keys) : 0;
}
