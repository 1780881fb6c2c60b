# SPDX-License-Identifier: Apache-2.0
"""When a figure got worse: the rules of bench/check, of numbers alone.

Counted figures hardly vary, so a few runs tell how much they do: `spread` is the range of them without the one that is
farthest off, in which the service may have been about something else (one run of five is now and then). The tolerance is
a FLOOR of the figure, since what the service does by itself each second may fall into any row, and three times the wider
spread, of the runs before and of those now: of normal noise one comparison in ten thousand goes beyond it. Of a saga two
processes decide in turn what shares a commit, which comes in two or three ways: its floor is wider. A figure is worse where
the median is beyond; more is worse for all of them. Losses below a floor add up, since all are compared with one baseline.

Timed figures vary with the machine. They are taken in pairs, one build right after the other, and less of a rate is worse.
One is worse where the median of the pairs' ratios is more than LEAST away, and the signed ranks of their logarithms are so
lopsided that chance would bring that in fewer than one in 1/CHANCE checks (Wilcoxon's test, exact, one-sided)."""

import collections
import math
import statistics

FLOOR, FLOOR_OF_SAGAS = 0.03, 0.06
SEEN = 0.10  # a loss that every figure has to show
LEAST = 0.04
CHANCE = 0.001

Finding = collections.namedtuple("Finding", "row figure before now tolerance")


def spread(values):
    if len(values) < 4:
        return max(values) - min(values)
    ordered = sorted(values)
    return min(ordered[-2] - ordered[0], ordered[-1] - ordered[1])


def tolerance(row, before, now):
    """How far the median of the runs now may be from that of those before."""
    return (FLOOR_OF_SAGAS if "saga" in row else FLOOR) * statistics.median(before) + 3 * max(spread(before), spread(now))


def in_percent(part, whole):
    return 100 * part / whole if whole else math.inf if part else 0.0


def compared(before, now):
    """(worse, better): Findings. `before`, `now`: {row: {figure: [of each run]}}."""
    worse, better = [], []
    for row, figures in before.items():
        for figure, old in figures.items():
            new = now.get(row, {}).get(figure)
            if not new:
                continue
            allowed, (was, is_) = tolerance(row, old, new), (statistics.median(of) for of in (old, new))
            finding = Finding(row, figure, was, is_, allowed)
            if is_ > was + allowed:
                worse.append(finding)
            elif is_ < was - allowed:
                better.append(finding)
    return worse, better


def blind(figures):
    """(row, figure, tolerance in percent) of those whose own noise hides a loss of SEEN."""
    percents = ((row, figure, in_percent(tolerance(row, values, values), statistics.median(values)))
                for row, of in figures.items() for figure, values in of.items())
    return [one for one in percents if one[2] >= 100 * SEEN]


def chance_of_rank_sum(ratios):
    """How likely signed ranks at least so far below 1 are by chance alone."""
    logs = sorted((math.log(ratio) for ratio in ratios if ratio != 1), key=abs)
    below = sum(rank for rank, value in enumerate(logs, 1) if value < 0)
    ways = [1]  # how many sets of ranks have each sum
    for rank in range(1, len(logs) + 1):
        ways = [(ways[i] if i < len(ways) else 0) + (ways[i - rank] if i >= rank else 0) for i in range(len(ways) + rank)]
    return sum(ways[below:]) / 2 ** len(logs)


def is_slower(ratios):
    """`ratios`: new rate to old, of each pair."""
    return statistics.median(ratios) < 1 - LEAST and chance_of_rank_sum(ratios) < CHANCE


def moved(before, now, most=5):
    """(part, before, now) of the parts that grew most, of {part: count}."""
    grown = {part: now.get(part, 0) - before.get(part, 0) for part in {*before, *now}}
    largest = sorted((part for part in grown if grown[part] > 0), key=lambda part: -grown[part])[:most]
    return [(part, before.get(part, 0), now.get(part, 0)) for part in largest]
