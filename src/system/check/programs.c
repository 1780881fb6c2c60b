/* SPDX-License-Identifier: Apache-2.0 */
/* Finds programs. PATH is not searched: a service may easily have the name of some other
 * command. */

#define _GNU_SOURCE
#include "system/check/programs.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

#define CANDIDATES_MAX 4

const char *programs_own_folder(struct arena *arena)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path);
    FH_ASSERT(length > 0 && (size_t)length < sizeof path);
    while (length > 1 && path[length - 1] != '/')
        length--;
    return arena_copy(arena, path, length > 1 ? (size_t)length - 1 : 1);
}

const char *programs_servers_folder(struct arena *arena)
{
    struct stat status;
    const char *folder = arena_printf(arena, "%s/servers", programs_own_folder(arena));
    return stat(folder, &status) == 0 && S_ISDIR(status.st_mode) ? folder : NULL;
}

static bool is_on_path(const char *path, const char *folder)
{
    size_t length;
    for (; path && *path; path += length + (path[length] == ':')) {
        length = strcspn(path, ":");
        if (length == strlen(folder) && strncmp(path, folder, length) == 0)
            return true;
    }
    return false;
}

void programs_offer_servers(struct arena *arena)
{
    const char *folder = programs_servers_folder(arena), *path = getenv("PATH");
    if (!folder || is_on_path(path, folder))
        return;
    const char *both = path && *path ? arena_printf(arena, "%s:%s", path, folder) : folder;
    FH_ASSERT(setenv("PATH", both, 1) == 0);
}

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static size_t program_candidates(struct system_file *file, const char *program, const char *extra,
                                 const char *ret[static CANDIDATES_MAX])
{
    struct arena *arena = &file->arena;
    size_t count = 0;
    if (program[0] == '/') {
        ret[count++] = program;
    } else if (strchr(program, '/')) {
        ret[count++] = arena_printf(arena, "%s/%s", file->folder, program);
    } else {
        const char *own = programs_own_folder(arena);
        if (extra)
            ret[count++] = arena_printf(arena, "%s/%s", extra, program);
        ret[count++] = arena_printf(arena, "%s/%s", file->folder, program);
        ret[count++] = arena_printf(arena, "%s/examples/%s/%s", own, file->name, program);
        ret[count++] = arena_printf(arena, "%s/%s", own, program);
    }
    return count;
}

/* What is named by its file name alone is looked for in the same places: those services are one
 * finding. */
static void report_missing_together(struct system_file *file, const char *extra,
                                    const struct system_service *const *missing, size_t count,
                                    struct findings *findings)
{
    const char *own = programs_own_folder(&file->arena);
    struct text names;
    text_init(&names, 4096);
    for (size_t i = 0; i < count; i++)
        text_printf(&names, "%s%s",
                    i == 0           ? ""
                    : i + 1 == count ? " and "
                                     : ", ",
                    missing[i]->name);
    findings_error(findings, missing[0]->program_place,
                   "the programs of %s were not found; looked in %s%s%s, %s/examples/%s and %s: "
                   "build them, or say where they are with --programs DIR",
                   names.data, extra ? extra : "", extra ? ", " : "", file->folder, own, file->name,
                   own);
    text_release(&names);
}

static void report_missing(const struct system_service *service, const char *const *looked,
                           size_t count, struct findings *findings)
{
    struct text places;
    text_init(&places, 4096);
    for (size_t i = 0; i < count; i++)
        text_printf(&places, "%s%s", i == 0 ? "" : i + 1 == count ? " and " : ", ", looked[i]);
    struct stat status;
    if (count == 1 && stat(looked[0], &status) == 0)
        findings_error(findings, service->program_place,
                       "the program of %s, %s, is not an executable file", service->name,
                       looked[0]);
    else
        findings_error(findings, service->program_place,
                       "the program of %s was not found; looked for %s: build it, or say where "
                       "programs are with --programs DIR",
                       service->name, places.data ? places.data : "nothing");
    text_release(&places);
}

/* The first that is a program, absolute, from the file's arena; NULL: none. Links stay in it: once
 * `current` points to the next release, that is where an upgrade has to look. */
static const char *first_program(struct system_file *file, const char *const *looked, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_program(looked[i]))
            return system_absolute_path(&file->arena, looked[i]);
    }
    return NULL;
}

const char *programs_find_one(struct system_file *file, const char *program, const char *extra)
{
    const char *looked[CANDIDATES_MAX];
    const char *found =
        first_program(file, looked, program_candidates(file, program, extra, looked));
    for (size_t i = 0; !found && i < file->service_count; i++) {
        const char *slash = strrchr(file->services[i].program, '/');
        if (!slash)
            continue;
        const char *beside =
            arena_printf(&file->arena, "%.*s/%s", (int)(slash - file->services[i].program),
                         file->services[i].program, program);
        found = first_program(file, looked, program_candidates(file, beside, extra, looked));
    }
    return found;
}

void programs_find(struct system_file *file, const char *extra, struct findings *findings)
{
    const struct system_service *missing[SYSTEM_SERVICES_MAX];
    size_t missing_count = 0;
    for (size_t i = 0; i < file->service_count; i++) {
        struct system_service *service = &file->services[i];
        const char *looked[CANDIDATES_MAX];
        if (!service->program)
            continue; /* the file has a finding */
        size_t count = program_candidates(file, service->program, extra, looked);
        service->program_path = first_program(file, looked, count);
        if (!service->program_path && !strchr(service->program, '/'))
            missing[missing_count++] = service;
        else if (!service->program_path)
            report_missing(service, looked, count, findings);
    }
    if (missing_count == 1) {
        const char *looked[CANDIDATES_MAX];
        size_t count = program_candidates(file, missing[0]->program, extra, looked);
        report_missing(missing[0], looked, count, findings);
    } else if (missing_count) {
        report_missing_together(file, extra, missing, missing_count, findings);
    }
}
