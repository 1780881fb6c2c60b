/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_POSTGRESQL_LIBRARY_H
#define ENGINE_POSTGRESQL_LIBRARY_H

/*
 * libpq, loaded only when PostgreSQL is chosen: a process without it pays nothing. One list names
 * the functions used; the table of pointers is built from it, with the types in the library's own
 * header. Don't name functions newer than libpq 14.
 */

#include <libpq-fe.h>

#include "base/error.h"

#define POSTGRESQL_FUNCTIONS(X)                                                                    \
    X(PQbackendPID)                                                                                \
    X(PQclear)                                                                                     \
    X(PQcmdStatus)                                                                                 \
    X(PQcmdTuples)                                                                                 \
    X(PQconnectPoll)                                                                               \
    X(PQconnectStartParams)                                                                        \
    X(PQconsumeInput)                                                                              \
    X(PQencryptPasswordConn)                                                                       \
    X(PQenterPipelineMode)                                                                         \
    X(PQerrorMessage)                                                                              \
    X(PQexec)                                                                                      \
    X(PQexitPipelineMode)                                                                          \
    X(PQfinish)                                                                                    \
    X(PQflush)                                                                                     \
    X(PQfname)                                                                                     \
    X(PQfreemem)                                                                                   \
    X(PQftable)                                                                                    \
    X(PQftype)                                                                                     \
    X(PQgetResult)                                                                                 \
    X(PQgetisnull)                                                                                 \
    X(PQgetlength)                                                                                 \
    X(PQgetvalue)                                                                                  \
    X(PQisBusy)                                                                                    \
    X(PQnfields)                                                                                   \
    X(PQnotifies)                                                                                  \
    X(PQnparams)                                                                                   \
    X(PQntuples)                                                                                   \
    X(PQparamtype)                                                                                 \
    X(PQpipelineSync)                                                                              \
    X(PQresultErrorField)                                                                          \
    X(PQresultStatus)                                                                              \
    X(PQsendDescribePrepared)                                                                      \
    X(PQsendPrepare)                                                                               \
    X(PQsendQuery)                                                                                 \
    X(PQsendQueryParams)                                                                           \
    X(PQsendQueryPrepared)                                                                         \
    X(PQsetErrorVerbosity)                                                                         \
    X(PQsetNoticeReceiver)                                                                         \
    X(PQsetSingleRowMode)                                                                          \
    X(PQsetnonblocking)                                                                            \
    X(PQsslAttribute)                                                                              \
    X(PQsocket)                                                                                    \
    X(PQstatus)                                                                                    \
    X(PQtransactionStatus)

#define POSTGRESQL_FUNCTION(name) __typeof__(name) *name;
struct postgresql_library {
    POSTGRESQL_FUNCTIONS(POSTGRESQL_FUNCTION)
};
#undef POSTGRESQL_FUNCTION

extern struct postgresql_library postgresql_pq; /* filled once, by postgresql_load */

/* FH_UNSUPPORTED: libpq is missing or too old. */
enum fh_code postgresql_load(struct fh_error *error);

#endif
