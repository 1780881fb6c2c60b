# SPDX-License-Identifier: Apache-2.0
"""The table of bars, what becomes of parts that fail, and what bench/unwaited makes of openload's lines."""

import contextlib
import importlib
import importlib.machinery
import importlib.util
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import traceback
from unittest import mock

sys.dont_write_bytecode = True
BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench")
sys.path.insert(0, BENCH)
import bars  # noqa: E402
import common  # noqa: E402
import debezium  # noqa: E402
import peers  # noqa: E402
import unwaited  # noqa: E402


def closed(register):
    """What the table says, what was missed, and what failed."""
    importlib.reload(bars)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        register()
        missed, failed = bars.close()
    return out.getvalue(), missed, failed


def test_the_median_of_rounds_is_what_counts():
    def register():
        bars.at_least("met", bars.Ratios([90, 50, 91], [100, 100, 100]), 0.9)
        bars.at_least("missed", bars.Ratios([89, 200, 88], [100, 100, 100]), 0.9)
        bars.at_most("also missed", bars.Figures([2.01, 1, 3]), 2, " s")

    said, missed, failed = closed(register)
    assert missed == ["missed", "also missed"] and not failed
    assert "0.50 to 0.91" in said and "1.00 to 3.00" in said


def test_what_could_not_be_measured_is_said_and_not_missed():
    said, missed, failed = closed(lambda: bars.missing("a server", "no server"))
    assert missed == failed == [] and said.count("NOT MEASURED") == 2


def test_a_part_that_fails_is_named_with_its_bars_and_the_others_go_on():
    def register():
        for wrong in (common.Failed("no more rows"), KeyError("position"), subprocess.TimeoutExpired("psql", 60)):
            with bars.part(f"first {type(wrong).__name__}", "reached", f"left by {type(wrong).__name__}"):
                bars.at_least("reached", 2, 1)
                raise wrong
        with bars.part("second", "kept"):
            bars.at_least("kept", 2, 1)

    said, missed, failed = closed(register)
    assert not missed and failed == ["first Failed", "first KeyError", "first TimeoutExpired"]
    for kind in ("Failed", "KeyError", "TimeoutExpired"):
        assert any(f"left by {kind} " in line and "NOT MEASURED" in line and f"first {kind} failed" in line
                   for line in said.splitlines()), said
    assert "no more rows" in said and "KeyError: 'position'" in said and "kept" in said


def test_a_part_within_another_fails_alone():
    def register():
        with bars.part("whole", "last"):
            with bars.part("half", "first"):
                raise common.Failed("half")
            bars.at_least("last", 2, 1)

    said, missed, failed = closed(register)
    assert not missed and failed == ["half"] and "half failed" in said


def test_a_part_that_cannot_be_measured_here_names_all_its_bars_and_does_not_fail():
    def register():
        with bars.part("servers", "one", "another"):
            bars.all_missing("no server")

    said, missed, failed = closed(register)
    assert missed == failed == []
    assert all(f"{name}: NOT MEASURED, no server" in said for name in ("one", "another"))


def test_a_bar_that_a_part_has_forgotten_is_a_failure():
    def register():
        with bars.part("part", "never reached"):
            bars.at_least("never stated", 2, 1)

    said, missed, failed = closed(register)
    assert not missed and failed == ["never stated", "part"]
    assert "never reached" in said and "part failed" in said


def test_an_interrupt_ends_the_bench():
    for wrong in (KeyboardInterrupt, SystemExit):
        try:
            with bars.part("part"):
                raise wrong
        except wrong:
            continue
        raise AssertionError(f"{wrong.__name__} was taken for a failure of a part")


def test_the_bench_goes_on_behind_a_failure_and_exits_with_it():
    loader = importlib.machinery.SourceFileLoader("bench_run", os.path.join(BENCH, "run"))
    run = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", loader))
    importlib.reload(bars)
    loader.exec_module(run)
    went = []

    def bad(*_):
        raise common.Failed("it is broken")

    with tempfile.TemporaryDirectory() as build:
        program = pathlib.Path(build) / "bench" / "fdatasync"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\necho 1 2\n")
        program.chmod(0o755)
        with mock.patch.object(run, "ENGINES", {"bad": bad, "good": lambda *_: went.append("good")}), \
                mock.patch.object(run.shutil, "which", lambda _: "wrk"), mock.patch.object(run.signal, "signal"), \
                mock.patch.object(sys, "argv", ["run", build]), contextlib.redirect_stdout(io.StringIO()) as out:
            try:
                run.main()
            except SystemExit as ended:
                assert ended.code == "bench/run: failed: bad", ended.code
            else:
                raise AssertionError("it has passed")
    assert went == ["good"] and "bad: FAILED, it is broken" in out.getvalue()


def test_a_rival_whose_tool_does_not_work_is_missing():
    class Broken(peers.Peer):
        tools = {"false": ("--version", (1, 0))}

    with tempfile.TemporaryDirectory() as build:
        assert "tells no version" in Broken(pathlib.Path(build), "rival", {}).missing()


def test_debezium_awaits_as_many_rows_as_are_written():
    commits, rows = debezium.EVENTS // debezium.ROWS_A_COMMIT, debezium.EVENTS % debezium.ROWS_A_COMMIT
    assert f"0 .. {commits if rows else commits - 1} LOOP" in debezium.FILL and f", {debezium.EVENTS})) AS n" in debezium.FILL


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
