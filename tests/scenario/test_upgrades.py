# SPDX-License-Identifier: Apache-2.0
"""Programs that are replaced on disk are adopted automatically, and sagas end on the definition that they began with.

The system of tests/crash/parcels: a courier whose deliveries wait until a depot's gate is open. Its program comes in
editions; see courier.c."""

import json
import os
import pathlib
import shutil
import signal

import pytest

from conftest import FREEHOLD, ROOT, System, wait_for

PROGRAMS = pathlib.Path(FREEHOLD).parent / "tests" / "crash"
HALF = 100_000  # bytes: enough to begin with, not to run (what comes last is for debuggers alone)


class Parcels:
    """The system in a folder of its own, where `courier` is a file that tests replace."""

    def __init__(self, folder, change=lambda text: text, profile=None, freehold=FREEHOLD):
        shutil.copytree(ROOT / "tests" / "crash" / "parcels", folder / "parcels", ignore=shutil.ignore_patterns("*.c"))
        self.folder = folder / "parcels"
        file = self.folder / "freehold.yaml"
        file.write_text(change(file.read_text()))
        self.program = self.folder / "bin" / "courier"
        self.program.parent.mkdir()
        shutil.copy(PROGRAMS / "depot", self.program.parent)
        self.put(PROGRAMS / "courier_1")
        self.system = System(file, folder / "s", profile, freehold).up()
        self.gate(0)

    def put(self, program):
        """Replaces the courier's program at once."""
        new = self.program.with_suffix(".new")
        shutil.copy(program, new)
        new.rename(self.program)

    def put_script(self, text, in_place=False):
        """Likewise, by a shell script; or overwrites the file that is there, which scripts let happen while they
        run."""
        new = self.program if in_place else self.program.with_suffix(".new")
        new.write_text(f"#!/bin/sh\n{text}\n")
        new.chmod(0o755)
        if not in_place:
            new.rename(self.program)

    def kill(self):
        """The next process is ready."""
        pid = self.courier()["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for("it is ready again", lambda: self.courier()["ready"] and self.courier()["pid"] != pid)

    def runs_what_is_there(self):
        try:
            return os.path.samefile(f"/proc/{self.courier()['pid']}/exe", self.program)
        except FileNotFoundError:  # it has ended meanwhile
            return False

    def edition(self, number):
        self.put(PROGRAMS / f"courier_{number}")

    def gate(self, is_open):
        answer = self.system.http("PUT", "/api/gate", {"open": is_open})
        assert answer.status == 204, answer

    def send(self, parcel):
        answer = self.system.http("POST", "/api/parcels", {"id": parcel}, {"Idempotency-Key": f"parcel-{parcel}"})
        assert answer.status == 202, answer

    def state(self, parcel):
        return self.system.http("GET", f"/api/parcels/{parcel}").body.get("state")

    def marks(self, parcel):
        return [one["what"] for one in self.system.http("GET", f"/api/marks/{parcel}").body]

    def courier(self):
        return self.system.services()["courier"]

    def wait_for_upgrade(self, pid):
        """Another process runs what is on disk."""
        wait_for("the program on disk is taken", lambda: not self.courier()["program"]["older"] and
                 (one := self.courier())["ready"] and one["pid"] != pid and not one["upgrading"])

    def refusal(self):
        return wait_for("it is refused", lambda: self.courier()["program"]["refused"])

    def upgrade(self, *options):
        return self.system.command("upgrade", "courier", *options, "--state", self.system.state, check=False)

    def said(self):
        return (pathlib.Path(self.system.state) / "up.log").read_text()


@pytest.fixture(scope="module")
def parcels(tmp_path_factory):
    made = Parcels(tmp_path_factory.mktemp("parcels"))
    try:
        yield made
    finally:
        made.system.stop(check=False)


# In this order.


def test_a_program_that_lacks_what_sagas_began_with_is_not_taken(parcels):
    parcels.send(1)
    before = parcels.courier()
    for edition in (3, 4):
        parcels.edition(edition)
        expected = "sagas that are not over began with definitions that the new program has not: 1 of deliver version 1"
        assert expected in parcels.refusal()
        refused = parcels.upgrade()
        assert refused.returncode == 1 and expected in refused.stderr, refused
        assert f"courier goes on with its older program: courier can't be upgraded: {expected}" in parcels.said()
        wait_for("it is shown", lambda: "courier runs an older program than is on disk: courier can't be upgraded" in
                 parcels.system.command("status", "--state", parcels.system.state).stdout)
    after = parcels.courier()
    assert after["pid"] == before["pid"] and after["restarts"] == 0


@pytest.mark.parametrize("gone", [False, True], ids=["replaced", "removed"])
def test_a_process_that_dies_meanwhile_comes_back_with_the_program_that_it_had(parcels, gone):
    if gone:
        parcels.program.unlink()
    parcels.kill()
    assert "courier is ready again" in parcels.said() and "with the program from before it was replaced" in parcels.said()
    assert pathlib.Path(f"/proc/{parcels.courier()['pid']}/comm").read_text() == "courier\n"
    if not gone:
        assert "1 of deliver version 1" in parcels.refusal()
    wait_for("it is seen", lambda: parcels.courier()["program"]["older"] == (not gone))
    assert wait_for("it tells", lambda: parcels.courier()["state"])["sagas"]["parked"] == 0


def test_one_that_keeps_it_is_taken_by_itself_and_each_saga_ends_on_its_own(parcels):
    pid = parcels.courier()["pid"]
    parcels.edition(2)
    parcels.wait_for_upgrade(pid)
    parcels.send(2)
    parcels.gate(1)
    wait_for("the first is delivered as it began", lambda: parcels.state(1) == "delivered by 1")
    wait_for("the second as sagas begin now", lambda: parcels.state(2) == "delivered by 2")
    assert parcels.marks(1) == ["held"] and parcels.marks(2) == ["held", "stamped"]
    wait_for("every saga ends", parcels.system.at_rest)


def test_when_the_last_of_them_has_ended_the_program_without_it_is_taken(parcels):
    pid = parcels.courier()["pid"]
    parcels.edition(3)
    parcels.wait_for_upgrade(pid)


def test_one_that_comes_in_the_moment_of_a_death_is_not_held_back(parcels):
    for edition in (2, 3):
        parcels.edition(edition)
        parcels.kill()
        wait_for("the program on disk runs", lambda: parcels.courier()["ready"] and parcels.runs_what_is_there())


def test_a_program_that_does_not_get_ready_stops_nothing(parcels):
    for end in (1, 78):
        before = parcels.courier()["pid"]
        parcels.put_script(f'[ "$1" = --describe ] && exec {PROGRAMS}/courier_2 --describe\nexit {end}')
        why = f"on a copy of its store it does not get ready: ended with exit code {end}"
        wait_for("it is refused", lambda: parcels.courier()["program"] == {"older": True, "refused": why})
        assert parcels.courier()["pid"] == before
        parcels.kill()
        assert parcels.courier()["program"] == {"older": True, "refused": why}
        assert f"courier goes on with its older program. The new one was tried: {why}" in parcels.said()


def test_a_program_that_was_overwritten_stays_down_until_one_is_there_that_can_be_taken(parcels):
    """Nothing is left to continue with, and what is there is not run unchecked."""
    pid = parcels.courier()["pid"]
    parcels.put_script(f'exec {PROGRAMS}/courier_3 "$@"')
    parcels.wait_for_upgrade(pid)
    parcels.put_script("exit 3", in_place=True)
    os.kill(parcels.courier()["pid"], signal.SIGKILL)
    assert "--describe failed with exit code 3" in parcels.refusal()
    assert "courier stays down, as its program was overwritten by one that is refused" in parcels.said()
    assert "can't be started: its program was overwritten, and is not taken yet" in parcels.courier()["last_end"]
    parcels.put_script(f'exec {PROGRAMS}/courier_3 "$@"', in_place=True)
    wait_for("it is taken", lambda: parcels.courier()["ready"])


def test_a_half_copied_program_is_not_taken_and_the_whole_one_is(parcels):
    before = parcels.courier()["pid"]
    whole = (PROGRAMS / "courier_2").read_bytes()
    half = parcels.program.with_suffix(".half")
    half.write_bytes(whole[:HALF])
    half.chmod(0o755)
    half.rename(parcels.program)
    assert "courier can't be upgraded" in parcels.refusal()
    assert parcels.courier()["pid"] == before and parcels.courier()["ready"]
    with open(parcels.program, "ab") as file:
        file.write(whole[HALF:])
    parcels.wait_for_upgrade(before)


def test_force_parks_what_the_program_lacks_and_the_definition_carries_it_on(parcels):
    parcels.gate(0)
    parcels.send(3)
    parcels.edition(1)
    assert "1 of deliver version 2" in parcels.refusal()
    forced = parcels.upgrade("--force")
    assert forced.returncode == 0, forced
    wait_for("it is parked", lambda: (parcels.courier()["state"] or {}).get("sagas", {}).get("parked") == 1)
    listed = json.loads(parcels.system.command("saga", "list", "courier", "--json", "--state",
                                               parcels.system.state).stdout)["sagas"]
    assert len(listed) == 1 and "began with its version 2" in listed[0]["why"], listed
    pid = parcels.courier()["pid"]
    parcels.edition(2)
    parcels.wait_for_upgrade(pid)
    parcels.gate(1)
    parcels.system.command("saga", "retry", "courier", listed[0]["id"], "--state", parcels.system.state)
    wait_for("it is delivered as it began", lambda: parcels.state(3) == "delivered by 2")


def test_by_hand_means_that_nothing_is_upgraded_until_that_is_requested(parcels):
    parcels.system.stop()
    file = pathlib.Path(parcels.system.file)
    file.write_text(file.read_text() + "upgrade: by hand\n")
    parcels.system.up()
    pid = parcels.courier()["pid"]
    parcels.edition(3)
    wait_for("it is seen", lambda: parcels.courier()["program"]["older"])
    shown = parcels.system.command("status", "--state", parcels.system.state).stdout
    assert "courier runs an older program than is on disk; freehold upgrade takes the new one." in shown
    assert parcels.courier()["pid"] == pid
    parcels.kill()
    assert parcels.courier()["program"] == {"older": True, "refused": None}
    pid = parcels.courier()["pid"]
    assert parcels.upgrade().returncode == 0
    parcels.wait_for_upgrade(pid)
    assert parcels.courier()["program"] == {"older": False, "refused": None}


# ---- Releases in folders of their own, and a link to the current one


class Releases(Parcels):
    """`current` is a link to one release's folder, which is how many tools lay out what they bring; the system file is
    beside the link, or read `through` it."""

    def __init__(self, folder, change=lambda text: text, through=False):
        self.link = folder / "current"
        for number in (1, 2):
            release = folder / "releases" / str(number)
            (release / "bin").mkdir(parents=True)
            shutil.copy(PROGRAMS / "depot", release / "bin")
            shutil.copy(PROGRAMS / f"courier_{number}", release / "bin" / "courier")
        self.root = folder
        self.release(1)
        parcels = ROOT / "tests" / "crash" / "parcels"
        for home in (folder / "releases" / "1", folder / "releases" / "2") if through else (folder,):
            shutil.copytree(parcels, home, ignore=shutil.ignore_patterns("*.c"), dirs_exist_ok=True)
            text = (parcels / "freehold.yaml").read_text().replace("bin/", "./bin/" if through else "current/bin/")
            (home / "freehold.yaml").write_text(change(text))
        self.program = self.link / "bin" / "courier"
        self.system = System((self.link if through else folder) / "freehold.yaml", folder / "s").up()
        self.gate(0)

    def release(self, number):
        """Points the link to this release, at once."""
        new = self.root / "next"
        new.symlink_to(f"releases/{number}")
        new.rename(self.link)


@pytest.mark.parametrize("through", [False, True], ids=["programs", "system_file"])
def test_a_link_to_the_next_release_is_a_new_program(tmp_path, through):
    releases = Releases(tmp_path, through=through)
    try:
        pid = releases.courier()["pid"]
        assert releases.runs_what_is_there()
        releases.release(2)
        releases.wait_for_upgrade(pid)
        assert releases.runs_what_is_there()
        shutil.rmtree(tmp_path / "releases" / "1")
        releases.kill()
        assert releases.runs_what_is_there()
    finally:
        releases.system.stop(check=False)


def test_an_upgrade_by_hand_takes_the_release_that_the_link_points_to_now(tmp_path):
    releases = Releases(tmp_path, lambda text: text + "upgrade: by hand\n")
    try:
        pid = releases.courier()["pid"]
        releases.release(2)
        wait_for("it is noticed", lambda: releases.courier()["program"]["older"])
        asked = releases.upgrade()
        assert asked.returncode == 0, asked.stderr
        assert releases.courier()["pid"] != pid and releases.runs_what_is_there()
    finally:
        releases.system.stop(check=False)


# ---- freehold itself, which is the gateway's program


class Command(Parcels):
    """Run by a copy of freehold, which tests replace."""

    def __init__(self, folder):
        self.freehold = folder / "tool" / "freehold"
        self.freehold.parent.mkdir()
        shutil.copy(FREEHOLD, self.freehold)
        super().__init__(folder, freehold=self.freehold)

    def replace(self, text=None):
        new = self.freehold.with_suffix(".new")
        if text:
            new.write_text(text)
            new.chmod(0o755)
        else:
            shutil.copy(FREEHOLD, new)
        new.rename(self.freehold)

    def gateway(self):
        return self.system.status()["gateway"]

    def others(self):
        status = self.system.status()
        return {"up": status["up_pid"], **{one["name"]: one["pid"] for one in status["services"]}}

    def wait_for_gateway(self, pid):
        wait_for("the gateway on disk is taken", lambda: self.gateway()["ready"] and self.gateway()["pid"] != pid and
                 self.gateway()["program"] == {"older": False, "refused": None} and not self.gateway()["upgrading"])


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    made = Command(tmp_path_factory.mktemp("command"))
    try:
        yield made
    finally:
        made.system.stop(check=False)


def test_the_gateway_is_upgraded_when_freehold_is_replaced_and_no_request_fails(command):
    from test_instances import Load  # here, since crash tests load this file and have another of that name

    others, pid = command.others(), command.gateway()["pid"]
    with Load(lambda number, count: command.system.http("GET", "/api/marks/1")) as load:
        command.replace()
        command.wait_for_gateway(pid)
        answered = load.answered
        wait_for("it goes on", lambda: load.answered > answered + 20)
    assert load.wrong == []
    assert command.others() == others and command.gateway()["restarts"] == 0
    assert "the program of gateway was replaced: upgrading it; up itself goes on with the older one" in command.said()


def test_a_freehold_that_does_not_serve_is_not_taken_and_the_gateway_never_stops(command):
    pid = command.gateway()["pid"]
    command.replace("#!/bin/sh\necho no >&2\nexit 1\n")
    wait_for("it is given up", lambda: command.gateway()["program"]["refused"] == "it does not get ready")
    assert command.gateway()["pid"] == pid and command.gateway()["ready"]
    assert "gateway runs an older program than is on disk: it does not get ready" in \
        command.system.command("status", "--state", command.system.state).stdout
    os.kill(pid, signal.SIGKILL)
    wait_for("it is started again as it was", lambda: command.gateway()["ready"] and command.gateway()["pid"] != pid)
    assert command.system.http("GET", "/api/marks/1").status == 200
    pid = command.gateway()["pid"]
    command.replace()
    asked = command.system.command("upgrade", "gateway", "--state", command.system.state)
    assert asked.returncode == 0
    command.wait_for_gateway(pid)
