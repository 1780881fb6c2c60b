/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text in C is split at its commas, outside of brackets and quotes. A word in capitals may be a
 * macro that stands for anything, several arguments too: with one (but NULL) nothing is counted.
 *
 * Members of fh_object are pairs of name and value. The format is jansson's (json_pack): s, n, b,
 * i, I, f, o, O and what may follow them, in { } and [ ]. Only what stands in the outermost object
 * is a name.
 */

#include "system/check/arguments.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

#define PIECES_MAX 256
#define LITERAL_LENGTH_MAX ((size_t)64 << 10)

struct piece {
    const char *at;
    size_t length;
};

/* ---- C ---- */

/* The length of the literal that begins at `at`, with its quotes. */
static size_t literal_length(const char *at, const char *end)
{
    const char *from = at++;
    while (at < end && *at != *from)
        at += *at == '\\' && at + 1 < end ? 2 : 1;
    return (size_t)((at < end ? at + 1 : end) - from);
}

static struct piece trim_piece(const char *at, const char *end)
{
    while (at < end && isspace((unsigned char)*at))
        at++;
    while (end > at && isspace((unsigned char)end[-1]))
        end--;
    return (struct piece){at, (size_t)(end - at)};
}

/* -1: there are too many. */
static int split_pieces(struct piece whole, struct piece pieces[static PIECES_MAX])
{
    const char *at = whole.at, *end = whole.at + whole.length, *begun = at;
    int count = 0, depth = 0;
    if (!trim_piece(at, end).length)
        return 0;
    for (; at < end; at++) {
        if (*at == '"' || *at == '\'') {
            at += literal_length(at, end) - 1;
        } else if (strchr("([{", *at)) {
            depth++;
        } else if (strchr(")]}", *at)) {
            depth--;
        } else if (*at == ',' && depth == 0) {
            if (count == PIECES_MAX - 1)
                return -1;
            pieces[count++] = trim_piece(begun, at);
            begun = at + 1;
        }
    }
    pieces[count++] = trim_piece(begun, end);
    return count;
}

