/* SPDX-License-Identifier: Apache-2.0 */
/* The command: finds which of its commands is meant, reads its options, and runs it. */

#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "system/nearest.h"

static const struct cli_command *const commands[] = {&cli_up,   &cli_status,   &cli_stop,
                                                     &cli_call, &cli_check,    &cli_parked,
                                                     &cli_saga, &cli_simulate, &cli_gateway};
#define COMMANDS (sizeof commands / sizeof *commands)

static int print_help(void)
{
    const char *bold = cli_colour(stdout, CLI_BOLD), *plain = cli_colour(stdout, CLI_PLAIN);
    printf(
        "Systems in which every service owns its own database.\n\n%sUsage:%s freehold COMMAND\n\n",
        bold, plain);
    for (size_t i = 0; i < COMMANDS; i++) {
        if (!commands[i]->hidden)
            printf("  %s%-9s%s%s\n", bold, commands[i]->name, plain, commands[i]->summary);
    }
    printf("  %s%-9s%s%s\n", bold, "help", plain, "What a command does and takes: help COMMAND");
    printf("  %s%-9s%s%s\n", bold, "version", plain, "Which freehold this is");
    printf("\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 no running system.\n");
    return CLI_DONE;
}

static int print_command_help(const struct cli_command *command)
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
    return CLI_DONE;
}

static const struct cli_command *find_command(const char *name)
{
    struct nearest nearest = nearest_begin(name);
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
        if (!commands[i]->hidden)
            nearest_offer(&nearest, commands[i]->name);
    }
    nearest_offer(&nearest, "help");
    nearest_offer(&nearest, "version");
    if (nearest.word)
        cli_fail(CLI_USAGE, "there is no command '%s'; did you mean '%s'?", name, nearest.word);
    else
        cli_fail(CLI_USAGE, "there is no command '%s'; see freehold help", name);
    return NULL;
}

static int unknown_option(const struct cli_command *command, const char *given)
{
    struct nearest nearest = nearest_begin(given);
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name; i++)
        nearest_offer(&nearest, command->options[i].name);
    if (nearest.word)
        return cli_fail(CLI_USAGE, "%s has no option '%s'; did you mean '%s'?", command->name,
                        given, nearest.word);
    return cli_fail(CLI_USAGE, "%s has no option '%s'; see freehold %s --help", command->name,
                    given, command->name);
}

/* Takes argv[*at], an option, and its value. CLI_DONE, or a usage error. */
static int take_option(const struct cli_command *command, char **argv, int argc, int *at,
                       const char **values)
{
    char *given = argv[*at], *equals = strchr(given, '=');
    size_t length = equals ? (size_t)(equals - given) : strlen(given);
    int i = 0;
    while (i < CLI_OPTIONS_MAX && command->options[i].name &&
           (strncmp(command->options[i].name, given, length) != 0 ||
            command->options[i].name[length] != '\0'))
        i++;
    if (i == CLI_OPTIONS_MAX || !command->options[i].name)
        return unknown_option(command, given);
    const struct cli_option *option = &command->options[i];
    if (values[i])
        return cli_fail(CLI_USAGE, "%s is given twice", option->name);
    if (!option->placeholder && equals)
        return cli_fail(CLI_USAGE, "%s takes no value", option->name);
    if (!option->placeholder)
        values[i] = "";
    else if (equals)
        values[i] = equals + 1;
    else if (*at + 1 < argc)
        values[i] = argv[++*at];
    else
        return cli_fail(CLI_USAGE, "%s needs a value, %s %s", option->name, option->name,
                        option->placeholder);
    if (option->placeholder && !*values[i])
        return cli_fail(CLI_USAGE, "%s needs a value that is not empty", option->name);
    return CLI_DONE;
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
    char *words[CLI_WORDS_MAX + 1] = {0};
    const char *values[CLI_OPTIONS_MAX] = {0};
    int count = 0;
    bool options_over = false;
    for (int i = 0; i < argc; i++) {
        if (!options_over && strcmp(argv[i], "--") == 0) {
            options_over = true;
        } else if (!options_over && asks_for_help(argv[i])) {
            return print_command_help(command);
        } else if (!options_over && argv[i][0] == '-' && argv[i][1]) {
            int code = take_option(command, argv, argc, &i, values);
            if (code != CLI_DONE)
                return code;
        } else if (count == command->words_max) {
            return cli_fail(CLI_USAGE, "%s does not expect '%s'; usage: freehold %s %s",
                            command->name, argv[i], command->name, command->words);
        } else {
            words[count++] = argv[i];
        }
    }
    if (count < command->words_min)
        return cli_fail(CLI_USAGE, "something is missing; usage: freehold %s %s", command->name,
                        command->words);
    return command->run(command, words, values);
}

int main(int argc, char **argv)
{
    json_memory_init();
    if (argc < 2 || asks_for_help(argv[1])) {
        print_help();
        return argc < 2 ? CLI_USAGE : CLI_DONE;
    }
    if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
        printf("freehold " FREEHOLD_VERSION "\n");
        return CLI_DONE;
    }
    if (strcmp(argv[1], "help") == 0 && argc == 2)
        return print_help();
    bool help = strcmp(argv[1], "help") == 0;
    const struct cli_command *command = find_command(argv[help ? 2 : 1]);
    if (!command)
        return CLI_USAGE;
    return help ? print_command_help(command) : run_command(command, argc - 2, argv + 2);
}
