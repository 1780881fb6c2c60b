# SPDX-License-Identifier: Apache-2.0
"""What tools/test --until makes of cases that would begin too late: each kind of runner skips them, and says so."""

import pathlib
import subprocess
import sys
import tempfile

BUILD, ROOT = (pathlib.Path(word) for word in sys.argv[1:3])
sys.path.insert(0, str(ROOT / "tools"))
sys.dont_write_bytecode = True
import until  # noqa: E402


def counted(suite, only, *more):
    """The lines that a run leaves for whoever adds several up, and its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        counts = pathlib.Path(folder, "counts")
        ran = subprocess.run([ROOT / "tools" / "test", "--build", BUILD, "--suites", suite, "--only", only, "--counts", counts,
                              *more], capture_output=True, text=True, check=False)
        return counts.read_text().splitlines(), ran.returncode


def late_programs_are_skipped_and_counted():
    return counted("unit", "bench_judge", "--until", "1") == (["0 0 1", f"? 1 {until.SKIPPED}"], 0)


def late_scripts_are_skipped_and_counted():
    lines, code = counted("attack", "test_a_stranger_is_one", "--until", "1")
    return lines == ["0 0 1", f"? 1 {until.SKIPPED}"] and code == 0


def what_is_in_time_runs():
    lines, code = counted("unit", "bench_judge", "--until", "99999999999")
    return len(lines) == 1 and lines[0].endswith(" 0 0") and lines[0] != "0 0 0" and code == 0


CASES = (late_programs_are_skipped_and_counted, late_scripts_are_skipped_and_counted, what_is_in_time_runs)
print(f"1..{len(CASES)}", flush=True)
held = [case() for case in CASES]
for number, case in enumerate(CASES):
    print(f"{'ok' if held[number] else 'not ok'} {number + 1} - {case.__name__}", flush=True)
sys.exit(not all(held))
