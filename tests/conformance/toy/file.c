/* SPDX-License-Identifier: Apache-2.0 */
/* A store's state as a file: the JSON that it is. All of it runs off the loop. */

#include "internal.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

#define FILE_SIZE_MAX ((size_t)1 << 30)

struct passage {
    struct world *world;
    const char *path;
    const json_t *write;
    json_t *read;
    struct store_watch *watch;
    enum fh_code code;
    struct fh_error error;
};

static bool is_stopped(struct passage *passage)
{
    if (!passage->watch || !passage->watch->stop)
        return false;
    passage->code =
        error_set(&passage->error, FH_UNAVAILABLE, "The copy to %s was stopped.", passage->path);
    return true;
}

static void read_file(struct passage *passage)
{
    struct text text;
    text_init(&text, FILE_SIZE_MAX);
    int number = passage->world->files->read(passage->world, passage->path, &text);
    if (number) {
        passage->code =
            error_set_errno(&passage->error, number == ENOENT ? FH_NOT_FOUND : FH_UNAVAILABLE,
                            number, "%s can't be read", passage->path);
    } else {
        /* Not json_parse: documents stand deeper here than where they came in. */
        passage->read = json_loadb(text.data ? text.data : "", text.length, JSON_ALLOW_NUL, NULL);
        if (!json_is_object(passage->read))
            passage->code = error_set(&passage->error, FH_UNSUPPORTED, "%s is not a toy's file.",
                                      passage->path);
    }
    text_release(&text);
}

static void run_read(void *owner)
{
    read_file(owner);
}

static int64_t count_rows(const json_t *state)
{
    int64_t rows = 0;
    const char *table;
    json_t *values;
    json_object_foreach ((json_t *)(uintptr_t)state, table, values) {
        if (strncmp(table, TOY_DOCUMENTS, sizeof TOY_DOCUMENTS - 1) == 0)
            rows += (int64_t)json_object_size(values);
    }
    return rows;
}

static void run_write(void *owner)
{
    struct passage *passage = owner;
    char *text = json_text(passage->write);
    size_t length = strlen(text);
    int64_t pages = (int64_t)(length / STORE_PAGE_SIZE + 1);
    if (passage->watch)
        passage->watch->total = pages;
    if (is_stopped(passage)) {
        json_text_free(text);
        return;
    }
    int number = passage->world->files->replace(passage->world, passage->path, text, length);
    json_text_free(text);
    if (number) {
        passage->code = error_set_errno(&passage->error, FH_UNAVAILABLE, number,
                                        "%s can't be written", passage->path);
        return;
    }
    if (is_stopped(passage))
        return;
    read_file(passage);
    if (passage->code == FH_OK && !json_equal(passage->write, passage->read))
        passage->code = error_set(&passage->error, FH_UNAVAILABLE,
                                  "%s does not read as it was written.", passage->path);
    if (passage->code == FH_OK && passage->watch) {
        passage->watch->rows = count_rows(passage->read);
        passage->watch->done = pages;
    }
}

static enum fh_code pass(struct passage *passage, void (*run)(void *owner), struct fh_error *error)
{
    world_blocking(passage->world, run, passage);
    if (passage->code != FH_OK && error)
        *error = passage->error;
    return passage->code;
}

enum fh_code toy_file_write(struct world *world, const char *path, const json_t *state,
                            struct store_watch *watch, struct fh_error *error)
{
    struct passage passage = {.world = world, .path = path, .write = state, .watch = watch};
    enum fh_code code = pass(&passage, run_write, error);
    json_decref(passage.read);
    return code;
}

enum fh_code toy_file_read(struct world *world, const char *path, json_t **ret,
                           struct fh_error *error)
{
    struct passage passage = {.world = world, .path = path};
    enum fh_code code = pass(&passage, run_read, error);
    if (code == FH_OK)
        *ret = passage.read;
    else
        json_decref(passage.read);
    return code;
}
