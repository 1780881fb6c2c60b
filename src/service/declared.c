/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout in each object file says where the members of its declarations are, and how large
 * their rows. If that is as here, the declaration is used as it is; otherwise it is copied, row by
 * row, together with the shapes, steps and fields that it points to.
 *
 * Under one FH_ABI these may differ: a struct's last fields, the number of rows, and members of
 * fh_service that are new at the end of the layout's list. The older side knows nothing of those,
 * so a declaration that is newer than the library is refused.
 */

#include "service/declared.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))
#define DERIVED_FIELD 19 /* the place of struct fh_derived_field in the list of layout.h */

struct copied_shape {
    const fh_field *from, *to;
    struct copied_shape *next;
};

struct reading {
    const struct fh_layout *layout;
    struct copied_shape *shapes; /* a shape may contain itself */
};

static void *allocate_rows(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    FH_ASSERT(memory != NULL);
    return memory;
}

/* Rows of `size` bytes, up to one whose first member, its name, is NULL; copied as rows of
 * `our_size`, with a terminating one. */
static void *copy_declared_rows(const void *from, size_t size, size_t our_size)
{
    size_t count = 0;
    const char *name;
    for (;; count++) {
        memcpy(&name, (const char *)from + count * size, sizeof name);
        if (!name)
            break;
    }
    char *to = allocate_rows(count + 1, our_size);
    for (size_t i = 0; i < count; i++)
        memcpy(to + i * our_size, (const char *)from + i * size, size);
    return to;
}

static const fh_field *read_shape(struct reading *reading, const fh_field *from)
{
    if (!from || reading->layout->field_size == sizeof *from)
        return from;
    for (struct copied_shape *each = reading->shapes; each; each = each->next) {
        if (each->from == from)
            return each->to;
    }
    fh_field *to = copy_declared_rows(from, reading->layout->field_size, sizeof *to);
    struct copied_shape *copied = allocate_rows(1, sizeof *copied);
    *copied = (struct copied_shape){.from = from, .to = to, .next = reading->shapes};
    reading->shapes = copied;
    for (fh_field *field = to; field->name; field++)
        field->of = read_shape(reading, field->of);
    return to;
}

static void read_shapes(struct reading *reading, fh_service *to)
{
    for (size_t i = 0; i < COUNT(to->routes); i++) {
        struct fh_route *route = &to->routes[i];
        route->body = read_shape(reading, route->body);
        route->query = read_shape(reading, route->query);
        route->answer.shape = read_shape(reading, route->answer.shape);
        route->answer.each = read_shape(reading, route->answer.each);
    }
    for (size_t i = 0; i < COUNT(to->publishes); i++)
        to->publishes[i].shape = read_shape(reading, to->publishes[i].shape);
    for (size_t i = 0; i < COUNT(to->upcasts); i++) {
        to->upcasts[i].shape = read_shape(reading, to->upcasts[i].shape);
        to->upcasts[i].into = read_shape(reading, to->upcasts[i].into);
    }
    for (size_t i = 0; i < COUNT(to->downcasts); i++)
        to->downcasts[i].into = read_shape(reading, to->downcasts[i].into);
    for (size_t i = 0; i < COUNT(to->sagas); i++)
        to->sagas[i].input = read_shape(reading, to->sagas[i].input);
    for (size_t i = 0; i < COUNT(to->timers); i++)
        to->timers[i].data = read_shape(reading, to->timers[i].data);
    to->settings = read_shape(reading, to->settings);
    for (size_t i = 0; i < COUNT(to->shapes); i++)
        to->shapes[i].shape = read_shape(reading, to->shapes[i].shape);
    while (reading->shapes) {
        struct copied_shape *first = reading->shapes;
        reading->shapes = first->next;
        free(first);
    }
}

