# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin that tells tools/test what happens, one JSON object a line, as it happens, and
lets a test fail that takes too long."""

import functools
import json
import os
import signal

import pytest

import until
_details = {}


def _tell(**report):
    os.write(int(os.environ["FREEHOLD_REPORTS_FD"]), (json.dumps(report) + "\n").encode())


def _name(nodeid):
    return nodeid.removeprefix("tests/")


def _too_long(_signal, _frame):
    pytest.fail(f"took longer than {os.environ['FREEHOLD_CASE_S_MAX']} s")


def pytest_collection_modifyitems(items):
    """FREEHOLD_FROM_END: file by file from the last on, as another run beside this one goes from the first."""
    if os.environ.get("FREEHOLD_FROM_END"):
        files = sorted({item.path for item in items})
        items.sort(key=lambda item: -files.index(item.path))


@functools.cache
def _taken(path):
    """FREEHOLD_SHARED: the folder in which each file is taken by one of the runs that share it."""
    folder = os.environ.get("FREEHOLD_SHARED")
    if not folder:
        return True
    try:
        os.close(os.open(os.path.join(folder, str(path).replace("/", "!")), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    if not _taken(item.path):
        return True
    if until.is_over():
        item.add_marker(pytest.mark.skip(reason=until.SKIPPED))
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(int(os.environ["FREEHOLD_CASE_S_MAX"]))
    return None


def pytest_runtest_logstart(nodeid):
    _details[nodeid] = {"outcome": "passed", "detail": "", "seconds": 0.0}
    _tell(what="start", name=_name(nodeid))


def pytest_runtest_logreport(report):
    case = _details[report.nodeid]
    case["seconds"] += report.duration
    if report.failed:
        case["outcome"] = "failed"
        case["detail"] += f"{report.longreprtext}\n"
        for title, text in report.sections:
            case["detail"] += f"-- {title}\n{text}\n"
    elif report.skipped and case["outcome"] == "passed":
        case["outcome"] = "skipped"
        reason = getattr(report, "wasxfail", "")
        if not reason and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2]
        case["detail"] = reason or "no reason given"


def pytest_runtest_logfinish(nodeid):
    signal.alarm(0)
    _tell(what="case", name=_name(nodeid), **_details.pop(nodeid))


def pytest_collectreport(report):
    if report.failed:
        _tell(what="case", name=f"{_name(report.nodeid)} (loading it)", outcome="failed",
              seconds=0.0, detail=report.longreprtext)
