# SPDX-License-Identifier: Apache-2.0
"""Faults are told to the operator, once, and not to the client: of requests, events and sagas, of crashes and of
handlers that do not return."""

import json
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest
from conftest import FREEHOLD, ROOT, SANITIZED, System, open_folder, wait_for

PROGRAMS = pathlib.Path(FREEHOLD).parent / "tests" / "faults"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def faults():
    folder = open_folder()
    for name in ("faulty", "hearer"):
        shutil.copytree(ROOT / "tests" / "faults" / name / "migrations", folder / name / "migrations")
    text = (ROOT / "tests" / "faults" / "freehold.yaml").read_text().replace("${FAULTS_PROGRAMS}", str(PROGRAMS))
    (folder / "freehold.yaml").write_text(text)
    system = System(folder / "freehold.yaml", folder / "state")
    system.up()
    try:
        yield system
    finally:
        print(system.logs())
        system.stop()
        shutil.rmtree(folder, ignore_errors=True)


def log_of(faults, service):
    return (pathlib.Path(faults.state) / service / "log").read_text(errors="replace")


def lines(faults, service, *parts):
    """But for those about requests."""
    return [line for line in log_of(faults, service).splitlines()
            if all(part in line for part in parts) and "[request-answered]" not in line]


def requests(faults, service, *parts):
    return [line.partition("[request-answered]: ")[2] for line in log_of(faults, service).splitlines()
            if "[request-answered]" in line and all(part in line for part in parts)]


def fault(faults, method, path, body=None, status=500, trace=TRACE):
    answer = faults.http(method, path, body, {"traceparent": PARENT.replace(TRACE, trace)})
    assert answer.status == status, answer
    assert answer.body["trace_id"] == trace and answer.body["detail"].endswith(".")
    return answer


@pytest.mark.parametrize("number, method, path, handler, why", [
    (1, "POST", "/api/misfit", "publish_misfit", 'The data of Made does not fit its declared shape, at "/id"'),
    (2, "POST", "/api/undeclared", "publish_undeclared", "faulty published Unmade, which is not among its declared"),
    (3, "POST", "/api/keyless", "publish_keyless", 'The key of Kept, its field "id", must be there'),
    (4, "GET", "/api/asks", "ask_undeclared", "faulty asked hearer for /api/nothing, which is not among"),
    (5, "POST", "/api/starts", "start_undeclared", "faulty started saga no_such_saga, which is not among"),
    (6, "GET", "/api/nowhere", "select_nowhere", "nowhere"),
    (7, "POST", "/api/remembers", "set_undeclared", "faulty set timer no_such_timer, which is not among its declared"),
    (8, "POST", "/api/misremembers", "set_misfit", 'The data of timer burn_out does not fit its declared shape, at "/'),
])
def test_a_fault_is_in_the_log_and_not_in_the_answer(faults, number, method, path, handler, why):
    trace = f"{number:032x}"
    answer = fault(faults, method, path, trace=trace)
    assert set(answer.body) == {"type", "title", "status", "detail", "trace_id"}
    assert answer.body["detail"] == "The service has a fault here; its log says which."
    said = lines(faults, "faulty", trace)
    assert len(said) == 1, said
    assert " error faulty [handler-failed]: " in said[0]
    assert f"{method} {path}: " in said[0] and f"handler {handler};" in said[0] and why in said[0]
    assert not lines(faults, "gateway", trace)


def test_the_statement_of_a_fault_is_told_without_values(faults):
    trace = "7" * 32
    fault(faults, "GET", "/api/nowhere", trace=trace)
    said, = lines(faults, "faulty", trace)
    assert "SQL SELECT secret_column FROM nowhere WHERE word = ? AND id > ?" in said
    assert "hunter2" not in said and "4711" not in said


def test_a_statement_that_the_handler_has_made_is_told_after_the_handler_is_left(faults):
    trace = "6" * 32
    fault(faults, "GET", "/api/built", trace=trace)
    said, = lines(faults, "faulty", trace)
    assert "; SQL SELECT made_column FROM made_table WHERE id = :id; engine" in said


