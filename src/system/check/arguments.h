/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_ARGUMENTS_H
#define SYSTEM_CHECK_ARGUMENTS_H

/*
 * Which names a call of fh_row and the like gives to its SQL, from the arguments as they are
 * written in C: "w, \"SELECT ... :id\", json_pack(\"{s:i}\", \"id\", 7)". What is no call of
 * json_pack or fh_object with literals may have any name.
 */

#include <stdbool.h>
#include <stddef.h>

#define ARGUMENTS_NAMES_MAX 64
#define ARGUMENTS_WHY_SIZE 160

struct arguments {
    bool known;                       /* these are all the names there are */
    char *names[ARGUMENTS_NAMES_MAX]; /* malloc'ed */
    size_t count;
    char fault[ARGUMENTS_WHY_SIZE]; /* what is wrong with a json_pack; or "" */
};

void arguments_read(const char *written, struct arguments *ret);
bool arguments_have(const struct arguments *arguments, const char *name);
void arguments_release(struct arguments *arguments);

#endif
