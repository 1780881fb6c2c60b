/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freehold help: all documentation of commands, from their tables: the list, one command, the
 * manual page, and the same as JSON for other tools.
 */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/help.h"

#define INTRODUCTION "Systems in which every service owns its own database."

static int print_commands(void)
{
    const char *bold = cli_colour(stdout, CLI_BOLD), *plain = cli_colour(stdout, CLI_PLAIN);
    int width = 0;
    printf(INTRODUCTION "\n\n%sUsage:%s freehold COMMAND\n\n", bold, plain);
    for (int i = 0; commands[i]; i++) {
        int length = (int)strlen(commands[i]->name);
        width = !commands[i]->hidden && length > width ? length : width;
    }
    for (int i = 0; commands[i]; i++) {
        if (!commands[i]->hidden)
            printf("  %s%-*s%s  %s\n", bold, width, commands[i]->name, plain, commands[i]->summary);
    }
    printf("\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 no running system.\n");
    return CLI_DONE;
}

void help_print(const struct cli_command *command)
{
    const char *bold = cli_colour(stdout, CLI_BOLD), *plain = cli_colour(stdout, CLI_PLAIN);
    printf("%s.\n\n%sUsage:%s freehold %s%s%s%s\n\n%s", command->summary, bold, plain,
           command->name, *command->words ? " " : "", command->words,
           command->options[0].name ? " [OPTION]..." : "", command->text);
    if (command->options[0].name)
        printf("\n");
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name; i++) {
        const struct cli_option *option = &command->options[i];
        int width = printf("  %s%s%s", option->name, option->placeholder ? " " : "",
                           option->placeholder ? option->placeholder : "");
        printf("%*s%s\n", width < 25 ? 25 - width : 1, "", option->help);
    }
}

/* ---- JSON ---- */

static json_t *command_json(const struct cli_command *command)
{
    json_t *options = json_array();
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name; i++) {
        const struct cli_option *option = &command->options[i];
        json_array_append_new(options, json_pack("{s:s, s:s?, s:s}", "name", option->name, "value",
                                                 option->placeholder, "help", option->help));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", command->name, "words", command->words,
                     "summary", command->summary, "text", command->text, "options", options);
}

static void print_json_of(const struct cli_command *command)
{
    json_t *all = command ? command_json(command) : json_array();
    for (int i = 0; !command && commands[i]; i++) {
        if (!commands[i]->hidden)
            json_array_append_new(all, command_json(commands[i]));
    }
    json_t *told = command ? json_incref(all) : json_pack("{s:O}", "commands", all);
    cli_print_json(told);
    json_decref(told);
    json_decref(all);
}

/* ---- The manual page (man(7)) ---- */

/* Escapes for roff: a backslash, a dot or quote at the start of a line, and hyphens, so that they
 * can be copied. */
static void print_roff(const char *text)
{
    bool begins = true;
    for (; *text; text++) {
        if (begins && (*text == '.' || *text == '\''))
            printf("\\&");
        if (*text == '\\')
            printf("\\e");
        else if (*text == '-')
            printf("\\-");
        else
            putchar(*text);
        begins = *text == '\n';
    }
}

static void print_man_of(const struct cli_command *command)
{
    printf(".SS ");
    print_roff(command->name);
    printf("\n");
    print_roff(command->summary);
    printf(".\n.PP\n\\fBfreehold ");
    print_roff(command->name);
    printf("\\fR ");
    print_roff(command->words);
    printf("%s\n.PP\n.nf\n", command->options[0].name ? " [\\fIOPTION\\fR]..." : "");
    print_roff(command->text);
    printf(".fi\n");
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name; i++) {
        const struct cli_option *option = &command->options[i];
        printf(".TP\n\\fB");
        print_roff(option->name);
        printf("\\fR");
        if (option->placeholder) {
            printf(" \\fI");
            print_roff(option->placeholder);
            printf("\\fR");
        }
        printf("\n");
        print_roff(option->help);
        printf("\n");
    }
}

static int print_man(const struct cli_command *only)
{
    printf(
        ".\\\" SPDX-License-Identifier: Apache-2.0\n"
        ".TH FREEHOLD 1 \"\" \"freehold " FREEHOLD_VERSION "\" \"User Commands\"\n"
        ".SH NAME\nfreehold \\- systems in which every service owns its own database\n"
        ".SH SYNOPSIS\n\\fBfreehold\\fR \\fICOMMAND\\fR [\\fIWORD\\fR]... "
        "[\\fIOPTION\\fR]...\n.SH DESCRIPTION\n"
        "Answers go to standard output, everything else to standard error. Colours appear on a "
        "terminal only, and never with \\fBNO_COLOR\\fR set. With \\fB\\-\\-json\\fR an answer is "
        "JSON.\n.SH COMMANDS\n");
    for (int i = 0; commands[i]; i++) {
        if (only ? commands[i] == only : !commands[i]->hidden)
            print_man_of(commands[i]);
    }
    printf(".SH EXIT STATUS\n.TP\n0\ndone\n.TP\n1\nfailed\n.TP\n2\nwrong usage\n.TP\n3\nno running "
           "system\n");
    return CLI_DONE;
}

/* ---- The commands ---- */

static int run_help(const struct cli_command *command, char **words, const char **values)
{
    const struct cli_command *about = words[0] ? commands_find(words[0]) : NULL;
    if (words[0] && !about)
        return CLI_USAGE;
    if (cli_value(command, values, "--man"))
        return print_man(about);
    if (cli_value(command, values, "--json"))
        print_json_of(about);
    else if (about)
        help_print(about);
    else
        print_commands();
    return CLI_DONE;
}

const struct cli_command cli_help = {
    .name = "help",
    .words = "[COMMAND]",
    .words_max = 1,
    .summary = "What a command does and takes",
    .text =
        "Without a COMMAND, lists them all. To read the manual page where it is not installed:\n\n"
        "  freehold help --man | man -l -\n",
    .options = {{"--man", NULL, "print the manual page, as man reads it"}, CLI_OPTION_JSON},
    .run = run_help,
};

static int run_version(const struct cli_command *command, char **words, const char **values)
{
    (void)words;
    printf(cli_value(command, values, "--json") ? "{\"version\":\"%s\"}\n" : "freehold %s\n",
           FREEHOLD_VERSION);
    return CLI_DONE;
}

const struct cli_command cli_version = {
    .name = "version",
    .words = "",
    .summary = "Which freehold this is",
    .text = "",
    .options = {CLI_OPTION_JSON},
    .run = run_version,
};
