/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader looks for a library's name in the RPATH of the object that needs it and of those that
 * needed that one (unless it has a RUNPATH), in LD_LIBRARY_PATH, in its RUNPATH, and then in the
 * system's folders. Folders of LD_LIBRARY_PATH are found as a whole, since libraries of the
 * system's may be replaced by what is there.
 */

#define _GNU_SOURCE
#include "system/provision/libraries.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OBJECTS_MAX 256
#define SEARCHED_SIZE 8192
#define FIRST_LINE_SIZE 256
#define INTERPRETERS_MAX 4

struct object {
    char path[PATH_MAX];
    int parent; /* which one needs it; -1: the program */
    bool has_runpath;
    char searched[SEARCHED_SIZE]; /* its RUNPATH or RPATH */
};

struct library_finding {
    struct object *objects;
    int count;
    const char *environment_path; /* LD_LIBRARY_PATH, or "" */
    enum fh_code (*found)(void *context, const char *path);
    void *context;
};

static const char *loader_variable(char *const *environment, const char *name)
{
    size_t length = strlen(name);
    for (; environment && *environment; environment++) {
        if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
            return *environment + length + 1;
    }
    return "";
}

static enum fh_code add_object(struct library_finding *finding, const char *path, int parent)
{
    enum fh_code code = finding->found(finding->context, path);
    for (int i = 0; i < finding->count; i++) {
        if (strcmp(finding->objects[i].path, path) == 0)
            return code;
    }
    if (finding->count == OBJECTS_MAX)
        return code;
    struct object *object = &finding->objects[finding->count++];
    *object = (struct object){.parent = parent};
    snprintf(object->path, sizeof object->path, "%s", path);
    return code;
}

/* ---- Searching ---- */

/* Expands $ORIGIN; false: something else is to be expanded, or it is not absolute. */
static bool expand_folder(const char *folder, size_t length, const char *origin, char ret[PATH_MAX])
{
    static const char *const names[] = {"$ORIGIN", "${ORIGIN}"};
    int written = snprintf(ret, PATH_MAX, "%.*s", (int)length, folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t skipped = strlen(names[i]);
        if (length >= skipped && strncmp(folder, names[i], skipped) == 0)
            written = snprintf(ret, PATH_MAX, "%s%.*s", origin, (int)(length - skipped),
                               folder + skipped);
    }
    return written < PATH_MAX && ret[0] == '/' && !strchr(ret, '$');
}

/* Whether `name` is in one of the folders, "a:b:c". */
static bool search_folders(const char *folders, const char *object, const char *name,
                           char ret[PATH_MAX])
{
    char origin[PATH_MAX], folder[PATH_MAX];
    snprintf(origin, sizeof origin, "%s", object);
    char *slash = strrchr(origin, '/');
    if (slash)
        *slash = '\0';
    while (*folders) {
        size_t length = strcspn(folders, ":;");
        if (length && expand_folder(folders, length, origin, folder) &&
            snprintf(ret, PATH_MAX, "%s/%s", folder, name) < PATH_MAX && access(ret, F_OK) == 0)
            return true;
        folders += length + (folders[length] != '\0');
    }
    return false;
}

static bool find_library(const struct library_finding *finding, int object, const char *name,
                         char ret[PATH_MAX])
{
    const struct object *needing = &finding->objects[object];
    if (strchr(name, '/'))
        return snprintf(ret, PATH_MAX, "%s", name) < PATH_MAX && name[0] == '/';
    for (int i = object; i >= 0 && !needing->has_runpath; i = finding->objects[i].parent) {
        const struct object *one = &finding->objects[i];
        if (!one->has_runpath && search_folders(one->searched, one->path, name, ret))
            return true;
    }
    if (search_folders(finding->environment_path, needing->path, name, ret))
        return true;
    return needing->has_runpath && search_folders(needing->searched, needing->path, name, ret);
}

/* ---- Reading an object ---- */

static Elf_Data *dynamic_section(Elf *elf, GElf_Shdr *ret)
{
    for (Elf_Scn *section = elf_nextscn(elf, NULL); section; section = elf_nextscn(elf, section)) {
        if (gelf_getshdr(section, ret) && ret->sh_type == SHT_DYNAMIC && ret->sh_entsize)
            return elf_getdata(section, NULL);
    }
    return NULL;
}

static enum fh_code find_interpreter(const struct library_finding *finding, Elf *elf, int fd)
{
    size_t count;
    GElf_Phdr header;
    char path[PATH_MAX];
    if (elf_getphdrnum(elf, &count) != 0)
        return FH_OK;
    for (size_t i = 0; i < count; i++) {
        if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_INTERP ||
            header.p_filesz < 2 || header.p_filesz > sizeof path || header.p_offset > INT64_MAX)
            continue;
        size_t length = (size_t)header.p_filesz;
        if (pread(fd, path, length, (off_t)header.p_offset) == (ssize_t)length &&
            path[length - 1] == '\0' && path[0] == '/')
            return finding->found(finding->context, path);
    }
    return FH_OK;
}

