# SPDX-License-Identifier: Apache-2.0
"""Reports of a running service: by its routes and by the command, while it works and while it ends; and what `check`
says of them before."""

import csv
import io
import json
import pathlib
import shutil
import subprocess

import pytest
from conftest import FREEHOLD, ROOT, System, open_folder

PROGRAMS = pathlib.Path(FREEHOLD).resolve().parent / "tests" / "reports"
TILL = ROOT / "tests" / "reports"
SECRET = "Zaphod, of 42, \"The\" Street"
NO_POSTGRESQL = pytest.mark.skipif(not list(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres")),
                                   reason="POSTGRESQL IS NOT INSTALLED: apt-get install postgresql")
NO_MARIADB = pytest.mark.skipif(not pathlib.Path("/usr/sbin/mariadbd").exists(),
                                reason="MARIADB IS NOT INSTALLED: apt-get install mariadb-server")


def lay_out(folder):
    shutil.copytree(TILL / "till", folder / "till", ignore=shutil.ignore_patterns("*.c"))
    text = (TILL / "freehold.yaml").read_text().replace("${REPORTS_PROGRAMS}", str(PROGRAMS))
    (folder / "freehold.yaml").write_text(text)
    return folder / "freehold.yaml"


@pytest.fixture(name="profile")
def on_sqlite():
    return None


@pytest.fixture(name="till")
def till_with_sales(profile):
    folder = open_folder()
    system = System(lay_out(folder), folder / "state", profile)
    (folder / "till" / "reports" / "wrong.sql").write_text("SELECT :day")
    system.up()
    try:
        for day, customer, cents in (("d1", SECRET, 700), ("d1", "Ford\n\x1b[31m", 50), ("d2", SECRET, 9007199254740993)):
            sale = {"day": day, "customer": customer, "cents": cents}
            assert system.http("POST", "/api/sales", sale).status == 201
        yield system
    finally:
        print(system.logs())
        system.stop(check=False)
        shutil.rmtree(folder, ignore_errors=True)


def report(till, *words, code=0):
    done = subprocess.run([FREEHOLD, "report", *words, "--state", str(till.state)], capture_output=True, timeout=120)
    assert done.returncode == code, (done.stdout, done.stderr)
    return (done.stdout if code == 0 else done.stderr).decode()  # with the ends of lines as they are


def log_of(till):
    return (pathlib.Path(till.state) / "till" / "log").read_text()


def test_a_report_is_asked_by_routes_and_by_operators(till):
    answer = till.http("GET", "/api/reports/by_day?from_day=d2")
    assert answer.status == 200 and answer.body == [{"day": "d2", "cents": "9007199254740993", "sales": 1}]

    listed = json.loads(report(till, "till", "--json"))["reports"]
    assert [one["name"] for one in listed] == ["by_day", "customers", "endless", "wrong"]
    assert listed[0]["takes"][1] == {"name": "customer", "type": "text", "optional": True}
    assert "no note says what :day is" in listed[3]["why"] and "[report-unusable]" in log_of(till)
    assert "from_day=text [customer=text]" in report(till, "till")

    assert json.loads(report(till, "till", "by_day", "from_day=d1", "--json")) == {
        "columns": ["day", "cents", "sales"], "rows": [["d1", 750, 2], ["d2", "9007199254740993", 1]]}
    assert report(till, "till", "by_day", "from_day=d1", f"customer={SECRET}").split()[-3:] == ["d2", "9007199254740993", "1"]
    assert report(till, "till", "by_day", "from_day=d9", "--csv") == "day,cents,sales\r\n"
    rows = list(csv.reader(io.StringIO(report(till, "till", "customers", "--csv"), newline="")))
    assert rows == [["customer", "last", "most"], ["Ford\n\x1b[31m", "", "50"], [SECRET, "", "9007199254740993"]]
    assert "\x1b" not in report(till, "till", "customers")

    for words, code, why in ((("till", "by_day"), 1, 'takes "from_day", of type text'),
                             (("till", "by_day", "from_day=d1", f"x={SECRET}"), 1, 'takes no "x"'),
                             (("till", "by_day", "from_day"), 2, "is not NAME=VALUE"),
                             (("till", "by_day", "from_day=1", "from_day=2"), 2, "given twice"),
                             (("till", "by-day"), 1, "no report of that name"),
                             (("till", "wrong"), 1, "wrong.sql, line 1"),
                             (("till", "--csv"), 2, "--csv is for one report"),
                             (("till", "by_day", "--out", "x"), 2, "--out is for --csv"),
                             (("tell",), 2, "did you mean 'till'?")):
        assert why in report(till, *words, code=code)
    assert "Zaphod" not in log_of(till)  # neither what is asked with nor what is found
    assert "report" not in till.command("audit", "--state", till.state).stdout


def test_all_are_written_to_a_folder_or_none(tmp_path):
    file = lay_out(tmp_path)
    reports, folder = tmp_path / "till" / "reports", tmp_path / "sales"
    (reports / "endless.sql").unlink()
    (reports / "too_many.sql").write_text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100001) SELECT i FROM n")
    (reports / "wrong.sql").write_text("SELECT :day")
    till = System(file, tmp_path / "state").up()

    def written():
        return {path.name: path.read_bytes().decode() for path in folder.iterdir()} if folder.exists() else None

    def write(*words, code=0):
        return report(till, "till", *words, "--csv", "--out", str(folder), code=code)

    def served_without(name):
        (reports / f"{name}.sql").unlink()
        till.command("upgrade", "till", "--state", till.state)

    try:
        for day, customer in (("d1", SECRET), ("d2", "Ford")):
            assert till.http("POST", "/api/sales", {"day": day, "customer": customer, "cents": 700}).status == 201
        assert "the report wrong can't be run: " in write("from_day=d1", code=1) and written() is None
        served_without("wrong")
        for words, code, why in ((("from_day=d1", "to=d2"), 2, "takes 'to'"), ((), 2, "give from_day=VALUE"),
                                 (("customers", "from_day=d1"), 2, "takes 'from_day'"), (("by-day",), 1, "no such report"),
                                 (("customers", "x"), 2, "is not NAME=VALUE")):
            assert why in write(*words, code=code)
            assert written() is None
        assert "2 rows" in write("by_day", "from_day=d1")
        former = {"by_day.csv": "day,cents,sales\r\nd1,700,1\r\nd2,700,1\r\n"}
        assert written() == former
        assert "100000 rows" in write("from_day=d2", code=1)  # found out when two have been run
        assert written() == former
        served_without("too_many")
        assert "1 row\n" in write("from_day=d2")
        rows = list(csv.reader(io.StringIO(written()["customers.csv"], newline="")))
        assert written()["by_day.csv"] == "day,cents,sales\r\nd2,700,1\r\n" and len(written()) == 2
        assert rows == [["customer", "last", "most"], ["Ford", "", "700"], [SECRET, "", "700"]]
        folder = tmp_path / "till" / "reports" / "by_day.sql"  # no folder
        assert "cannot be written" in write("from_day=d2", code=1)
    finally:
        till.stop(check=False)


