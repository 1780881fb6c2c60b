/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses the words that a command takes from its table: "list|show SERVICE [SOURCE KEY]" names a
 * choice and three placeholders, two of them optional; "SERVICE ..." may repeat. Help, the
 * suggestions for a wrong word, completion and the manual page all rely on this one line.
 */

#include "cli/words.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "system/file/nearest.h"

bool words_form(const struct cli_command *command, int index, char out[static WORDS_FORM_SIZE])
{
    const char *at = command->words;
    out[0] = '\0';
    for (int i = 0; *(at += strspn(at, " []")); i++) {
        size_t length = strcspn(at, " []");
        if (length == 3 && strncmp(at, "...", 3) == 0)
            return out[0] != '\0'; /* the same as the one before */
        snprintf(out, WORDS_FORM_SIZE, "%.*s", (int)length, at);
        if (i == index)
            return true;
        at += length;
    }
    return false;
}

bool words_is_choice(const char *form)
{
    return islower((unsigned char)form[0]);
}

bool words_each_choice(const char *form, bool (*see)(void *context, const char *choice),
                       void *context)
{
    char choice[WORDS_FORM_SIZE];
    if (!words_is_choice(form))
        return false;
    while (*form) {
        size_t length = strcspn(form, "|");
        snprintf(choice, sizeof choice, "%.*s", (int)length, form);
        if (!see(context, choice))
            return true;
        form += length + (form[length] == '|');
    }
    return true;
}

struct choosing {
    const char *given;
    bool found;
    char nearest[WORDS_FORM_SIZE];
    struct nearest search;
};

static bool see_choice(void *context, const char *choice)
{
    struct choosing *choosing = context;
    const char *before = choosing->search.word;
    choosing->found |= strcmp(choice, choosing->given) == 0;
    nearest_offer(&choosing->search, choice);
    if (choosing->search.word != before || choosing->search.word == choice) {
        snprintf(choosing->nearest, sizeof choosing->nearest, "%s", choosing->search.word);
        choosing->search.word = choosing->nearest;
    }
    return !choosing->found;
}

/* `who` expects it: a command, or an option. */
static int check_choice(const char *who, const char *form, const char *given)
{
    struct choosing choosing = {.given = given, .search = nearest_begin(given)};
    words_each_choice(form, see_choice, &choosing);
    if (choosing.found)
        return CLI_DONE;
    if (choosing.nearest[0])
        return cli_fail(CLI_USAGE, "%s does not know '%s'; did you mean '%s'?", who, given,
                        choosing.nearest);
    return cli_fail(CLI_USAGE, "%s does not know '%s'; expected %s", who, given, form);
}

int words_check(const struct cli_command *command, char **words, int count)
{
    char form[WORDS_FORM_SIZE];
    for (int i = 0; i < count; i++) {
        if (words_form(command, i, form) && words_is_choice(form) &&
            check_choice(command->name, form, words[i]) != CLI_DONE)
            return CLI_USAGE;
    }
    return CLI_DONE;
}

int words_check_value(const struct cli_option *option, const char *value)
{
    return words_is_choice(option->placeholder)
               ? check_choice(option->name, option->placeholder, value)
               : CLI_DONE;
}
