/* SPDX-License-Identifier: Apache-2.0 */
/* Fills in errors, and aborts a program whose own invariant is broken. */

#define _GNU_SOURCE
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void
error_fill(struct fh_error *error, enum fh_code code, const char *format, va_list args)
{
    memset(error, 0, sizeof *error);
    error->code = code;
    vsnprintf(error->message, sizeof error->message, format, args);
}

enum fh_code error_set(struct fh_error *error, enum fh_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_fill(error, code, format, args);
    va_end(args);
    return code;
}

enum fh_code error_retry(struct fh_error *error, enum fh_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_fill(error, code, format, args);
    va_end(args);
    error->retryable = true;
    return code;
}

enum fh_code error_set_errno(struct fh_error *error, enum fh_code code, int number,
                             const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_fill(error, code, format, args);
    va_end(args);
    size_t used = strlen(error->message);
    snprintf(error->message + used, sizeof error->message - used, ": %s", strerror(number));
    const char *name = strerrorname_np(number);
    snprintf(error->native, sizeof error->native, "%s", name ? name : "?");
    return code;
}

const char *error_code_name(enum fh_code code)
{
    switch (code) {
    case FH_OK:
        return "ok";
    case FH_INVALID:
        return "invalid";
    case FH_NOT_FOUND:
        return "not found";
    case FH_CONFLICT:
        return "conflict";
    case FH_UNAVAILABLE:
        return "unavailable";
    case FH_OUTCOME_UNKNOWN:
        return "outcome unknown";
    case FH_UNSUPPORTED:
        return "unsupported";
    case FH_NO_MEMORY:
        return "no memory";
    }
    return "?";
}

void error_assertion_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "freehold: broken invariant, ending: %s (%s:%d)\n", condition, file, line);
    abort();
}
