/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_SYMBOL_H
#define SIMULATE_SYMBOL_H

#include <stdbool.h>
#include <stddef.h>

#define SYMBOL_SIZE 128

/* The function of this process that `address` is in, static ones too: "place_order". False: what is
 * loaded there has no name for it (it was stripped), and `ret` is empty. */
bool symbol_name(const void *address, char ret[static SYMBOL_SIZE]);
/* The same where `address` is in the program itself, not in a library. */
bool symbol_name_own(const void *address, char ret[static SYMBOL_SIZE]);

#endif
