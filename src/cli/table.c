/* SPDX-License-Identifier: Apache-2.0 */
/* Widths are known when all cells are, so nothing is printed before. */

#define _GNU_SOURCE
#include "cli/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/cli.h"

#define GAP 2
#define INDENT 4        /* of a row's second line */
#define SENTENCE_MIN 24 /* a last column narrower than this goes to a line of its own */

void table_begin(struct cli_table *table, const char *const *heads)
{
    *table = (struct cli_table){0};
    for (; heads[table->columns]; table->columns++) {
        FH_ASSERT(table->columns < TABLE_COLUMNS_MAX);
        table->heads[table->columns] = heads[table->columns];
    }
}

void table_cell(struct cli_table *table, const char *format, ...)
{
    va_list args;
    if (table->count == table->room) {
        table->room = table->room ? table->room * 2 : 64;
        table->cells = realloc(table->cells, table->room * sizeof *table->cells);
        FH_ASSERT(table->cells != NULL);
    }
    va_start(args, format);
    FH_ASSERT(vasprintf(&table->cells[table->count++], format, args) >= 0);
    va_end(args);
}

static int width_of_cell(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

struct layout {
    int widths[TABLE_COLUMNS_MAX];
    int terminal; /* 0: of any width */
    bool several; /* a row takes several lines */
};

static void lay_out(const struct cli_table *table, struct layout *layout)
{
    int all = 0;
    *layout = (struct layout){.terminal = cli_width(stdout)};
    for (int i = 0; i < table->columns; i++)
        layout->widths[i] = width_of_cell(table->heads[i] + (table->heads[i][0] == '>'));
    for (size_t i = 0; i < table->count; i++) {
        int *width = &layout->widths[i % (size_t)table->columns];
        int cell = width_of_cell(table->cells[i]);
        *width = cell > *width ? cell : *width;
    }
    for (int i = 0; i + 1 < table->columns; i++)
        all += layout->widths[i] + GAP;
    int last = layout->widths[table->columns - 1];
    layout->several =
        layout->terminal && all + (last < SENTENCE_MIN ? last : SENTENCE_MIN) > layout->terminal;
}

static void print_spaces(int count)
{
    printf("%*s", count > 0 ? count : 0, "");
}

static void print_cells(const struct cli_table *table, const struct layout *layout,
                        const char *const *cells)
{
    int column = 0;
    for (int i = 0; i < table->columns; i++) {
        bool last = i + 1 == table->columns, right = table->heads[i][0] == '>';
        int width = layout->widths[i], empty = width - width_of_cell(cells[i]);
        if (last && !*cells[i])
            break;
        if (layout->several && i && column + GAP + width > layout->terminal) {
            printf("\n");
            print_spaces(INDENT);
            column = INDENT;
        } else if (i) {
            print_spaces(GAP);
            column += GAP;
        }
        if (last && !right) {
            cli_wrap(stdout, layout->terminal, column, column, cells[i]);
            break;
        }
        print_spaces(right ? empty : 0);
        printf("%s", cells[i]);
        print_spaces(right || last ? 0 : empty);
        column += width;
    }
    printf("\n");
}

void table_end(struct cli_table *table)
{
    struct layout layout;
    const char *heads[TABLE_COLUMNS_MAX];
    size_t columns = (size_t)table->columns;
    FH_ASSERT(table->count % columns == 0);
    lay_out(table, &layout);
    for (size_t i = 0; i < columns; i++)
        heads[i] = table->heads[i] + (table->heads[i][0] == '>');
    printf("%s", cli_colour(stdout, CLI_BOLD));
    print_cells(table, &layout, heads);
    printf("%s", cli_colour(stdout, CLI_PLAIN));
    for (size_t i = 0; i < table->count; i += columns)
        print_cells(table, &layout, (const char *const *)(table->cells + i));
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct cli_table){0};
}
