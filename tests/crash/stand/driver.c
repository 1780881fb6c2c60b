/* SPDX-License-Identifier: Apache-2.0 */
/* The server in memory of the unit tests, whose memory is a file: it outlives the processes that
 * ask it. "host" is its path; each derived store has one of its own. While there is a file
 * PATH.away nothing is done. */

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../support/carried_server.h"
#include "carrier/driver.h"

#define FILES_MAX 4

static struct {
    const struct memory_server *server;
    char away[256];
} files[FILES_MAX];

static struct carried_server_ops file_ops;

static void ask_whether_away(struct memory_server *server, bool done)
{
    (void)done;
    int at = 0;
    while (files[at].server != server)
        at++;
    server->away = access(files[at].away, F_OK) == 0;
}

static enum fh_code check_file(const json_t *options, struct fh_error *error)
{
    return json_string_at(options, "host") ? FH_OK
                                           : error_set(error, FH_INVALID, "It has no host.");
}

static enum fh_code open_file(struct world *world, const json_t *options, const char *owner,
                              struct carried_server **ret, struct fh_error *error)
{
    const char *path = json_string_at(options, "host");
    struct memory_server *server = MAP_FAILED;
    (void)world;
    (void)owner;
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0 && ftruncate(fd, sizeof *server) == 0)
        server = mmap(NULL, sizeof *server, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (server == MAP_FAILED)
        return error_set(error, FH_INVALID, "The server's file can't be used.");
    int at = 0;
    while (files[at].server)
        FH_ASSERT(++at < FILES_MAX);
    files[at].server = server;
    snprintf(files[at].away, sizeof files[at].away, "%s.away", path);
    file_ops = memory_ops;
    file_ops.look_links = 1;
    server->base.ops = &file_ops; /* of this process */
    server->running_s = 1 << 20;
    server->between = ask_whether_away;
    *ret = &server->base;
    return FH_OK;
}

static void silence_file(struct carried_server *server)
{
    (void)server;
}

static void close_file(struct carried_server *server)
{
    munmap(server, sizeof(struct memory_server));
}

static const struct carried_driver file_driver = {.name = "file",
                                                  .title = "The file",
                                                  .models = 1u << FH_SEARCH | 1u << FH_COLUMNS,
                                                  .keeps = 1u << FH_COLUMNS,
                                                  .check = check_file,
                                                  .open = open_file,
                                                  .silence = silence_file,
                                                  .close = close_file};

__attribute__((constructor)) static void register_file(void)
{
    carried_driver_register(&file_driver);
}