def test_what_a_handler_says_itself_is_told_and_logged(faults):
    answer = fault(faults, "GET", "/api/cold", status=503, trace="8" * 32)
    assert answer.body["detail"] == "The kiln is cold."
    said = lines(faults, "faulty", "8" * 32)
    assert len(said) == 1 and " warning faulty [request-unserved]: 503, GET /api/cold: The kiln is cold." in said[0]


def test_what_comes_in_floods_is_counted(faults):
    before = len(lines(faults, "faulty", "POST /api/overloads"))
    for _ in range(50):
        assert faults.http("POST", "/api/overloads", {"id": 1, "word": "Hephaestus"}).status == 503

    def counted():
        faults.http("POST", "/api/overloads", {"id": 1, "word": "Hephaestus"})
        return lines(faults, "faulty", "POST /api/overloads", "more like it were not logged")
    said = wait_for("the others are counted", counted)
    assert len(lines(faults, "faulty", "POST /api/overloads")) - before < 25
    assert not lines(faults, "faulty", "Hephaestus") and "Too much of [personal]" in said[0]


def test_the_fault_of_an_events_handler_is_logged_once(faults):
    assert faults.http("POST", "/api/things", {"id": 17, "word": "Prometheus"},
                       {"traceparent": PARENT.replace(TRACE, "9" * 32)}).status == 201
    wait_for("it is parked", lambda: lines(faults, "hearer", "[event-parked]"))
    said = lines(faults, "hearer", "[handler-failed]")
    assert len(said) == 1, said
    for part in ("event Made of faulty: ", "handler keep_thing;", "SQL INSERT INTO somewhere (word) VALUES (:word)",
                 "trace " + "9" * 32):
        assert part in said[0], (part, said)
    assert not lines(faults, "hearer", "Prometheus")


def test_the_fault_of_a_sagas_handler_is_logged(faults):
    assert faults.http("POST", "/api/sagas", {"id": 18, "word": "Atlas"},
                       {"traceparent": PARENT.replace(TRACE, "a" * 32)}).status == 202
    said = wait_for("it is in the log", lambda: lines(faults, "faulty", "[saga-handler-failed]"))
    for part in ("saga stumble, step fall: ", "handler stumble;", "INSERT INTO nowhere_else VALUES (:word)",
                 "trace " + "a" * 32):
        assert part in said[0], (part, said)
    assert not lines(faults, "faulty", "[handler-failed]", "a" * 32)


def restarted(faults, service, before):
    return wait_for(f"{service} is there again", lambda: [
        one for name, one in faults.services().items() if name == service and one["pid"] not in (0, None, before)
        and one["state"]])


@pytest.mark.parametrize("path, handler, signal", [
    ("/api/crashes", "crash", "SIGSEGV at 0x0"),
    ("/api/aborts", "give_up", "SIGABRT"),
])
@pytest.mark.skipif(SANITIZED, reason="the sanitizer reports crashes itself")
def test_a_crash_leaves_a_backtrace_with_its_route(faults, path, handler, signal):
    before, had = faults.pid("faulty"), len(lines(faults, "faulty"))
    faults.http("POST", path)
    restarted(faults, "faulty", before)
    said = lines(faults, "faulty")[had:]
    at = next(i for i, line in enumerate(said) if "[process-crashed]" in line)
    assert said[at].endswith(f"[process-crashed]: {signal}, in POST {path}, handler {handler}; ending"), said[at]
    frames = [line for line in said[at + 1:] if line.startswith("  at ")]
    assert any(re.match(rf"  at {handler}\+0x[0-9a-f]+ \(faulty\+0x[0-9a-f]+\)$", line) for line in frames), frames
    assert any("work_handler_run" in line for line in frames)


def test_a_handler_that_does_not_return_for_a_while_is_told_and_left_alone(faults):
    before = faults.pid("faulty")
    assert faults.http("POST", "/api/holds/3500").status == 200
    said = wait_for("it is said that it has returned", lambda: lines(faults, "faulty", "[handler-returned]"))
    assert "POST /api/holds/{ms:int}" in said[0] and "handler hold_on" in said[0]
    assert len(lines(faults, "faulty", "[handler-hangs]", "POST /api/holds/{ms:int}", "handler hold_on")) == 1
    assert faults.pid("faulty") == before


