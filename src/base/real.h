/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_REAL_H
#define BASE_REAL_H

/* Doubles as decimal texts. */

#define REAL_DIGITS_SIZE 32

/* As printf's "%g", with the fewest digits that read back as the same double; of several such
 * texts the one that is nearest to it. `real` is finite. */
void real_digits(double real, char digits[static REAL_DIGITS_SIZE]);

#endif
