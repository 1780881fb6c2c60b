/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_AUTH_H
#define CALL_AUTH_H

/*
 * What a route demands of the person outside: its `.auth`, as `--describe` shows it, too. Words
 * separated by blanks, all of which must hold: "anyone" (alone), "user", "scope:NAME", "role:NAME".
 * "" and NULL say nothing. Pure; used by services and by the gateway.
 */

#include <jansson.h>

#include "base/error.h"

enum auth_verdict {
    AUTH_GRANTED,
    AUTH_USER_MISSING, /* 401: nobody is logged in, and somebody must be */
    AUTH_NOT_GRANTED,  /* 403: a scope or a role is missing */
};

/* FH_INVALID says what is wrong with the words. What says nothing is fine here. */
enum fh_code auth_check(const char *auth, struct fh_error *error);
/* `identity`: as in call/user.h; NULL: nobody is logged in. What says nothing grants everything, as
 * before there was `.auth`; words that auth_check refuses grant nothing. */
enum auth_verdict auth_judge(const char *auth, const json_t *identity);
bool auth_is_open(const char *auth); /* auth_judge grants it to nobody logged in */
/* The words with one blank between them, as `--describe` shows them. New reference. */
json_t *auth_text(const char *auth);
/* For `name`, "scopes" or "roles": an array of those demanded. New reference. */
json_t *auth_demanded(const char *auth, const char *name);
/* Is `text` among identity's "scopes" or "roles"? */
bool auth_holds(const json_t *identity, const char *name, const char *text, size_t length);

#endif
