/* SPDX-License-Identifier: Apache-2.0 */
/* Included before a service: it tells everything twice. */
#include <freehold.h>

#define fh_publish(w, type, data) (fh_publish(w, type, data), fh_publish(w, type, data))
