/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_JSON_H
#define FREEHOLD_JSON_H

/*
 * A part of freehold.h, which includes it: JSON whose values the compiler knows the types of.
 *
 *     fh_object(w, "id", 7, "name", text, "items", items)      {"id": 7, "name": ..., "items": ...}
 *     fh_array(w, 1, "two", fh_object(w, "three", 3.0))        [1, "two", {"three": 3.0}]
 *
 * A value is an integer of any width, a bool, a double, a text (UTF-8) or a json_t *. NULL, of a
 * text or a json_t *, is null. Anything else, a name that is no text and a name without a value do
 * not compile. At most 32 members or 64 elements; a name twice, a text that is not UTF-8, NaN, an
 * infinity and an integer beyond int64_t end the handler with 500.
 *
 * A json_t * is borrowed: it may be used in other places, too. In a test, fh_object(t, ...) takes
 * it over, as all calls there do, and so it is passed on itself. The values are in the unit of
 * work's arena, like all JSON of a handler.
 *
 * In C a comparison is an int: write (bool)(a < b) for true or false. The words `true` and `false`
 * are bools here, which before C23 stdbool.h does not make them.
 */

enum fh_value_type {
    FH_VALUE_INT = 1,
    FH_VALUE_NATURAL,
    FH_VALUE_BOOL,
    FH_VALUE_REAL,
    FH_VALUE_TEXT,
    FH_VALUE_JSON
};
struct fh_value {
    enum fh_value_type type;
    union {
        int64_t integer;
        uint64_t natural;
        double real;
        const char *text;
        json_t *json;
    } of;
};
struct fh_member_value {
    const char *name;
    struct fh_value value;
};

/* What fh_object and fh_array call. */
FH_API json_t *fh_object_of(fh_work *w, const struct fh_member_value *members, size_t count);
FH_API json_t *fh_array_of(fh_work *w, const struct fh_value *values, size_t count);

/* Gives each of `rows` (an array of objects, or one object) the `items` that belong to it: an array
 * `name` of those whose member `key` equals the row's id, in their order; none: []. The member is
 * taken out of the item. "order_id=number": `order_id` of an item, and `number` of a row. An item
 * whose member is null, or is no row's, is in none. Returns `rows`. */
FH_API json_t *fh_nest(fh_work *w, json_t *rows, const char *name, json_t *items, const char *key);

/* A member of an object: of a row, a body, settings. One that is not there, or is of another type,
 * ends the handler with 500, and the log names it. */
FH_API const char *fh_text(fh_work *w, const json_t *object, const char *name); /* null: NULL */
FH_API int64_t fh_int(fh_work *w, const json_t *object, const char *name);
FH_API double fh_real(fh_work *w, const json_t *object, const char *name); /* an integer, too */
FH_API bool fh_bool(fh_work *w, const json_t *object, const char *name);
/* That member of each of `rows`, in their order, without nulls: for "IN (:ids)", fh_get_each. */
FH_API json_t *fh_column(fh_work *w, const json_t *rows, const char *name);

static inline struct fh_value fh_value_of_int(int64_t value)
{
    struct fh_value made;
    made.type = FH_VALUE_INT;
    made.of.integer = value;
    return made;
}
static inline struct fh_value fh_value_of_natural(uint64_t value)
{
    struct fh_value made;
    made.type = FH_VALUE_NATURAL;
    made.of.natural = value;
    return made;
}
static inline struct fh_value fh_value_of_bool(bool value)
{
    struct fh_value made;
    made.type = FH_VALUE_BOOL;
    made.of.integer = value;
    return made;
}
static inline struct fh_value fh_value_of_real(double value)
{
    struct fh_value made;
    made.type = FH_VALUE_REAL;
    made.of.real = value;
    return made;
}
static inline struct fh_value fh_value_of_text(const char *value)
{
    struct fh_value made;
    made.type = FH_VALUE_TEXT;
    made.of.text = value;
    return made;
}
static inline struct fh_value fh_value_of_json(json_t *value)
{
    struct fh_value made;
    made.type = FH_VALUE_JSON;
    made.of.json = value;
    return made;
}

