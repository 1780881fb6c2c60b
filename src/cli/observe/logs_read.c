/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads many logs as one. Each file is read line by line, and of all waiting lines the one with the
 * smallest time is next: this needs memory for one line per file, whatever their size. `up` bounds
 * a log by copying it to log.1 and truncating it, so a file that has become shorter is read from
 * its start.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/observe/logs.h"
#include "system/provision/state.h"

static const char *const level_names[] = {"error", "warning", "info", "debug"};

int logs_level_of(const char *name)
{
    for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
        if (strcmp(level_names[i], name) == 0)
            return i;
    }
    return -1;
}

const char *logs_level_name(enum log_level level)
{
    return level_names[level];
}

bool logs_is_of(const struct logs_source *source, const char *name)
{
    size_t length = strlen(name);
    return strncmp(source->name, name, length) == 0 &&
           (source->name[length] == '\0' || source->name[length] == '/');
}

/* ---- Which files ---- */

static FILE *open_file(int folder_fd, const char *name)
{
    int fd = state_open_file(folder_fd, name, O_RDONLY);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (fd >= 0 && !file)
        close(fd);
    return file;
}

static void add_source(struct logs *logs, int folder_fd, const char *file, const char *name)
{
    char old[300];
    if (logs->count == LOGS_SOURCES_MAX)
        return;
    struct logs_source *source = &logs->sources[logs->count];
    *source = (struct logs_source){.line.level = LOG_LEVEL_INFO};
    snprintf(old, sizeof old, "%s.1", file);
    snprintf(source->name, sizeof source->name, "%s", name);
    source->file = open_file(folder_fd, file);
    source->old = open_file(folder_fd, old);
    if (source->file)
        logs->count++;
    else if (source->old)
        fclose(source->old);
}

/* The logs of a part's processes: "log", and "log-1" for the second. */
static void add_part_logs(struct logs *logs, int folder_fd, const char *part)
{
    struct dirent *entry;
    char name[LOGS_NAME_SIZE];
    DIR *folder = fdopendir(folder_fd);
    while (folder && (entry = readdir(folder))) {
        const char *file = entry->d_name;
        if (strcmp(file, "log") == 0) {
            add_source(logs, folder_fd, file, part);
        } else if (strncmp(file, "log-", 4) == 0 && !strchr(file, '.')) {
            snprintf(name, sizeof name, "%.40s/%.16s", part, file + 4);
            add_source(logs, folder_fd, file, name);
        }
    }
    if (folder)
        closedir(folder);
    else
        close(folder_fd);
}

static void add_parts(struct logs *logs, int folder_fd)
{
    struct dirent *entry;
    int own_fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = own_fd < 0 ? NULL : fdopendir(own_fd);
    while (folder && (entry = readdir(folder))) {
        int part_fd =
            entry->d_name[0] == '.'
                ? -1
                : openat(own_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (part_fd >= 0)
            add_part_logs(logs, part_fd, entry->d_name);
    }
    if (folder)
        closedir(folder);
}

void logs_open(struct logs *logs, int folder_fd)
{
    logs->count = 0;
    add_source(logs, folder_fd, "up.log", "up");
    add_parts(logs, folder_fd);
    int servers_fd = openat(folder_fd, ".servers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (servers_fd >= 0) {
        add_parts(logs, servers_fd);
        close(servers_fd);
    }
}

void logs_release(struct logs *logs)
{
    for (size_t i = 0; i < logs->count; i++) {
        struct logs_source *source = &logs->sources[i];
        if (source->old)
            fclose(source->old);
        fclose(source->file);
        free(source->buffer);
    }
    logs->count = 0;
}

/* ---- Lines ---- */

/* An incomplete line is left for later. */
static ssize_t read_whole_line(struct logs_source *source)
{
    struct stat status;
    FILE *file = source->old ? source->old : source->file;
    long start = ftell(file);
    if (!source->old && fstat(fileno(file), &status) == 0 && status.st_size < start) {
        start = 0;
        rewind(file);
        fflush(file); /* discard what was buffered: the file has been truncated */
    }
    clearerr(file);
    ssize_t length = getline(&source->buffer, &source->size, file);
    if (length > 0 && source->buffer[length - 1] == '\n') {
        source->buffer[--length] = '\0';
        text_make_plain(source->buffer, (size_t)length); /* it goes to a terminal */
        return length;
    }
    if (source->old) {
        fclose(source->old);
        source->old = NULL;
        return read_whole_line(source);
    }
    fseek(file, start, SEEK_SET);
    return -1;
}

/* "2026-11-20T15:12:13.464Z", or as servers write it: a space instead of T, no fraction, any
 * zone. */
static size_t take_time(const char *text, char out[static LOGS_TIME_SIZE])
{
    static const char form[] = "dddd-dd-dd dd:dd:dd";
    for (size_t i = 0; form[i]; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        bool fits = form[i] == 'd'   ? digit
                    : form[i] == ' ' ? text[i] == ' ' || text[i] == 'T'
                                     : text[i] == form[i];
        if (!fits)
            return 0;
    }
    size_t length = sizeof form - 1;
    if (text[length] == '.' && strspn(text + length + 1, "0123456789") >= 3)
        length += 4;
    snprintf(out, LOGS_TIME_SIZE, "%.*s%sZ", (int)length, text,
             length == sizeof form - 1 ? ".000" : "");
    out[10] = 'T';
    return length + (text[length] == 'Z');
}

/* Of "level name [id]"; "" where the version that wrote it knew no ids. */
static void read_id(const char *head, size_t length, char out[static LOGS_ID_SIZE])
{
    const char *bracket = memchr(head, '[', length);
    size_t before = bracket ? (size_t)(bracket + 1 - head) : length;
    bool there = before < length && head[length - 1] == ']';
    snprintf(out, LOGS_ID_SIZE, "%.*s", there ? (int)(length - 1 - before) : 0, head + before);
}

/* "TIME level name [id]: text". A line without one of our levels gets `info`, and keeps all its
 * text. */
static void understand_line(struct logs_source *source)
{
    struct logs_line *line = &source->line;
    size_t length = take_time(source->buffer, line->time);
    const char *head = source->buffer + length + strspn(source->buffer + length, " ");
    line->text = head;
    if (!length)
        return; /* it belongs to the line before */
    line->level = LOG_LEVEL_INFO;
    line->id[0] = '\0';
    for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
        size_t named = strlen(level_names[i]);
        const char *colon = strstr(head, ": ");
        if (strncmp(head, level_names[i], named) == 0 && head[named] == ' ' && colon) {
            line->level = (enum log_level)i;
            read_id(head, (size_t)(colon - head), line->id);
            line->text = colon + 2;
            return;
        }
    }
}

bool logs_next(struct logs *logs, const struct logs_source **ret_source, struct logs_line *ret)
{
    struct logs_source *first = NULL;
    for (size_t i = 0; i < logs->count; i++) {
        struct logs_source *source = &logs->sources[i];
        if (!source->waiting && read_whole_line(source) >= 0) {
            understand_line(source);
            source->waiting = true;
        }
        if (source->waiting && (!first || strcmp(source->line.time, first->line.time) < 0))
            first = source;
    }
    if (!first)
        return false;
    first->waiting = false;
    *ret_source = first;
    *ret = first->line;
    return true;
}
