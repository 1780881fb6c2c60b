/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_STATEMENT_H
#define FREEHOLD_STATEMENT_H

/* A part of freehold.h, which includes it: the SQL that an object file's handlers run, as it is
 * written in their calls, for `freehold check`. Nothing of it is used while a service runs. */

struct fh_statement {
    uint32_t size; /* of this struct, as the object file knows it */
    uint32_t line;
    const char *sql;     /* NULL: it is no literal */
    const char *call;    /* "fh_row" */
    const char *written; /* the call's arguments: "w, \"SELECT ...\", fh_path(w)" */
    const char *file;
};

#ifdef __cplusplus
/* An inline function's and a template's statics can't be in one section with others. */
#define FH_SQL(function, written, ...) function(__VA_ARGS__, (json_t *)NULL)
#else
#define FH_SQL(function, written, ...)                                                             \
    FH_SQL_NUMBERED(__COUNTER__, function, written, FH_SECOND(__VA_ARGS__, 0), __VA_ARGS__)
#define FH_SQL_NUMBERED(number, function, written, sql, ...)                                       \
    FH_SQL_NAMED(number, function, written, sql, __VA_ARGS__)
#define FH_SQL_NAMED(number, function, written, text, ...)                                         \
    __extension__({                                                                                \
        static const struct fh_statement fh_statement_##number = {                                 \
            sizeof(struct fh_statement),                                                           \
            __LINE__,                                                                              \
            __builtin_choose_expr(__builtin_constant_p(text), text, (const char *)NULL),           \
            #function,                                                                             \
            written,                                                                               \
            __FILE__};                                                                             \
        static const struct fh_statement *const fh_statement_at_##number                           \
            __attribute__((used, retain, section("fh_statements"))) = &fh_statement_##number;      \
        (function)(__VA_ARGS__, (json_t *)NULL);                                                   \
    })
#define FH_SECOND(first, second, ...) second
#endif

#define fh_row(...) FH_SQL(fh_row, #__VA_ARGS__, __VA_ARGS__)
#define fh_try_row(...) FH_SQL(fh_try_row, #__VA_ARGS__, __VA_ARGS__)
#define fh_rows(...) FH_SQL(fh_rows, #__VA_ARGS__, __VA_ARGS__)
#define fh_exec(...) FH_SQL(fh_exec, #__VA_ARGS__, __VA_ARGS__)
#define fh_exec_count(...) FH_SQL(fh_exec_count, #__VA_ARGS__, __VA_ARGS__)
#define fh_peek(...) FH_SQL(fh_peek, #__VA_ARGS__, __VA_ARGS__)

#endif
