/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forms of strings that fh_format_name names, each by its own standard and as strictly: RFC
 * 3339 for dates and times (with days that the calendar has, offsets, and leap seconds where there
 * can be one), RFC 9562 for UUIDs, RFC 5321 for mailboxes, RFC 3986 for URIs with a scheme. None
 * looks at a byte more than twice.
 */

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "shape/text.h"

/* What is left of a text. Each function below that takes one moves it past what it has read. */
struct rest {
    const char *at, *end;
};

static bool take_char(struct rest *rest, char wanted)
{
    if (rest->at == rest->end || *rest->at != wanted)
        return false;
    rest->at++;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hexadecimal(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_among(char c, const char *set)
{
    return c && strchr(set, c);
}

/* ---- Dates and times ---- */

static bool take_digits(struct rest *rest, int count, int least, int most, int *ret)
{
    *ret = 0;
    for (int i = 0; i < count; i++) {
        if (rest->at == rest->end || !is_digit(*rest->at))
            return false;
        *ret = *ret * 10 + (*rest->at++ - '0');
    }
    return *ret >= least && *ret <= most;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* The day of its month, and how many that has. */
static bool take_date(struct rest *rest, int *ret_day, int *ret_days)
{
    int year, month;
    if (!take_digits(rest, 4, 0, 9999, &year) || !take_char(rest, '-') ||
        !take_digits(rest, 2, 1, 12, &month) || !take_char(rest, '-'))
        return false;
    *ret_days = days_of_month(year, month);
    return take_digits(rest, 2, 1, *ret_days, ret_day);
}

static bool take_fraction(struct rest *rest)
{
    if (!take_char(rest, '.'))
        return true;
    const char *digits = rest->at;
    while (rest->at < rest->end && is_digit(*rest->at))
        rest->at++;
    return rest->at > digits;
}

/* Minutes east of UTC. */
static bool take_offset(struct rest *rest, int *ret)
{
    int hours, minutes;
    *ret = 0;
    if (take_char(rest, 'Z') || take_char(rest, 'z'))
        return true;
    int sign = take_char(rest, '+') ? 1 : take_char(rest, '-') ? -1 : 0;
    if (!sign || !take_digits(rest, 2, 0, 23, &hours) || !take_char(rest, ':') ||
        !take_digits(rest, 2, 0, 59, &minutes))
        return false;
    *ret = sign * (hours * 60 + minutes);
    return true;
}

/* Leap seconds are the last of a month of UTC. `minutes` are those of the day of UTC that began
 * with the date, so there may be less than none, or more than a day has. */
static bool may_leap(int minutes, int day, int days)
{
    int later = minutes < 0 ? -1 : minutes >= 1440; /* the day of UTC */
    bool last = later < 0 ? day == 1 : day + later == days;
    return last && (minutes + 1440) % 1440 == 23 * 60 + 59;
}

static bool take_clock_time(struct rest *rest, int day, int days)
{
    int hour, minute, second, offset;
    if (!take_digits(rest, 2, 0, 23, &hour) || !take_char(rest, ':') ||
        !take_digits(rest, 2, 0, 59, &minute) || !take_char(rest, ':') ||
        !take_digits(rest, 2, 0, 60, &second) || !take_fraction(rest) ||
        !take_offset(rest, &offset))
        return false;
    return second < 60 || may_leap(hour * 60 + minute - offset, day, days);
}

static bool is_date(struct rest rest)
{
    int day, days;
    return take_date(&rest, &day, &days) && rest.at == rest.end;
}

static bool is_date_time(struct rest rest)
{
    int day, days;
    return take_date(&rest, &day, &days) && (take_char(&rest, 'T') || take_char(&rest, 't')) &&
           take_clock_time(&rest, day, days) && rest.at == rest.end;
}

/* ---- UUIDs ---- */

static bool is_uuid(struct rest rest)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (rest.end - rest.at != sizeof form - 1)
        return false;
    for (size_t i = 0; i < sizeof form - 1; i++) {
        if (form[i] == 'x' ? !is_hexadecimal(rest.at[i]) : rest.at[i] != '-')
            return false;
    }
    return true;
}

/* ---- Mailboxes ---- */

#define ADDRESS_LENGTH_MAX 254 /* of a path of 256, with its brackets */
#define LOCAL_LENGTH_MAX 64
#define DOMAIN_LENGTH_MAX 255
#define LABEL_LENGTH_MAX 63

static bool is_atom_character(char c)
{
    return is_digit(c) || is_letter(c) || is_among(c, "!#$%&'*+-/=?^_`{|}~");
}

static bool take_dot_string(struct rest *rest)
{
    do {
        const char *atom = rest->at;
        while (rest->at < rest->end && is_atom_character(*rest->at))
            rest->at++;
        if (rest->at == atom)
            return false;
    } while (take_char(rest, '.'));
    return true;
}

static bool take_quoted_string(struct rest *rest)
{
    if (!take_char(rest, '"'))
        return false;
    while (rest->at < rest->end && *rest->at != '"') {
        if (*rest->at == '\\' && ++rest->at == rest->end)
            return false;
        if (*rest->at < ' ' || *rest->at > '~')
            return false;
        rest->at++;
    }
    return take_char(rest, '"');
}

static bool take_label(struct rest *rest)
{
    const char *label = rest->at;
    while (rest->at < rest->end &&
           (is_digit(*rest->at) || is_letter(*rest->at) || *rest->at == '-'))
        rest->at++;
    return rest->at > label && rest->at - label <= LABEL_LENGTH_MAX && *label != '-' &&
           rest->at[-1] != '-';
}

static bool is_domain(struct rest rest)
{
    if (rest.end - rest.at > DOMAIN_LENGTH_MAX)
        return false;
    do {
        if (!take_label(&rest))
            return false;
    } while (take_char(&rest, '.'));
    return rest.at == rest.end;
}

static bool is_address_of(int family, const char *at, size_t length)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (length >= sizeof text || memchr(at, '\0', length))
        return false;
    memcpy(text, at, length);
    text[length] = '\0';
    return inet_pton(family, text, &address) == 1;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" */
static bool is_address_literal(struct rest rest)
{
    if (!take_char(&rest, '[') || rest.at == rest.end || rest.end[-1] != ']')
        return false;
    size_t length = (size_t)(rest.end - rest.at) - 1;
    if (length > 5 && strncasecmp(rest.at, "IPv6:", 5) == 0)
        return is_address_of(AF_INET6, rest.at + 5, length - 5);
    return is_address_of(AF_INET, rest.at, length);
}

static bool is_email(struct rest rest)
{
    const char *local = rest.at;
    bool read =
        rest.at < rest.end && *rest.at == '"' ? take_quoted_string(&rest) : take_dot_string(&rest);
    if (!read || rest.at - local > LOCAL_LENGTH_MAX || rest.end - local > ADDRESS_LENGTH_MAX ||
        !take_char(&rest, '@'))
        return false;
    return is_domain(rest) || is_address_literal(rest);
}

/* ---- URIs ---- */

/* Characters of RFC 3986's pchar, and those of `more`, each as it is or percent-encoded. */
static bool take_uri_part(struct rest *rest, const char *more)
{
    while (rest->at < rest->end) {
        char c = *rest->at;
        if (c == '%') {
            if (rest->end - rest->at < 3 || !is_hexadecimal(rest->at[1]) ||
                !is_hexadecimal(rest->at[2]))
                return false;
            rest->at += 3;
        } else if (is_digit(c) || is_letter(c) || is_among(c, "-._~!$&'()*+,;=") ||
                   is_among(c, more)) {
            rest->at++;
        } else {
            break;
        }
    }
    return true;
}

static bool is_ip_literal(const char *at, size_t length)
{
    if (length < 2 || (*at != 'v' && *at != 'V'))
        return is_address_of(AF_INET6, at, length);
    struct rest rest = {at + 1, at + length};
    while (rest.at < rest.end && is_hexadecimal(*rest.at))
        rest.at++;
    if (rest.at == at + 1 || !take_char(&rest, '.') || rest.at == rest.end ||
        memchr(rest.at, '%', (size_t)(rest.end - rest.at)))
        return false;
    return take_uri_part(&rest, ":") && rest.at == rest.end;
}

/* What follows "//": [user@]host[:port]. */
static bool take_authority(struct rest *rest)
{
    struct rest user = *rest;
    if (take_uri_part(&user, ":") && take_char(&user, '@'))
        *rest = user;
    if (take_char(rest, '[')) {
        const char *close = memchr(rest->at, ']', (size_t)(rest->end - rest->at));
        if (!close || !is_ip_literal(rest->at, (size_t)(close - rest->at)))
            return false;
        rest->at = close + 1;
    } else if (!take_uri_part(rest, "")) {
        return false;
    }
    if (take_char(rest, ':')) {
        while (rest->at < rest->end && is_digit(*rest->at))
            rest->at++;
    }
    return rest->at == rest->end || is_among(*rest->at, "/?#");
}

static bool take_scheme(struct rest *rest)
{
    if (rest->at == rest->end || !is_letter(*rest->at))
        return false;
    while (rest->at < rest->end &&
           (is_digit(*rest->at) || is_letter(*rest->at) || is_among(*rest->at, "+-.")))
        rest->at++;
    return take_char(rest, ':');
}

static bool is_uri(struct rest rest)
{
    if (!take_scheme(&rest))
        return false;
    if (rest.end - rest.at >= 2 && rest.at[0] == '/' && rest.at[1] == '/') {
        rest.at += 2;
        if (!take_authority(&rest))
            return false;
    }
    if (!take_uri_part(&rest, ":@/"))
        return false;
    if (take_char(&rest, '?') && !take_uri_part(&rest, ":@/?"))
        return false;
    if (take_char(&rest, '#') && !take_uri_part(&rest, ":@/?"))
        return false;
    return rest.at == rest.end;
}

/* ---- All of them ---- */

static const struct {
    const char *name, *expected;
    bool (*fits)(struct rest rest);
} formats[] = {
    [FH_DATE_TIME] = {"date-time", "a date and time like 2026-03-01T12:00:00Z", is_date_time},
    [FH_DATE] = {"date", "a date like 2026-03-01", is_date},
    [FH_UUID] = {"uuid", "a UUID", is_uuid},
    [FH_EMAIL] = {"email", "an email address", is_email},
    [FH_URI] = {"uri", "a URI with a scheme", is_uri},
};
#define FORMATS (sizeof formats / sizeof formats[0])

bool shape_format_known(enum fh_string_format format)
{
    return (size_t)format < FORMATS && formats[format].name;
}

const char *shape_format_name(enum fh_string_format format)
{
    return shape_format_known(format) ? formats[format].name : NULL;
}

enum fh_string_format shape_format_named(const char *name)
{
    for (size_t i = FH_DATE_TIME; name && i < FORMATS; i++) {
        if (strcmp(formats[i].name, name) == 0)
            return (enum fh_string_format)i;
    }
    return FH_NO_FORMAT;
}

const char *shape_format_expected(enum fh_string_format format)
{
    return shape_format_known(format) ? formats[format].expected : "a string";
}

bool shape_format_fits(enum fh_string_format format, const char *text, size_t length)
{
    return !shape_format_known(format) || formats[format].fits((struct rest){text, text + length});
}
