/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Problem documents: every refusal and failure that leaves a service has this form. A detail may
 * quote text from a client or a library, cut anywhere, so bytes that are not UTF-8 are replaced;
 * otherwise no document could be made.
 */

#include "shape/problem.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

#define DETAIL_LENGTH_MAX ((size_t)4096)
#define URN "urn:freehold:problem:"

/* A type that is released stays. tools/reference reads these rows. */
static const struct {
    const char *uri;
    int status;
    const char *meaning; /* for docs/reference/problems.md */
} types[PROBLEM_TYPES] = {
    [PROBLEM_OF_SERVICE] =
        {"about:blank", 0,
         "The service's own handler refuses the request: its status and `detail` say why."},
    [PROBLEM_REQUEST_MALFORMED] = {URN "request-malformed", 400,
                                   "The request's line, headers, path, query or JSON is malformed, "
                                   "or a header that it needs is missing."},
    [PROBLEM_REQUEST_TIMED_OUT] = {URN "request-timed-out", 408,
                                   "The request did not arrive completely in time."},
    [PROBLEM_HEAD_TOO_LARGE] = {URN "head-too-large", 431,
                                "The request has more headers, or longer ones, than are accepted."},
    [PROBLEM_TARGET_TOO_LONG] = {URN "target-too-long", 414,
                                 "The path and query are longer than are accepted."},
    [PROBLEM_BODY_TOO_LARGE] = {URN "body-too-large", 413, "The body is larger than is accepted."},
    [PROBLEM_ENCODING_UNSUPPORTED] = {URN "encoding-unsupported", 501,
                                      "The body's Transfer-Encoding is not chunked."},
    [PROBLEM_VERSION_UNSUPPORTED] = {URN "version-unsupported", 505,
                                     "The request is in a version of HTTP other than 1.1 and 1.0."},
    [PROBLEM_PROTOCOL_UNKNOWN] = {URN "protocol-unknown", 503,
                                  "Another version's process asks in a protocol that this one does "
                                  "not understand: upgrade the older of the two."},
    [PROBLEM_CLIENT_UNTRUSTED] =
        {URN "client-untrusted", 403,
         "The TLS connection shows no valid certificate of the authority that is trusted here: the "
         "system's own, or at the gateway the one that `gateway.tls.clients` names."},
    [PROBLEM_CALLER_MISSING] =
        {URN "caller-missing", 403,
         "The request does not say which service or operator sends it, as this path needs."},
    [PROBLEM_CALLER_UNPROVEN] =
        {URN "caller-unproven", 401,
         "The request has no token that proves who sends it, or one that is wrong or has expired."},
    [PROBLEM_CALLER_NOT_GRANTED] =
        {URN "caller-not-granted", 403,
         "The caller is known, and may not use this route, or names somebody else as its sender."},
    [PROBLEM_USER_UNPROVEN] =
        {URN "user-unproven", 401,
         "The statement of who the user is was not signed by this system's gateway."},
    [PROBLEM_USER_MISSING] = {URN "user-missing", 401,
                              "The route is for users that are logged in, and nobody is."},
    [PROBLEM_USER_NOT_GRANTED] =
        {URN "user-not-granted", 403,
         "The user lacks a scope or a role that the route needs: `detail` names them."},
    [PROBLEM_ROUTE_UNKNOWN] = {URN "route-unknown", 404, "There is no route at this path."},
    [PROBLEM_METHOD_NOT_ALLOWED] = {URN "method-not-allowed", 405,
                                    "The path has routes, and none for this method: the header "
                                    "Allow names those that it has."},
    [PROBLEM_PARAMETERS_INVALID] =
        {URN "parameters-invalid", 400,
         "The parameters of the query are wrong: `errors` or `detail` names them."},
    [PROBLEM_BODY_MISSING] = {URN "body-missing", 400,
                              "The route needs a body, and none was sent."},
    [PROBLEM_BODY_UNEXPECTED] = {URN "body-unexpected", 400,
                                 "The route takes no body, and one was sent."},
    [PROBLEM_BODY_INVALID] =
        {URN "body-invalid", 422,
         "The body does not have the declared form: `errors` names each place."},
    [PROBLEM_MEDIA_TYPE_UNSUPPORTED] = {URN "media-type-unsupported", 415,
                                        "The body was not sent as JSON, or as what else the route "
                                        "takes: `detail` says what."},
    [PROBLEM_ANSWER_UNACCEPTABLE] =
        {URN "answer-unacceptable", 406,
         "The route answers with a media type that the request's `Accept` does not take."},
    [PROBLEM_SERVICE_NOT_READY] = {URN "service-not-ready", 503,
                                   "The process is starting or draining (`/readyz`)."},
    [PROBLEM_SERVICE_STOPPING] =
        {URN "service-stopping", 503,
         "The process is stopping, and has not begun the request: send it again."},
    [PROBLEM_OVERLOADED] = {URN "overloaded", 503,
                            "Too many requests or connections are open, or there is no memory for "
                            "this request: nothing was done."},
    [PROBLEM_REQUEST_SHED] = {URN "request-shed", 503,
                              "More requests come than can be carried out, and this caller's have "
                              "waited for long: nothing was done. Repeat the request after the "
                              "time in Retry-After."},
    [PROBLEM_HANDLER_FAILED] = {URN "handler-failed", 500,
                                "The service's handler has a fault, which `detail` or the "
                                "service's log describes: nothing was done."},
    [PROBLEM_RESPONSE_INVALID] = {URN "response-invalid", 500,
                                  "The handler's answer has a header that can't be sent."},
    [PROBLEM_DATA_REJECTED] =
        {URN "data-rejected", 422,
         "The store rejects what the request would write: `detail` says why."},
    [PROBLEM_DATA_MISSING] = {URN "data-missing", 404,
                              "What the request is about is not in the store."},
    [PROBLEM_DATA_CONFLICTED] = {URN "data-conflicted", 409,
                                 "What is in the store conflicts with what the request asks for."},
    [PROBLEM_DEPENDENCY_UNAVAILABLE] = {URN "dependency-unavailable", 503,
                                        "What the service needs, its store or another service, is "
                                        "not available now: nothing was done, repeat the request."},
    [PROBLEM_OUTCOME_UNDECIDED] = {URN "outcome-undecided", 503,
                                   "It is not known yet whether the request was carried out: "
                                   "repeat it with its Idempotency-Key; without one, check first."},
    [PROBLEM_REFERENCE_MISSING] = {URN "reference-missing", 422,
                                   "The request names something that another service does not "
                                   "have: `errors` says where, if in the body."},
    [PROBLEM_CALL_NOT_FOUND] =
        {URN "call-not-found", 404,
         "Another service does not have what a handler asked it for (`fh_try_get`)."},
    [PROBLEM_CALL_FAILED] = {URN "call-failed", 502,
                             "Another service gave an answer that the handler can't use."},
    [PROBLEM_KEY_REUSED] = {URN "key-reused", 422,
                            "The Idempotency-Key was used before, with another request."},
    [PROBLEM_COMMAND_PENDING] =
        {URN "command-pending", 503,
         "A request under this Idempotency-Key, or a command that the answer depends on, is still "
         "being carried out: repeat the request later."},
    [PROBLEM_COMMAND_UNDONE] = {URN "command-undone", 409,
                                "The request was undone: nothing is done under its key any more."},
    [PROBLEM_UNDO_UNSUPPORTED] = {URN "undo-unsupported", 409,
                                  "The route has no undo, and the request was carried out."},
    [PROBLEM_SAGA_CLOSED] = {URN "saga-closed", 410,
                             "The saga that this step belongs to is closed."},
    [PROBLEM_SENDER_OUTDATED] =
        {URN "sender-outdated", 403,
         "The sender was restored or moved since: a newer incarnation of it is known."},
    [PROBLEM_RECIPIENT_REPLACED] =
        {URN "recipient-replaced", 421,
         "The request is for an incarnation of this service from before it was restored or moved."},
    [PROBLEM_CURSOR_DIVERGED] =
        {URN "cursor-diverged", 409,
         "The subscriber's cursor is of another history of this store: it must resync."},
    [PROBLEM_CURSOR_TRIMMED] =
        {URN "cursor-trimmed", 410,
         "The events after the subscriber's cursor are no longer kept: it must resync."},
    [PROBLEM_SNAPSHOT_OUTDATED] =
        {URN "snapshot-outdated", 409,
         "The snapshot was begun in another history of this store: it must be begun again."},
    [PROBLEM_EVENT_TYPE_UNKNOWN] = {URN "event-type-unknown", 404,
                                    "The service offers no snapshot for this type of event."},
    [PROBLEM_EVENTS_UNREADABLE] = {URN "events-unreadable", 500,
                                   "The events or the state can't be read, and another try will "
                                   "not help: the service's log says why."},
    [PROBLEM_VIEW_BEHIND] = {URN "view-behind", 504,
                             "What `Freehold-Wait` names was not applied to the view in time: "
                             "`Freehold-As-Of` says how far it is."},
    [PROBLEM_VIEW_OUTDATED] = {URN "view-outdated", 503,
                               "The view is older than `Freehold-Max-Age` allows, or its age is "
                               "not known, or its rows were set back each time that it was read."},
    [PROBLEM_POSITION_REPLACED] =
        {URN "position-replaced", 409,
         "`Freehold-Wait` names an event of a store that was restored or moved since: whether it "
         "is part of the view is not known. Ask without it."},
    [PROBLEM_RATE_EXCEEDED] =
        {URN "rate-exceeded", 429,
         "The client has asked more often than it may: nothing was done. Retry-After says when it "
         "may ask again, `violated-policies` which limit it is."},
    [PROBLEM_CLIENT_BUSY] =
        {URN "client-busy", 429,
         "Too many requests of this client are under way, or it has not read the answers to "
         "earlier ones: nothing was done."},
    [PROBLEM_CREDENTIALS_REFUSED] =
        {URN "credentials-refused", 401,
         "The token or key in the header Authorization is not valid here, or no longer: get a new "
         "one. The gateway's log says why."},
    [PROBLEM_CREDENTIALS_UNDECIDED] = {URN "credentials-undecided", 503,
                                       "Whether the token is valid can't be told now, since its "
                                       "provider does not answer: nothing "
                                       "was done, repeat the request."},
    [PROBLEM_HOST_UNKNOWN] = {URN "host-unknown", 421,
                              "The system is not reached by the name in the header Host: "
                              "`gateway.hosts` lists those that it has."},
    [PROBLEM_CROSS_SITE] = {URN "cross-site", 403,
                            "A browser sent a change for a page of another site, which "
                            "`gateway.cors` does not list: nothing was done."},
    [PROBLEM_SERVICE_UNAVAILABLE] =
        {URN "service-unavailable", 503,
         "The service behind the gateway does not answer: `service` names it."},
    [PROBLEM_ANSWER_UNUSABLE] =
        {URN "answer-unusable", 502,
         "A service behind the gateway gave an answer that can't be used: it is too large, or no "
         "JSON where an answer is composed of it."},
    [PROBLEM_GATEWAY_NOT_GRANTED] =
        {URN "gateway-not-granted", 502,
         "The service behind the gateway refuses this gateway's requests."},
    [PROBLEM_OPERATION_INVALID] =
        {URN "operation-invalid", 400,
         "What the operator asks for is not valid: `errors` or `detail` says why."},
    [PROBLEM_OPERATION_TARGET_MISSING] = {URN "operation-target-missing", 404,
                                          "What the operator wants to act on does not exist."},
    [PROBLEM_OPERATION_CONFLICTED] =
        {URN "operation-conflicted", 409,
         "The state of the service does not allow what the operator asks for."},
    [PROBLEM_OPERATION_UNSUPPORTED] = {URN "operation-unsupported", 501,
                                       "This service's engine can't do what was asked for."},
};

