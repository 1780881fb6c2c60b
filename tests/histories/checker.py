# SPDX-License-Identifier: Apache-2.0
"""Judges a history: what clients did and what they were answered, against what the stores contain in the end.

It knows nothing of the runtime. Clients append values, each unique, to lists that only grow, and read whole
lists; each attempt is recorded with when it began and ended, by one clock, and how:

    ok        answered: it is done
    refused   answered: it is not done, and never will be
    unknown   no answer, or one that decides nothing

So what is right can be decided in about linear time. The final list is the order in which the store took its values:

    lost         a value that was acknowledged, or read, is not there
    doubled      a value is there twice
    refused      a value that was refused is there; or one that nobody sent
    misplaced    an append was answered another place than the one where its value is
    other        a read is no prefix of the final list: it has returned what is not there, or in another order
    stale        no order of the appends and reads of a list, each between its beginning and its end, gives what
                 they were answered: a read went back, or missed what was acknowledged before it began
    mismatch     one key had two answers
    heard        the subscriber's copy is not the list: something is missing, doubled, or in another order
    deal         a saga's traces here and at its partner do not fit together

The order of a list is fixed, so its history is linearizable exactly if points in time can be given to its operations in
that order: append 1, the reads of length 1 in any order, append 2, and so on, each within its bounds. Taking each point as
early as can be decides it.
"""

import collections
import math

Anomaly = collections.namedtuple("Anomaly", "kind text")


class Append:
    """All attempts to append one value; those of one key, or the only one."""

    def __init__(self, list_, value, key):
        self.list, self.value, self.key = list_, value, key
        self.began, self.ended = math.inf, math.inf  # ended: when it was first known to be done
        self.outcome, self.number = "unknown", None
        self.answers = set()


class Read:
    def __init__(self, list_, values, began, ended):
        self.list, self.values, self.began, self.ended = list_, values, began, ended


class History:
    """What happened, an attempt after the other, in any order."""

    def __init__(self):
        self.appends, self.deals, self.reads, self.copies = {}, {}, [], []
        self.twice = []  # (key, values): one key, for two things; the driver's own fault

    def append(self, list_, value, key, began, ended, outcome, answer=None, number=None):
        one = self.appends.setdefault(value, Append(list_, value, key))
        self._attempt(one, began, ended, outcome, answer)
        one.number = number if outcome == "ok" and one.number is None else one.number

    def deal(self, deal, key, began, ended, outcome, answer=None):
        self._attempt(self.deals.setdefault(deal, Append(deal, deal, key)), began, ended, outcome, answer)

    @staticmethod
    def _attempt(one, began, ended, outcome, answer):
        one.began = min(one.began, began)
        if outcome == "unknown":
            return
        one.answers.add(answer)
        if outcome == "ok":
            one.outcome, one.ended = "ok", min(one.ended, ended)
        elif one.outcome == "unknown":
            one.outcome = "refused"

    def read(self, list_, values, began, ended):
        self.reads.append(Read(list_, tuple(values), began, ended))

    def read_copy(self, list_, values, began, ended):
        self.copies.append(Read(list_, tuple(values), began, ended))


class Final:
    """What the three stores hold at rest: {list: [values]} each."""

    def __init__(self, recorder, hearer, partner):
        self.recorder, self.hearer, self.partner = recorder, hearer, partner


QUIET = 2_000_000_000  # lists from here on are not published
DEALS = 1_000_000_000  # from here on below QUIET: one list for each deal
# How a deal may end: its list here, and what may stand at the partner's.
DONE = ("begun", "marked", "confirmed"), {("taken", "sent")}
UNDONE = {("begun", "undone"): {(), ("taken", "returned")},
          ("begun", "marked", "undone"): {("taken", "returned"), ("taken", "sent", "unsent", "returned")}}


def check(history, final, forgiven=frozenset()):
    """Anomalies, in no particular order. `forgiven`: values (and deals) that a restore was known to lose."""
    found = []
    found += _answers(history)
    found += _final(history, final, forgiven)
    found += _in_time(history, final, forgiven)
    found += _heard(history, final)
    found += _deals(history, final, forgiven)
    return found


def _answers(history):
    for one in [*history.appends.values(), *history.deals.values()]:
        if len(one.answers) > 1:
            yield Anomaly("mismatch", f"{one.key}: {sorted(map(str, one.answers))}")


def _is_deal(list_):
    return DEALS <= list_ < QUIET


