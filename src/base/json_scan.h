/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H

/*
 * Walks through a JSON text and makes no values of it: for texts of a known form, of which little
 * is wanted at once. Each step checks what it passes, names given twice included. Whatever it does
 * not know to be right it refuses, and so rare forms as well: ask json_parse then. What it takes,
 * json_parse takes, too.
 *
 *     json_scan_begin(&scan, text, length);
 *     if (json_scan_open(&scan, '{', &object))
 *         while (json_scan_next(&scan, '}', &object) && json_scan_name(&scan, &object, &name))
 *             json_scan_value(&scan, &value);
 *     bool is_good = json_scan_end(&scan);
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_SCAN_NAMES_MAX 128 /* of the objects around one place */

struct json_piece {
    const char *at;
    size_t length;
};

struct json_scan {
    const char *at, *end;
    bool refused; /* then nothing that follows is true */
    int depth, name_count;
    size_t value_count; /* of json_scan_value, with those inside: what they would take as values */
    struct json_piece names[JSON_SCAN_NAMES_MAX]; /* of all objects that are open */
};

/* One that is open, on the stack of whoever walks through it. */
struct json_scan_in {
    int first_name; /* of its own in scan.names */
    uint64_t seen;  /* one bit for each name: without it there, a name is new */
    bool begun;
};

/* Behind the text there are JSON_SCAN_PADDING bytes that may be read; the first is NUL. */
#define JSON_SCAN_PADDING 8
void json_scan_begin(struct json_scan *scan, const char *text, size_t length);
/* `bracket`: of an array or an object. False: another value is there. */
bool json_scan_open(struct json_scan *scan, char bracket, struct json_scan_in *in);
/* Whether an element or a member follows. False: behind the end `bracket`, or refused. */
bool json_scan_next(struct json_scan *scan, char bracket, struct json_scan_in *in);
/* With the colon. *ret is without quotes, and has no escapes. */
bool json_scan_name(struct json_scan *scan, struct json_scan_in *in, struct json_piece *ret);
/* All of one value: *ret is its text, from its first byte to its last. */
bool json_scan_value(struct json_scan *scan, struct json_piece *ret);
/* The same of a string that has no escapes: *ret is without its quotes. */
bool json_scan_string(struct json_scan *scan, struct json_piece *ret);
/* Nothing but blanks is left, and nothing was refused. */
bool json_scan_end(struct json_scan *scan);

#endif
