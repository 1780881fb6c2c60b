# SPDX-License-Identifier: Apache-2.0
"""The attacked system, once for each user it can run as: hostile, neighbour and ally. README.md says how to add an
attack."""

import importlib.util
import os
import pathlib
import pwd
import shutil
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Under a name of its own: this file is `conftest`, too.
_spec = importlib.util.spec_from_file_location("scenario_conftest", ROOT / "tests" / "scenario" / "conftest.py")
scenario = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = scenario
_spec.loader.exec_module(scenario)

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(scenario.FREEHOLD).parent
AS_ROOT = os.geteuid() == 0
USER = "nobody"
SECRET = "the neighbour's own"
# A broker that runs beside them, with which none of them has business.
BROKER = "servers: { events: { broker: nats } }\nbus: events\n"


class Attacked(scenario.System):
    """A system whose programs lie where every user gets to them, run by root or by another user."""

    def __init__(self, user=None, lines="", confine=True):
        self.folder = scenario.open_folder()
        self.prefix = ["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups"] if user else []
        programs = self.folder / "programs"
        programs.mkdir(mode=0o755)
        for program in (scenario.FREEHOLD, *(BUILD / "tests" / "attack" / name for name in ("hostile", "neighbour", "ally"))):
            shutil.copy(program, programs)
        for name in ("hostile", "neighbour"):
            shutil.copytree(HERE / name / "migrations", programs / f"{name}-migrations")
        text = (HERE / "freehold.yaml").read_text().replace("${ATTACK_PROGRAMS}", str(programs))
        text = text if confine else text.replace("hostile: {", "hostile: { confine: false,")
        (self.folder / "freehold.yaml").write_text(lines + text)
        home = self.folder / "home"
        home.mkdir(mode=0o711)
        if user:
            entry = pwd.getpwnam(user)
            os.chown(home, entry.pw_uid, entry.pw_gid)
        super().__init__(self.folder / "freehold.yaml", home / "s", freehold=str(programs / "freehold"))

    def command(self, *arguments, check=True, freehold=None):
        done = scenario.subprocess.run([*self.prefix, freehold or self.freehold, *arguments], capture_output=True, text=True,
                                       timeout=300, check=False, cwd="/")
        assert not check or done.returncode == 0, f"freehold {arguments}: {done.stdout}{done.stderr}"
        return done

    def attack(self, name, **arguments):
        """What refused it (the errno's name), or None: it got what it wanted; and what it found."""
        answer = self.call("hostile", "POST", f"/attacks/{name}", arguments)
        assert answer.status == 200, answer
        return answer.body["refused"], answer.body["found"]

    def path(self, *parts):
        return str(pathlib.Path(self.state).joinpath(*parts))

    def log(self, service):
        return pathlib.Path(self.path(service, "log")).read_text(errors="replace")

    def port_of(self, service):
        system = scenario.json.loads(pathlib.Path(self.path("system.json")).read_text())
        address = next(one["address"] for one in system["services"] if one["name"] == service)
        return int(address.rpartition(":")[2])

    def broker_port(self):
        if why := scenario.why_not("nats"):
            pytest.skip(f"NO BROKER WAS ATTACKED: {why}")
        address = next(one["address"] for one in self.status()["servers"] if one["name"] == "events-nats")
        return int(address.rpartition(":")[2])

    def remove(self):
        self.command("stop", "--state", self.state, check=False)
        scenario.assert_unreported(self.state)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session", params=["as root", "as another user"])
def attacked(request):
    """Comes up once for the whole suite: an attack that works must leave no ruins."""
    if scenario.SANITIZED:
        pytest.skip("NO ATTACK WAS TRIED: A SANITIZED BUILD REACHES FURTHER THAN OTHERS (service/sanitized.h)")
    if request.param == "as root" and not AS_ROOT:
        pytest.skip("NOT ROOT: NO ATTACK WAS TRIED AS ROOT")
    if request.param == "as another user" and AS_ROOT and not shutil.which("setpriv"):
        pytest.skip("NO ATTACK WAS TRIED AS ANOTHER USER: setpriv IS NOT HERE")
    system = Attacked(USER if AS_ROOT and request.param == "as another user" else None,
                      "" if scenario.why_not("nats") else BROKER)
    try:
        system.up()
        kept = system.call("neighbour", "POST", "/secrets", {"value": SECRET})
        assert kept.status == 204, kept
        yield system
    finally:
        system.remove()
