/* SPDX-License-Identifier: Apache-2.0 */
/* JSON given by the user: on the command line, in a file, or on standard input. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "cli/data.h"

static int read_data(int fd, const char *name, struct text *text)
{
    if (!io_read_text(fd, text))
        return cli_fail(CLI_FAILED, "cannot read %s: %s", name, strerror(errno));
    if (text->overflow)
        return cli_fail(CLI_FAILED, "%s is larger than %zu MiB", name, CLI_DATA_SIZE_MAX >> 20);
    return CLI_DONE;
}

int data_read_file(const char *path, struct text *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return cli_fail(CLI_USAGE, "cannot read %s: %s", path, strerror(errno));
    int code = read_data(fd, path, text);
    close(fd);
    return code;
}

int data_read(const char *data, struct text *text, json_t **ret)
{
    struct fh_error error;
    int code = CLI_DONE;
    if (strcmp(data, "-") == 0)
        code = read_data(STDIN_FILENO, "standard input", text);
    else if (data[0] == '@')
        code = data_read_file(data + 1, text);
    else
        text_add(text, data);
    if (code != CLI_DONE)
        return code;
    if (json_parse(text->data ? text->data : "", text->length, ret, &error) != FH_OK)
        return cli_fail(CLI_USAGE, "--data: %s", error.message);
    return CLI_DONE;
}
