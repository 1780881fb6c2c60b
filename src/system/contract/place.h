/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CONTRACT_PLACE_H
#define SYSTEM_CONTRACT_PLACE_H

/* Where in a JSON text a JSON Pointer (RFC 6901) points: shapes know pointers, people lines. */

#include "system/file/findings.h"

/* Of the value, or of the last one on the way to it. `text` is valid JSON, and ends with NUL;
 * `path` is borrowed. */
struct place place_in_json(const char *path, const char *text, const char *pointer);

#endif
