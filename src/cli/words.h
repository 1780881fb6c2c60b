/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

/* The line of words in a command's table, read as a form: "list|show SERVICE [SOURCE KEY]". */

#include "cli/cli.h"

#define WORDS_FORM_SIZE 128

/* The form of a word: "list|show" or "SERVICE". False: there is none at this place. */
bool words_form(const struct cli_command *command, int index, char out[static WORDS_FORM_SIZE]);
/* "list|show", or "schema" alone, but not "SERVICE". */
bool words_is_choice(const char *form);
/* Each choice of such a form, until `see` returns false. False: it is a placeholder. */
bool words_each_choice(const char *form, bool (*see)(void *context, const char *choice),
                       void *context);
/* Are the words among the choices, where there are some? CLI_DONE, or CLI_USAGE after saying so. */
int words_check(const struct cli_command *command, char **words, int count);

#endif