def test_the_watchdog_sleeps_while_the_loop_lives(faults):
    pid = faults.pid("faulty")

    def woken():
        """Of the loop's thread, and of the watchdog's."""
        watchdog = None
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            count = int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", (task / "status").read_text(), re.M)[1])
            if int(task.name) == pid:
                loop = count
            elif (task / "comm").read_text().strip() == "watchdog":
                watchdog = count
        return loop, watchdog

    def rests():
        before = woken()
        wait_for("the loop has woken up", lambda: woken()[0] >= before[0] + 8)
        return woken()[1] == before[1]

    wait_for("only the loop wakes up", rests)


def test_status_says_which_handler_hangs_and_it_is_ended_with_a_backtrace(faults):
    before = faults.pid("faulty")
    asking = []

    def hangs():
        """It is ended some seconds later: where we looked too late, once more."""
        if not any(one.is_alive() for one in asking):
            asking.append(threading.Thread(target=faults.http, args=("POST", "/api/holds/60000")))
            asking[-1].start()
        return faults.services()["faulty"].get("hangs")

    found = wait_for("status says that it hangs", hangs)
    assert found["what"] == "POST /api/holds/{ms:int}" and 2 <= found["for_s"] < 30
    restarted(faults, "faulty", before)
    for one in asking:
        one.join()
    if SANITIZED:
        return  # its own report says where it was
    said = wait_for("its backtrace", lambda: lines(faults, "faulty", "[process-crashed]: SIGABRT, in POST /api/holds/"))
    assert "handler hold_on" in said[0]


# ---- what handlers say and count ----

def test_what_a_handler_says_has_its_route_trace_and_fields_and_no_marked_value(faults):
    assert faults.http("POST", "/api/says", {"id": 44, "word": "Persephone"},
                       {"traceparent": PARENT.replace(TRACE, "b" * 32)}).status == 204
    said, = lines(faults, "faulty", "b" * 32)
    assert said.partition(" ")[2] == (
        'warning faulty [handler-said]: A thing of [personal] came {"id":44,"word":"[personal]","size":3,'
        f'"label":"[personal]"}} (POST /api/says; trace {"b" * 32})')


def test_a_handler_in_a_loop_does_not_fill_the_log(faults):
    assert faults.http("POST", "/api/babbles").status == 204
    assert 1 <= len(lines(faults, "faulty", "Said too much")) <= 300

    def counted():
        faults.http("POST", "/api/says", {"id": 1, "word": "Persephone"})
        return lines(faults, "faulty", "more were not logged")
    wait_for("the others are counted", counted)


def metrics(faults):
    done = faults.command("call", "faulty", "GET", "/metrics", "--state", faults.state, check=False)
    return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines() if re.match(r"thing", line))


def test_counts_are_of_what_has_ended_and_of_bounded_labels(faults):
    def measure(number, word="clay"):
        return faults.http("POST", "/api/measures", {"id": number, "word": word}).status
    assert [measure(number) for number in (1, 7, 409, 500, 503)] == [204, 204, 409, 500, 503]
    found = metrics(faults)
    assert found['things_made_total{word="clay"}'] == "6"
    assert found['thing_size_bucket{le="0.5"}'] == "1" and found['thing_size_bucket{le="10"}'] == "2"
    assert found['thing_size_bucket{le="1048577"}'] == "3"
    assert found['thing_size_bucket{le="+Inf"}'] == "3" == found["thing_size_count"]
    assert float(found["thing_size_sum"]) == pytest.approx(0.1 + 0.7 + 40.9)
    assert measure(20, 'a"b\\') == 204
    assert metrics(faults)['things_made_total{word="a\\"b\\\\"}'] == "2"
    assert measure(30, "x" + "é" * 40) == 204  # 64 bytes end within the 32nd
    assert metrics(faults)['things_made_total{word="x' + "é" * 31 + '"}'] == "2"
    for number in range(100, 220):
        assert measure(number, f"w{number}") == 204
    found = [name for name in metrics(faults) if name.startswith("things_made")]
    assert len(found) == 101 and 'things_made_total{word="(others)"}' in found


