/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DATA_H
#define CLI_DATA_H

/* JSON given by the user. Both return an exit code, and have reported what is wrong. */

#include "base/text.h"
#include "cli/cli.h"

#define CLI_DATA_SIZE_MAX ((size_t)16 << 20)

/* Appends the text of --data to `text`: given literally, from @FILE, or from standard input for -.
 * *ret: the parsed value, a new reference. */
int data_read(const char *data, struct text *text, json_t **ret);
int data_read_file(const char *path, struct text *text);

#endif
