# SPDX-License-Identifier: Apache-2.0
"""The rules themselves, tried on what each must find and on what it must let through."""

import os
import sys
import traceback
import types

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import tidy  # noqa: E402


def tree_of(**files):
    code = {path.replace("__", "/") + ".c": tidy.without_comments(text) for path, text in files.items()}
    return types.SimpleNamespace(
        code=code, c_files=lambda *starts: [path for path in code if path.startswith(starts or "")])


def test_a_ring_of_two_is_found():
    assert tidy.rings_of({"a": {"b"}, "b": {"a"}, "c": {"a"}}) == [["a", "b"]]


def test_a_ring_over_three_files_is_found_without_any_pair():
    assert tidy.rings_of({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]


def test_two_rings_are_told_apart():
    assert tidy.rings_of({"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"c"}}) == [["c", "d"], ["a", "b"]]


def test_a_diamond_is_no_ring():
    assert tidy.rings_of({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}) == []


def test_the_library_does_not_fail_as_handlers_do():
    tree = tree_of(src__timer__set="void set(fh_work *w)\n{\n    fh_fail (w, 500, \"No.\");\n    fh_fail_at(w, 422, p, x);\n}\n",
                   src__work__request="void fh_fail(fh_work *w, int status)\n{\n    work_fault(w, \"fh_fail\");\n}\n",
                   examples__one="void one(fh_work *w)\n{\n    fh_fail(w, 503, \"Cold.\");\n}\n")
    found = tidy.only_handlers_fail_by_fh_fail(tree)
    assert [(one.path, one.line) for one in found] == [("src/timer/set.c", 3), ("src/timer/set.c", 4)]


def test_a_name_that_cxx_reserves_is_found_but_not_in_comments_and_strings():
    tree = tree_of(src__base__one='/* a new operator */\nint count(int new)\n{\n    return puts("delete");\n}\n')
    assert [(one.path, one.line) for one in tidy.no_name_is_reserved_in_cxx(tree)] == [("src/base/one.c", 2)]


def test_a_static_function_of_one_word_is_found():
    tree = tree_of(src__base__one="static int run(void)\n{\n    return 1;\n}\n")
    assert ["`run`" in one.text for one in tidy.static_functions_carry_their_noun(tree)] == [True]


def test_a_static_function_behind_an_attribute_is_found():
    tree = tree_of(src__base__one="__attribute__((format(printf, 1, 2))) static bool\nrefuse(const char *format, ...)\n"
                                  "{\n    return false;\n}\n")
    assert ["`refuse`" in one.text for one in tidy.static_functions_carry_their_noun(tree)] == [True]


def test_a_call_of_ninja_past_the_lock_is_found_but_not_in_the_one_place():
    call = 'import subprocess\nsubprocess.run(["/usr/bin/ninja", "-C", build])\n'
    tree = types.SimpleNamespace(texts={"tests/crash/test_one.py": call, "tools/build_folder.py": call})
    found = tidy.the_build_folder_is_built_in_one_place(tree)
    assert [(one.path, one.line) for one in found] == [("tests/crash/test_one.py", 2)]


def test_one_name_in_two_files_is_found_in_both():
    body = "static int run_task(void)\n{\n    return 1;\n}\n"
    tree = tree_of(src__base__one=body, src__work__two=body)
    assert len(list(tidy.static_functions_carry_their_noun(tree))) == 2


def test_a_noun_of_its_own_passes():
    tree = tree_of(src__base__one="static int run_task(void)\n{\n    return 1;\n}\n\nint run(void)\n{\n    return 1;\n}\n")
    assert list(tidy.static_functions_carry_their_noun(tree)) == []


def log_lines_of(text):
    tree = types.SimpleNamespace(source=os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    return list(tidy.reference_of(tree).log_lines({"src/work/one.c": text}))


def test_a_line_of_the_log_without_an_id_is_found():
    assert [line.id for line in log_lines_of('log_info("The store is full.");\nlog_error(id, "%s", text);\n')] == [None]


def test_a_line_of_the_log_is_listed_with_what_it_says():
    line, = log_lines_of('log_warning("store-full", "The store %s is "\n            "full: %d%%", name, (int)part(1, 2));\n')
    assert (line.id, line.level, line.message, line.layer) == ("store-full", "warning", "The store … is full: …%", "work")


def main():
    cases = [(name, case) for name, case in sorted(globals().items()) if name.startswith("test_")]
    print(f"1..{len(cases)}")
    failed = 0
    for number, (name, case) in enumerate(cases, 1):
        try:
            case()
            print(f"ok {number} - {name.removeprefix('test_')}")
        except AssertionError:
            failed += 1
            print(f"not ok {number} - {name.removeprefix('test_')}")
            print("# " + traceback.format_exc().replace("\n", "\n# "))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
