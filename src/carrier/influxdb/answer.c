/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads answers to statements: JSON of one form, some of it a hundred megabytes of numbers, so it
 * is read where it lies, and no tree is made of it. Numbers are 64 bits of an integer or a double,
 * as the statement's fields are; which of both does not show ("5" is both).
 *
 *     {"results": [{"statement_id": 0, "series": [{"name", "tags": {"device": "d1"}, "columns":
 *      ["time", "c"], "values": [[1700000000000000000, 21.5]], "partial": true}], "partial":
 * true}]}
 *
 * An answer is one or more of these, one after the other ("chunks"); a series or a statement that
 * is "partial" goes on in the next one. One that ends with such is cut off, and nothing of it
 * counts. `error` is in place of `results` or of `series`.
 */

#include <stdlib.h>

#include "carrier/influxdb/internal.h"

#define SCAN_DEPTH_MAX 8

struct answer_scan {
    const char *at, *end;
    struct influxdb_reader *reader;
    struct influxdb_rows rows;
    bool partial; /* more of it follows */
    int depth;
};

/* ---- Words of JSON ---- */

static void skip_space(struct answer_scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

static bool take_answer_byte(struct answer_scan *scan, char byte)
{
    skip_space(scan);
    if (scan->at >= scan->end || *scan->at != byte)
        return false;
    scan->at++;
    return true;
}

static bool take_answer_text(struct answer_scan *scan, struct influxdb_cell *ret)
{
    if (!take_answer_byte(scan, '"'))
        return false;
    *ret = (struct influxdb_cell){.kind = INFLUXDB_TEXT, .text = scan->at};
    while (scan->at < scan->end && *scan->at != '"') {
        if (*scan->at == '\\') {
            ret->foreign = true;
            scan->at++;
        }
        scan->at++;
    }
    if (scan->at >= scan->end)
        return false;
    ret->length = (size_t)(scan->at++ - ret->text);
    return true;
}

static bool take_answer_word(struct answer_scan *scan, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0)
        return false;
    scan->at += length;
    return true;
}

static bool is_of_answer_number(char byte)
{
    return (byte >= '0' && byte <= '9') || byte == '-' || byte == '+' || byte == '.' ||
           byte == 'e' || byte == 'E';
}

static bool take_cell(struct answer_scan *scan, struct influxdb_cell *ret)
{
    skip_space(scan);
    if (scan->at < scan->end && *scan->at == '"')
        return take_answer_text(scan, ret);
    *ret = (struct influxdb_cell){.kind = INFLUXDB_NUMBER, .text = scan->at};
    while (scan->at < scan->end && is_of_answer_number(*scan->at))
        scan->at++;
    ret->length = (size_t)(scan->at - ret->text);
    if (ret->length)
        return true;
    ret->kind = INFLUXDB_NULL;
    if (take_answer_word(scan, "null"))
        return true;
    ret->kind = INFLUXDB_TRUE;
    if (take_answer_word(scan, "true"))
        return true;
    ret->kind = INFLUXDB_FALSE;
    return take_answer_word(scan, "false");
}

/* The elements or members up to the end; `member` takes one that begins here. */
static bool take_all(struct answer_scan *scan, char begin, char end,
                     bool (*member)(struct answer_scan *scan))
{
    if (!take_answer_byte(scan, begin))
        return false;
    if (take_answer_byte(scan, end))
        return true;
    do {
        if (!member(scan))
            return false;
    } while (take_answer_byte(scan, ','));
    return take_answer_byte(scan, end);
}

static bool take_answer_key(struct answer_scan *scan, struct influxdb_cell *ret)
{
    return take_answer_text(scan, ret) && take_answer_byte(scan, ':');
}

static bool skip_answer_value(struct answer_scan *scan);

static bool skip_member(struct answer_scan *scan)
{
    struct influxdb_cell key;
    return take_answer_key(scan, &key) && skip_answer_value(scan);
}

static bool skip_answer_value(struct answer_scan *scan)
{
    struct influxdb_cell cell;
    skip_space(scan);
    if (scan->at >= scan->end || scan->depth == SCAN_DEPTH_MAX)
        return false;
    scan->depth++;
    bool done = *scan->at == '{'   ? take_all(scan, '{', '}', skip_member)
                : *scan->at == '[' ? take_all(scan, '[', ']', skip_answer_value)
                                   : take_cell(scan, &cell);
    scan->depth--;
    return done;
}

/* ---- A series ---- */

static bool take_tag(struct answer_scan *scan)
{
    struct influxdb_rows *rows = &scan->rows;
    int at = rows->tag_count;
    if (at == INFLUXDB_COLUMNS_MAX || !take_answer_key(scan, &rows->tag_names[at]) ||
        !take_answer_text(scan, &rows->tags[at]))
        return false;
    rows->tag_count++;
    return true;
}

static bool take_answer_column(struct answer_scan *scan)
{
    struct influxdb_rows *rows = &scan->rows;
    return rows->column_count < INFLUXDB_COLUMNS_MAX &&
           take_answer_text(scan, &rows->columns[rows->column_count++]);
}

static bool take_answer_row(struct answer_scan *scan)
{
    struct influxdb_rows *rows = &scan->rows;
    if (!take_answer_byte(scan, '['))
        return false;
    for (int i = 0; i < rows->column_count; i++) {
        if ((i && !take_answer_byte(scan, ',')) || !take_cell(scan, &rows->cells[i]))
            return false;
    }
    return take_answer_byte(scan, ']') && scan->reader->row(scan->reader->context, rows);
}