#ifdef __cplusplus
extern "C++" {
/* The types that a value may have; of any other there is no fh_value_from. */
template <typename T> struct fh_value fh_value_from(T value) = delete;
inline struct fh_value fh_value_from(signed char value)
{
    return fh_value_of_int(value);
}
inline struct fh_value fh_value_from(unsigned char value)
{
    return fh_value_of_int(value);
}
inline struct fh_value fh_value_from(short value)
{
    return fh_value_of_int(value);
}
inline struct fh_value fh_value_from(unsigned short value)
{
    return fh_value_of_int(value);
}
inline struct fh_value fh_value_from(int value)
{
    return fh_value_of_int(value);
}
inline struct fh_value fh_value_from(unsigned int value)
{
    return fh_value_of_int(value);
}
inline struct fh_value fh_value_from(long value)
{
    return fh_value_of_int(value);
}
inline struct fh_value fh_value_from(long long value)
{
    return fh_value_of_int(value);
}
inline struct fh_value fh_value_from(unsigned long value)
{
    return fh_value_of_natural(value);
}
inline struct fh_value fh_value_from(unsigned long long value)
{
    return fh_value_of_natural(value);
}
inline struct fh_value fh_value_from(bool value)
{
    return fh_value_of_bool(value);
}
inline struct fh_value fh_value_from(float value)
{
    return fh_value_of_real(value);
}
inline struct fh_value fh_value_from(double value)
{
    return fh_value_of_real(value);
}
inline struct fh_value fh_value_from(const char *value)
{
    return fh_value_of_text(value);
}
inline struct fh_value fh_value_from(char *value)
{
    return fh_value_of_text(value);
}
inline struct fh_value fh_value_from(json_t *value)
{
    return fh_value_of_json(value);
}
inline struct fh_value fh_value_from(decltype(nullptr))
{
    return fh_value_of_text(nullptr);
}

inline json_t *fh_build_object(fh_work *w, const struct fh_member_value *members, size_t count)
{
    return fh_object_of(w, members, count);
}
inline json_t *fh_build_array(fh_work *w, const struct fh_value *values, size_t count)
{
    return fh_array_of(w, values, count);
}

inline void fh_fill_members(struct fh_member_value *)
{
}
template <typename T, typename... Rest>
void fh_fill_members(struct fh_member_value *members, const char *name, const T &value,
                     const Rest &...rest)
{
    members->name = name;
    members->value = fh_value_from(value);
    fh_fill_members(members + 1, rest...);
}
template <typename Where, typename... Members>
json_t *fh_object(Where *w, const Members &...members)
{
    static_assert(sizeof...(members) % 2 == 0, "fh_object takes pairs: each name has a value");
    if constexpr (sizeof...(members) % 2 == 0) {
        struct fh_member_value filled[sizeof...(members) / 2 + 1];
        fh_fill_members(filled, members...);
        return fh_build_object(w, filled, sizeof...(members) / 2);
    }
    return nullptr;
}
template <typename Where, typename... Values> json_t *fh_array(Where *w, const Values &...values)
{
    const struct fh_value filled[] = {fh_value_from(values)..., fh_value_of_int(0)};
    return fh_build_array(w, filled, sizeof...(values));
}
}
#else

#if __STDC_VERSION__ < 202311L
/* As C23 has them; C17, 7.18, lets a program do so. They still count in #if. */
#undef true
#undef false
#define true ((_Bool) + 1u)
#define false ((_Bool) + 0u)
#endif

/* What a value of another type is passed to, which no value can be: the compiler's message names
 * the type that was given. */
struct fh_integer_bool_double_text_or_json {
    char none;
};
struct fh_name_as_text {
    char none;
};
struct fh_value fh_no_value_for_json(struct fh_integer_bool_double_text_or_json value);
const char *fh_no_name_for_json(struct fh_name_as_text name);
static inline const char *fh_name_of_text(const char *name)
{
    return name;
}

