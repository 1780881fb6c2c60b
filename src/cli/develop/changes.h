/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DEVELOP_CHANGES_H
#define CLI_DEVELOP_CHANGES_H

/* Prints changes of contracts. */

#include "system/contract/against.h"

/* Those of contract_against, for people; `all`: the compatible ones, too. */
void changes_print(const json_t *changes, const char *previous, bool all);
/* "/items/0/name" where there is such a place, with the part that it is in. */
#define CHANGES_PLACE_SIZE 640
void changes_place(const json_t *change, char out[static CHANGES_PLACE_SIZE]);

#endif
