/* SPDX-License-Identifier: Apache-2.0 */
/* The server in memory of the unit tests, whose memory is a file: it outlives the processes that
 * ask it. "host" is its path. While there is a file PATH.away nothing is done. */

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../support/carried_server.h"
#include "carrier/driver.h"

static char away[256];

static void ask_whether_away(struct memory_server *server, bool done)
{
    (void)done;
    server->away = access(away, F_OK) == 0;
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
    snprintf(away, sizeof away, "%s.away", path);
    server->base.ops = &memory_ops; /* of this process */
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
                                                  .models = 1u << FH_SEARCH,
                                                  .check = check_file,
                                                  .open = open_file,
                                                  .silence = silence_file,
                                                  .close = close_file};

__attribute__((constructor)) static void register_file(void)
{
    carried_driver_register(&file_driver);
}