static void read_steps(const struct fh_layout *layout, fh_service *to)
{
    for (size_t i = 0; i < COUNT(to->sagas); i++) {
        struct fh_saga_definition *saga = &to->sagas[i];
        if (saga->steps && layout->step_size != sizeof *saga->steps)
            saga->steps = copy_declared_rows(saga->steps, layout->step_size, sizeof *saga->steps);
    }
}

static void read_derived(const struct fh_layout *layout, fh_service *to)
{
    for (size_t i = 0; i < COUNT(to->derives); i++) {
        struct fh_derived *derived = &to->derives[i];
        if (derived->fields && layout->members[DERIVED_FIELD].size != sizeof *derived->fields)
            derived->fields = copy_declared_rows(
                derived->fields, layout->members[DERIVED_FIELD].size, sizeof *derived->fields);
    }
}

/* For a declaration whose layout is smaller than ours somewhere, and larger nowhere. */
static const fh_service *read_older(const fh_service *declared)
{
    struct reading reading = {.layout = declared->layout};
    fh_service *to = allocate_rows(1, sizeof *to);
    to->abi = declared->abi;
    to->layout = declared->layout;
    for (uint32_t i = 0; i < declared->layout->count; i++) {
        struct fh_rows from = declared->layout->members[i], into = fh_layout.members[i];
        for (uint32_t row = 0; row < from.count; row++)
            memcpy((char *)to + into.at + row * into.size,
                   (const char *)declared + from.at + row * from.size, from.size);
    }
    read_shapes(&reading, to);
    read_steps(declared->layout, to);
    read_derived(declared->layout, to);
    return to;
}

static bool is_newer(const struct fh_layout *layout)
{
    if (layout->field_size > fh_layout.field_size || layout->step_size > fh_layout.step_size ||
        layout->service_size > fh_layout.service_size || layout->count > fh_layout.count)
        return true;
    for (uint32_t i = 0; i < layout->count; i++) {
        if (layout->members[i].size > fh_layout.members[i].size ||
            layout->members[i].count > fh_layout.members[i].count)
            return true;
    }
    return false;
}

static bool layout_is_ours(const struct fh_layout *layout)
{
    return layout->service_size == fh_layout.service_size &&
           layout->field_size == fh_layout.field_size && layout->step_size == fh_layout.step_size &&
           layout->count == fh_layout.count &&
           memcmp(layout->members, fh_layout.members,
                  fh_layout.count * sizeof fh_layout.members[0]) == 0;
}

/* Looks only at the ABI number until that is known to be ours. */
static enum fh_code read_one(const fh_service *declared, const fh_service **ret,
                             struct fh_error *error)
{
    if (declared->abi != FH_ABI)
        return error_set(error, FH_UNSUPPORTED,
                         "A service of this program was compiled with another freehold.h, whose "
                         "FH_ABI is not %d: compile it again with the one of this library.",
                         FH_ABI);
    if (!declared->layout || is_newer(declared->layout))
        return error_set(error, FH_UNSUPPORTED,
                         "A service of this program was compiled with a newer freehold.h than "
                         "this library's: install that Freehold, or compile it again.");
    *ret = layout_is_ours(declared->layout) ? declared : read_older(declared);
    return FH_OK;
}

enum fh_code declared_read(const fh_service *const *begin, const fh_service *const *end,
                           struct declared *ret, struct fh_error *error)
{
    size_t count = (size_t)(end - begin);
    enum fh_code code = FH_OK;
    *ret = (struct declared){.services = allocate_rows(count + 1, sizeof *ret->services)};
    for (; ret->count < count && code == FH_OK; ret->count++) {
        code = read_one(begin[ret->count], &ret->services[ret->count], error);
        if (code == FH_OK)
            code = declared_check(ret->services[ret->count], error);
    }
    if (code != FH_OK)
        free(ret->services);
    return code;
}

const fh_service *declared_find(const struct declared *declared, const char *name)
{
    for (size_t i = 0; i < declared->count; i++) {
        if (strcmp(declared->services[i]->name, name) == 0)
            return declared->services[i];
    }
    return NULL;
}
