/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fh_log: what a handler itself puts into its service's log. It is written at once, so that what
 * was said before a crash is there; a run after a conflict says which one it is. Values that are
 * marked are taken out of the message and the fields. Of a process FAULT_LINES_A_SECOND lines a
 * second are written, and the others counted.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/doing.h"
#include "base/json.h"
#include "work/fault.h"
#include "work/redact.h"

/* The public name is a macro that ends the list of objects with NULL. */
#undef fh_log

#define SAID_SIZE 900

/* All members of the objects; of one name, the first. */
static json_t *fields_of_args(fh_work *w, va_list args)
{
    json_t *fields = json_object(), *object;
    while ((object = va_arg(args, json_t *))) {
        if (!json_is_object(object))
            work_fault(w, "The fields of a line of the log are JSON objects.");
        json_object_update_missing(fields, object);
    }
    return fields;
}

/* " {"total":1200}", or nothing. */
static void put_fields(fh_work *w, va_list args, char out[static SAID_SIZE])
{
    json_t *fields = fields_of_args(w, args);
    out[0] = '\0';
    if (json_object_size(fields) == 0)
        return;
    json_t *told = shape_redacted_told(fields, SHAPE_MARKED, work_given, w);
    char *text = json_text(told ? told : json_object());
    snprintf(out, SAID_SIZE, " %.*s", SAID_SIZE - 2, text);
    json_text_free(text);
}

void fh_log(fh_work *w, enum fh_log_level level, const char *message, ...)
{
    char line[SAID_SIZE + 200], said[SAID_SIZE], fields[SAID_SIZE], trace[FAULT_TRACE_SIZE],
        run[32] = "", more[48] = "";
    unsigned held_back;
    if (level < FH_LOG_ERROR || level > FH_LOG_INFO)
        work_fault(w, "fh_log takes FH_LOG_ERROR, FH_LOG_WARNING or FH_LOG_INFO.");
    if (!log_rate_passes(&w->context->said, FAULT_LINES_A_SECOND,
                         world_monotonic_ns(w->context->world), &held_back))
        return;
    snprintf(said, sizeof said, "%s", message);
    work_redact(w, SHAPE_MARKED, said, sizeof said);
    va_list args;
    va_start(args, message);
    put_fields(w, args, fields);
    va_end(args);
    fault_trace(w->trace, trace);
    if (w->runs > 1)
        snprintf(run, sizeof run, "; run %d", w->runs);
    if (held_back)
        snprintf(more, sizeof more, "; %u more were not logged", held_back);
    snprintf(line, sizeof line, "%.500s%.300s (%.90s%s%s%s%s)", said, fields,
             w->doing ? w->doing->what : "a handler", trace[0] ? "; trace " : "", trace, run, more);
    if (level == FH_LOG_ERROR)
        log_error("handler-said", "%s", line);
    else if (level == FH_LOG_WARNING)
        log_warning("handler-said", "%s", line);
    else
        log_info("handler-said", "%s", line);
}