/* First its search path, then what it needs. */
static enum fh_code read_dynamic(struct library_finding *finding, int object, Elf *elf)
{
    GElf_Shdr header;
    GElf_Dyn entry;
    char path[PATH_MAX];
    Elf_Data *data = dynamic_section(elf, &header);
    int count = data ? (int)(data->d_size / header.sh_entsize) : 0;
    for (int i = 0; i < count && gelf_getdyn(data, i, &entry); i++) {
        if (entry.d_tag != DT_RUNPATH && entry.d_tag != DT_RPATH)
            continue;
        const char *text = elf_strptr(elf, header.sh_link, entry.d_un.d_val);
        struct object *own = &finding->objects[object];
        if (text && !own->has_runpath)
            snprintf(own->searched, sizeof own->searched, "%s", text);
        own->has_runpath = own->has_runpath || (text && entry.d_tag == DT_RUNPATH);
    }
    enum fh_code code = FH_OK;
    for (int i = 0; i < count && code == FH_OK && gelf_getdyn(data, i, &entry); i++) {
        const char *name =
            entry.d_tag == DT_NEEDED ? elf_strptr(elf, header.sh_link, entry.d_un.d_val) : NULL;
        if (name && find_library(finding, object, name, path))
            code = add_object(finding, path, object);
    }
    return code;
}

static enum fh_code read_library(struct library_finding *finding, int object, int fd)
{
    /* Not mapped: a file that is cut off meanwhile would end this process (SIGBUS). */
    Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
    enum fh_code code = FH_OK;
    if (elf && elf_kind(elf) == ELF_K_ELF) {
        code = find_interpreter(finding, elf, fd);
        if (code == FH_OK)
            code = read_dynamic(finding, object, elf);
    }
    elf_end(elf);
    return code;
}

/* ---- Scripts ---- */

/* "#!/usr/bin/env sh" names /usr/bin/env: execve(2). */
static bool script_interpreter(int fd, char ret[FIRST_LINE_SIZE])
{
    char line[FIRST_LINE_SIZE] = "";
    if (pread(fd, line, sizeof line - 1, 0) < 3 || strncmp(line, "#!", 2) != 0)
        return false;
    const char *start = line + 2 + strspn(line + 2, " \t");
    snprintf(ret, FIRST_LINE_SIZE, "%.*s", (int)strcspn(start, " \t\r\n"), start);
    return ret[0] == '/';
}

static enum fh_code follow_scripts(struct library_finding *finding, const char *program, int *fd,
                                   char ret_program[PATH_MAX])
{
    char interpreter[FIRST_LINE_SIZE];
    enum fh_code code = FH_OK;
    snprintf(ret_program, PATH_MAX, "%s", program);
    for (int i = 0;
         i < INTERPRETERS_MAX && *fd >= 0 && code == FH_OK && script_interpreter(*fd, interpreter);
         i++) {
        snprintf(ret_program, PATH_MAX, "%s", interpreter);
        close(*fd);
        *fd = open(interpreter, O_RDONLY | O_CLOEXEC);
        code = finding->found(finding->context, interpreter);
    }
    return code;
}

/* ---- All of it ---- */

/* Where the loader takes the program to be: without links. */
static void find_origin(const char *program, int fd, char ret[PATH_MAX])
{
    char name[32];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = fd >= 0 ? readlink(name, ret, PATH_MAX - 1) : -1;
    if (length > 0)
        ret[length] = '\0';
    else
        snprintf(ret, PATH_MAX, "%s", program);
}

static enum fh_code find_of_environment(struct library_finding *finding, char *const *environment)
{
    char one[PATH_MAX];
    enum fh_code code = FH_OK;
    const char *lists[] = {finding->environment_path, loader_variable(environment, "LD_PRELOAD")};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        for (const char *at = lists[i]; *at && code == FH_OK;) {
            size_t length = strcspn(at, i == 0 ? ":;" : ": ");
            if (length && length < sizeof one && *at == '/') {
                snprintf(one, sizeof one, "%.*s", (int)length, at);
                code =
                    i == 0 ? finding->found(finding->context, one) : add_object(finding, one, -1);
            }
            at += length + (at[length] != '\0');
        }
    }
    return code;
}

enum fh_code libraries_find(const char *program, int program_fd, char *const *environment,
                            enum fh_code (*found)(void *context, const char *path), void *context)
{
    struct library_finding finding = {.environment_path =
                                          loader_variable(environment, "LD_LIBRARY_PATH"),
                                      .found = found,
                                      .context = context,
                                      .objects = calloc(OBJECTS_MAX, sizeof *finding.objects)};
    FH_ASSERT(finding.objects != NULL && elf_version(EV_CURRENT) != EV_NONE);
    char last[PATH_MAX], origin[PATH_MAX];
    int fd = program_fd < 0 ? open(program, O_RDONLY | O_CLOEXEC)
                            : fcntl(program_fd, F_DUPFD_CLOEXEC, 0);
    enum fh_code code = follow_scripts(&finding, program, &fd, last);
    if (code == FH_OK) {
        find_origin(last, fd, origin);
        /* The program itself has been found by the caller. */
        finding.objects[finding.count++] = (struct object){.parent = -1};
        snprintf(finding.objects[0].path, PATH_MAX, "%s", origin);
        code = find_of_environment(&finding, environment);
    }
    if (fd >= 0 && code == FH_OK)
        code = read_library(&finding, 0, fd);
    if (fd >= 0)
        close(fd);
    for (int i = 1; i < finding.count && code == FH_OK; i++) {
        fd = open(finding.objects[i].path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
            continue;
        code = read_library(&finding, i, fd);
        close(fd);
    }
    free(finding.objects);
    return code;
}