static const struct {
    int status;
    const char *title;
} titles[] = {
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *problem_title(int status)
{
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        if (titles[i].status == status)
            return titles[i].title;
    }
    return "Error";
}

/* The length of the UTF-8 character at `at`; 0 if there is no valid one (RFC 3629). */
static size_t character_size(const unsigned char *at, size_t left)
{
    if (at[0] < 0x80)
        return 1;
    size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || size > left)
        return 0;
    /* The second byte reveals overlong forms, surrogates and characters beyond U+10FFFF. */
    unsigned char lowest = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char highest = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < lowest || at[1] > highest)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return size;
}

static json_t *clean_string(const char *text)
{
    size_t left = strlen(text);
    struct text clean;
    text_init(&clean, DETAIL_LENGTH_MAX);
    while (left > 0) {
        size_t size = character_size((const unsigned char *)text, left);
        if (size)
            text_append(&clean, text, size);
        else
            text_add(&clean, "\xef\xbf\xbd"); /* U+FFFD, the replacement character */
        text += size ? size : 1;
        left -= size ? size : 1;
    }
    json_t *string = json_stringn(clean.data ? clean.data : "", clean.length);
    text_release(&clean);
    return string;
}

const char *problem_uri(enum problem_type type)
{
    FH_ASSERT((unsigned)type < PROBLEM_TYPES);
    return types[type].uri;
}

int problem_status(enum problem_type type)
{
    FH_ASSERT((unsigned)type < PROBLEM_TYPES);
    return types[type].status;
}

static json_t *problem_of(enum problem_type type, int status, const char *detail, json_t *errors)
{
    json_t *problem = json_object();
    int failed = json_object_set_new(problem, "type", json_string(problem_uri(type)));
    failed |= json_object_set_new(problem, "title", json_string(problem_title(status)));
    failed |= json_object_set_new(problem, "status", json_integer(status));
    if (detail)
        failed |= json_object_set_new(problem, "detail", clean_string(detail));
    if (errors)
        failed |= json_object_set(problem, "errors", errors);
    FH_ASSERT(!failed);
    return problem;
}

json_t *problem_new(enum problem_type type, const char *detail, json_t *errors)
{
    FH_ASSERT(type != PROBLEM_OF_SERVICE);
    return problem_of(type, problem_status(type), detail, errors);
}

json_t *problem_of_service(int status, const char *detail, json_t *errors)
{
    return problem_of(PROBLEM_OF_SERVICE, status, detail, errors);
}
