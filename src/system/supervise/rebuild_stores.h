/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_REBUILD_STORES_H
#define SYSTEM_SUPERVISE_REBUILD_STORES_H

/* The two stores of a service that is rebuilt (rebuild.h), as files in its folder; or, where they
 * are on a server, the order that the service is to exchange them (service/rebuild_exchange.h). */

#include <stdbool.h>

#include "base/error.h"

#define REBUILD_ASIDE "rebuilt.db" /* a new one that was filled to be looked at */

/* The new store takes the place of the present one, which is kept beside it. While no process uses
 * either. */
enum fh_code rebuild_take(int folder_fd, struct fh_error *error);
/* The service is to do that at its start. While none of its processes runs. */
enum fh_code rebuild_order_exchange(int folder_fd, const char *id, struct fh_error *error);
/* The new store becomes a file that no process uses, REBUILD_ASIDE; the present one stays. */
enum fh_code rebuild_lay_aside(int folder_fd, struct fh_error *error);
/* Whether one is kept, or the order was not carried out yet. A service that publishes removes it
 * itself, before it serves from the new one (service/rebuild_join.h), and an order is removed once
 * it was carried out: from then on there is no way back. */
bool rebuild_has_former(int folder_fd);
/* The kept one is had back, and no order stands. FH_OK also where there is none, or the new one was
 * not taken yet. */
enum fh_code rebuild_take_back(int folder_fd, struct fh_error *error);
/* From here on the new store is the valid one. */
void rebuild_forget_former(int folder_fd);
/* What an `up` that was killed has left in a service's folder: the new store is removed, also where
 * it was taken and had not got ready yet. Before any process uses the store. */
enum fh_code rebuild_recover(int folder_fd, struct fh_error *error);
void rebuild_sweep(int folder_fd); /* all but the stores that are in use, or kept */

#endif
