/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `main` of every service's program, linked into it beside the library: a shared library can't see
 * the section in which FH_SERVICE puts the program's declarations, so this passes it on. It knows
 * no more of the library than services do, and may be older than the library it runs with.
 */

#include <freehold.h>

extern const fh_service *const __start_fh_services[];
extern const fh_service *const __stop_fh_services[];

int main(int count, char **words)
{
    return fh_main(__start_fh_services, __stop_fh_services, count, words);
}
