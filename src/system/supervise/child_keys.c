/* SPDX-License-Identifier: Apache-2.0 */
/* What a supervised process is told of its keys, and what it says of them, through its control
 * channel. */

#define _GNU_SOURCE
#include "system/supervise/child.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"

void child_take_keys(struct child *child)
{
    char *end;
    if (strncmp(child->line, "keys ", strlen("keys ")) != 0)
        return;
    int64_t known = strtoll(child->line + strlen("keys "), &end, 10);
    int64_t settled = strtoll(end, NULL, 10);
    if (known <= 0 || settled < 0 || settled > known)
        return;
    child->keys_known = known;
    child->keys_settled = settled;
    if (child->keyed)
        child->keyed(child);
}

struct told {
    uv_write_t write;
    size_t length;
    char *text;
};

static void told_free(struct told *told)
{
    explicit_bzero(told->text, told->length);
    json_text_free(told->text);
    free(told);
}

static void child_was_told(uv_write_t *write, int status)
{
    (void)status; /* whoever does not get it does not confirm it */
    told_free((struct told *)write);
}

void child_tell(struct child *child, json_t *line)
{
    static char newline[] = "\n";
    struct told *told = calloc(1, sizeof *told);
    FH_ASSERT(told != NULL);
    told->text = json_text(line);
    told->length = strlen(told->text);
    json_decref(line);
    uv_buf_t buffers[2] = {uv_buf_init(told->text, (unsigned)told->length),
                           uv_buf_init(newline, 1)};
    uv_stream_t *stream = (uv_stream_t *)&child->control;
    if (!child->pid || uv_is_closing((uv_handle_t *)stream) ||
        uv_write(&told->write, stream, buffers, 2, child_was_told) != 0)
        told_free(told);
}