def _final(history, final, forgiven):
    seen = collections.Counter()
    for list_, values in final.recorder.items():
        if _is_deal(list_):
            continue
        for place, value in enumerate(values, 1):
            seen[value] += 1
            one = history.appends.get(value)
            if one is None or one.list != list_:
                yield Anomaly("refused", f"list {list_} has {value} at {place}, which nobody sent there")
            elif one.outcome == "refused":
                yield Anomaly("refused", f"list {list_} has {value} at {place}, which was refused")
            elif one.number not in (None, place) and value not in forgiven:
                yield Anomaly("misplaced", f"list {list_} has {value} at {place}, and {one.number} was told")
    for value, count in seen.items():
        if count > 1:
            key = getattr(history.appends.get(value), "key", None)
            yield Anomaly("doubled", f"{value} is there {count} times ({'key ' + key if key else 'without a key'})")
    for value, one in history.appends.items():
        if one.outcome == "ok" and not seen[value] and value not in forgiven:
            yield Anomaly("lost", f"{value} of list {one.list} was acknowledged ({'key ' + one.key if one.key else 'without a key'})")


def _in_time(history, final, forgiven):
    """The rule is at the top of this file."""
    reads = collections.defaultdict(lambda: collections.defaultdict(list))
    for read in history.reads:
        ends = final.recorder.get(read.list, [])
        if list(read.values) != ends[:len(read.values)] and not forgiven.intersection(read.values):
            lacking = [value for value in read.values if value not in ends]
            yield Anomaly("lost" if lacking else "other",
                          f"a read of list {read.list} told {len(read.values)} values, of {len(ends)} in the end"
                          + (f"; not there: {lacking[:3]}" if lacking else ""))
            continue
        reads[read.list][len(read.values)].append(read)
    for list_, by_length in reads.items():
        yield from _list_in_time(history, list_, final.recorder.get(list_, []), by_length, forgiven)


def _list_in_time(history, list_, values, by_length, forgiven):
    point = -math.inf
    for length in range(len(values) + 1):
        if length:
            one = history.appends.get(values[length - 1])
            if one is None:
                continue  # reported elsewhere, or a deal's
            point = max(point, one.began)
            if point > one.ended and one.value not in forgiven:
                yield Anomaly("stale", f"list {list_}: {one.value} at {length} was acknowledged, and then not seen")
                point = one.ended
        latest = point
        for read in by_length.get(length, ()):
            at = max(point, read.began)
            if at > read.ended:
                yield Anomaly("stale", f"list {list_}: a read told {length} values, and had ended before "
                                       f"{values[length - 1] if length else '-'} could be there")
            elif at > latest:
                latest = at
        point = latest


def _heard(history, final):
    told = {list_: values for list_, values in final.recorder.items() if list_ < QUIET}
    for list_ in {*told, *final.hearer}:
        here, there = told.get(list_, []), final.hearer.get(list_, [])
        if here != there:
            at = next((i for i, pair in enumerate(zip(here, there)) if pair[0] != pair[1]), min(len(here), len(there)))
            yield Anomaly("heard", f"list {list_}: {len(here)} values, {len(there)} heard; from {at + 1} on "
                                   f"{here[at:at + 3]} and {there[at:at + 3]}")
    yield from _copies_in_time(history.copies, final)


def _copies_in_time(copies, final):
    """A copy lags, but never goes back: a read that begins after another's end shows no less."""
    by_list = collections.defaultdict(list)
    for read in copies:
        ends = final.hearer.get(read.list, [])
        if list(read.values) != ends[:len(read.values)]:
            yield Anomaly("heard", f"a copy of list {read.list} was {list(read.values)[-3:]} at its end, "
                                   f"of {len(read.values)}, and is not so in the end")
        else:
            by_list[read.list].append(read)
    for list_, reads in by_list.items():
        ended, most = collections.deque(sorted(reads, key=lambda read: read.ended)), 0
        for read in sorted(reads, key=lambda read: read.began):
            while ended and ended[0].ended < read.began:
                most = max(most, len(ended.popleft().values))
            if len(read.values) < most:
                yield Anomaly("stale", f"a copy of list {list_} had {most} values, and then {len(read.values)}")


def _deals(history, final, forgiven):
    for list_, values in final.partner.items():
        if not _is_deal(list_):
            yield Anomaly("deal", f"the partner has {values} of deal {list_}, which there never was")
    numbers = {*history.deals, *(list_ for list_ in (*final.recorder, *final.partner) if _is_deal(list_))}
    for deal in numbers:
        if deal in forgiven:
            continue
        here, there = tuple(final.recorder.get(deal, ())), tuple(final.partner.get(deal, ()))
        one = history.deals.get(deal)
        if one is None:
            yield Anomaly("refused", f"deal {deal}: {here}, and nobody began it")
        elif not here and one.outcome == "ok":
            yield Anomaly("lost", f"deal {deal} was acknowledged; at the partner's: {there}")
        elif not here:
            if there:
                yield Anomaly("deal", f"deal {deal} is not there, and {there} at the partner's")
        elif here == DONE[0]:
            if there not in DONE[1]:
                yield Anomaly("deal", f"deal {deal} is confirmed, and {there} at the partner's")
        elif there not in UNDONE.get(here, ()):
            doubled = "doubled" if len(set(here)) < len(here) or len(set(there)) < len(there) else "deal"
            yield Anomaly(doubled, f"deal {deal}: {here}, and {there} at the partner's")
