# SPDX-License-Identifier: Apache-2.0
"""The judge of the audit of events by a broker (by_bus/judge.py, `make audit BUS=`) finds what it is for. Here it gets
stores and a journal made by hand, right ones and wrong ones. And of that audit itself the part that no other test has."""

import contextlib
import json
import os
import pathlib
import sqlite3
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
FREEHOLD = pathlib.Path(os.environ.get("FREEHOLD", HERE.parent.parent / "build" / "freehold"))
JUDGE = HERE / "by_bus" / "judge.py"
ENTRIES = "CREATE TABLE entries (id INTEGER PRIMARY KEY, series TEXT, number INTEGER, tag TEXT)"
HEARD = "CREATE TABLE heard (id INTEGER PRIMARY KEY, how TEXT, series TEXT, number INTEGER, tag TEXT)"

# Three requests, a backup of the source, two more, and its restore: what r4 and r5 wrote is gone, and r6 comes after it.
JOURNAL = [{"tag": "r1", "series": ["a", "b", "a"]}, {"tag": "r2", "series": ["b"]}, {"tag": "r3", "series": ["a"]},
           {"backup": "source"}, {"tag": "r4", "series": ["a"]}, {"tag": "r5", "series": ["b"]}, {"restored": "source"},
           {"tag": "r6", "series": ["a", "b"]}]
KEPT = [("a", 1, "r1"), ("b", 1, "r1"), ("a", 2, "r1"), ("b", 2, "r2"), ("a", 3, "r3"), ("a", 4, "r6"), ("b", 3, "r6")]
# The sink had r4 of `a` already, and not r2 of `b`.
HAD = [("event", "a", 1, "r1"), ("event", "b", 1, "r1"), ("event", "a", 2, "r1"), ("event", "a", 3, "r3"),
       ("event", "a", 4, "r4"), ("state", "a", 3, "r3"), ("state", "b", 2, "r2"), ("event", "a", 4, "r6"),
       ("event", "b", 3, "r6")]


def judge(folder, journal=None, kept=None, had=None):
    for name, table, columns, rows in (("source", ENTRIES, 3, kept or KEPT), ("sink", HEARD, 4, had or HAD)):
        with contextlib.closing(sqlite3.connect(folder / name)) as store, store:
            store.execute(table)
            names = "series, number, tag" if columns == 3 else "how, series, number, tag"
            store.executemany(f"INSERT INTO {table.split()[2]} ({names}) VALUES ({', '.join('?' * columns)})", rows)
    (folder / "journal").write_text("".join(json.dumps(line) + "\n" for line in journal or JOURNAL))
    return subprocess.run([JUDGE, folder / "source", folder / "sink", folder / "journal"], capture_output=True, text=True,
                          check=False, timeout=60)


def test_what_is_right_is_found_right_and_counted(tmp_path):
    done = judge(tmp_path)
    assert done.returncode == 0 and done.stdout.splitlines()[-1].startswith("right: "), done.stdout + done.stderr
    for line in ("events of the source: 7", "events that restores of the source took: 2", "events applied: 7",
                 "events given up in a resync: 1", "events taken over in a resync: 1", "restores of the source: 1"):
        assert line in done.stdout.splitlines(), done.stdout


def test_what_was_replaced_under_the_same_number_before_the_sink_was_told_is_given_up(tmp_path):
    """The source numbered r6 as it had numbered r4, and then the sink was told how things are."""
    had = [*HAD[:5], ("state", "a", 4, "r6"), ("state", "b", 3, "r6")]
    done = judge(tmp_path, had=had)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("change, said", [
    (lambda journal, kept, had: had.insert(3, had[2]), "the sink has applied a 2 once more"),
    (lambda journal, kept, had: had.pop(2), "the sink has applied a 3 after 1"),
    (lambda journal, kept, had: had.insert(2, had.pop(3)), "the sink has applied a 3 after 1"),
    (lambda journal, kept, had: had.pop(), "b: the source has 3, the sink 2"),
    (lambda journal, kept, had: had.append(("event", "b", 4, "r7")), "b: the source has 3, the sink 4"),
    (lambda journal, kept, had: had.__setitem__(2, ("event", "a", 2, "r9")), "a 2: the source has r1, the sink r9"),
    (lambda journal, kept, had: had.append(("state", "b", 3, "r6")), "told 2 times how b is, after 1 restores"),
    (lambda journal, kept, had: kept.append(("b", 4, "r2")), "of r2 the source has {'b': 2}"),
    (lambda journal, kept, had: kept.append(("b", 4, "r8")), "nobody was told that r8 is written"),
    (lambda journal, kept, had: journal.insert(0, {"tag": "r0", "series": ["a"]}), "of r0 the source has {}"),
    (lambda journal, kept, had: kept.append(("b", 5, "r5")), "the source has b 5 as number 4")])
def test_what_is_wrong_is_found(tmp_path, change, said):
    journal, kept, had = list(JOURNAL), list(KEPT), list(HAD)
    change(journal, kept, had)
    if said.startswith("a 2:"):
        had = [one for one in had if one[0] == "event" and one[3] != "r4"]
        had.insert(2, ("event", "b", 2, "r2"))
    done = judge(tmp_path, journal, kept, had)
    assert done.returncode == 1 and said in done.stdout and done.stdout.splitlines()[-1].startswith("WRONG in "), \
        done.stdout + done.stderr


def test_a_nats_whose_disk_was_full_carries_events_again():
    """It goes on running without serving anybody: `up` has to notice. So does RabbitMQ, which `make audit BUS=rabbitmq`
    tries: a disk that is full for less than a second there goes unnoticed. Kafka ends, and is started until there is room."""
    done = subprocess.run([HERE / "by_bus" / "run", FREEHOLD.parent, "--bus", "nats", "--events", "2000", "--seed", "1",
                           "--only", "disk full", "--once"], capture_output=True, text=True, check=False, timeout=590)
    if "SKIPPED" in done.stdout or "can't be audited here" in done.stderr:
        pytest.skip(f"NOT RUN: {done.stdout}{done.stderr}")
    print(done.stdout, done.stderr)
    assert done.returncode == 0