def test_a_metric_that_is_not_declared_is_a_fault(faults):
    fault(faults, "POST", "/api/counts", trace="c" * 32)
    said, = lines(faults, "faulty", "c" * 32)
    assert "no_such_metric, which is not among its declared `metrics`" in said


# ---- Shapes of a running service -------------------------------------------------------------------

def test_settings_that_are_not_set_have_their_defaults(faults):
    assert faults.http("GET", "/api/settings").body == {
        "ratio": 0.25, "price": "19.90", "limit": 100, "names": ["ann", "bob"],
        "token_length": len("hunter2-by-default")}


def test_defaults_of_secrets_are_told_nowhere(faults):
    """Neither in the description, of which documents are made, nor in what `up` and the processes write."""
    described = subprocess.run([PROGRAMS / "faulty", "--describe"], capture_output=True, text=True, check=True).stdout
    told = [file.read_text(errors="replace") for file in pathlib.Path(faults.state).rglob("*") if file.is_file()]
    assert "19.90" in described and any("/api/kinds" in text for text in told)
    told.append(described)
    assert not [text for text in told if "hunter2" in text or "ab-4711" in text or '"default": "0.10"' in text]


def test_values_of_every_kind_come_back_and_absent_ones_by_their_defaults(faults):
    assert faults.http("POST", "/api/kinds", {}).body == {"number": 0.5, "price": "0.10", "code": "ab-4711"}
    missing = faults.http("POST", "/api/kinds")
    assert (missing.status, missing.body["type"]) == (400, "urn:freehold:problem:body-missing")
    body = {"number": 1, "price": "19.90", "at": "2016-12-31T23:59:60Z", "code": "xy-1"}
    answer = faults.http("POST", "/api/kinds", body)
    assert answer.body == body and '"number":1.0' in answer.text
    for number in ("5e-324", "0.30000000000000004", "-0.0", "-1e308", "5.684341886080802e-14"):
        assert f'"number":{number}' in faults.http("POST", "/api/kinds", {"number": float(number)}).text


def test_what_is_marked_is_in_no_refusal_and_no_log_whatever_its_kind(faults):
    refused = faults.http("POST", "/api/kinds", {"number": 4711.25, "price": "4711.123", "at": "4711-02-29T00:00:00Z",
                                                 "code": "4711"})
    assert refused.status == 422
    assert {fault["pointer"] for fault in refused.body["errors"]} == {"/number", "/price", "/at", "/code"}
    assert "4711" not in refused.text
    said = faults.http("POST", "/api/kinds", {"number": 7, "price": "8642.10"})
    assert said.status == 409 and "8642" in said.body["detail"]  # a handler's own sentence, to who sent it
    told = re.sub(r"\b[0-9a-f]{32}\b", "", log_of(faults, "faulty"))  # a trace's digits may be these
    assert not [line for line in told.splitlines() if "4711" in line or "8642" in line]


def test_who_waits_for_what_has_no_location_is_not_held_and_the_log_says_why_once(faults):
    for number in (901, 902):
        answer = faults.http("POST", "/api/sagas", {"id": number, "word": "x"}, {"Prefer": "wait=30"})
        assert answer.status == 202 and "preference-applied" not in answer.headers
    said = lines(faults, "faulty", "[preference-unapplied]")
    assert len(said) == 1, said
    assert " warning faulty " in said[0] and "POST /api/sagas begins a saga and has no location" in said[0]


def test_who_waits_gets_what_the_route_at_the_location_answers_to_a_query_that_says_nothing(faults):
    answer = faults.http("POST", "/api/walks", {"id": 7}, {"Prefer": "wait=30"})
    assert (answer.status, answer.headers["preference-applied"], answer.body) == (200, "wait=30", {"pace": 3})
    assert faults.http("GET", "/api/walks/7").body == {"pace": 3}


# ---- the log of requests ----

TOOK = r"\d+\.\d ms, \d+ bytes"


