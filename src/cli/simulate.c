/* SPDX-License-Identifier: Apache-2.0 */
/* freehold simulate: starts the system's own simulation, a program that links all its services. */

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "system/programs.h"

#define ARGUMENTS_MAX 16

/* The options as they were given, to a program that reads the same ones. */
static int start(const struct cli_command *command, const char *path, const char *file,
                 const char **values)
{
    const char *arguments[ARGUMENTS_MAX] = {path, file};
    int count = 2;
    for (int i = 0; i < CLI_OPTIONS_MAX && command->options[i].name; i++) {
        const struct cli_option *option = &command->options[i];
        if (!values[i] || strcmp(option->name, "--programs") == 0)
            continue;
        arguments[count++] = option->name;
        if (option->placeholder)
            arguments[count++] = values[i];
    }
    execv(path, (char **)(uintptr_t)arguments);
    return cli_fail(CLI_FAILED, "%s can't be started: %s", path, strerror(errno));
}

static int run(const struct cli_command *command, char **words, const char **values)
{
    struct findings findings = {0};
    struct system_file *file = system_file_read(words[0], NULL, &findings);
    int code = CLI_FAILED;
    if (!file) {
        cli_print_findings(&findings);
    } else {
        const char *programs = cli_value(command, values, "--programs");
        const char *path = programs_find_one(file, "simulate", programs);
        code = path ? start(command, path, words[0], values)
                    : cli_fail(CLI_FAILED,
                               "%s has no program `simulate`; docs/simulation.md tells how it is "
                               "made",
                               file->name);
    }
    system_file_free(file);
    findings_release(&findings);
    return code;
}

const struct cli_command cli_simulate = {
    .name = "simulate",
    .words = "FILE",
    .words_min = 1,
    .words_max = 1,
    .summary = "Run the system on virtual time while everything fails, and check its promises",
    .text =
        "A seed decides what is lost, late, doubled or torn, and who dies when. A seed that fails\n"
        "is printed with what happened, and replays exactly. The system's program `simulate` is\n"
        "looked for where its services' programs are. Exit codes: 0 all held, 1 some did not.\n",
    .options = {{"--seed", "N", "the first seed; default 1"},
                {"--runs", "K", "how many; default 1 with --seed, else 100"},
                {"--jobs", "N", "so many side by side; default: one a processor"},
                {"--stop", NULL, "begin no more once one has failed"},
                {"--replay", NULL, "each seed twice, and both must be the same run"},
                {"--trace", NULL, "one run, and all that happens in it"},
                {"--json", NULL, "the summary in JSON"},
                {"--programs", "DIR", "look for the program here first"}},
    .run = run,
};
