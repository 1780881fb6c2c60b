/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that knows how positions of publishers are written: as_of.h has the grammar. What
 * is read here may come from anybody. */

#include "base/as_of.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define POSITION_DIGITS_MAX 19

static bool is_of_place_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

static bool is_of_incarnation(char c)
{
    return isalnum((unsigned char)c) || c == '-';
}

/* Copies what fits, up to another character. False: nothing does, or it is too long. */
static bool take_place_word(const char **at, bool (*fits)(char c), char *ret, size_t size)
{
    size_t length = 0;
    while (fits((*at)[length]))
        length++;
    if (length == 0 || length >= size)
        return false;
    memcpy(ret, *at, length);
    ret[length] = '\0';
    *at += length;
    return true;
}

static bool take_place_position(const char **at, int64_t *ret)
{
    size_t length = strspn(*at, "0123456789");
    if (length == 0 || length > POSITION_DIGITS_MAX)
        return false;
    errno = 0;
    *ret = strtoll(*at, NULL, 10);
    *at += length;
    return errno == 0;
}

static bool take_place_character(const char **at, char c)
{
    bool is = **at == c;
    *at += is;
    return is;
}

static bool take_whole_place(const char **at, struct as_of_place *ret)
{
    return take_place_word(at, is_of_place_name, ret->name, sizeof ret->name) &&
           take_place_character(at, '@') &&
           take_place_word(at, is_of_incarnation, ret->incarnation, sizeof ret->incarnation) &&
           take_place_character(at, ',') && take_place_position(at, &ret->position);
}

static void skip_place_blanks(const char **at)
{
    *at += strspn(*at, " \t");
}

enum fh_code as_of_parse(const char *text, struct as_of *ret, struct fh_error *error)
{
    struct as_of_place place;
    const char *at = text;
    ret->count = 0;
    do {
        skip_place_blanks(&at);
        if (!take_whole_place(&at, &place))
            break;
        skip_place_blanks(&at);
        if (!as_of_add(ret, place.name, place.incarnation, place.position))
            return error_set(error, FH_INVALID, "It names more than %d places.", AS_OF_PLACES_MAX);
        if (!*at)
            return FH_OK;
    } while (take_place_character(&at, ';'));
    return error_set(error, FH_INVALID,
                     "It is not a list of event positions: expected NAME@INCARNATION,POSITION, "
                     "several with \";\" between them; at byte %zu is something else.",
                     (size_t)(at - text) + 1);
}

bool as_of_parse_at(const char *text, char ret_incarnation[static ID_SIZE], int64_t *ret_position)
{
    char incarnation[ID_SIZE];
    int64_t position = 0;
    const char *at = text;
    if (!take_place_word(&at, is_of_incarnation, incarnation, sizeof incarnation) ||
        at - text != ID_SIZE - 1)
        return false;
    if (take_place_character(&at, ',')) {
        skip_place_blanks(&at);
        if (!take_place_position(&at, &position))
            return false;
    }
    if (*at)
        return false;
    memcpy(ret_incarnation, incarnation, ID_SIZE);
    *ret_position = position;
    return true;
}

bool as_of_add(struct as_of *as_of, const char *name, const char *incarnation, int64_t position)
{
    if (strlen(name) >= AS_OF_NAME_SIZE || strlen(incarnation) >= ID_SIZE || position < 0)
        return false;
    for (int i = 0; i < as_of->count; i++) {
        struct as_of_place *place = &as_of->places[i];
        if (strcmp(place->name, name) != 0 || strcmp(place->incarnation, incarnation) != 0)
            continue;
        if (place->position < position)
            place->position = position;
        return true;
    }
    if (as_of->count == AS_OF_PLACES_MAX)
        return false;
    struct as_of_place *place = &as_of->places[as_of->count++];
    memcpy(place->name, name, strlen(name) + 1);
    memcpy(place->incarnation, incarnation, strlen(incarnation) + 1);
    place->position = position;
    return true;
}

bool as_of_merge(struct as_of *as_of, const struct as_of *more)
{
    for (int i = 0; i < more->count; i++) {
        const struct as_of_place *place = &more->places[i];
        if (!as_of_add(as_of, place->name, place->incarnation, place->position))
            return false;
    }
    return true;
}

void as_of_write(const struct as_of *as_of, bool even, struct text *out)
{
    for (int i = 0; i < as_of->count; i++) {
        const struct as_of_place *place = &as_of->places[i];
        text_printf(out, "%s%s@%s,%0*" PRId64, i ? "; " : "", place->name, place->incarnation,
                    even ? POSITION_DIGITS_MAX : 1, place->position);
    }
}