@pytest.mark.parametrize("number, method, path, body, status, where", [
    (1, "POST", "/api/measures?name=Ada", {"id": 1, "word": "Eve"}, 400, "/api/measures"),
    (2, "POST", "/api/measures", {"id": 409, "word": "Eve"}, 409, "/api/measures"),
    (3, "POST", "/api/measures", {"word": 7}, 422, "/api/measures"),
    (4, "POST", "/api/holds/0?name=Ada", None, 400, "/api/holds/{ms:int}"),
    (5, "GET", "/api/nowhere", None, 500, "/api/nowhere"),
])
def test_a_request_that_failed_is_in_the_log_without_its_values(faults, number, method, path, body, status, where):
    trace = f"d{number:031x}"
    assert faults.http(method, path, body, {"traceparent": PARENT.replace(TRACE, trace)}).status == status
    said, = requests(faults, "faulty", trace)
    assert re.fullmatch(rf"{method} {re.escape(where)}: {status} in {TOOK} \(caller gateway; trace {trace}\)", said), said
    assert not requests(faults, "gateway", trace)


def test_what_went_well_is_logged_only_where_the_file_says_so(faults):
    headers = {"traceparent": PARENT.replace(TRACE, "e" * 32)}
    assert faults.http("POST", "/api/things", {"id": 55, "word": "Eve"}, headers).status == 201
    assert not requests(faults, "faulty", "e" * 32) and not requests(faults, "gateway", "e" * 32)
    done = faults.command("call", "hearer", "GET", "/openapi.json", "--state", faults.state)
    assert done.stdout.startswith("{")
    said = requests(faults, "hearer", ": 200 in ", "caller operator")
    assert said and all("Eve" not in line for line in said)


def test_the_gateway_logs_what_it_answers_itself(faults):
    headers = {"traceparent": PARENT.replace(TRACE, "f" * 32)}
    assert faults.http("GET", "/api/of/ada@example.org?name=Ada", headers=headers).status == 404
    said, = requests(faults, "gateway", "f" * 32)
    assert re.fullmatch(rf"GET \(no route\): 404 in {TOOK} \(caller a client; trace {'f' * 32}\)", said), said
    assert faults.http("ADA", "/api/cold", headers=headers).status == 405
    assert len(requests(faults, "gateway", "(other method) (no route): 405")) == 1
    assert not requests(faults, "gateway", "livez") and not requests(faults, "faulty", "livez")


def test_what_is_no_request_is_logged_as_that(faults):
    with socket.create_connection(("127.0.0.1", faults.port)) as connection:
        connection.sendall(b"GET /api/cold HTTP/1.1 Ada\r\n\r\n")
        assert b" 400 " in connection.makefile("rb").readline()
    assert requests(faults, "gateway", "(not a request): 400, ")


def test_a_flood_of_refusals_is_counted_and_hides_no_other_one(faults):
    def ask(path):
        return faults.http("GET", path).status
    before = len(requests(faults, "gateway", ": 404 in"))
    began = time.monotonic()
    assert {ask(f"/api/flood/{number}") for number in range(300)} == {404}
    windows = (time.monotonic() - began) // 10 + 2
    assert len(requests(faults, "gateway", ": 404 in")) - before <= 20 * windows
    assert faults.http("PUT", "/api/cold").status == 405
    assert requests(faults, "gateway", "PUT (no route): 405 in")

    def counted():
        ask("/api/flood/1")
        return requests(faults, "gateway", "more of 404 were not logged")
    wait_for("the others are counted", counted)


def test_logs_shows_requests_by_their_status(faults):
    def shown(*arguments):
        done = faults.command("logs", "--json", "--state", faults.state, *arguments, check=False)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()] if not done.returncode else done
    faults.http("POST", "/api/measures", {"id": 418, "word": "Eve"})
    faults.http("PUT", "/api/cold") # the gateway's own
    code, said = shown("--requests")
    assert code == 0 and said and {line["id"] for line in said} == {"request-answered"}
    code, some = shown("--status", "4xx", "faulty")
    assert code == 0 and {line["service"] for line in some} == {"faulty"} and len(some) < len(said)
    assert all(re.search(r": 4\d\d in ", line["text"]) for line in some)
    code, one = shown("--status", "418")
    assert code == 0 and len(one) == 1 and one[0]["text"].startswith("POST /api/measures: 418 in ")
    assert shown("--status", "teapot")[0] == 2 and shown("--requests", "--id", "handler-failed")[0] == 2