def test_one_that_takes_long_holds_nobody_up_and_ends_with_the_service(till):
    """Two are under way, as many as may be, and a third waits."""
    command = [FREEHOLD, "report", "till", "endless", "--state", str(till.state)]
    asked = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    try:
        # Not "still running" at a time, but: they have not ended when all of this was answered.
        for day in ("d3", "d4"):
            assert till.http("POST", "/api/sales", {"day": day, "customer": "Ford", "cents": 1}).status == 201
        assert till.call("till", "GET", "/livez").status == 200
        assert [one.poll() for one in asked] == [None] * 3
        till.stop()
        for one in asked:
            said = one.communicate(timeout=120)[1]
            assert one.returncode == 1 and "till" in said
    finally:
        for one in asked:
            one.kill()
    assert "[service-drained]" in log_of(till) and "[draining-cut-short]" not in log_of(till)


def test_check_knows_what_can_not_be_run(tmp_path):
    file = lay_out(tmp_path)
    reports = tmp_path / "till" / "reports"

    def check():
        done = subprocess.run([FREEHOLD, "check", str(file), "--json"], capture_output=True, text=True, timeout=120)
        return [(pathlib.Path(one["file"]).name, one["line"], one["message"]) for one in json.loads(done.stdout)["errors"]]

    assert not check()
    wrong = {"a_column": ("-- One.\nSELECT days FROM sale", 2, "no such column: days"),
             "a_table": ("SELECT day FROM sales", 1, "no such table: sales"),
             "change": ("UPDATE sale SET day = 'x' RETURNING day", 1, "something else than to read"),
             "own": ("SELECT * FROM fh_outbox", 1, "fh_outbox, which is not the service's own"),
             "same": ("SELECT day, day FROM sale", 1, 'two of its columns are called "day"'),
             "takes": ("-- freehold: takes to_day text\nSELECT day FROM sale", 1, "does not name :to_day"),
             "Two Words": ("SELECT 1", 1, "lower-case letters")}
    for name, (text, _, _) in wrong.items():
        (reports / f"{name}.sql").write_text(text)
    (reports / "by_day.sql").rename(reports / "by_days.sql")
    found = check()
    for name, (_, line, why) in wrong.items():
        assert [one for one in found if one[:2] == (f"{name}.sql", line) and why in one[2]], (name, found)
    assert [one for one in found if one[0] == "till.c" and 'fh_report can\'t run "by_day"' in one[2]], found
    assert len(found) == len(wrong) + 1
    shutil.rmtree(reports)
    reports.mkdir()
    (reports / "by_day.sql").write_text("-- freehold: takes to_day text\nSELECT :to_day")
    assert not check()  # what fh_query gives is not known
    file.write_text(file.read_text().replace('till" }', 'till", reports: till/nowhere }'))
    assert ["there is no such folder" in one[2] for one in check()] == [True]


