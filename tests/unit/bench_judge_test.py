# SPDX-License-Identifier: Apache-2.0
"""The rules by which bench/check says that something got slower, on figures that were recorded."""

import os
import pathlib
import random
import sys
import tempfile
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
import judge  # noqa: E402
import meters  # noqa: E402

ROW = "order + event, 64 connections"
BEFORE = {ROW: {"instructions": [150258.9, 150487.4, 150311.0, 150402.2, 150290.7], "system calls": [2.81, 2.88, 2.85, 2.71, 2.79],
                "statements": [9.07] * 5, "syncs": [0.02] * 5}}
NOW = {ROW: {"instructions": [150333.1, 150460.9, 150280.4], "system calls": [2.80, 2.86, 2.77], "statements": [9.07] * 3,
             "syncs": [0.02] * 3}}


def now_with(figure, factor):
    return {ROW: {**NOW[ROW], figure: [value * factor for value in NOW[ROW][figure]]}}


def test_noise_is_not_found():
    assert judge.compared(BEFORE, NOW) == ([], [])


def test_a_loss_of_ten_percent_is_found_in_each_figure_that_shows_it():
    for figure in ("instructions", "statements", "syncs"):
        worse, better = judge.compared(BEFORE, now_with(figure, 1.1))
        assert [(one.row, one.figure) for one in worse] == [(ROW, figure)] and not better


def test_a_gain_is_told_and_is_no_loss():
    worse, better = judge.compared(BEFORE, now_with("instructions", 0.9))
    assert not worse and [one.figure for one in better] == ["instructions"]


def test_what_was_none_and_is_some_is_found():
    worse, _ = judge.compared({ROW: {"syncs": [0.0] * 5}}, {ROW: {"syncs": [0.1] * 3}})
    assert len(worse) == 1


def test_a_figure_that_hides_ten_percent_is_named():
    assert [(figure, row) for row, figure, _ in judge.blind(BEFORE)] == [("system calls", ROW)]


def test_random_figures_of_one_build_are_not_found_in_hundreds_of_comparisons():
    draw = random.Random(1)
    for _ in range(500):
        before, now = ([draw.gauss(1000, 5) for _ in range(5)] for _ in range(2))
        assert judge.compared({ROW: {"instructions": before}}, {ROW: {"instructions": now}})[0] == []


def test_a_page_that_only_some_runs_wrote_is_not_found():
    assert judge.compared({ROW: {"log bytes": [0.0] * 5}}, {ROW: {"log bytes": [0.0, 16.1, 16.1]}}) == ([], [])


def test_one_run_that_is_far_off_hides_no_loss_and_is_none():
    before, off = [25.4, 25.4, 24.7, 24.8, 68.3], [25.1, 25.2, 70.0, 24.9, 25.0]
    assert judge.compared({ROW: {"system calls": before}}, {ROW: {"system calls": off}}) == ([], [])
    assert judge.compared({ROW: {"system calls": before}}, {ROW: {"system calls": [1.2 * value for value in off]}})[0]


def test_what_a_service_does_by_itself_now_and_then_is_not_found():
    keyed, sagas = "order + event with a key, 1 connection", "saga of three steps, 64 connections"
    assert judge.compared({keyed: {"statements": [13.0] * 5}, sagas: {"statements": [27.5, 27.4, 27.6, 27.5, 27.7]}},
                          {keyed: {"statements": [13.21, 13.0, 13.21]}, sagas: {"statements": [29.27, 27.5, 29.4]}})[0] == []


def test_what_grew_most_is_told_first():
    assert judge.moved({"read": 1.0, "write": 1.0, "gone": 2.0}, {"read": 1.5, "write": 2.0, "new": 0.1}) == [
        ("write", 1.0, 2.0), ("read", 1.0, 1.5), ("new", 0, 0.1)]


def test_signed_ranks_have_their_exact_chance():
    assert judge.chance_of_rank_sum([0.9] * 12) == 1 / 2 ** 12
    assert judge.chance_of_rank_sum([1.1] * 12) == 1
    assert judge.chance_of_rank_sum([0.9, 0.8, 1.05]) == 2 / 8  # {2, 3} and {1, 2, 3} of ranks 1 to 3


def test_a_rate_is_slower_only_where_it_is_so_steadily_and_by_much():
    assert judge.is_slower([0.90, 0.93, 0.87, 0.91, 0.95, 0.89, 0.92, 0.97, 0.88, 0.90, 0.93, 0.86])
    assert not judge.is_slower([0.98, 0.97, 0.99, 0.98, 0.97, 0.99, 0.98, 0.97, 0.98, 0.99, 0.97, 0.98])
    assert not judge.is_slower([0.70, 1.20, 0.80, 1.10, 0.90, 1.30, 0.60, 1.05, 0.92, 1.02, 0.94, 1.15])


def file_of(text):
    folder = tempfile.TemporaryDirectory()
    path = pathlib.Path(folder.name) / "out"
    path.write_text(text)
    return folder, path


def test_callgrind_counts_what_functions_cost_themselves_and_how_often_they_are_called():
    folder, path = file_of("ob=(1) /lib/libfreehold.so.0\nfn=(1) serve\n12 5\ncob=(2) /lib/libsqlite3.so.0\ncfn=(2) sqlite3_step\n"
                           "calls=3 0\n13 70\n+1 2\n\nob=(2)\nfn=(3) 0x00012\n0 9\n\nfn=(1)\n12 1\n\ntotals: 17\n")
    with folder:
        total, own, calls = meters.read_callgrind(path)
    assert total == 17 and own == {"serve": 8, "(libsqlite3.so.0)": 9} and calls == {"sqlite3_step": 3}


def test_strace_counts_calls_once_and_only_what_is_written_to_a_log():
    folder, path = file_of('7 pwrite64(5</s/store.db-wal>, ""..., 24, 0) = 24\n7 fdatasync(5</s/store.db-wal> <unfinished ...>\n'
                           '8 pwrite64(5</s/store.db-wal>, ""..., 4096, 32 <unfinished ...>\n8 <... pwrite64 resumed>) = 4096\n'
                           "7 <... fdatasync resumed>) = 0\n7 pwrite64(6</s/store.db>, \"\"..., 4096, 0) = 4096\n")
    with folder:
        calls, written = meters.read_strace(path)
    assert calls == {"pwrite64": 3, "fdatasync": 1} and written == 24 + 4096


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
