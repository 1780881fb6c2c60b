/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_SHELF_SHELVES_H
#define SIMULATE_SHELF_SHELVES_H

#define BOOKS 10
#define GONE_AT 5 /* changes, and at each multiple */

/* Of the service of several instances, and of the one of one: each book's "id", and how often it
 * was changed, "n"; one that never was may lack. */
extern const char *const shelf_queries[2];

#endif
