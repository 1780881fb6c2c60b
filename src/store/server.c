/* SPDX-License-Identifier: Apache-2.0 */
/* What the private servers of all engines share. */

#define _GNU_SOURCE
#include "store/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"

void server_argument(struct server_command *command, const char *format, ...)
{
    char text[4096 + 256];
    va_list args;
    FH_ASSERT(command->count < SERVER_ARGUMENTS_MAX);
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    command->arguments[command->count++] = arena_text(command->arena, text);
    command->arguments[command->count] = NULL;
}

void server_argument_settings(struct server_command *command, const struct server_own *own,
                              const char *flag, const char *prefix)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)own->settings, key, value) {
        if (flag)
            server_argument(command, "%s", flag);
        if (json_is_integer(value))
            server_argument(command, "%s%s=%lld", prefix, key,
                            (long long)json_integer_value(value));
        else
            server_argument(command, "%s%s=%s", prefix, key, json_string_value(value));
    }
}

const char *server_settings_fault(struct arena *arena, int exit_code, const char *written,
                                  const char *mark)
{
    const char *at = strstr(written, mark);
    if (at)
        return arena_copy(arena, at + strlen(mark), strcspn(at + strlen(mark), "\r\n"));
    if (exit_code == 0)
        return NULL;
    size_t end = strlen(written);
    while (end && strchr("\r\n", written[end - 1]))
        end--;
    size_t begin = end;
    while (begin && written[begin - 1] != '\n')
        begin--;
    return end ? arena_copy(arena, written + begin, end - begin)
               : arena_printf(arena, "it ends with exit code %d", exit_code);
}

enum fh_code server_make_folder(const struct server_own *own, struct server_command *command,
                                struct fh_error *error)
{
    (void)error;
    server_argument(command, "/bin/mkdir");
    server_argument(command, "%s", own->data);
    return FH_OK;
}

enum fh_code server_file(const char *folder, const char *name, const char *text,
                         struct fh_error *error)
{
    char path[4352], fresh[4352 + 8];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool written = fd >= 0 && io_write(fd, text, strlen(text)) && fsync(fd) == 0;
    int number = errno;
    if (fd >= 0)
        close(fd);
    if (written && rename(fresh, path) == 0)
        return FH_OK;
    number = written ? errno : number;
    unlink(fresh);
    return error_set_errno(error, FH_UNAVAILABLE, number, "Cannot write %s", path);
}

enum fh_code server_secret(const struct server_own *own, const char *text, struct fh_error *error)
{
    return server_file(own->folder, SERVER_SECRET, text, error);
}

enum fh_code server_entered(const json_t *store, enum fh_code code, struct fh_error *error)
{
    if (code != FH_CONFLICT)
        return code;
    return error_set(error, FH_CONFLICT,
                     "The server has a user %s already, who is not let in with the password that "
                     "this system made: another system's, or his password was changed.",
                     server_text(store, "user"));
}

enum fh_code server_anothers(const char *server, const char *database, struct fh_error *error)
{
    return error_set(error, FH_CONFLICT,
                     "%s has a database %s already, without a user of that name: it is somebody "
                     "else's.",
                     server, database);
}

enum fh_code server_provide(const struct server_kind *kind, const json_t *admin,
                            const json_t *store, bool is_private, struct fh_error *error)
{
    enum fh_code code = kind->provide(admin, store, is_private, error);
    return code == FH_OK ? server_entered(store, kind->enter(store, error), error) : code;
}

enum fh_code server_room(const struct server_kind *kind, const json_t *as, struct server_room *ret,
                         struct fh_error *error)
{
    enum fh_code code = kind->room(as, ret, error);
    if (code == FH_OK && (ret->connections < 0 || ret->connections_max < 0))
        code = error_set(error, FH_UNSUPPORTED, "it does not tell them");
    return code;
}

enum fh_code server_try(const struct server_kind *kind, const json_t *store, struct fh_error *error)
{
    struct fh_error why;
    enum fh_code code = kind->enter(store, &why);
    if (code == FH_OK)
        return FH_OK;
    char place[SERVER_PLACE_SIZE];
    return error_set(error, code, "The server at %s %s: %s", server_place(store, kind->port, place),
                     code == FH_UNAVAILABLE ? "can't be reached" : "does not let it in",
                     why.message);
}

const char *server_place(const json_t *store, int usual_port, char ret[static SERVER_PLACE_SIZE])
{
    const char *host = server_text(store, "host");
    if (*host == '/')
        snprintf(ret, SERVER_PLACE_SIZE, "%s", host);
    else
        snprintf(ret, SERVER_PLACE_SIZE, "%.60s:%d", host, server_port(store, usual_port));
    return ret;
}

const char *server_text(const json_t *store, const char *key)
{
    const char *text = json_string_value(json_object_get(store, key));
    return text ? text : "";
}

int server_port(const json_t *store, int usual)
{
    json_int_t port;
    return json_integer_at(store, "port", &port) && port > 0 && port < 65536 ? (int)port : usual;
}
