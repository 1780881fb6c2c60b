/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that can be found is found at once, so that nobody mends one word after the other: a file
 * with errors still has programs and settings. Only what services expect of each other is judged
 * when the file is right: about a broken one that would be noise.
 */

#define _GNU_SOURCE
#include "cli/load.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/check/check.h"
#include "system/check/describe.h"
#include "system/move/moved.h"
#include "system/file/nearest.h"
#include "system/check/programs.h"
#include "system/check/rights.h"
#include "system/check/server_settings.h"
#include "system/check/settings.h"

struct load_options load_options_of(const struct cli_command *command, const char **values,
                                    const char *path)
{
    return (struct load_options){.path = path ? path : CLI_SYSTEM_FILE,
                                 .profile = cli_value(command, values, "--profile"),
                                 .programs = cli_value(command, values, "--programs"),
                                 .state = cli_value(command, values, "--state")};
}

struct system_file *load_system(const struct load_options *options, struct findings *findings)
{
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    programs_offer_servers(&arena); /* the file's reader asks which are installed */
    arena_release(&arena);
    struct system_file *file = system_file_read_faulty(options->path, options->profile, findings);
    if (!file)
        return NULL;
    if (options->others)
        file->others = contract_files_others(options->others, file, findings);
    bool right = findings->errors == 0;
    if (options->listen) { /* what is checked is what will be */
        file->listen = options->listen;
        file->listen_place = (struct place){"--listen", 0, 0};
    }
    const char *state =
        options->state ? options->state : cli_default_state(&file->arena, file->folder, file->name);
    if (right)
        moved_apply(file, state, options->leave, options->abandon, findings);
    programs_find(file, options->programs, findings);
    server_settings_check(file, findings);
    size_t before = findings->errors;
    rights_check(findings);
    bool able = findings->errors == before;
    if (able)
        describe_programs(file, findings);
    bool described = right && findings->errors == 0;
    right = right && able;
    if (right && !options->described_only)
        check_system(file, findings);
    else if (!right)
        settings_check_all(file, findings);
    if (findings->errors == 0 || (described && options->unfit_too))
        return file;
    system_file_free(file);
    return NULL;
}

char **load_environment(struct system_file *file)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **environment = arena_alloc(&file->arena, (count + 1) * sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        bool is_secret = false;
        for (size_t j = 0; j < file->variable_count && !is_secret; j++) {
            size_t length = strlen(file->variables[j]);
            is_secret =
                strncmp(environ[i], file->variables[j], length) == 0 && environ[i][length] == '=';
        }
        if (!is_secret)
            environment[kept++] = environ[i];
    }
    return environment;
}

void load_hide(const struct provision *provision)
{
    int folder_fd = provision->state.folder_fd;
    int fd = openat(folder_fd, "../.gitignore", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    if (write(fd, "*\n", 2) < 0)
        unlinkat(folder_fd, "../.gitignore", 0);
    close(fd);
}

int load_no_service(const struct system_file *file, const char *name)
{
    struct nearest nearest = nearest_begin(name);
    for (size_t i = 0; i < file->service_count; i++)
        nearest_offer(&nearest, file->services[i].name);
    return cli_fail(CLI_USAGE, "%s has no service '%s'%s%s%s", file->name, name,
                    nearest.word ? "; did you mean '" : "", nearest.word ? nearest.word : "",
                    nearest.word ? "'?" : "");
}
