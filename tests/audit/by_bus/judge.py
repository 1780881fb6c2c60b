#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The audit's judge: reads both stores and the journal, and knows nothing of how events travel.

    judge.py SOURCE.db SINK.db JOURNAL

The journal has a line of JSON for each request that was acknowledged, {"tag", "series": [...]}, and for what an
operator did: {"backup": "source"}, {"restored": "source"}. The source numbers the entries of each series, 1, 2, 3 ...
It has to have what was acknowledged, once, unless a restore has taken it: all or nothing of a request. The sink only
adds to what it heard. Followed from the first row to the last, each event of a series has to be the one after that
before it, and in the end they have to be the source's entries, by tag. Only after a restore of the source may the sink
be told instead how a series is now: then what is beyond that is given up, what the sink had not heard is taken over,
and what it had heard of entries that the restore took, and whose numbers others have now, counts as given up, too.

The last line is "right" or "WRONG", with exit code 0 or 1; before it are figures."""

import collections
import contextlib
import json
import sqlite3
import sys

SHOWN = 20


class Judge:
    def __init__(self):
        self.wrong, self.figures = [], collections.Counter()

    def expect(self, right, what):
        if not right:
            self.wrong.append(what)

    def journal(self, lines):
        """{tag: its series}, and the tags that a restore may have taken."""
        asked, loose, since_backup = {}, set(), None
        for line in lines:
            if "tag" in line:
                self.expect(line["tag"] not in asked, f"{line['tag']} was acknowledged twice")
                asked[line["tag"]] = line["series"]
                if since_backup is not None:
                    since_backup.add(line["tag"])
            elif line.get("backup") == "source":
                since_backup = set()
            elif line.get("restored") == "source":
                loose |= since_backup
                since_backup = None
                self.figures["restores of the source"] += 1
            else:
                self.figures["restores of the sink"] += line.get("restored") == "sink"
        return asked, loose

    def source(self, rows, asked, loose):
        """{series: its tags, in order}."""
        kept, there = collections.defaultdict(list), collections.defaultdict(collections.Counter)
        for series, number, tag in rows:
            kept[series].append(tag)
            there[tag][series] += 1
            self.expect(number == len(kept[series]), f"the source has {series} {number} as number {len(kept[series])}")
        for tag, series in asked.items():
            if tag not in there and tag in loose:
                self.figures["events that restores of the source took"] += len(series)
            else:
                self.expect(there[tag] == collections.Counter(series), f"of {tag} the source has {dict(there[tag])}")
        for tag in there:
            self.expect(tag in asked, f"nobody was told that {tag} is written")
        self.figures["events of the source"] = sum(map(len, kept.values()))
        return kept

    def sink(self, rows):
        """{series: the tags in effect, None for what was taken over}, as what was heard comes to; and {series: up to
        which number the sink was told how it is}."""
        held, told, settled = collections.defaultdict(list), collections.Counter(), collections.Counter()
        for how, series, number, tag in rows:
            tags = held[series]
            if how == "event":
                self.figures["events applied"] += 1
                self.expect(number > len(tags), f"the sink has applied {series} {number} once more, after {len(tags)}")
                self.expect(number <= len(tags) + 1, f"the sink has applied {series} {number} after {len(tags)}")
                tags[:] = (tags[:number - 1] + [None] * (number - 1 - len(tags)) + [tag])
                continue
            told[series] += 1
            self.figures["events given up in a resync"] += max(0, len(tags) - number)
            self.figures["events taken over in a resync"] += max(0, number - len(tags))
            tags[:] = tags[:number - 1] + [None] * (number - 1 - len(tags)) + [tag] if number else []
            settled[series] = number
        restores = self.figures["restores of the source"]
        for series, times in told.items():
            self.expect(times <= restores, f"the sink was told {times} times how {series} is, after {restores} restores")
        return held, settled

    def compare(self, kept, held, settled):
        there = {tag for tags in kept.values() for tag in tags}
        for series in sorted(set(kept) | set(held)):
            ours, theirs = kept[series], held[series]
            self.expect(len(ours) == len(theirs), f"{series}: the source has {len(ours)}, the sink {len(theirs)}")
            for number, (one, other) in enumerate(zip(ours, theirs), 1):
                if number <= settled[series] and other not in there and other is not None:
                    self.figures["events given up in a resync"] += 1
                else:
                    self.expect(other in (one, None), f"{series} {number}: the source has {one}, the sink {other}")
        self.figures["series"] = len(kept)


def rows(path, statement):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        return store.execute(statement).fetchall()


def main(source, sink, journal):
    judge = Judge()
    with open(journal, encoding="utf-8") as lines:
        asked, loose = judge.journal([json.loads(line) for line in lines])
    kept = judge.source(rows(source, "SELECT series, number, tag FROM entries ORDER BY id"), asked, loose)
    held, settled = judge.sink(rows(sink, "SELECT how, series, number, tag FROM heard ORDER BY id"))
    judge.compare(kept, held, settled)
    for name, count in judge.figures.items():
        print(f"{name}: {count:,}")
    for line in judge.wrong[:SHOWN]:
        print(f"WRONG: {line}")
    print(f"WRONG in {len(judge.wrong):,} places" if judge.wrong else
          "right: each event in effect once, in its series' order, none lost")
    return 1 if judge.wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
