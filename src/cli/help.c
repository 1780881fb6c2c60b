/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freehold help: all documentation of commands, from their tables: the list, one command, the
 * manual page, and the same as JSON for other tools.
 */

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/help.h"

#define USAGE_SIZE 512
#define HELP_COLUMN 25 /* of an option */
#define TEXT_WIDTH 80  /* where there is no terminal */
#define GOES_ON_MIN 8  /* spaces */
#define INTRODUCTION "Systems in which every service owns its own database."

static int width_of_help(void)
{
    int width = cli_width(stdout);
    return width ? width : TEXT_WIDTH;
}

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
        if (commands[i]->hidden)
            continue;
        printf("  %s%-*s%s  ", bold, width, commands[i]->name, plain);
        cli_wrap(stdout, width_of_help(), width + 4, width + 4, commands[i]->summary);
        printf("\n");
    }
    printf("\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 no running system.\n");
    return CLI_DONE;
}

/* ---- A command's text ---- */

/* Where what a line says of its example begins: after two spaces or more. */
static int column_of_words(const char *line)
{
    size_t at = strspn(line, " ");
    const char *gap = NULL;
    for (const char *next = line + at; (next = strstr(next, "  ")); next += strspn(next, " "))
        gap = next;
    return gap ? (int)(gap - line + (ptrdiff_t)strspn(gap, " ")) : (int)at + 4;
}

static void print_block(struct text *block, int width)
{
    if (block->length == 0)
        return;
    bool example = block->data[0] == ' ';
    cli_wrap(stdout, width, 0, example ? column_of_words(block->data) : 0, block->data);
    printf("\n");
    text_clear(block);
}

/* The texts are broken for their sources, and here again for the reader's terminal. A line that
 * begins with spaces is an example with what it does; far more spaces go on with the one before. */
static void print_text(const char *text)
{
    struct text block;
    int width = width_of_help();
    text_init(&block, TEXT_LENGTH_MAX);
    while (*text) {
        size_t length = strcspn(text, "\n"), spaces = strspn(text, " ");
        bool example = block.length && block.data[0] == ' ';
        bool goes_on = block.length && length && (example ? spaces > GOES_ON_MIN : spaces == 0);
        if (!goes_on)
            print_block(&block, width);
        if (goes_on)
            text_add(&block, " ");
        text_append(&block, text + (goes_on ? spaces : 0), length - (goes_on ? spaces : 0));
        if (length == 0)
            printf("\n");
        text += length + (text[length] == '\n');
    }
    print_block(&block, width);
    text_release(&block);
}

void help_print(const struct cli_command *command)
{
    const char *bold = cli_colour(stdout, CLI_BOLD), *plain = cli_colour(stdout, CLI_PLAIN);
    char usage[USAGE_SIZE];
    snprintf(usage, sizeof usage, " freehold %s%s%s%s", command->name, *command->words ? " " : "",
             command->words, command->options[0].name ? " [OPTION]..." : "");
    printf("%s.\n\n%sUsage:%s", command->summary, bold, plain);
    cli_wrap(stdout, width_of_help(), (int)sizeof "Usage:" - 1, 7, usage);
    printf("\n\n");
    print_text(command->text);
    if (command->options[0].name)
        printf("\n");
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name; i++) {
        const struct cli_option *option = &command->options[i];
        int width = printf("  %s%s%s", option->name, option->placeholder ? " " : "",
                           option->placeholder ? option->placeholder : "");
        if (width >= HELP_COLUMN)
            width = printf("\n") - 1;
        printf("%*s", HELP_COLUMN - width, "");
        cli_wrap(stdout, width_of_help(), HELP_COLUMN, HELP_COLUMN, option->help);
        printf("\n");
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
