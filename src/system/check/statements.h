/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_STATEMENTS_H
#define SYSTEM_CHECK_STATEMENTS_H

/*
 * The SQL of relational services, tried before any of them runs: the migrations on an empty store
 * of the engine, and then each statement that a handler writes as a literal (include/freehold/
 * statement.h), with the names that it is given. Where the engine has no such store, PostgreSQL's
 * parser reads what is SQL of its grammar; what nobody can judge is said.
 */

#include "system/file/file.h"

/* All services have been described. Sentences of what is not judged are appended to
 * `not_judged`; NULL: they are not wanted. */
void statements_check(struct system_file *file, struct findings *findings, json_t *not_judged);

#endif
