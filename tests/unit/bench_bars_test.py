# SPDX-License-Identifier: Apache-2.0
"""The table of bars, and what bench/unwaited makes of openload's lines."""

import contextlib
import importlib
import io
import os
import sys
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
import bars  # noqa: E402
import common  # noqa: E402
import unwaited  # noqa: E402


def closed(register):
    """What the table says, and what was missed."""
    importlib.reload(bars)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        register()
        missed = bars.close()
    return out.getvalue(), missed


def test_the_median_of_rounds_is_what_counts():
    def register():
        bars.at_least("met", bars.Ratios([90, 50, 91], [100, 100, 100]), 0.9)
        bars.at_least("missed", bars.Ratios([89, 200, 88], [100, 100, 100]), 0.9)
        bars.at_most("also missed", bars.Figures([2.01, 1, 3]), 2, " s")

    said, missed = closed(register)
    assert missed == ["missed", "also missed"]
    assert "0.50 to 0.91" in said and "1.00 to 3.00" in said


def test_what_could_not_be_measured_is_said_and_not_missed():
    said, missed = closed(lambda: bars.missing("a server", "no server"))
    assert missed == [] and said.count("NOT MEASURED") == 2


def test_rounds_of_both_sides_belong_together():
    try:
        bars.Ratios([1, 2], [1])
    except ValueError:
        return
    raise AssertionError("a round without its other side was not noticed")


def test_what_is_late_or_shed_has_not_begun():
    assert unwaited.begun_of(["SLOT 0 10 6 2 2 0 100 200", "SLOT 100 10 9 1 0 0 100 200"]) == 15
    assert unwaited.begun_of(["SLOT 0 10 0 0 10 0 0 0"]) == 0


def test_no_error_is_passed_over():
    for lines in (["SLOT 0 10 9 0 0 1 100 200"], []):
        try:
            unwaited.begun_of(lines)
        except common.Failed:
            continue
        raise AssertionError(f"{lines} were taken for an answer")


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