#define FH_VALUE(value)                                                                            \
    _Generic((value), _Bool                                                                        \
             : fh_value_of_bool, signed char                                                       \
             : fh_value_of_int, unsigned char                                                      \
             : fh_value_of_int, short                                                              \
             : fh_value_of_int, unsigned short                                                     \
             : fh_value_of_int, int                                                                \
             : fh_value_of_int, unsigned                                                           \
             : fh_value_of_int, long                                                               \
             : fh_value_of_int, long long                                                          \
             : fh_value_of_int, unsigned long                                                      \
             : fh_value_of_natural, unsigned long long                                             \
             : fh_value_of_natural, float                                                          \
             : fh_value_of_real, double                                                            \
             : fh_value_of_real, char *                                                            \
             : fh_value_of_text, const char *                                                      \
             : fh_value_of_text, json_t *                                                          \
             : fh_value_of_json, default                                                           \
             : fh_no_value_for_json)(value)
#define FH_NAMED(name, value)                                                                        \
    {                                                                                                \
        _Generic((name), char *                                                                    \
                 : fh_name_of_text, const char *                                                   \
                 : fh_name_of_text, default                                                        \
                 : fh_no_name_for_json)(name),                                                     \
            FH_VALUE(value) \
    }

/* The first argument is the unit of work, so that there is always one. */
#define fh_object(...) FH_JOIN(FH_OBJECT_, FH_PICK(__VA_ARGS__, FH_PICK_PAIRS))(__VA_ARGS__)
#define fh_array(...) FH_JOIN(FH_ARRAY_, FH_PICK(__VA_ARGS__, FH_PICK_ANY))(__VA_ARGS__)

/* freehold/test.h adds its own. */
#define FH_OBJECT_FUNCTION(w) _Generic((w), fh_work * : fh_object_of)
#define FH_ARRAY_FUNCTION(w) _Generic((w), fh_work * : fh_array_of)
#define FH_OBJECT_EMPTY(w) FH_OBJECT_FUNCTION(w)(w, (const struct fh_member_value *)0, 0)
#define FH_ARRAY_EMPTY(w) FH_ARRAY_FUNCTION(w)(w, (const struct fh_value *)0, 0)
#define FH_OBJECT_PAIRED(w, ...)                                                                   \
    FH_OBJECT_FUNCTION(w)                                                                          \
    (w,                                                                                            \
     (const struct fh_member_value[]){                                                             \
         FH_JOIN(FH_EACH_, FH_PICK(w, __VA_ARGS__, FH_PICK_COUNT))(__VA_ARGS__)},                  \
     FH_PICK(w, __VA_ARGS__, FH_PICK_COUNT) / 2)
#define FH_ARRAY_SOME(w, ...)                                                                      \
    FH_ARRAY_FUNCTION(w)                                                                           \
    (w,                                                                                            \
     (const struct fh_value[]){                                                                    \
         FH_JOIN(FH_VALUES_, FH_PICK(w, __VA_ARGS__, FH_PICK_COUNT))(__VA_ARGS__)},                \
     FH_PICK(w, __VA_ARGS__, FH_PICK_COUNT))
#define FH_OBJECT_ODD(...)                                                                         \
    ((json_t *)sizeof(struct {                                                                     \
        _Static_assert(0, "fh_object takes pairs: each name has a value");                         \
        int odd;                                                                                   \
    }))

#define FH_JOIN(a, b) FH_JOIN_NOW(a, b)
#define FH_JOIN_NOW(a, b) a##b

/* Chooses by the number of arguments behind the first one: up to 64. */
#define FH_PICK(...) FH_PICK_NOW(__VA_ARGS__, 0)
#define FH_PICK_NOW(a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16,     \
                    a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31,     \
                    a32, a33, a34, a35, a36, a37, a38, a39, a40, a41, a42, a43, a44, a45, a46,     \
                    a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, a61,     \
                    a62, a63, a64, picked, ...)                                                    \
    picked
#define FH_PICK_COUNT                                                                              \
    64, 63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42,    \
        41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20,    \
        19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0
