/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHAPE_PROBLEM_H
#define SHAPE_PROBLEM_H

/*
 * Problem documents, RFC 9457: {"type", "title", "status", "detail", "errors"}.
 *
 * The type is what a program tells problems apart by: urn:freehold:problem:NAME, one for each kind,
 * with one status. A name stays as it is once it was released; docs/reference/problems.md lists
 * them all. What a service's own handler refuses has the type about:blank, "as its status says":
 * only the service knows more. Nothing here decides by another process's type, which may be of
 * another version: it decides by the status.
 */

#include <jansson.h>

#define PROBLEM_CONTENT_TYPE "application/problem+json"

enum problem_type {
    PROBLEM_OF_SERVICE, /* a handler's own refusal, with any status */
    /* The request, before anybody looks at what it is for. */
    PROBLEM_REQUEST_MALFORMED,
    PROBLEM_REQUEST_TIMED_OUT,
    PROBLEM_HEAD_TOO_LARGE,
    PROBLEM_TARGET_TOO_LONG,
    PROBLEM_BODY_TOO_LARGE,
    PROBLEM_ENCODING_UNSUPPORTED,
    PROBLEM_VERSION_UNSUPPORTED,
    PROBLEM_PROTOCOL_UNKNOWN,
    /* Who is asking, and for what. */
    PROBLEM_CLIENT_UNTRUSTED,
    PROBLEM_CALLER_MISSING,
    PROBLEM_CALLER_UNPROVEN,
    PROBLEM_CALLER_NOT_GRANTED,
    PROBLEM_USER_UNPROVEN,
    PROBLEM_USER_MISSING,
    PROBLEM_USER_NOT_GRANTED,
    PROBLEM_ROUTE_UNKNOWN,
    PROBLEM_METHOD_NOT_ALLOWED,
    PROBLEM_PARAMETERS_INVALID,
    PROBLEM_BODY_MISSING,
    PROBLEM_BODY_UNEXPECTED,
    PROBLEM_BODY_INVALID,
    PROBLEM_MEDIA_TYPE_UNSUPPORTED,
    PROBLEM_ANSWER_UNACCEPTABLE,
    /* The process can't serve it now. */
    PROBLEM_SERVICE_NOT_READY,
    PROBLEM_SERVICE_STOPPING,
    PROBLEM_OVERLOADED,
    PROBLEM_REQUEST_SHED,
    /* The unit of work. */
    PROBLEM_HANDLER_FAILED,
    PROBLEM_RESPONSE_INVALID,
    PROBLEM_DATA_REJECTED,
    PROBLEM_DATA_MISSING,
    PROBLEM_DATA_CONFLICTED,
    PROBLEM_DEPENDENCY_UNAVAILABLE,
    PROBLEM_OUTCOME_UNDECIDED,
    PROBLEM_REFERENCE_MISSING,
    PROBLEM_CALL_NOT_FOUND,
    PROBLEM_CALL_FAILED,
    /* Commands and their keys. */
    PROBLEM_KEY_REUSED,
    PROBLEM_COMMAND_PENDING,
    PROBLEM_COMMAND_UNDONE,
    PROBLEM_UNDO_UNSUPPORTED,
    PROBLEM_SAGA_CLOSED,
    PROBLEM_SENDER_OUTDATED,
    PROBLEM_RECIPIENT_REPLACED,
    /* Feeds and snapshots. */
    PROBLEM_CURSOR_DIVERGED,
    PROBLEM_CURSOR_TRIMMED,
    PROBLEM_SNAPSHOT_OUTDATED,
    PROBLEM_EVENT_TYPE_UNKNOWN,
    PROBLEM_EVENTS_UNREADABLE,
    /* Views. */
    PROBLEM_VIEW_BEHIND,
    PROBLEM_VIEW_OUTDATED,
    PROBLEM_POSITION_REPLACED,
    /* The gateway, of clients' credentials, and of the services that it passes requests on to. */
    PROBLEM_RATE_EXCEEDED,
    PROBLEM_CLIENT_BUSY,
    PROBLEM_CREDENTIALS_REFUSED,
    PROBLEM_CREDENTIALS_UNDECIDED,
    PROBLEM_HOST_UNKNOWN,
    PROBLEM_CROSS_SITE,
    PROBLEM_SERVICE_UNAVAILABLE,
    PROBLEM_ANSWER_UNUSABLE,
    PROBLEM_GATEWAY_NOT_GRANTED,
    /* What operators ask of a service. */
    PROBLEM_OPERATION_INVALID,
    PROBLEM_OPERATION_TARGET_MISSING,
    PROBLEM_OPERATION_CONFLICTED,
    PROBLEM_OPERATION_UNSUPPORTED,
    PROBLEM_TYPES
};

/* "urn:freehold:problem:key-reused"; "about:blank" for PROBLEM_OF_SERVICE. */
const char *problem_uri(enum problem_type type);
int problem_status(enum problem_type type); /* 0: of PROBLEM_OF_SERVICE, which has any */

/* title is the status's standard phrase. detail may be NULL. errors (an array of faults) may be
 * NULL; its reference is not stolen. Returns a new reference. */
json_t *problem_new(enum problem_type type, const char *detail, json_t *errors);
/* What a handler refuses by itself: PROBLEM_OF_SERVICE, with this status. */
json_t *problem_of_service(int status, const char *detail, json_t *errors);
const char *problem_title(int status); /* "Not Found"; "Error" for an unknown status */

#endif
