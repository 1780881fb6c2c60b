/* SPDX-License-Identifier: Apache-2.0 */
/* Walks through a JSON text that was found to be valid, and skips what the pointer does not name.
 */

#include "system/contract/place.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"

#define POINTER_MAX ((size_t)4096)

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

static const char *skip_string(const char *at)
{
    for (at++; *at && *at != '"'; at++)
        at += *at == '\\' && at[1];
    return at + (*at == '"');
}

static const char *skip_value(const char *at)
{
    int depth = 0;
    if (*at != '{' && *at != '[' && *at != '"')
        return at + strcspn(at, ",]} \t\r\n");
    do {
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        at = *at == '"' ? skip_string(at) : at + 1;
    } while (*at && depth > 0);
    return at;
}

static bool is_member_named(const char *at, const char *segment)
{
    json_t *name = NULL;
    bool same = json_parse(at, (size_t)(skip_string(at) - at), &name, ERROR_UNHEEDED) == FH_OK &&
                strcmp(json_string_value(name), segment) == 0;
    json_decref(name);
    return same;
}

/* Where the member or element is; NULL: there is none. The text is valid JSON. */
static const char *descend_into(const char *at, const char *segment)
{
    long index = *at == '[' ? strtol(segment, NULL, 10) : 0;
    bool named = *at == '{';
    if (!named && *at != '[')
        return NULL;
    for (at = skip_blanks(at + 1); *at && *at != '}' && *at != ']'; at = skip_blanks(at + 1)) {
        bool found = named ? is_member_named(at, segment) : index-- == 0;
        if (named)
            at = skip_blanks(skip_blanks(skip_string(at)) + 1);
        if (found)
            return at;
        at = skip_blanks(skip_value(at));
        if (*at != ',')
            return NULL;
    }
    return NULL;
}

static void take_segment(const char **pointer, char segment[static POINTER_MAX])
{
    size_t length = 0;
    for (++*pointer; **pointer && **pointer != '/' && length + 1 < POINTER_MAX; ++*pointer) {
        bool escaped = **pointer == '~' && (*pointer)[1];
        *pointer += escaped;
        segment[length++] = !escaped ? **pointer : **pointer == '1' ? '/' : '~';
    }
    segment[length] = '\0';
}

struct place place_in_json(const char *path, const char *text, const char *pointer)
{
    static char segment[POINTER_MAX];
    struct place place = {path, 1, 1};
    const char *at = skip_blanks(text), *below = at;
    while (below && *pointer == '/') {
        take_segment(&pointer, segment);
        below = descend_into(at, segment);
        at = below ? below : at;
    }
    for (const char *c = text; c < at; c++) {
        place.column = *c == '\n' ? 1 : place.column + ((*c & 0xc0) != 0x80);
        place.line += *c == '\n';
    }
    return place;
}