#define FH_PICK_PAIRS                                                                              \
    PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD,     \
        PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, \
        PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, \
        PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, \
        PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, PAIRED, ODD, EMPTY
#define FH_PICK_ANY                                                                                \
    SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME,      \
        SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME,  \
        SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME,  \
        SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME,  \
        SOME, SOME, SOME, SOME, EMPTY
#define FH_EACH_2(name, value) FH_NAMED(name, value)
#define FH_EACH_4(name, value, ...) FH_NAMED(name, value), FH_EACH_2(__VA_ARGS__)
#define FH_EACH_6(name, value, ...) FH_NAMED(name, value), FH_EACH_4(__VA_ARGS__)
#define FH_EACH_8(name, value, ...) FH_NAMED(name, value), FH_EACH_6(__VA_ARGS__)
#define FH_EACH_10(name, value, ...) FH_NAMED(name, value), FH_EACH_8(__VA_ARGS__)
#define FH_EACH_12(name, value, ...) FH_NAMED(name, value), FH_EACH_10(__VA_ARGS__)
#define FH_EACH_14(name, value, ...) FH_NAMED(name, value), FH_EACH_12(__VA_ARGS__)
#define FH_EACH_16(name, value, ...) FH_NAMED(name, value), FH_EACH_14(__VA_ARGS__)
#define FH_EACH_18(name, value, ...) FH_NAMED(name, value), FH_EACH_16(__VA_ARGS__)
#define FH_EACH_20(name, value, ...) FH_NAMED(name, value), FH_EACH_18(__VA_ARGS__)
#define FH_EACH_22(name, value, ...) FH_NAMED(name, value), FH_EACH_20(__VA_ARGS__)
#define FH_EACH_24(name, value, ...) FH_NAMED(name, value), FH_EACH_22(__VA_ARGS__)
#define FH_EACH_26(name, value, ...) FH_NAMED(name, value), FH_EACH_24(__VA_ARGS__)
#define FH_EACH_28(name, value, ...) FH_NAMED(name, value), FH_EACH_26(__VA_ARGS__)
#define FH_EACH_30(name, value, ...) FH_NAMED(name, value), FH_EACH_28(__VA_ARGS__)
#define FH_EACH_32(name, value, ...) FH_NAMED(name, value), FH_EACH_30(__VA_ARGS__)
#define FH_EACH_34(name, value, ...) FH_NAMED(name, value), FH_EACH_32(__VA_ARGS__)
#define FH_EACH_36(name, value, ...) FH_NAMED(name, value), FH_EACH_34(__VA_ARGS__)
#define FH_EACH_38(name, value, ...) FH_NAMED(name, value), FH_EACH_36(__VA_ARGS__)
#define FH_EACH_40(name, value, ...) FH_NAMED(name, value), FH_EACH_38(__VA_ARGS__)
#define FH_EACH_42(name, value, ...) FH_NAMED(name, value), FH_EACH_40(__VA_ARGS__)
#define FH_EACH_44(name, value, ...) FH_NAMED(name, value), FH_EACH_42(__VA_ARGS__)
#define FH_EACH_46(name, value, ...) FH_NAMED(name, value), FH_EACH_44(__VA_ARGS__)
#define FH_EACH_48(name, value, ...) FH_NAMED(name, value), FH_EACH_46(__VA_ARGS__)
#define FH_EACH_50(name, value, ...) FH_NAMED(name, value), FH_EACH_48(__VA_ARGS__)
#define FH_EACH_52(name, value, ...) FH_NAMED(name, value), FH_EACH_50(__VA_ARGS__)
#define FH_EACH_54(name, value, ...) FH_NAMED(name, value), FH_EACH_52(__VA_ARGS__)
#define FH_EACH_56(name, value, ...) FH_NAMED(name, value), FH_EACH_54(__VA_ARGS__)
#define FH_EACH_58(name, value, ...) FH_NAMED(name, value), FH_EACH_56(__VA_ARGS__)
#define FH_EACH_60(name, value, ...) FH_NAMED(name, value), FH_EACH_58(__VA_ARGS__)
#define FH_EACH_62(name, value, ...) FH_NAMED(name, value), FH_EACH_60(__VA_ARGS__)
#define FH_EACH_64(name, value, ...) FH_NAMED(name, value), FH_EACH_62(__VA_ARGS__)
#define FH_VALUES_1(value) FH_VALUE(value)
#define FH_VALUES_2(value, ...) FH_VALUE(value), FH_VALUES_1(__VA_ARGS__)
#define FH_VALUES_3(value, ...) FH_VALUE(value), FH_VALUES_2(__VA_ARGS__)
#define FH_VALUES_4(value, ...) FH_VALUE(value), FH_VALUES_3(__VA_ARGS__)
#define FH_VALUES_5(value, ...) FH_VALUE(value), FH_VALUES_4(__VA_ARGS__)
#define FH_VALUES_6(value, ...) FH_VALUE(value), FH_VALUES_5(__VA_ARGS__)
#define FH_VALUES_7(value, ...) FH_VALUE(value), FH_VALUES_6(__VA_ARGS__)
#define FH_VALUES_8(value, ...) FH_VALUE(value), FH_VALUES_7(__VA_ARGS__)
#define FH_VALUES_9(value, ...) FH_VALUE(value), FH_VALUES_8(__VA_ARGS__)
#define FH_VALUES_10(value, ...) FH_VALUE(value), FH_VALUES_9(__VA_ARGS__)
#define FH_VALUES_11(value, ...) FH_VALUE(value), FH_VALUES_10(__VA_ARGS__)
#define FH_VALUES_12(value, ...) FH_VALUE(value), FH_VALUES_11(__VA_ARGS__)
#define FH_VALUES_13(value, ...) FH_VALUE(value), FH_VALUES_12(__VA_ARGS__)
#define FH_VALUES_14(value, ...) FH_VALUE(value), FH_VALUES_13(__VA_ARGS__)
#define FH_VALUES_15(value, ...) FH_VALUE(value), FH_VALUES_14(__VA_ARGS__)
#define FH_VALUES_16(value, ...) FH_VALUE(value), FH_VALUES_15(__VA_ARGS__)
#define FH_VALUES_17(value, ...) FH_VALUE(value), FH_VALUES_16(__VA_ARGS__)
#define FH_VALUES_18(value, ...) FH_VALUE(value), FH_VALUES_17(__VA_ARGS__)
#define FH_VALUES_19(value, ...) FH_VALUE(value), FH_VALUES_18(__VA_ARGS__)
#define FH_VALUES_20(value, ...) FH_VALUE(value), FH_VALUES_19(__VA_ARGS__)
#define FH_VALUES_21(value, ...) FH_VALUE(value), FH_VALUES_20(__VA_ARGS__)
#define FH_VALUES_22(value, ...) FH_VALUE(value), FH_VALUES_21(__VA_ARGS__)
#define FH_VALUES_23(value, ...) FH_VALUE(value), FH_VALUES_22(__VA_ARGS__)
#define FH_VALUES_24(value, ...) FH_VALUE(value), FH_VALUES_23(__VA_ARGS__)
#define FH_VALUES_25(value, ...) FH_VALUE(value), FH_VALUES_24(__VA_ARGS__)
#define FH_VALUES_26(value, ...) FH_VALUE(value), FH_VALUES_25(__VA_ARGS__)
#define FH_VALUES_27(value, ...) FH_VALUE(value), FH_VALUES_26(__VA_ARGS__)
#define FH_VALUES_28(value, ...) FH_VALUE(value), FH_VALUES_27(__VA_ARGS__)
#define FH_VALUES_29(value, ...) FH_VALUE(value), FH_VALUES_28(__VA_ARGS__)
#define FH_VALUES_30(value, ...) FH_VALUE(value), FH_VALUES_29(__VA_ARGS__)
#define FH_VALUES_31(value, ...) FH_VALUE(value), FH_VALUES_30(__VA_ARGS__)
#define FH_VALUES_32(value, ...) FH_VALUE(value), FH_VALUES_31(__VA_ARGS__)
#define FH_VALUES_33(value, ...) FH_VALUE(value), FH_VALUES_32(__VA_ARGS__)
#define FH_VALUES_34(value, ...) FH_VALUE(value), FH_VALUES_33(__VA_ARGS__)
#define FH_VALUES_35(value, ...) FH_VALUE(value), FH_VALUES_34(__VA_ARGS__)
#define FH_VALUES_36(value, ...) FH_VALUE(value), FH_VALUES_35(__VA_ARGS__)
#define FH_VALUES_37(value, ...) FH_VALUE(value), FH_VALUES_36(__VA_ARGS__)
#define FH_VALUES_38(value, ...) FH_VALUE(value), FH_VALUES_37(__VA_ARGS__)
#define FH_VALUES_39(value, ...) FH_VALUE(value), FH_VALUES_38(__VA_ARGS__)
#define FH_VALUES_40(value, ...) FH_VALUE(value), FH_VALUES_39(__VA_ARGS__)
#define FH_VALUES_41(value, ...) FH_VALUE(value), FH_VALUES_40(__VA_ARGS__)
#define FH_VALUES_42(value, ...) FH_VALUE(value), FH_VALUES_41(__VA_ARGS__)
#define FH_VALUES_43(value, ...) FH_VALUE(value), FH_VALUES_42(__VA_ARGS__)
#define FH_VALUES_44(value, ...) FH_VALUE(value), FH_VALUES_43(__VA_ARGS__)
#define FH_VALUES_45(value, ...) FH_VALUE(value), FH_VALUES_44(__VA_ARGS__)
#define FH_VALUES_46(value, ...) FH_VALUE(value), FH_VALUES_45(__VA_ARGS__)
#define FH_VALUES_47(value, ...) FH_VALUE(value), FH_VALUES_46(__VA_ARGS__)
#define FH_VALUES_48(value, ...) FH_VALUE(value), FH_VALUES_47(__VA_ARGS__)
#define FH_VALUES_49(value, ...) FH_VALUE(value), FH_VALUES_48(__VA_ARGS__)
#define FH_VALUES_50(value, ...) FH_VALUE(value), FH_VALUES_49(__VA_ARGS__)
#define FH_VALUES_51(value, ...) FH_VALUE(value), FH_VALUES_50(__VA_ARGS__)
#define FH_VALUES_52(value, ...) FH_VALUE(value), FH_VALUES_51(__VA_ARGS__)
#define FH_VALUES_53(value, ...) FH_VALUE(value), FH_VALUES_52(__VA_ARGS__)
#define FH_VALUES_54(value, ...) FH_VALUE(value), FH_VALUES_53(__VA_ARGS__)
#define FH_VALUES_55(value, ...) FH_VALUE(value), FH_VALUES_54(__VA_ARGS__)
#define FH_VALUES_56(value, ...) FH_VALUE(value), FH_VALUES_55(__VA_ARGS__)
#define FH_VALUES_57(value, ...) FH_VALUE(value), FH_VALUES_56(__VA_ARGS__)
#define FH_VALUES_58(value, ...) FH_VALUE(value), FH_VALUES_57(__VA_ARGS__)
#define FH_VALUES_59(value, ...) FH_VALUE(value), FH_VALUES_58(__VA_ARGS__)
#define FH_VALUES_60(value, ...) FH_VALUE(value), FH_VALUES_59(__VA_ARGS__)
#define FH_VALUES_61(value, ...) FH_VALUE(value), FH_VALUES_60(__VA_ARGS__)
#define FH_VALUES_62(value, ...) FH_VALUE(value), FH_VALUES_61(__VA_ARGS__)
#define FH_VALUES_63(value, ...) FH_VALUE(value), FH_VALUES_62(__VA_ARGS__)
#define FH_VALUES_64(value, ...) FH_VALUE(value), FH_VALUES_63(__VA_ARGS__)
#endif
#endif
