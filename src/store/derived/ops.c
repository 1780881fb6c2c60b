/* SPDX-License-Identifier: Apache-2.0 */
/* derived_sql: derived stores of an engine whose SQL has FTS5, in tables beside the service's own.
 */

#include "store/derived/internal.h"

const struct derived_ops derived_sql = {
    .any = derived_sql_any,
    .prepare = derived_sql_prepare,
    .filling = derived_sql_filling,
    .set_filling = derived_sql_set_filling,
    .put = derived_sql_put,
    .remove = derived_sql_remove,
    .search = derived_sql_search,
    .measure = derived_sql_measure,
    .series = derived_sql_series,
    .past = derived_sql_past,
    .add = derived_sql_add,
    .columns = derived_sql_columns,
    .list = derived_sql_list,
    .trim = derived_sql_trim,
};
