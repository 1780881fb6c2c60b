/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library has written the event, so what is around its values is known beforehand, byte by
 * byte (carried_write_fact): it is compared, and values are left where they are. What is not so
 * written, or has what needs more than a look (an escape, a number of more than 18 digits, ops of
 * two derived stores), is refused, and read as any JSON: form.c never takes what that would not, or
 * as something else.
 */

#include "carrier/form.h"

#include <string.h>

#include "base/json.h"
#include "carrier/values.h"
#include "store/derived/series.h"

enum { BEFORE_KEY, BEFORE_TIME, BEFORE_VALUES };

/* ---- What is around the values ---- */

static void end_form_piece(struct carried_form *form, int number)
{
    size_t before = 0;
    for (int i = 0; i < number; i++)
        before += form->pieces[i].length;
    form->pieces[number].length = form->text.length - before;
}

void carried_form_init(struct carried_form *form, const struct fh_derived *declared)
{
    struct text *text = &form->text;
    *form = (struct carried_form){.declared = declared};
    text_init(text, TEXT_SMALL_MAX);
    text_add(text, "{\"name\":");
    json_write_string(text, declared->name, strlen(declared->name));
    text_add(text, ",\"key\":");
    end_form_piece(form, BEFORE_KEY);
    text_add(text, ",\"at_ms\":");
    end_form_piece(form, BEFORE_TIME);
    for (const struct fh_derived_field *field = declared->fields; field->name; field++) {
        text_add(text, form->field_count ? "," : ",\"value\":{");
        json_write_string(text, field->name, strlen(field->name));
        text_add(text, ":");
        end_form_piece(form, BEFORE_VALUES + form->field_count++);
    }
    text_add(text, "}}");
    end_form_piece(form, BEFORE_VALUES + form->field_count);
    FH_ASSERT(!text->overflow);
    const char *at = text->data;
    for (int i = 0; i <= BEFORE_VALUES + form->field_count; i++) {
        form->pieces[i].at = at;
        at += form->pieces[i].length;
    }
}

void carried_form_release(struct carried_form *form)
{
    text_release(&form->text);
}

size_t carried_form_room(const struct carried_form *form, size_t length)
{
    return length / form->text.length + 1;
}

/* ---- Values ---- */

static bool scan_piece(struct json_scan *scan, const struct json_piece *piece)
{
    if ((size_t)(scan->end - scan->at) < piece->length ||
        memcmp(scan->at, piece->at, piece->length) != 0)
        return false;
    scan->at += piece->length;
    return true;
}

static bool is_number_piece(const struct json_piece *piece)
{
    return piece->at[0] == '-' || (piece->at[0] >= '0' && piece->at[0] <= '9');
}

static bool is_integer_piece(const struct json_piece *piece)
{
    for (size_t i = piece->at[0] == '-'; i < piece->length; i++) {
        if (piece->at[i] < '0' || piece->at[i] > '9')
            return false;
    }
    return true;
}

static bool scan_integer(struct json_scan *scan, int64_t *ret)
{
    struct json_piece piece;
    if (!json_scan_value(scan, &piece) || !is_number_piece(&piece) || !is_integer_piece(&piece))
        return false;
    *ret = carried_integer(
        &(struct carried_value){.text = piece.at, .length = (uint32_t)piece.length});
    return true;
}

/* As series_fact_check wants it. */
static bool scan_fact_value(struct json_scan *scan, const struct fh_derived_field *field,
                            struct carried_value *ret)
{
    struct json_piece piece;
    if (field->type == FH_STRING) {
        ret->kind = CARRIED_TEXT;
        if (!json_scan_string(scan, &piece) || piece.length > DERIVED_WORD_LENGTH_MAX)
            return false;
    } else if (!json_scan_value(scan, &piece)) {
        return false;
    } else if (piece.at[0] == 'n') {
        ret->kind = CARRIED_NULL;
        if (series_is_tag(field))
            return false;
    } else if (field->type == FH_BOOL) {
        ret->kind = piece.at[0] == 't' ? CARRIED_TRUE : CARRIED_FALSE;
        if (piece.at[0] != 't' && piece.at[0] != 'f')
            return false;
    } else {
        ret->kind = CARRIED_NUMBER;
        if (!is_number_piece(&piece) || (field->type == FH_INT && !is_integer_piece(&piece)))
            return false;
    }
    ret->text = piece.at;
    ret->length = (uint32_t)piece.length;
    return true;
}

/* ---- Ops ---- */

static bool scan_fact(const struct carried_form *form, struct json_scan *scan,
                      struct carried_op *op, struct carried_value *values)
{
    struct json_piece key;
    *op = (struct carried_op){.values = values};
    if (!scan_piece(scan, &form->pieces[BEFORE_KEY]) || !json_scan_string(scan, &key) ||
        !scan_piece(scan, &form->pieces[BEFORE_TIME]) || !scan_integer(scan, &op->at_ms) ||
        op->at_ms < -SERIES_AT_MS_MAX || op->at_ms > SERIES_AT_MS_MAX)
        return false;
    op->key = key.at;
    for (int i = 0; i < form->field_count; i++) {
        if (!scan_piece(scan, &form->pieces[BEFORE_VALUES + i]) ||
            !scan_fact_value(scan, &form->declared->fields[i], &values[i]))
            return false;
    }
    return scan_piece(scan, &form->pieces[BEFORE_VALUES + form->field_count]);
}

static bool scan_facts(const struct carried_form *form, struct json_scan *scan,
                       struct carried_found *ret)
{
    struct json_scan_in array;
    if (!json_scan_open(scan, '[', &array))
        return false;
    while (json_scan_next(scan, ']', &array)) {
        if (!scan_fact(form, scan, &ret->ops[ret->count],
                       &ret->values[(size_t)ret->count * (size_t)form->field_count]))
            return false;
        ret->count++;
    }
    return !scan->refused;
}

/* ["INCARNATION", 7] */
static bool scan_generation(struct json_scan *scan, struct carried_found *ret)
{
    struct json_scan_in array;
    return json_scan_open(scan, '[', &array) && json_scan_next(scan, ']', &array) &&
           json_scan_string(scan, &ret->incarnation) && json_scan_next(scan, ']', &array) &&
           scan_integer(scan, &ret->number) && !json_scan_next(scan, ']', &array) && !scan->refused;
}

static bool is_event_member(const struct json_piece *name, const char *expected)
{
    return name->length == strlen(expected) && memcmp(name->at, expected, name->length) == 0;
}

bool carried_form_read(const struct carried_form *form, const char *data, size_t length,
                       struct carried_found *ret)
{
    struct json_scan scan;
    struct json_scan_in object;
    struct json_piece name;
    bool facts = false, as_of = false;
    json_scan_begin(&scan, data, length);
    if (!json_scan_open(&scan, '{', &object))
        return false;
    while (json_scan_next(&scan, '}', &object) && json_scan_name(&scan, &object, &name)) {
        bool taken = is_event_member(&name, "ops")          ? (facts = scan_facts(form, &scan, ret))
                     : is_event_member(&name, "generation") ? scan_generation(&scan, ret)
                     : is_event_member(&name, "as_of") ? (as_of = scan_integer(&scan, &ret->as_of))
                     : is_event_member(&name, "last")  ? json_scan_string(&scan, &ret->last)
                     : is_event_member(&name, "life")  ? json_scan_string(&scan, &ret->life)
                                                       : false;
        if (!taken)
            return false;
    }
    return json_scan_end(&scan) && facts && as_of == (ret->incarnation.at != NULL);
}