static bool take_rows(struct answer_scan *scan)
{
    struct influxdb_reader *reader = scan->reader;
    if (reader->series && !reader->series(reader->context, &scan->rows))
        return false;
    return take_all(scan, '[', ']', take_answer_row);
}

static bool take_series_member(struct answer_scan *scan)
{
    struct influxdb_cell key;
    if (!take_answer_key(scan, &key))
        return false;
    if (influxdb_cell_is(&key, "name"))
        return take_answer_text(scan, &scan->rows.name);
    if (influxdb_cell_is(&key, "tags"))
        return take_all(scan, '{', '}', take_tag);
    if (influxdb_cell_is(&key, "columns"))
        return take_all(scan, '[', ']', take_answer_column);
    if (influxdb_cell_is(&key, "values"))
        return take_rows(scan);
    return skip_answer_value(scan);
}

static bool take_one_series(struct answer_scan *scan)
{
    int statement = scan->rows.statement;
    scan->rows.tag_count = scan->rows.column_count = 0;
    scan->rows.name = (struct influxdb_cell){.kind = INFLUXDB_NULL};
    scan->rows.statement = statement;
    return take_all(scan, '{', '}', take_series_member);
}

/* ---- A result ---- */

static bool take_server_words(struct answer_scan *scan)
{
    struct influxdb_cell words;
    if (take_answer_text(scan, &words) && !scan->reader->words) {
        scan->reader->words = words.text;
        scan->reader->words_length = words.length;
    }
    return false;
}

static bool take_result_member(struct answer_scan *scan)
{
    struct influxdb_cell key, cell;
    int64_t statement;
    if (!take_answer_key(scan, &key))
        return false;
    if (influxdb_cell_is(&key, "error"))
        return take_server_words(scan);
    if (influxdb_cell_is(&key, "series"))
        return take_all(scan, '[', ']', take_one_series);
    if (influxdb_cell_is(&key, "partial")) {
        bool taken = take_cell(scan, &cell);
        scan->partial = cell.kind == INFLUXDB_TRUE;
        return taken;
    }
    if (!influxdb_cell_is(&key, "statement_id"))
        return skip_answer_value(scan);
    if (!take_cell(scan, &cell) || !influxdb_cell_integer(&cell, &statement) || statement < 0 ||
        statement > 1000)
        return false;
    scan->rows.statement = (int)statement;
    return true;
}

static bool take_answer_result(struct answer_scan *scan)
{
    scan->partial = false;
    return take_all(scan, '{', '}', take_result_member);
}

static bool take_answer_member(struct answer_scan *scan)
{
    struct influxdb_cell key;
    if (!take_answer_key(scan, &key))
        return false;
    if (influxdb_cell_is(&key, "error"))
        return take_server_words(scan);
    return influxdb_cell_is(&key, "results") ? take_all(scan, '[', ']', take_answer_result)
                                             : skip_answer_value(scan);
}

bool influxdb_scan(struct influxdb_reader *reader, const char *answer, size_t length)
{
    struct answer_scan scan = {.at = answer, .end = answer + length, .reader = reader};
    bool any = false;
    for (skip_space(&scan); scan.at < scan.end; skip_space(&scan)) {
        if (!take_all(&scan, '{', '}', take_answer_member))
            return false;
        any = true;
    }
    return any && !scan.partial;
}

enum fh_code influxdb_read(const struct influxdb *server, const struct influxdb_call *call,
                           struct influxdb_reader *reader, struct fh_error *error)
{
    if (influxdb_scan(reader, call->request.answer, call->request.answer_length))
        return FH_OK;
    return reader->words ? influxdb_judge(server, reader->words, reader->words_length, error)
                         : influxdb_strange(server, error);
}

/* ---- Values ---- */

bool influxdb_cell_is(const struct influxdb_cell *cell, const char *text)
{
    return cell->kind == INFLUXDB_TEXT && !cell->foreign && cell->length == strlen(text) &&
           memcmp(cell->text, text, cell->length) == 0;
}

#define DIGITS_MAX 400 /* a double has 309 before its point, or 17 with an exponent */

/* With a NUL behind it. */
static bool copy_digits(const struct influxdb_cell *cell, char ret[static DIGITS_MAX])
{
    if (cell->kind != INFLUXDB_NUMBER || !cell->length || cell->length >= DIGITS_MAX)
        return false;
    memcpy(ret, cell->text, cell->length);
    ret[cell->length] = '\0';
    return true;
}

bool influxdb_cell_copy(const struct influxdb_cell *cell, char *ret, size_t size)
{
    if (cell->kind != INFLUXDB_TEXT || cell->foreign || cell->length >= size)
        return false;
    memcpy(ret, cell->text, cell->length);
    ret[cell->length] = '\0';
    return true;
}

bool influxdb_cell_integer(const struct influxdb_cell *cell, int64_t *ret)
{
    uint64_t number = 0;
    size_t i = cell->length && cell->text[0] == '-';
    if (cell->kind != INFLUXDB_NUMBER || i == cell->length || cell->length - i > 19)
        return false;
    uint64_t most = (uint64_t)INT64_MAX + i;
    bool negative = i != 0;
    for (; i < cell->length; i++) {
        if (cell->text[i] < '0' || cell->text[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(cell->text[i] - '0');
    }
    *ret = (int64_t)(negative ? 0 - number : number);
    return number <= most;
}

bool influxdb_cell_real(const struct influxdb_cell *cell, double *ret)
{
    char digits[DIGITS_MAX], *end;
    if (!copy_digits(cell, digits))
        return false;
    *ret = strtod(digits, &end);
    return !*end;
}
