/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Problem documents: every refusal and failure that leaves a service has this form. A detail may
 * quote text from a client or a library, cut anywhere, so bytes that are not UTF-8 are replaced;
 * otherwise no document could be made.
 */

#include "shape/problem.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

#define DETAIL_LENGTH_MAX ((size_t)4096)

static const struct {
    int status;
    const char *title;
} titles[] = {
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *problem_title(int status)
{
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        if (titles[i].status == status)
            return titles[i].title;
    }
    return "Error";
}

/* The length of the UTF-8 character at `at`; 0 if there is no valid one (RFC 3629). */
static size_t character_size(const unsigned char *at, size_t left)
{
    if (at[0] < 0x80)
        return 1;
    size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || size > left)
        return 0;
    /* The second byte reveals overlong forms, surrogates and characters beyond U+10FFFF. */
    unsigned char lowest = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char highest = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < lowest || at[1] > highest)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return size;
}

static json_t *clean_string(const char *text)
{
    size_t left = strlen(text);
    struct text clean;
    text_init(&clean, DETAIL_LENGTH_MAX);
    while (left > 0) {
        size_t size = character_size((const unsigned char *)text, left);
        if (size)
            text_append(&clean, text, size);
        else
            text_add(&clean, "\xef\xbf\xbd"); /* U+FFFD, the replacement character */
        text += size ? size : 1;
        left -= size ? size : 1;
    }
    json_t *string = json_stringn(clean.data ? clean.data : "", clean.length);
    text_release(&clean);
    return string;
}

json_t *problem_new(int status, const char *detail, json_t *errors)
{
    json_t *problem = json_object();
    int failed = json_object_set_new(problem, "type", json_string("about:blank"));
    failed |= json_object_set_new(problem, "title", json_string(problem_title(status)));
    failed |= json_object_set_new(problem, "status", json_integer(status));
    if (detail)
        failed |= json_object_set_new(problem, "detail", clean_string(detail));
    if (errors)
        failed |= json_object_set(problem, "errors", errors);
    FH_ASSERT(!failed);
    return problem;
}
