#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What must not compile with the public header, and what the compiler says then. Called with the
folder of the headers and the compilers, each with its language: c=gcc c++=g++."""

import subprocess
import sys

INCLUDE, COMPILERS = sys.argv[1], [word.split("=", 1) for word in sys.argv[2:]]

PAIRS = "fh_object takes pairs: each name has a value"
# A name, the expression, and what the message has: in C, and in C++. None: it compiles.
CASES = (
    ("values of every type are taken", 'fh_object(w, "a", n, "b", text, "c", json, "d", true, "e", 1.5)', None, None),
    ("a member without a value", 'fh_object(w, "a")', PAIRS, PAIRS),
    ("the third member without a value", 'fh_object(w, "a", 1, "b", 2, "c")', PAIRS, PAIRS),
    ("a pointer as a value", 'fh_object(w, "a", &n)', "fh_integer_bool_double_text_or_json", "deleted function"),
    ("a struct as a value", 'fh_array(w, 1, *other)', "fh_integer_bool_double_text_or_json", "deleted function"),
    ("an untyped pointer as a value", "fh_array(w, (void *)text)", "fh_integer_bool_double_text_or_json",
     "deleted function"),
    ("a character as a value", "fh_array(w, *text)", "fh_integer_bool_double_text_or_json", "deleted function"),
    ("a name that is no text", "fh_object(w, 7, text)", "fh_name_as_text", "fh_fill_members"),
    ("no unit of work", 'fh_object(json, "a", 1)', "_Generic", "fh_work"),
)
PROGRAM = """#include <freehold.h>
struct other {{ int a; }};
json_t *made(fh_work *w, json_t *json, int n, char *text, struct other *other);
json_t *made(fh_work *w, json_t *json, int n, char *text, struct other *other)
{{
    (void)w, (void)json, (void)n, (void)text, (void)other;
    return {};
}}
"""

print(f"1..{len(CASES) * len(COMPILERS)}")
number = 0
for language, compiler in COMPILERS:
    standard = "gnu17" if language == "c" else "c++17"
    for name, expression, in_c, in_cplusplus in CASES:
        number += 1
        expected = in_c if language == "c" else in_cplusplus
        ran = subprocess.run(
            [*compiler.split(), f"-std={standard}", "-x", language, "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
             f"-I{INCLUDE}", "-"], input=PROGRAM.format(expression), capture_output=True, text=True, check=False)
        passed = ran.returncode != 0 and expected in ran.stderr if expected else ran.returncode == 0
        print(f"{'ok' if passed else 'not ok'} {number} - {language}: {name}")
        if not passed:
            print("# " + ran.stderr.replace("\n", "\n# "))
