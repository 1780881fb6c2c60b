# SPDX-License-Identifier: Apache-2.0
"""What `freehold check` knows of SQL, before any service runs."""

import json
import pathlib
import shutil
import subprocess

import pytest

from conftest import FREEHOLD, ROOT

BUILD = pathlib.Path(FREEHOLD).resolve().parent
FAULTS = ROOT / "tests" / "simulate" / "faults"
CLERK = FAULTS / "clerk" / "clerk.c"


def check(file, *options, programs=BUILD / "tests" / "simulate"):
    done = subprocess.run([FREEHOLD, "check", str(file), "--json", "--programs", str(programs), *options],
                          capture_output=True, text=True, timeout=120)
    return json.loads(done.stdout)


def line_of(source, text):
    [line] = [number for number, at in enumerate(source.read_text().splitlines(), 1) if text in at]
    return line


@pytest.fixture
def system(tmp_path):
    """The system of handlers with faults, with migrations of its own to change."""
    for service in ("clerk", "press"):
        shutil.copytree(FAULTS / service / "migrations", tmp_path / service / "migrations")
    shutil.copy(FAULTS / "freehold.yaml", tmp_path)
    return tmp_path


def test_statements_of_handlers_are_tried_on_an_empty_store():
    found = check(FAULTS / "freehold.yaml")
    clerk, press = CLERK, FAULTS / "press" / "press.c"
    expected = {
        (clerk, "INSERT INTO note (id, text)"): "table note has no column named text",
        (clerk, "SELECT id, text FROM note"): "no such column: text",
        (clerk, "SET words = 'sealed'"): "no such table: notes",
        (clerk, "SET words = 'again'"): "no such table: notes",
        (clerk, '"INSERT INTO note (id, words) VALUES (:id, :words)",'):
            'no object that it is given has "words", for its parameter :words',
        (clerk, "/* is given nothing */"): 'no object that it is given has "words", for its parameter :words',
        (clerk, 'json_pack("{s:s, s:i", "words"'):
            'json_pack\'s format "{s:s, s:i" has a bracket that nothing closes',
        (clerk, '"words", "two", "id"));'): 'json_pack\'s format "{s:s, s:i}" has more values than the call gives',
        (clerk, "AND words = ''"): 'no object that it is given has "ids", for its parameter :ids',
        (clerk, "; DELETE FROM note"): "it is not one statement",
        (clerk, '"COMMIT"'): "Freehold begins and ends the transaction and owns the store",
        (press, "wrods"): "table copy has no column named wrods",
        (press, "UPDATE copies"): "no such table: copies",
    }
    told = {(pathlib.Path(error["file"]).resolve(), error["line"]): error["message"] for error in found["errors"]}
    for (source, text), why in expected.items():
        assert why in told.get((source, line_of(source, text)), ""), (text, told)
    assert len(found["errors"]) == len(expected) and not found["warnings"]
    assert [error["line"] for error in found["errors"]] == sorted(
        (error["line"] for error in found["errors"] if error["file"].endswith("clerk.c"))) + sorted(
        (error["line"] for error in found["errors"] if error["file"].endswith("press.c")))


def test_a_migration_that_fails_on_an_empty_store_is_the_only_finding_of_its_service(system):
    (system / "clerk" / "migrations" / "0002_more.sql").write_text(
        "-- SPDX-License-Identifier: Apache-2.0\nCREATE TABLE more (id INTEGER);\n\nCREATE INDEX i ON mroe (id);\n")
    found = check(system / "freehold.yaml")
    [migration] = [error for error in found["errors"] if "0002_more.sql" in error["file"]]
    assert migration["line"] == 4
    assert migration["message"] == "clerk: on an empty store this statement fails: no such table: main.mroe"
    assert not [error for error in found["errors"] if error["file"].endswith("clerk.c")]


def test_a_migration_that_does_not_end_is_not_judged_and_holds_nobody_up(system):
    (system / "clerk" / "migrations" / "0002_more.sql").write_text(
        "CREATE TABLE more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n;\n")
    found = check(system / "freehold.yaml")
    assert not [error for error in found["errors"] if error["file"].endswith(("clerk.c", ".sql"))]
    assert any("the migrations and the handlers' SQL of clerk: it takes more than a trial may" in sentence
               for sentence in found["not_judged"])


def test_on_postgresql_what_its_parser_does_not_read_is_a_warning(system):
    (system / "freehold.yaml").write_text(
        "system: faults\nservices:\n  clerk: {engine: postgresql}\n  press: {}\n")
    (system / "clerk" / "migrations" / "0002_more.sql").write_text("CREATE TABEL more (id INTEGER);\n")
    found = check(system / "freehold.yaml")
    if any("libpg_query" in sentence or "nothing here reads" in sentence for sentence in found["not_judged"]):
        pytest.skip("built without libpg_query")
    [warning] = found["warnings"]
    assert warning["file"].endswith("0002_more.sql") and "PostgreSQL's parser does not read" in warning["message"]


def test_a_column_that_makes_doubles_of_decimals_is_a_warning(system):
    (system / "clerk" / "migrations" / "0002_more.sql").write_text(
        "CREATE TABLE item (id INTEGER, price DECIMAL(10, 2), name TEXT, point INTEGER);\n"
        "CREATE TABLE more (id INTEGER);\n\n"
        "ALTER TABLE more ADD COLUMN weight numeric;\n")
    found = check(system / "freehold.yaml")
    warnings = [(pathlib.Path(one["file"]).name, one["line"], one["message"]) for one in found["warnings"]]
    assert [(name, line) for name, line, _ in warnings] == [("0002_more.sql", 1), ("0002_more.sql", 4)], warnings
    assert "stored in item.price, which is declared DECIMAL(10, 2)" in warnings[0][2]
    assert "stored in more.weight, which is declared numeric" in warnings[1][2]
    assert "declare it TEXT for an FH_DECIMAL" in warnings[0][2]


def test_a_program_that_does_not_say_its_statements_is_not_judged(system):
    programs = system / "programs"
    programs.mkdir()
    for name in ("clerk", "press"):
        described = subprocess.run([BUILD / "tests" / "simulate" / name, "--describe"], capture_output=True, text=True,
                                   check=True).stdout
        (programs / f"{name}.json").write_text(described)
        program = programs / name
        program.write_text(f'#!/bin/sh\n[ "$1" = --describe ] && exec cat "$0.json"\necho usage >&2\nexit 2\n')
        program.chmod(0o755)
    found = check(system / "freehold.yaml", programs=programs)
    assert not found["errors"] and not found["warnings"]
    assert sum("its program does not say it; build it with this version" in sentence
               for sentence in found["not_judged"]) == 2


def test_programs_that_lack_one_library_are_one_finding_with_the_remedy(system):
    programs = system / "programs"
    programs.mkdir()
    missing = "error while loading shared libraries: libfreehold.so.0: cannot open shared object file"
    for name in ("clerk", "press"):
        (programs / name).write_text(f'#!/bin/sh\necho "$0: {missing}" >&2\nexit 127\n')
        (programs / name).chmod(0o755)
    [error] = check(system / "freehold.yaml", programs=programs)["errors"]
    assert error["message"] == (f"the programs of 2 services don't start, clerk, press: {missing}; run ldconfig where it "
                                "was installed, or set LD_LIBRARY_PATH")
