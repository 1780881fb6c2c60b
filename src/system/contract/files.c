/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions in files: one, or a folder of them. */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"
#include "system/contract/document.h"

#define SUFFIX ".json"

/* False: why is in `error`. A pipe or a device would be waited for without end. */
static bool read_bounded(const char *path, struct text *text, struct fh_error *error)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    bool opened = fd >= 0 && fstat(fd, &status) == 0;
    bool done = opened && S_ISREG(status.st_mode) && io_read_text(fd, text);
    if (opened && !S_ISREG(status.st_mode))
        error_set(error, FH_INVALID, "it is no file");
    else if (!done)
        error_set_errno(error, FH_UNAVAILABLE, errno, "it cannot be read");
    else if (text->overflow)
        error_set(error, FH_INVALID, "it has more than %zu MiB", CONTRACT_SIZE_MAX >> 20);
    if (fd >= 0)
        close(fd);
    return done && !text->overflow;
}

/* Takes `path`, malloc'ed. */
static void read_description(char *path, struct contract_files *ret, struct findings *findings)
{
    struct text text;
    struct fh_error error;
    struct contract_file *file = &ret->files[ret->count++];
    *file = (struct contract_file){.path = path};
    text_init(&text, CONTRACT_SIZE_MAX);
    text_add(&text, "");
    if (read_bounded(path, &text, &error))
        file->services = contract_parse(path, text.data, text.length, findings);
    else
        findings_error(findings, (struct place){path, 0, 0}, "%s", error.message);
    text_release(&text);
}

static int is_description_file(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name), suffix = sizeof SUFFIX - 1;
    return entry->d_name[0] != '.' && length > suffix &&
           strcmp(entry->d_name + length - suffix, SUFFIX) == 0;
}

/* It is shown to people, and part of answers in JSON. */
static bool is_shown_name(const char *name)
{
    char *plain = strdup(name);
    FH_ASSERT(plain != NULL);
    text_make_plain(plain, strlen(plain));
    json_t *text = json_string(name);
    bool shown = text && strcmp(plain, name) == 0 && !strchr(name, '\n');
    json_decref(text);
    free(plain);
    return shown;
}

static void read_in_folder(const char *path, const char *name, struct contract_files *ret,
                           struct findings *findings)
{
    char *file;
    if (!is_shown_name(name)) {
        findings_error(findings, (struct place){path, 0, 0},
                       "the name of a file in this folder is no UTF-8 text, or has a control "
                       "character in it");
        return;
    }
    FH_ASSERT(asprintf(&file, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", name) >= 0);
    read_description(file, ret, findings);
}

static void read_folder(const char *path, struct contract_files *ret, struct findings *findings)
{
    struct dirent **entries;
    struct place place = {path, 0, 0};
    int count = scandir(path, &entries, is_description_file, versionsort);
    if (count < 0) {
        findings_error(findings, place, "the folder cannot be read: %s", strerror(errno));
        return;
    }
    if (count == 0)
        findings_error(findings, place, "the folder has no description in it, no file NAME" SUFFIX);
    if (count > CONTRACT_FILES_MAX)
        findings_error(findings, place, "the folder has more than %d descriptions in it",
                       CONTRACT_FILES_MAX);
    for (int i = 0; i < count; i++) {
        if (count <= CONTRACT_FILES_MAX)
            read_in_folder(path, entries[i]->d_name, ret, findings);
        free(entries[i]);
    }
    free(entries);
}

void contract_files_read(const char *path, struct contract_files *ret, struct findings *findings)
{
    struct stat status;
    ret->count = 0;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        read_folder(path, ret, findings);
        return;
    }
    char *own = strdup(path);
    FH_ASSERT(own != NULL);
    read_description(own, ret, findings);
}

static bool is_of_system(const struct system_file *file, const char *name)
{
    for (size_t i = 0; i < file->service_count; i++) {
        if (strcmp(file->services[i].name, name) == 0)
            return true;
    }
    return false;
}

json_t *contract_files_others(const struct contract_files *files, const struct system_file *file,
                              struct findings *findings)
{
    json_t *others = json_object(), *first_in = json_object(), *description;
    const char *name;
    for (size_t i = 0; i < files->count; i++) {
        const char *path = files->files[i].path;
        json_object_foreach (files->files[i].services, name, description) {
            const char *first = json_string_value(json_object_get(first_in, name));
            if (is_of_system(file, name))
                continue; /* it says itself what it is */
            if (first)
                findings_error(findings, (struct place){path, 0, 0},
                               "%s describes the service %s, too: leave one of the two here", first,
                               name);
            json_object_set_new(first_in, name, json_string(path));
            json_object_set(others, name, description);
        }
    }
    json_decref(first_in);
    return others;
}

void contract_files_release(struct contract_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->files[i].path);
        json_decref(files->files[i].services);
    }
    files->count = 0;
}
