/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

/*
 * How functions below the handlers fail: they return a code, and fill in the error only on failure.
 * They do not log; the layer that decides what a failure means logs it once. `error` is never NULL:
 * pass ERROR_UNHEEDED to ignore it.
 */

#include <stdbool.h>

enum fh_code {
    FH_OK,
    FH_INVALID, /* the caller's input is wrong */
    FH_NOT_FOUND,
    FH_CONFLICT,        /* a constraint, a lock, a broken group: see retryable */
    FH_UNAVAILABLE,     /* a store, a disk or a service that is unavailable now */
    FH_OUTCOME_UNKNOWN, /* inside an engine: connection lost in COMMIT; store_commit resolves it */
    FH_UNSUPPORTED,
    FH_NO_MEMORY
};

struct fh_error {
    enum fh_code code;  /* what callers branch on */
    bool retryable;     /* repeating the same call is safe */
    char native[24];    /* SQLSTATE or errno name, for the log */
    char field[64];     /* the column or field that the constraint names, or "" */
    unsigned statement; /* which of store_work's has failed; 0: the one at hand, or none */
    char message[256];  /* one sentence that says what to do; never a secret */
};

#define ERROR_UNHEEDED (&(struct fh_error){.code = FH_OK})

/* Fills in `error`; returns `code`, so that failing takes one statement. */
enum fh_code error_set(struct fh_error *error, enum fh_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4), nonnull(1)));
/* The same for a call that did nothing and may succeed when repeated. */
enum fh_code error_retry(struct fh_error *error, enum fh_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4), nonnull(1)));
/* The same, and appends the text of an errno value. */
enum fh_code error_set_errno(struct fh_error *error, enum fh_code code, int number,
                             const char *format, ...)
    __attribute__((format(printf, 4, 5), nonnull(1)));
const char *error_code_name(enum fh_code code);

/* For programmer errors: also checked in release builds. */
#define FH_ASSERT(condition)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            error_assertion_failed(#condition, __FILE__, __LINE__);                                \
    } while (0)
_Noreturn void error_assertion_failed(const char *condition, const char *file, int line);

#endif
