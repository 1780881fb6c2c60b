/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_POSTGRESQL_LIBRARY_H
#define ENGINE_POSTGRESQL_LIBRARY_H

/*
 * libpq, loaded when PostgreSQL is chosen and not before: a process without it pays nothing. What
 * is called stands in one list, from which the table of pointers is made with the types that the
 * library's own header declares. A function of a newer libpq than 14 must not be named here.
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
    X(PQenterPipelineMode)                                                                         \
    X(PQerrorMessage)                                                                              \
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
    X(PQsocket)                                                                                    \
    X(PQstatus)                                                                                    \
    X(PQtransactionStatus)

#define POSTGRESQL_FUNCTION(name) __typeof__(name) *name;
struct postgresql_library {
    POSTGRESQL_FUNCTIONS(POSTGRESQL_FUNCTION)
};
#undef POSTGRESQL_FUNCTION

extern struct postgresql_library postgresql_pq; /* filled once, by postgresql_load */

/* FH_UNSUPPORTED: libpq is not installed, or too old. */
enum fh_code postgresql_load(struct fh_error *error);

#endif
