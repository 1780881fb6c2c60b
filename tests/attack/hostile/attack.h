/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTACK_H
#define ATTACK_H

/*
 * One attack is one function in one of the files attack_*.c. It tries what its name says, undoes
 * nothing, and returns 0 if it got what it wanted, otherwise the errno that refused it. What it
 * learned goes into `found` (an object), for the test to judge. `arguments` is the request's body:
 * the pids, paths and ports of those it aims at, which a real attacker would guess or look up.
 *
 *     ATTACK(open_file)
 *     {
 *         int fd = open(text_argument(arguments, "path"), O_RDONLY);
 *         ...
 *     }
 *
 * The service runs it in the thread that answers requests, under the name open_file.
 */

#include <errno.h>
#include <jansson.h>

struct attack {
    const char *name;
    int (*run)(const json_t *arguments, json_t *found);
};

#define ATTACK(attack_name)                                                                        \
    static int attack_##attack_name(const json_t *arguments, json_t *found);                       \
    static const struct attack entry_##attack_name = {#attack_name, attack_##attack_name};         \
    static const struct attack *const listed_##attack_name                                         \
        __attribute__((used, retain, section("attacks"))) = &entry_##attack_name;                  \
    static int attack_##attack_name(const json_t *arguments __attribute__((unused)),               \
                                    json_t *found __attribute__((unused)))

/* 0 or "" if there is none of that name. */
static inline long long integer_argument(const json_t *arguments, const char *name)
{
    return json_integer_value(json_object_get(arguments, name));
}

static inline const char *text_argument(const json_t *arguments, const char *name)
{
    const char *text = json_string_value(json_object_get(arguments, name));
    return text ? text : "";
}

/* What a call that answers -1 and sets errno says: 0 or the errno. */
static inline int outcome_of(long long result)
{
    return result < 0 ? errno : 0;
}

#endif
