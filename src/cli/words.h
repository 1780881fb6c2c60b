/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

/* Parses the words line of a command's table: "list|show SERVICE [SOURCE KEY]". */

#include "cli/cli.h"

#define WORDS_FORM_SIZE 128

/* The form of a word: "list|show" or "SERVICE". False: no word is expected there. */
bool words_form(const struct cli_command *command, int index, char out[static WORDS_FORM_SIZE]);
/* "list|show", or a single "schema", but not "SERVICE". */
bool words_is_choice(const char *form);
/* Passes each choice of such a form to `see`, until it returns false. False: the form is a
 * placeholder. */
bool words_each_choice(const char *form, bool (*see)(void *context, const char *choice),
                       void *context);
/* Whether each word is among its choices, if it has any. CLI_DONE, or CLI_USAGE after reporting
 * it. */
int words_check(const struct cli_command *command, char **words, int count);
/* The same for the value of an option that has a placeholder. */
int words_check_value(const struct cli_option *option, const char *value);

#endif
