/* SPDX-License-Identifier: Apache-2.0 */
/* freehold simulate and freehold test: run the system's own simulation, or its tests, which are
 * programs that link its services. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "system/check/programs.h"

#define ARGUMENTS_MAX 16
#define COMPLAINT_SIZE_MAX ((size_t)1 << 20)

/* What the program says besides its answer is an error's text. */
static int tell_complaint(int code, int complaint)
{
    struct text text;
    char buffer[4096];
    ssize_t length;
    text_init(&text, COMPLAINT_SIZE_MAX);
    for (off_t at = 0; (length = pread(complaint, buffer, sizeof buffer, at)) > 0; at += length)
        text_append(&text, buffer, (size_t)length);
    while (text.length && text.data[text.length - 1] == '\n')
        text.data[--text.length] = '\0';
    if (text.length && code != CLI_DONE)
        cli_fail(code, "%s", text.data);
    else if (text.length)
        cli_note(CLI_PLAIN, "%s", text.data);
    text_release(&text);
    return code;
}

/* With --json. Its exit codes are ours; a signal from the terminal reaches both. */
static int run_simulator(const char *path, char **arguments)
{
    int status, complaint = memfd_create("complaint", MFD_CLOEXEC);
    pid_t pid = complaint < 0 ? -1 : fork();
    if (pid == 0) {
        dup2(complaint, STDERR_FILENO);
        execv(path, arguments);
        dprintf(STDERR_FILENO, "%s can't be started: %s", path, strerror(errno));
        _exit(CLI_FAILED);
    }
    if (pid < 0)
        return cli_fail(CLI_FAILED, "%s can't be started: %s", path, strerror(errno));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    int code = WIFEXITED(status)
                   ? tell_complaint(WEXITSTATUS(status), complaint)
                   : cli_fail(CLI_FAILED, "%s was ended by %s", path, strsignal(WTERMSIG(status)));
    close(complaint);
    return code;
}

/* Passes the options on to the program, which takes the same ones. */
static int start_simulator(const struct cli_command *command, const char *path, const char *file,
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
    if (cli_value(command, values, "--json"))
        return run_simulator(path, (char **)(uintptr_t)arguments);
    execv(path, (char **)(uintptr_t)arguments);
    return cli_fail(CLI_FAILED, "%s can't be started: %s", path, strerror(errno));
}

static int run_linked(const struct cli_command *command, char **words, const char **values,
                      const char *program, const char *told_in)
{
    struct findings findings = {0};
    const char *given = words[0] ? words[0] : CLI_SYSTEM_FILE;
    struct system_file *file = system_file_read_keyless(given, &findings);
    int code = CLI_FAILED;
    if (!file) {
        cli_print_findings(&findings);
    } else {
        const char *programs = cli_value(command, values, "--programs");
        const char *path = programs_find_one(file, program, programs);
        code = path ? start_simulator(command, path, given, values)
                    : cli_fail(CLI_FAILED, "%s has no program `%s`; see %s for how to build it",
                               file->name, program, told_in);
    }
    system_file_free(file);
    findings_release(&findings);
    return code;
}

static int run_simulate(const struct cli_command *command, char **words, const char **values)
{
    return run_linked(command, words, values, "simulate", "docs/internals/simulation.md");
}

static int run_test(const struct cli_command *command, char **words, const char **values)
{
    return run_linked(command, words, values, "tests", "docs/guide/testing.md");
}

const struct cli_command cli_simulate = {
    .name = "simulate",
    .words = "[FILE]",
    .words_max = 1,
    .summary = "Run a system on virtual time while everything fails",
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
    .run = run_simulate,
};

const struct cli_command cli_test = {
    .name = "test",
    .words = "[FILE]",
    .words_max = 1,
    .summary = "Run the tests of a system's services, on virtual time",
    .text = "Each test is run for several seeds: the same steps, with other delays and deaths.\n"
            "One that fails says what was expected and what happened, and its seed replays it.\n"
            "The system's program `tests` is looked for where its services' programs are.\n"
            "Exit codes: 0 all passed, 1 some did not.\n",
    .options = {{"--only", "NAME", "only those whose name contains NAME"},
                {"--seed", "N", "the first seed; default 1"},
                {"--seeds", "K", "how many for each test; default 10, 1 with --seed"},
                {"--jobs", "N", "so many side by side; default: one a processor"},
                {"--trace", NULL, "one run of one test, and all that happens in it"},
                {"--list", NULL, "their names"},
                {"--json", NULL, "the outcome in JSON"},
                {"--programs", "DIR", "look for the program here first"}},
    .run = run_test,
};