def ends_with_its_service(till):
    """A report that has no end holds nobody up, and ends when the service does, in order."""
    endless = subprocess.Popen([FREEHOLD, "report", "till", "endless", "--state", str(till.state)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for day in ("d3", "d4"):
            assert till.http("POST", "/api/sales", {"day": day, "customer": "Ford", "cents": 1}).status == 201
        assert endless.poll() is None
        till.stop()
        said = endless.communicate(timeout=120)[1]
        assert endless.returncode == 1 and "till" in said
    finally:
        endless.kill()
    assert "Zaphod" not in log_of(till) and "[draining-cut-short]" not in log_of(till)


@pytest.mark.parametrize("profile", [pytest.param("postgresql", marks=NO_POSTGRESQL)])
def test_they_run_on_postgresql_as_a_user_who_only_reads(till):
    """The same report, without a variant; its user's rights; one that is hostile, and one without end."""
    answer = till.http("GET", "/api/reports/by_day?from_day=d2")
    assert answer.status == 200 and answer.body == [{"day": "d2", "cents": "9007199254740993", "sales": 1}]
    assert report(till, "till", "by_day", "from_day=d1", f"customer={SECRET}").split()[-3:] == ["d2", "9007199254740993", "1"]
    rows = list(csv.reader(io.StringIO(report(till, "till", "customers", "--csv"), newline="")))
    assert rows == [["customer", "last", "most"], ["Ford\n\x1b[31m", "", "50"], [SECRET, "", "9007199254740993"]]
    for name, text in {"change": "DELETE FROM sale RETURNING day", "session": "SELECT set_config('role', 'none', false)",
                       "whose": "SELECT current_user AS who, current_setting('transaction_read_only') AS reads,"
                                " current_setting('temp_file_limit') AS files",
                       "value": "SELECT CAST(customer AS integer) AS n FROM sale",
                       "rights": "SELECT has_table_privilege('sale', 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES,"
                                 " TRIGGER') OR has_database_privilege(current_database(), 'CREATE, TEMPORARY') OR"
                                 " has_schema_privilege(current_schema(), 'CREATE') AS any,"
                                 " (SELECT count(*) FROM pg_class WHERE relname LIKE 'f_\\_%' AND relkind = 'r' AND"
                                 " has_table_privilege(oid, 'SELECT')) AS own"}.items():
        (pathlib.Path(till.file).parent / "till" / "reports" / f"{name}.sql").write_text(text)
    till.command("upgrade", "till", "--state", till.state)
    assert report(till, "till", "whose", "--csv") == "who,reads,files\r\nreports_till.reports,on,1GB\r\n"
    assert report(till, "till", "rights", "--csv") == "any,own\r\nfalse,0\r\n"
    assert "it does something else than to read" in report(till, "till", "change", code=1)
    assert "it calls set_config" in report(till, "till", "session", code=1)
    assert "22P02" in report(till, "till", "value", code=1)
    whys = {one["name"]: one.get("why", "") for one in json.loads(report(till, "till", "--json"))["reports"]}
    assert "else than to read" in whys["change"] and "set_config" in whys["session"] and not whys["value"]
    ends_with_its_service(till)


@pytest.mark.parametrize("profile", [pytest.param("mariadb", marks=NO_MARIADB)])
def test_they_run_on_mariadb_as_a_user_who_only_reads(till):
    """The same, and one that is wrong in its third line."""
    answer = till.http("GET", "/api/reports/by_day?from_day=d2")
    assert answer.status == 200 and answer.body == [{"day": "d2", "cents": "9007199254740993", "sales": 1}]
    assert report(till, "till", "by_day", "from_day=d1", f"customer={SECRET}").split()[-3:] == ["d2", "9007199254740993", "1"]
    rows = list(csv.reader(io.StringIO(report(till, "till", "customers", "--csv"), newline="")))
    assert rows == [["customer", "last", "most"], ["Ford\n\x1b[31m", "", "50"], [SECRET, "", "9007199254740993"]]
    for name, text in {"change": "DELETE FROM sale RETURNING day", "lock": "SELECT get_lock('a', 1)",
                       "whose": "SELECT current_user() AS who, @@tx_read_only AS ro",
                       "value": "SELECT 9223372036854775807 + cents AS n FROM sale",
                       "syntax": "-- Wrong.\nSELECT day\nFRM sale",
                       "rights": "SELECT table_name AS t, privilege_type AS p FROM information_schema.table_privileges",
                       "others": "SELECT count(*) AS n FROM information_schema.schema_privileges"}.items():
        (pathlib.Path(till.file).parent / "till" / "reports" / f"{name}.sql").write_text(text)
    till.command("upgrade", "till", "--state", till.state)
    assert report(till, "till", "whose", "--csv") == "who,ro\r\nreports_till.reports@%,1\r\n"
    assert report(till, "till", "rights", "--csv") == "t,p\r\nsale,SELECT\r\n"
    assert report(till, "till", "others", "--csv") == "n\r\n0\r\n"
    assert "it does something else than to read" in report(till, "till", "change", code=1)
    assert "it calls get_lock" in report(till, "till", "lock", code=1)
    assert "1690" in report(till, "till", "value", code=1)
    assert "syntax.sql, line 3: syntax error near 'sale'" in report(till, "till", "syntax", code=1)
    ends_with_its_service(till)


def test_check_says_what_it_can_without_the_server(tmp_path):
    file = lay_out(tmp_path)
    file.write_text(file.read_text().replace('till" }', 'till", engine: mariadb }'))

    def check():
        done = subprocess.run([FREEHOLD, "check", str(file)], capture_output=True, text=True, timeout=120)
        return done.stderr + done.stdout

    reports = tmp_path / "till" / "reports"
    (reports / "lock.sql").write_text("SELECT get_lock('a', 1)")
    found = check()
    assert "till has reports" not in found and "it calls get_lock" in found
    (reports / "sqlite").mkdir()
    for report in reports.glob("*.sql"):
        report.rename(reports / "sqlite" / report.name)  # for the other engine alone
    assert "get_lock" not in check()
    file.write_text(file.read_text().replace("engine: mariadb", "engine: postgresql"))
    (reports / "since.sql").write_text("-- freehold: takes x text\nSELECT day -- a day's\nFROM sale /* one's */ WHERE day > :x")
    found = check()
    assert "parser does not read" not in found
    assert "till has reports" not in found and 'fh_report can\'t run "by_day"' in found
