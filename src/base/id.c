/* SPDX-License-Identifier: Apache-2.0 */
/* Ids: 48 bits of milliseconds, 74 bits of randomness. */

#include "base/id.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void id_format(char out[static ID_SIZE], int64_t wall_ms, const unsigned char random[static 10])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[16];
    for (int i = 0; i < 6; i++)
        bytes[i] = (unsigned char)((uint64_t)wall_ms >> (40 - 8 * i));
    for (int i = 0; i < 10; i++)
        bytes[6 + i] = random[i];
    bytes[6] = (unsigned char)(0x70 | (bytes[6] & 0x0f));
    bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3f));
    size_t at = 0;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        out[at++] = digits[bytes[i] >> 4];
        out[at++] = digits[bytes[i] & 15];
    }
    out[at] = '\0';
}

int64_t id_time_ms(const char *id)
{
    char digits[13];
    if (strlen(id) != ID_SIZE - 1 || id[8] != '-' || id[13] != '-' || id[14] != '7')
        return 0;
    memcpy(digits, id, 8);
    memcpy(digits + 8, id + 9, 4);
    digits[12] = '\0';
    return strspn(digits, "0123456789abcdef") == 12 ? strtoll(digits, NULL, 16) : 0;
}
