/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DATA_H
#define CLI_DATA_H

/* JSON that a person gives. Both return an exit code, and have said what is wrong. */

#include "base/text.h"
#include "cli/cli.h"

#define CLI_DATA_SIZE_MAX ((size_t)16 << 20)

/* Appends --data's text to `text`: as it was given, of @FILE, or - of standard input. *ret: what it
 * says, a new reference. */
int data_read(const char *data, struct text *text, json_t **ret);
int data_read_file(const char *path, struct text *text);

#endif
