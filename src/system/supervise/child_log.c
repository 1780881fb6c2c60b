/* SPDX-License-Identifier: Apache-2.0 */
/* What a supervised process writes to its standard error: a log of bounded size in its folder. */

#define _GNU_SOURCE
#include "system/supervise/child.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/provision/instance.h"
#include "system/provision/state.h"

#define TAIL_SIZE_MAX 4096

int64_t child_log_size(const struct child *child)
{
    struct stat status;
    return fstat(child->log_fd, &status) == 0 ? (int64_t)status.st_size : 0;
}

void child_log_bound(struct child *child)
{
    char name[INSTANCE_FILE_SIZE];
    int64_t size = child_log_size(child);
    if (size <= CHILD_LOG_SIZE_MAX)
        return;
    instance_file(name, child->log_name ? child->log_name : "log", child->instance, ".1");
    int old = state_open_file(child->part->folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC);
    off_t from = size - CHILD_LOG_SIZE_MAX;
    while (old >= 0 && sendfile(old, child->log_fd, &from, CHILD_LOG_SIZE_MAX) > 0)
        ;
    if (old >= 0)
        close(old);
    if (ftruncate(child->log_fd, 0) == 0)
        child->log_start = 0;
}

void child_last_lines(const struct child *child, int count, struct text *out)
{
    char tail[TAIL_SIZE_MAX];
    int64_t size = child_log_size(child), from = child->log_start;
    if (size - from > TAIL_SIZE_MAX)
        from = size - TAIL_SIZE_MAX;
    ssize_t length = size > from ? pread(child->log_fd, tail, (size_t)(size - from), from) : 0;
    while (length > 0 && tail[length - 1] == '\n')
        length--;
    ssize_t start = length > 0 ? length : 0;
    for (int lines = 0; start > 0; start--) {
        if (tail[start - 1] == '\n' && ++lines == count)
            break;
    }
    if (length > 0) {
        text_make_plain(tail + start, (size_t)(length - start)); /* it goes to a terminal */
        text_append(out, tail + start, (size_t)(length - start));
    }
}

void child_complain(const struct child *child, const char *text)
{
    char line[512];
    int length = snprintf(line, sizeof line, "freehold up: %s\n", text);
    if (length > (int)sizeof line - 1)
        length = (int)sizeof line - 1;
    if (write(child->log_fd, line, (size_t)length) < 0)
        return; /* a full disk; later messages say so too */
}