static bool is_name_part(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* A word of capitals outside of literals, which may be a macro. */
static bool may_have_macro(struct piece piece)
{
    const char *at = piece.at, *end = piece.at + piece.length;
    while (at < end) {
        if (*at == '"' || *at == '\'') {
            at += literal_length(at, end);
            continue;
        }
        const char *word = at;
        bool capitals = false, small = false;
        for (; at < end && is_name_part(*at); at++) {
            capitals = capitals || isupper((unsigned char)*at);
            small = small || islower((unsigned char)*at);
        }
        if (capitals && !small && !(at - word == 4 && strncmp(word, "NULL", 4) == 0))
            return true;
        at += at == word;
    }
    return false;
}

/* "\"ab\" \"c\"" as abc. NULL: it is no literal of plain characters. malloc'ed. */
static char *literal_text(struct piece piece)
{
    struct text text;
    const char *at = piece.at, *end = piece.at + piece.length;
    bool plain = piece.length > 0;
    text_init(&text, LITERAL_LENGTH_MAX);
    while (plain && at < end) {
        size_t length = *at == '"' ? literal_length(at, end) : 0;
        plain = length >= 2 && at[length - 1] == '"' && !memchr(at, '\\', length);
        if (plain)
            text_append(&text, at + 1, length - 2);
        at += length;
        while (at < end && isspace((unsigned char)*at))
            at++;
    }
    if (plain && !text.overflow)
        return text_take(&text);
    text_release(&text);
    return NULL;
}

/* Between the brackets of "NAME(...)". */
static bool is_call(struct piece piece, const char *name, struct piece *ret)
{
    size_t length = strlen(name);
    if (piece.length < length + 2 || strncmp(piece.at, name, length) != 0)
        return false;
    struct piece rest = trim_piece(piece.at + length, piece.at + piece.length);
    if (rest.length < 2 || rest.at[0] != '(' || rest.at[rest.length - 1] != ')')
        return false;
    struct piece inner = trim_piece(rest.at + 1, rest.at + rest.length - 1);
    int depth = 0; /* "f(a) + g(b)" is no call of f */
    for (const char *at = inner.at, *end = at + inner.length; at < end; at++) {
        if (*at == '"' || *at == '\'')
            at += literal_length(at, end) - 1;
        else
            depth += (*at == '(') - (*at == ')');
        if (depth < 0)
            return false;
    }
    *ret = inner;
    return true;
}

/* ---- json_pack ---- */

struct packing {
    const char *format;
    const struct piece *pieces; /* those that follow the format */
    int count, used;
    int depth;
    bool object[ARGUMENTS_NAMES_MAX]; /* at each depth */
    bool key[ARGUMENTS_NAMES_MAX];    /* a key is next */
    bool understood;
    struct arguments *arguments;
};

static void add_packed_name(struct packing *packing)
{
    struct arguments *arguments = packing->arguments;
    char *name =
        packing->used < packing->count ? literal_text(packing->pieces[packing->used]) : NULL;
    if (!name || arguments->count == ARGUMENTS_NAMES_MAX) {
        free(name);
        arguments->known = false;
        return;
    }
    arguments->names[arguments->count++] = name;
}

/* One value, or a key, and what follows its letter. */
static void take_letter(struct packing *packing, char letter)
{
    bool is_key = packing->object[packing->depth] && packing->key[packing->depth];
    if (is_key && packing->depth == 1)
        add_packed_name(packing);
    packing->key[packing->depth] = packing->object[packing->depth] && !is_key;
    packing->used += letter != 'n';
    for (; *packing->format && strchr("#%+?*", *packing->format); packing->format++) {
        packing->used += *packing->format == '#' || *packing->format == '%';
        if (*packing->format == '+') { /* joined from several: neither counted nor known */
            packing->understood = false;
            packing->arguments->known = false;
        }
    }
}

static void take_bracket(struct packing *packing, char bracket)
{
    bool opens = bracket == '{' || bracket == '[';
    if (opens && packing->depth < ARGUMENTS_NAMES_MAX - 1) {
        packing->key[packing->depth] = packing->object[packing->depth];
        packing->depth++;
        packing->object[packing->depth] = packing->key[packing->depth] = bracket == '{';
        return;
    }
    if (opens || packing->depth == 0 || packing->object[packing->depth] != (bracket == '}')) {
        packing->understood = false;
        return;
    }
    packing->depth--;
}

static void set_fault(struct arguments *arguments, const char *format, const char *what)
{
    if (!arguments->fault[0])
        snprintf(arguments->fault, sizeof arguments->fault, "json_pack's format \"%.80s\" %s",
                 format, what);
}

static void read_format(struct packing *packing, const char *whole)
{
    struct arguments *arguments = packing->arguments;
    packing->format = whole;
    while (*packing->format && packing->understood) {
        char letter = *packing->format++;
        if (strchr("{}[]", letter))
            take_bracket(packing, letter);
        else if (strchr("snbiIfoO", letter))
            take_letter(packing, letter);
        else if (!strchr(" \t\r\n:,", letter))
            packing->understood = false;
    }
    bool is_object = whole[strspn(whole, " \t\r\n")] == '{';
    if (packing->understood && packing->depth > 0)
        set_fault(arguments, whole, "has a bracket that nothing closes");
    else if (!packing->understood || !is_object)
        arguments->known = false;
    else if (packing->used != packing->count)
        set_fault(arguments, whole,
                  packing->used > packing->count ? "has more values than the call gives"
                                                 : "has fewer values than the call gives");
}

static void read_pack(struct piece inner, struct arguments *arguments)
{
    struct piece pieces[PIECES_MAX];
    int count = split_pieces(inner, pieces);
    char *format = count > 0 && !may_have_macro(inner) ? literal_text(pieces[0]) : NULL;
    if (!format) {
        arguments->known = false;
        return;
    }
    struct packing packing = {
        .pieces = pieces + 1, .count = count - 1, .understood = true, .arguments = arguments};
    read_format(&packing, format);
    free(format);
}

/* ---- fh_object ---- */

/* "w, \"id\", 7, \"name\", text" */
static void read_object_names(struct piece inner, struct arguments *arguments)
{
    struct piece pieces[PIECES_MAX];
    int count = split_pieces(inner, pieces);
    if (count < 1 || count % 2 == 0 || may_have_macro(inner))
        arguments->known = false;
    for (int i = 1; i < count && arguments->known; i += 2) {
        char *name = literal_text(pieces[i]);
        arguments->known = name && arguments->count < ARGUMENTS_NAMES_MAX;
        if (arguments->known)
            arguments->names[arguments->count++] = name;
        else
            free(name);
    }
}

/* ---- A call ---- */

void arguments_read(const char *written, struct arguments *ret)
{
    struct piece pieces[PIECES_MAX], inner;
    *ret = (struct arguments){.known = true};
    int count = split_pieces((struct piece){written, strlen(written)}, pieces);
    if (count < 2 || may_have_macro((struct piece){written, strlen(written)}))
        ret->known = false;
    for (int i = 2; i < count; i++) { /* after w and the SQL */
        if (is_call(pieces[i], "json_pack", &inner))
            read_pack(inner, ret);
        else if (is_call(pieces[i], "fh_object", &inner))
            read_object_names(inner, ret);
        else if (pieces[i].length != 4 || strncmp(pieces[i].at, "NULL", 4) != 0)
            ret->known = false;
    }
}

bool arguments_have(const struct arguments *arguments, const char *name)
{
    for (size_t i = 0; i < arguments->count; i++) {
        if (strcmp(arguments->names[i], name) == 0)
            return true;
    }
    return false;
}

void arguments_release(struct arguments *arguments)
{
    for (size_t i = 0; i < arguments->count; i++)
        free(arguments->names[i]);
    arguments->count = 0;
}
