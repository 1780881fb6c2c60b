/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `main` of every service's program, linked into it beside the library: a shared library can't see
 * the sections in which FH_SERVICE puts the program's declarations, and fh_row and the like their
 * statements, so this passes them on. It knows no more of the library than services do, and may be
 * older than the library it runs with.
 */

#include <freehold.h>

extern const fh_service *const __start_fh_services[];
extern const fh_service *const __stop_fh_services[];
/* There are none in a program without SQL, or whose object files are older. */
extern const struct fh_statement *const __start_fh_statements[] __attribute__((weak));
extern const struct fh_statement *const __stop_fh_statements[] __attribute__((weak));

int main(int count, char **words)
{
    const struct fh_program program = {sizeof program, __start_fh_services, __stop_fh_services,
                                       __start_fh_statements, __stop_fh_statements};
    return fh_main_program(&program, count, words);
}
