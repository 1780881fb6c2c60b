/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A C stream in front of each of the two descriptors (fopencookie). Besides the control characters
 * of ASCII and of ISO 6429's second set, which some terminals obey as single bytes, those that turn
 * the direction of text are shown as escapes: they make a line read otherwise than it is.
 */

#define _GNU_SOURCE
#include "base/terminal.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"

/* ---- The filter ---- */

const char *const terminal_colours[TERMINAL_COLOURS] = {"\033[0m",  "\033[1m",  "\033[31m",
                                                        "\033[32m", "\033[33m", "\033[2m"};

enum piece { PIECE_WHOLE, PIECE_BAD, PIECE_CUT };

/* A colour of the command's own at `at`, which is an escape character. */
static enum piece read_colour(const char *at, size_t left, size_t *ret_length)
{
    enum piece piece = PIECE_BAD;
    for (size_t i = 0; i < TERMINAL_COLOURS; i++) {
        size_t length = strlen(terminal_colours[i]), common = left < length ? left : length;
        if (memcmp(at, terminal_colours[i], common) != 0)
            continue;
        *ret_length = length;
        if (common == length)
            return PIECE_WHOLE;
        piece = PIECE_CUT;
    }
    return piece;
}

/* RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
static enum piece read_utf8(const unsigned char *at, size_t left, size_t *ret_length,
                            uint32_t *ret_point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (length == 1) {
        *ret_length = 1;
        *ret_point = at[0];
        return PIECE_WHOLE;
    }
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return PIECE_BAD;
    uint32_t point = at[0] & (0xffU >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if (i == left)
            return PIECE_CUT;
        if ((at[i] & 0xc0) != 0x80)
            return PIECE_BAD;
        point = point << 6 | (at[i] & 0x3fU);
    }
    *ret_length = length;
    *ret_point = point;
    bool bad = point < least[length] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000);
    return bad ? PIECE_BAD : PIECE_WHOLE;
}

static bool point_is_shown(uint32_t point)
{
    bool control =
        (point < 0x20 && point != '\n' && point != '\t') || (point >= 0x7f && point < 0xa0);
    bool turns = point == 0x61c || point == 0x200e || point == 0x200f ||
                 (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
    return !control && !turns;
}

static void add_escape(struct text *ret, uint32_t point)
{
    text_printf(ret, point < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)point);
}

/* How many bytes of `at` were taken; 0: the rest is incomplete. */
static size_t filter_piece(const char *at, size_t left, struct text *ret)
{
    size_t length = 1;
    uint32_t point = (unsigned char)*at;
    enum piece piece = *at == '\033' ? read_colour(at, left, &length)
                                     : read_utf8((const unsigned char *)at, left, &length, &point);
    if (piece == PIECE_CUT)
        return 0;
    if (piece == PIECE_BAD) {
        add_escape(ret, (unsigned char)*at);
        return 1;
    }
    if (*at == '\033' || point_is_shown(point))
        text_append(ret, at, length);
    else
        add_escape(ret, point);
    return length;
}

void terminal_filter(struct terminal_filter *filter, const char *data, size_t length,
                     struct text *ret)
{
    size_t done = 0;
    while (filter->held_length && done < length) {
        FH_ASSERT(filter->held_length < TERMINAL_HELD_MAX);
        filter->held[filter->held_length++] = data[done++];
        size_t taken = filter_piece(filter->held, filter->held_length, ret);
        if (!taken)
            continue;
        /* What was held was the beginning of nothing: the bytes behind the first are read anew. */
        filter->held_length -= taken;
        memmove(filter->held, filter->held + taken, filter->held_length);
        while (filter->held_length &&
               (taken = filter_piece(filter->held, filter->held_length, ret)) > 0) {
            filter->held_length -= taken;
            memmove(filter->held, filter->held + taken, filter->held_length);
        }
    }
    while (done < length) {
        size_t taken = filter_piece(data + done, length - done, ret);
        if (!taken)
            break;
        done += taken;
    }
    size_t rest = length - done;
    if (rest)
        memcpy(filter->held, data + done, rest);
    if (rest)
        filter->held_length = rest;
}

/* ---- The streams ---- */

struct guarded {
    struct terminal_filter filter;
    int fd;
    FILE *stream;
};

static struct guarded guarded_out = {.fd = STDOUT_FILENO}, guarded_err = {.fd = STDERR_FILENO};

static ssize_t write_guarded(void *cookie, const char *data, size_t length)
{
    struct guarded *guarded = cookie;
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    terminal_filter(&guarded->filter, data, length, &text);
    bool written = !text.overflow && io_write(guarded->fd, text.data, text.length);
    int number = errno;
    text_release(&text);
    errno = number;
    return written ? (ssize_t)length : 0;
}

static FILE *guard_stream(struct guarded *guarded, int mode)
{
    FILE *stream = fopencookie(guarded, "w", (cookie_io_functions_t){.write = write_guarded});
    FH_ASSERT(stream != NULL && setvbuf(stream, NULL, mode, BUFSIZ) == 0);
    guarded->stream = stream;
    return stream;
}

void terminal_guard(void)
{
    fflush(stdout);
    stdout = guard_stream(&guarded_out, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF);
    stderr = guard_stream(&guarded_err, _IONBF);
}

int terminal_descriptor(FILE *stream)
{
    return stream == guarded_out.stream   ? guarded_out.fd
           : stream == guarded_err.stream ? guarded_err.fd
                                          : fileno(stream);
}

bool terminal_shows(FILE *stream)
{
    return isatty(terminal_descriptor(stream));
}

void terminal_control(FILE *stream, const char *sequence)
{
    fflush(stream);
    (void)!io_write(terminal_descriptor(stream), sequence, strlen(sequence));
}
