# SPDX-License-Identifier: Apache-2.0
"""A backup under load, and a restore of it when the load is over: what may be gone then, and what may not.

At rest before the restore the whole history was judged. Afterwards, at rest again:

    gone        what was acknowledged before the backup began is there
    beginning   what a restored service holds is the beginning of what it held; what another one holds is what it held,
                except that a deal which is requested again may be undone there
    heard       the hearer's copies are the recorder's lists again, whichever of them was restored
    reported    a deal that does not fit together any more is in the report (docs/operate/restored.md), or parked; one
                that the restored recorder does not know at all may be in the range of those that had ended before
"""

import asyncio
import collections
import json
import re
import shutil
import subprocess
import time

from checker import DEALS, DONE, QUIET, UNDONE, Anomaly
from world import SERVICES

TRIES = 6
WHICH = (("hearer",), ("recorder",), ("partner",), SERVICES)
TAKEN_BACK = {(), *(there for ends in UNDONE.values() for there in ends)}  # nothing is left of such a deal
RANGE = re.compile(r"with numbers above (\d+) up to (\d+) of life")


class Backup:
    """One, made while clients work and everything fails; it may be refused, and is retried."""

    def __init__(self, world, chance, which=()):
        self.world, self.folder = world, world.folder / "backup"
        self.which, self.began, self.refused = which or chance.choice(WHICH), None, 0

    async def make(self, wait_s):
        await asyncio.sleep(wait_s)
        for _ in range(TRIES):
            began = time.monotonic()
            shutil.rmtree(self.folder, ignore_errors=True)
            try:
                done = await asyncio.to_thread(self.world.command, "backup", "--to", self.folder, seconds=100)
            except subprocess.TimeoutExpired:
                done = None
            if done and done.returncode == 0:
                self.began = began
                return
            self.refused += 1
            await asyncio.sleep(1)

    def restore(self):
        """What was wrong with that itself."""
        done = self.world.command("restore", *self.which, "--from", self.folder, "--yes", seconds=200)
        return [] if done.returncode == 0 else [f"restore of {self.which}: {done.stdout[-300:]}{done.stderr[-300:]}"]

    def reported(self):
        """(how many sagas reports name or leave out, how many at most are in ranges, how many are parked)"""
        done = self.world.command("restore-report", "--json", seconds=60)
        parked = self.world.command("saga", "list", "--status", "parked", "--json", seconds=60)
        return *counted(json.loads(done.stdout)["services"]), parked.stdout.count('"status"')


def counted(reports):
    """(sagas that are named or left out, numbers in ranges of sagas that had ended before the restore)"""
    named = ranges = 0
    for report in reports:
        named += report["left_out"]
        for entry in report["entries"]:
            found = RANGE.search(entry["what"])
            named += not found
            ranges += int(found[2]) - int(found[1]) if found else 0
    return named, ranges


def judge(backup, history, before, after):
    """(anomalies, counts of what the restore lost as it may)"""
    found, lost = [], collections.Counter()
    for service in SERVICES:
        was, now = getattr(before, service), getattr(after, service)
        for list_ in {*was, *now} if service != "hearer" else ():
            some, more = was.get(list_, []), now.get(list_, [])
            restored, deal = service in backup.which, DEALS <= list_ < QUIET
            if more == some or (deal and (restored or more[:len(some)] == some)):
                continue
            if restored and some[:len(more)] == more:
                lost[f"values of the {service}"] += len(some) - len(more)
                continue
            found.append(Anomaly("beginning", f"{service}'s list {list_} was {some[-3:]} of {len(some)}, and is "
                                              f"{more[-3:]} of {len(more)}"))
    found += _gone(backup, history, after)
    told = {list_: values for list_, values in after.recorder.items() if list_ < QUIET}
    found += [Anomaly("heard", f"list {list_}: {told.get(list_)}, and heard is {after.hearer.get(list_)}")
              for list_ in {*told, *after.hearer} if told.get(list_) != after.hearer.get(list_)]
    deals = {deal for deal in {*after.recorder, *after.partner} if DEALS <= deal < QUIET}
    misfits = sorted(deal for deal in deals if not _fits(deal, after))
    unknown = [deal for deal in misfits if deal not in after.recorder]
    named, ranges, parked = backup.reported()
    lost["deals that do not fit"], lost["of them unknown to the recorder"] = len(misfits), len(unknown)
    lost["named in reports"], lost["numbers in ranges"], lost["deals parked"] = named, ranges, parked
    found += [Anomaly("unreported", f"deal {deal}: {after.recorder.get(deal)}, {after.partner.get(deal)} at the partner's")
              for deal in unreported(misfits, unknown, named + parked, ranges)]
    return found, lost


def unreported(misfits, unknown, named, ranges):
    """Those among which there are some that no report can mean."""
    known = [deal for deal in misfits if deal not in set(unknown)]
    if len(known) > named:
        return known
    return unknown if len(unknown) > named - len(known) + ranges else []


def _gone(backup, history, after):
    if "recorder" not in backup.which:
        return
    there = {value for values in after.recorder.values() for value in values}
    for value, one in history.appends.items():
        if one.ended < backup.began and value not in there:
            yield Anomaly("gone", f"{value} was acknowledged {backup.began - one.ended:.1f} s before the backup began")
    for deal, one in history.deals.items():
        if one.ended < backup.began and deal not in after.recorder:
            yield Anomaly("gone", f"deal {deal} was acknowledged {backup.began - one.ended:.1f} s before the backup began")


def _fits(deal, final):
    here, there = tuple(final.recorder.get(deal, ())), tuple(final.partner.get(deal, ()))
    if here == DONE[0]:
        return there in DONE[1]
    return there in UNDONE.get(here, ()) or (not here and there in TAKEN_BACK)


def told(backup, lost):
    """One line for the summary."""
    parts = ", ".join(f"{count} {what}" for what, count in lost.items())
    return f"restore of {', '.join(backup.which)}: {parts}; {backup.refused} backups refused"
