/* SPDX-License-Identifier: Apache-2.0 */
/* A method is any token that a client makes up, and so may be anything that it knows: one that is
 * not of HTTP is not written. */

#include "work/request_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "work/fault.h"

#define REST_SIZE 64
#define WHO_SIZE 128

void request_log_set(struct request_log *log, const char *value)
{
    log->all = value && strcmp(value, "all") == 0;
}

/* Anybody can cause these without having got anywhere, with `all`, too. */
static bool comes_in_floods(int status)
{
    return status == 401 || status == 403 || status == 429 || status == 503;
}

static bool request_passes(struct request_log *log, int status, int64_t now_ns, unsigned *ret_more)
{
    size_t count = sizeof log->failed / sizeof *log->failed;
    if (status < 400 || (size_t)(status - 400) >= count || (log->all && !comes_in_floods(status)))
        return log_rate_passes(&log->answered, REQUEST_LOG_ALL_A_SECOND, now_ns, ret_more);
    return log_window_passes(&log->failed[status - 400], REQUEST_LOG_FAILED_MAX,
                             REQUEST_LOG_FAILED_NS, now_ns, ret_more);
}

static const char *rest_text(const struct request_log *log, int status, unsigned more,
                             char out[static REST_SIZE])
{
    out[0] = '\0';
    if (more && (status < 400 || (log->all && !comes_in_floods(status))))
        snprintf(out, REST_SIZE, "; %u more requests were not logged", more);
    else if (more)
        snprintf(out, REST_SIZE, "; %u more of %d were not logged", more, status);
    return out;
}

const char *request_log_method(const char *method)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(method, known[i]) == 0)
            return known[i];
    }
    return "(other method)";
}

/* "caller gateway; trace 4bf9..." */
static const char *who_text(const struct request_line *line, char out[static WHO_SIZE])
{
    char trace[FAULT_TRACE_SIZE];
    bool known = line->caller && line->caller[0];
    fault_trace(line->trace, trace);
    snprintf(out, WHO_SIZE, "caller %.40s%s%s", known ? line->caller : "unknown",
             trace[0] ? "; trace " : "", trace);
    return out;
}

void request_log_tell(struct request_log *log, const struct request_line *line, int64_t now_ns)
{
    char who[WHO_SIZE], rest[REST_SIZE];
    unsigned more;
    if (!request_passes(log, line->status, now_ns, &more))
        return;
    log_info("request-answered", "%s %s: %d in %" PRId64 ".%" PRId64 " ms, %zu bytes (%s)%s",
             request_log_method(line->method), line->where ? line->where : "(no route)",
             line->status, line->took_ns / 1000000, line->took_ns / 100000 % 10, line->length,
             who_text(line, who), rest_text(log, line->status, more, rest));
}

void request_log_tell_unread(struct request_log *log, int status, size_t length, int64_t now_ns)
{
    char rest[REST_SIZE];
    unsigned more;
    if (request_passes(log, status, now_ns, &more))
        log_info("request-answered", "(not a request): %d, %zu bytes%s", status, length,
                 rest_text(log, status, more, rest));
}
