/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SKIP_H
#define TESTS_SKIP_H

/* Skips the test, and says why: a skip without a reason looks like a test that passed. */
#define SKIP_BECAUSE(...)                                                                          \
    do {                                                                                           \
        print_message("NOT TESTED: " __VA_ARGS__);                                                 \
        print_message("\n");                                                                       \
        skip();                                                                                    \
    } while (0)

#endif
