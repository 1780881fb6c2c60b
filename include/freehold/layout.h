/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_LAYOUT_H
#define FREEHOLD_LAYOUT_H

/* A part of freehold.h, which includes it: the layout of fh_service as this object file knows it.
 * A member that is new in fh_service comes last in this list. So does what members only point to:
 * it has no place in fh_service, and no rows there, but a size. */

#define FH_MEMBER(member)                                                                          \
    {                                                                                              \
        offsetof(struct fh_service, member), sizeof(((struct fh_service *)NULL)->member), 1        \
    }
#define FH_MEMBERS(member)                                                                         \
    {                                                                                              \
        offsetof(struct fh_service, member), sizeof(((struct fh_service *)NULL)->member[0]),       \
            sizeof(((struct fh_service *)NULL)->member) /                                          \
                sizeof(((struct fh_service *)NULL)->member[0])                                     \
    }
#define FH_POINTED(row)                                                                            \
    {                                                                                              \
        sizeof(fh_service), sizeof(row), 0                                                         \
    }
#ifdef __cplusplus
#define FH_CPLUSPLUS 1
#else
#define FH_CPLUSPLUS 0
#endif
static const struct fh_layout fh_layout
    __attribute__((unused)) = {sizeof(fh_service),
                               sizeof(fh_field),
                               sizeof(fh_step),
                               FH_CPLUSPLUS,
                               20,
                               {FH_MEMBER(name),        FH_MEMBER(model),
                                FH_MEMBERS(routes),     FH_MEMBERS(publishes),
                                FH_MEMBERS(subscribes), FH_MEMBERS(asks),
                                FH_MEMBERS(takes_over), FH_MEMBERS(collections),
                                FH_MEMBERS(sagas),      FH_MEMBER(settings),
                                FH_MEMBERS(timers),     FH_MEMBERS(every),
                                FH_MEMBERS(shapes),     FH_MEMBERS(metrics),
                                FH_MEMBERS(fetches),    FH_MEMBERS(fetch_headers),
                                FH_MEMBERS(upcasts),    FH_MEMBERS(downcasts),
                                FH_MEMBERS(derives),    FH_POINTED(struct fh_derived_field)}};

#endif
