/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are replaced as a whole. What is beside them has the process's number in its name, so
 * two commands do not meet there; of one that was killed it stays, and nothing reads it. */

#define _GNU_SOURCE
#include "cli/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"
#include "cli/cli.h"

static char *beside_name(const char *path)
{
    char *name;
    FH_ASSERT(asprintf(&name, "%s.%d.new", path, (int)getpid()) >= 0);
    return name;
}

static int beside_failed(const char *path, int why)
{
    return cli_fail(CLI_FAILED, "%s cannot be written: %s", path, strerror(why));
}

int beside_write(const char *path, const struct text *text)
{
    char *beside = beside_name(path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    bool done = fd >= 0 && io_write(fd, text->data, text->length) && fsync(fd) == 0;
    int failed = done ? 0 : errno;
    if (fd >= 0 && close(fd) != 0 && !failed)
        failed = errno;
    if (failed && fd >= 0)
        unlink(beside);
    free(beside);
    return failed ? beside_failed(path, failed) : CLI_DONE;
}

int beside_take(const char *path)
{
    char *beside = beside_name(path);
    int failed = rename(beside, path) == 0 ? 0 : errno;
    free(beside);
    return failed ? beside_failed(path, failed) : CLI_DONE;
}

void beside_drop(const char *path)
{
    char *beside = beside_name(path);
    unlink(beside);
    free(beside);
}
