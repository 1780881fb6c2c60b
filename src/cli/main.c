/* SPDX-License-Identifier: Apache-2.0 */
/* The command `freehold`: finds the subcommand, reads its options, and runs it. */

#include <string.h>

#include "base/json.h"
#include "base/terminal.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/words.h"
#include "system/file/nearest.h"

/* In the order of a system's life, as `help` lists them. */
static const struct cli_command *const all[] = {
    &cli_new,     &cli_config,         &cli_check,   &cli_describe, &cli_personal,    &cli_up,
    &cli_status,  &cli_stop,           &cli_logs,    &cli_trace,    &cli_events,      &cli_audit,
    &cli_call,    &cli_report,         &cli_key,     &cli_parked,   &cli_saga,        &cli_timers,
    &cli_derive,  &cli_restore_report, &cli_scale,   &cli_upgrade,  &cli_rotate_keys, &cli_move,
    &cli_rebuild, &cli_migrate,        &cli_backup,  &cli_restore,  &cli_simulate,    &cli_test,
    &cli_help,    &cli_version,        &cli_gateway, &cli_keep,     &cli_complete,    NULL};

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

static bool is_option(const struct cli_option *option, const char *given, size_t length)
{
    if (length == 2 && option->letter && given[1] == option->letter)
        return true;
    return strncmp(option->name, given, length) == 0 && option->name[length] == '\0';
}

/* Reads the option at argv[*at], and its value. CLI_DONE, or a usage error. */
static int take_given_option(const struct cli_command *command, char **argv, int argc, int *at,
                             const char **values)
{
    char *given = argv[*at], *equals = strchr(given, '=');
    size_t length = equals ? (size_t)(equals - given) : strlen(given);
    int i = 0;
    while (i < CLI_OPTIONS_MAX && command->options[i].name &&
           !is_option(&command->options[i], given, length))
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
    return option->placeholder ? words_check_value(option, values[i]) : CLI_DONE;
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
            help_print(command);
            return CLI_DONE;
        } else if (!options_over && argv[i][0] == '-' && argv[i][1]) {
            int code = take_given_option(command, argv, argc, &i, values);
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
    int code = words_check(command, words, count);
    return code == CLI_DONE ? command->run(command, words, values) : code;
}

/* As far as can be told before the words are understood: even a wrong one is answered in JSON. */
static bool asks_for_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0)
            return true;
    }
    return false;
}

/* Words become part of requests, records and answers, all of which are JSON. */
static int refuse_raw_bytes(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        json_t *text = json_string(argv[i]);
        if (!text)
            return cli_fail(CLI_USAGE, "'%s' is not UTF-8 text", argv[i]);
        json_decref(text);
    }
    return CLI_DONE;
}

int main(int argc, char **argv)
{
    json_memory_init();
    terminal_guard();
    commands_init(all);
    if (asks_for_json(argc, argv))
        cli_say_json();
    if (refuse_raw_bytes(argc, argv) != CLI_DONE)
        return cli_end(CLI_USAGE);
    if (argc < 2 || asks_for_help(argv[1])) {
        run_command(&cli_help, 0, NULL);
        return argc < 2 ? CLI_USAGE : CLI_DONE;
    }
    bool version = strcmp(argv[1], "--version") == 0;
    const struct cli_command *command = commands_find(version ? "version" : argv[1]);
    return cli_end(command ? run_command(command, argc - 2, argv + 2) : CLI_USAGE);
}
