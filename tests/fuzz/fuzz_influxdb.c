/* SPDX-License-Identifier: Apache-2.0 */
/* What InfluxDB answers, read where it lies: nothing outside of it is ever shown, numbers are 64
 * bits or none, and a tag's value that is read is written as it was. */

#include "carrier/influxdb/internal.h"
#include "fuzz.h"

struct scanned {
    const char *begin, *end;
};

static void look_at_cell(const struct scanned *scanned, const struct influxdb_cell *cell)
{
    char text[DERIVED_WORD_LENGTH_MAX + 1], word[INFLUXDB_WORD_SIZE];
    struct sql_value value;
    int64_t integer;
    double real;
    if (cell->kind == INFLUXDB_NUMBER || cell->kind == INFLUXDB_TEXT)
        FH_ASSERT(cell->text >= scanned->begin &&
                  cell->length <= (size_t)(scanned->end - cell->text));
    if (influxdb_cell_integer(cell, &integer))
        FH_ASSERT(influxdb_cell_real(cell, &real) && (integer >= 0 ? real >= 0 : real <= 0));
    if (cell->kind != INFLUXDB_TEXT ||
        !influxdb_read_word(cell->text, cell->length, FH_STRING, &value, text))
        return;
    influxdb_write_word(&value, FH_STRING, word);
    FH_ASSERT(strlen(word) <= (size_t)3 * cell->length);
}

static bool look_at_series(void *context, const struct influxdb_rows *rows)
{
    for (int i = 0; i < rows->tag_count; i++) {
        look_at_cell(context, &rows->tag_names[i]);
        look_at_cell(context, &rows->tags[i]);
    }
    return true;
}

static bool look_at_row(void *context, const struct influxdb_rows *rows)
{
    FH_ASSERT(rows->column_count <= INFLUXDB_COLUMNS_MAX && rows->statement >= 0);
    for (int i = 0; i < rows->column_count; i++) {
        look_at_cell(context, &rows->columns[i]);
        look_at_cell(context, &rows->cells[i]);
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *answer = fuzz_rest(&data, &size);
    struct scanned scanned = {answer, answer + strlen(answer)};
    struct influxdb_reader reader = {
        .context = &scanned, .series = look_at_series, .row = look_at_row};
    if (!influxdb_scan(&reader, answer, strlen(answer)) && reader.words)
        FH_ASSERT(reader.words >= scanned.begin &&
                  reader.words_length <= (size_t)(scanned.end - reader.words));
    free(answer);
    return 0;
}
