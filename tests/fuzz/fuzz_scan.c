/* SPDX-License-Identifier: Apache-2.0 */
/* Walking through JSON without making values of it: what passes is JSON, for json_parse too, and of
 * an object at the top each member's text is that of its value. */

#include "base/json_scan.h"
#include "fuzz.h"

static void check_members(const char *text, size_t size, const json_t *value)
{
    struct json_scan scan;
    struct json_scan_in in;
    struct json_piece name, piece;
    size_t count = 0;
    json_scan_begin(&scan, text, size);
    FH_ASSERT(json_scan_open(&scan, '{', &in));
    while (json_scan_next(&scan, '}', &in)) {
        FH_ASSERT(json_scan_name(&scan, &in, &name) && json_scan_value(&scan, &piece));
        json_t *member = json_parse_again(piece.at, piece.length);
        FH_ASSERT(member && json_equal(member, json_object_getn(value, name.at, name.length)));
        json_decref(member);
        count++;
    }
    FH_ASSERT(json_scan_end(&scan) && count == json_object_size(value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    struct json_scan scan;
    struct json_piece piece;
    char *text = calloc(1, size + JSON_SCAN_PADDING);
    FH_ASSERT(text != NULL);
    if (size)
        memcpy(text, data, size);
    json_scan_begin(&scan, text, size);
    if (json_scan_value(&scan, &piece) && json_scan_end(&scan)) {
        json_t *value = NULL;
        FH_ASSERT(json_parse(text, size, &value, ERROR_UNHEEDED) == FH_OK);
        FH_ASSERT(piece.at >= text && piece.at + piece.length <= text + size);
        json_t *again = json_parse_again(piece.at, piece.length);
        FH_ASSERT(again && json_equal(value, again));
        if (json_is_object(value))
            check_members(text, size, value);
        json_decref(value);
        json_decref(again);
    }
    free(text);
    return 0;
}
