/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SYMBOL_H
#define BASE_SYMBOL_H

/*
 * The names of functions, static ones too, from the symbol tables of the program and its libraries,
 * where they were not stripped of them. The files are mapped once, before the process is confined
 * and can open nothing any more; a page of them takes memory when it is first read. Looking a name
 * up allocates nothing and takes no lock, so that it can be done in a signal handler.
 */

#include <stdbool.h>
#include <stddef.h>

#define SYMBOL_SIZE 192

/* Maps the tables. Call it first of all; again: no effect. Without it, and for a stripped file,
 * only modules and offsets are told. */
void symbols_init(void);
/* "place_order+0x1f (orders+0x52af)"; of an address in no module: "0x7f00deadbeef". Returns
 * `out`. */
const char *symbol_place(const void *address, char out[static SYMBOL_SIZE]);
/* "place_order", or as symbol_place if it has no name. Returns `out`. */
const char *symbol_name(const void *address, char out[static SYMBOL_SIZE]);
/* The name of a function of the program itself. False: it is none of those, or has no name; `out`
 * is "". */
bool symbol_name_own(const void *address, char out[static SYMBOL_SIZE]);

#endif
