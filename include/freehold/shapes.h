/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_SHAPES_H
#define FREEHOLD_SHAPES_H

/* A part of freehold.h, which includes it: shapes (docs/guide/shapes.md). */

enum fh_type {
    FH_STRING = 1, /* min, max: length in bytes (0: no limit) */
    FH_INT,        /* min, max: its bounds, if either is set; max below min: no upper bound */
    FH_BOOL,
    FH_OBJECT, /* of: the object's shape */
    FH_ARRAY,  /* of: the shape of elements that are objects; min, max: their number */
    FH_LIST,   /* query only: "1,2,3" becomes an array of strings; min, max: their number */
    FH_ANY,
    /* A finite double; what a handler gets is always a real (json_real_value). min, max as of
     * FH_INT, or with a fraction: minimum, maximum. */
    FH_NUMBER,
    /* An exact number, as a string: "19.90", "-3"; precision and scale, and bounds as of FH_NUMBER.
     * It is a numeric in PostgreSQL, a DECIMAL in MariaDB and text in an embedded store, where a
     * column declared DECIMAL or NUMERIC would make a double of it. */
    FH_DECIMAL
};

/* Forms of strings, each as its standard has it. */
enum fh_string_format {
    FH_NO_FORMAT,
    FH_DATE_TIME, /* RFC 3339, with an offset: "2026-03-01T12:00:00.5+01:00" */
    FH_DATE,      /* "2026-02-28" */
    FH_UUID,      /* RFC 9562, in any case */
    FH_EMAIL,     /* an address by RFC 5321 */
    FH_URI        /* RFC 3986, with a scheme */
};

typedef struct fh_field fh_field;
struct fh_field {
    const char *name; /* "*" as the last field: any other fields are allowed */
    enum fh_type type;
    int64_t min, max;
    const fh_field *of; /* ends with {0} */
    const char *const
        *one_of; /* FH_STRING: the allowed values (also of an FH_LIST's); ends with NULL */
    enum fh_type elements; /* FH_ARRAY of plain values: the elements' type */
    bool optional, nullable;
    /* What the value is, whatever its form (docs/guide/personal.md). None of the three is written
     * to logs, traces, the errors of parked events, or what `freehold` shows of events and sagas.
     *   personal   it is about a person: a name, an address
     *   secret     who knows it may do something with it: a password, a token
     *   card       it pays: a card's number, its code
     * A secret or a card is never kept in a recorded answer, nor in a saga once its step is done;
     * it can't be in an event or a query. (The alignment keeps them out of what was padding.) */
    bool personal __attribute__((aligned(8))), secret, card;
    /*
     * FH_STRING: the regular expression that the whole value has to match. It may have characters,
     * ".", classes ([a-z], [^,], \d, \D, \w, \W), groups, "|", and "*", "+", "?", "{2,5}", and
     * no anchors, assertions or back references, so a match takes a time that is bounded by the
     * lengths of both; the service does not start with one that has others. The value has at most
     * 4,096 bytes; one of many parts needs a smaller .max. This and the members below are of its
     * elements where an FH_ARRAY has `.elements`, and where the field is an FH_LIST.
     */
    const char *pattern __attribute__((aligned(8)));
    /* What the handler finds where the field is absent from a body, a query or the settings; so it
     * is optional there. As it would be in a query for FH_STRING, FH_DECIMAL and FH_LIST: "new";
     * else JSON: "20", "true", "[1]"; "null" for all that are nullable. */
    const char *default_value;
    const char *minimum, *maximum; /* FH_NUMBER, FH_DECIMAL: inclusive bounds, as in JSON: "0.01" */
    enum fh_string_format format;  /* FH_STRING */
    int precision;                 /* FH_DECIMAL: digits in all; 0: 38; at most 65 */
    int scale;                     /* FH_DECIMAL: of them, after the point; at most 38 */
};

#endif
