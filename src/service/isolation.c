/* SPDX-License-Identifier: Apache-2.0 */
/* Tries, on both kinds of threads, and reports. */

#define _GNU_SOURCE
#include "service/isolation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "service/exchange.h"

#define OPEN 0

/* The result of opening: OPEN, or the errno. */
struct tried {
    const char *path;
    int read, write;
};

struct trying {
    struct tried *tried;
    size_t count;
};

static int try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        return errno;
    close(fd);
    return OPEN;
}

static int try_write_path(const char *path)
{
    int result = try_open(path, O_WRONLY);
    return result == EISDIR ? try_open(path, O_WRONLY | O_TMPFILE) : result;
}

static void try_all(void *argument)
{
    const struct trying *trying = argument;
    for (size_t i = 0; i < trying->count; i++) {
        struct tried *tried = &trying->tried[i];
        int read = try_open(tried->path, O_RDONLY), write = try_write_path(tried->path);
        /* What one thread can reach is open, whatever the others report. */
        tried->read = tried->read == OPEN ? OPEN : read;
        tried->write = tried->write == OPEN ? OPEN : write;
    }
}

static json_t *result_json(int result)
{
    const char *name = result == OPEN ? "open" : strerrorname_np(result);
    return json_string(name ? name : "EUNKNOWN");
}

static json_t *answer_json(const struct runtime *runtime, const struct trying *trying)
{
    json_t *list = json_array(), *answer = json_object();
    for (size_t i = 0; i < trying->count; i++) {
        const struct tried *tried = &trying->tried[i];
        json_t *item = json_object();
        json_object_set_new(item, "path", json_string(tried->path));
        json_object_set_new(item, "read", result_json(tried->read));
        json_object_set_new(item, "write", result_json(tried->write));
        json_array_append_new(list, item);
    }
    json_object_set_new(answer, "service", json_string(runtime->service->name));
    json_object_set_new(answer, "pid", json_integer(getpid()));
    json_object_set_new(answer, "uid", json_integer(geteuid()));
    json_object_set_new(answer, "landlock",
                        json_pack("{s:i, s:b}", "abi", runtime->confinement.abi, "confined",
                                  runtime->confinement.confined));
    static const char *const calls[] = {[CALLS_UNFILTERED] = "unfiltered",
                                        [CALLS_UNNAMED] = "unnamed",
                                        [CALLS_FILTERED] = "filtered"};
    json_object_set_new(answer, "calls", json_string(calls[runtime->confinement.calls]));
    json_object_set_new(answer, "tried", list);
    return answer;
}

/* False: `paths` is not what it should be. */
static bool take_paths(const json_t *body, struct trying *trying)
{
    const json_t *paths = json_object_get(body, "paths");
    size_t count = json_array_size(paths);
    if (!json_is_array(paths) || count > VERIFY_PATHS_MAX)
        return false;
    trying->tried = calloc(count ? count : 1, sizeof *trying->tried);
    FH_ASSERT(trying->tried != NULL);
    for (trying->count = 0; trying->count < count; trying->count++) {
        const char *path = json_string_value(json_array_get(paths, trying->count));
        if (!path || path[0] != '/')
            return false;
        trying->tried[trying->count] = (struct tried){path, ENOENT, ENOENT};
    }
    return true;
}

void verify_answer(struct runtime *runtime, struct exchange *exchange)
{
    const struct http_incoming *incoming = exchange_request(exchange);
    struct fh_error error;
    struct trying trying = {0};
    json_t *body = NULL;
    struct arena *before = json_arena_set(NULL);
    if (json_parse(incoming->body ? incoming->body : "", incoming->body_length, &body, &error) !=
        FH_OK) {
        exchange_problem(exchange, PROBLEM_REQUEST_MALFORMED, error.message);
    } else if (!take_paths(body, &trying)) {
        exchange_problem(exchange, PROBLEM_OPERATION_INVALID,
                         "Expected {\"paths\": [...]}: absolute paths, 4,096 at the most.");
    } else {
        try_all(&trying);
        world_blocking(runtime->world, try_all, &trying);
        json_t *answer = answer_json(runtime, &trying);
        char *text = json_text(answer);
        exchange_answer(exchange, 200, NULL, text, strlen(text), NULL, 0);
        json_text_free(text);
        json_decref(answer);
    }
    free(trying.tried);
    json_decref(body);
    json_arena_set(before);
}
