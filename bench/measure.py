"""How two sides are measured: both answer the same, then they take turns."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from bench.load import CONNECTIONS, BenchError, Counted, Request, press
from bench.scene import ask, same

WARM_SECONDS = 2  # twenty connections are opened in it
NUMBERS = (1, 7, 50)  # tried before a request with a number at the end of its path

Side = Callable[[int], Counted]


@dataclass(frozen=True)
class Row:
    """One line of a table: who is measured against whom, and what is to be reached."""

    name: str
    label: str
    against: str
    atom: Side
    other: Side
    least: float
    check: Callable[[], None]
    times: int = 1  # rows that go with one request
    is_cost: bool = False  # the aim is the most that the other way round may come to
    warms: bool = True
    counted: int = 1  # sides with requests in the log of Atom: 0, 1 or 2


@dataclass(frozen=True)
class Line:
    """One line of a table, measured."""

    label: str
    against: str
    atom: str
    other: str
    ratio: str
    aim: str
    reached: bool


def asking(url: str, request: Request, connections: int = CONNECTIONS) -> Side:
    """Return the side that is one server, asked by wrk."""
    return partial(_pressed, url, request, connections)


def _pressed(url: str, request: Request, connections: int, seconds: int) -> Counted:
    return press(url, request, seconds, connections)


def agree(
    first: tuple[str, Request], second: tuple[str, Request], *, is_made: bool = False
) -> None:
    """Make sure that both answer the same before either is measured.

    With `is_made` a row was made, and the answers are two different ids.

    Raises:
        BenchError: showing both answers.
    """
    for number in NUMBERS if first[1].most else NUMBERS[:1]:
        one, other = ask(*first, number), ask(*second, number)
        if is_made and all(type(made["message"]) is int for made in (one, other)):
            return
        if not one.get("message", one) or is_made or not same(one, other):
            shown = "\n".join(json.dumps(answer)[:2000] for answer in (one, other))
            raise BenchError(f"{first[1].path}: the two answers differ:\n{shown}")


def measure(row: Row, rounds: int, seconds: int) -> tuple[list[list[Counted]], int]:
    """Take turns, A B A B.

    Return the counts of both sides; and how many requests Atom answered in all,
    warming up included.
    """
    row.check()
    sides = (row.atom, row.other)
    counts: list[list[Counted]] = [[], []]
    answered = [0, 0]
    if row.warms:
        answered = [side(WARM_SECONDS).requests for side in sides]
    for _ in range(rounds):
        for place, side in enumerate(sides):
            counts[place].append(side(seconds))
            answered[place] += counts[place][-1].requests
    return counts, sum(answered[: row.counted])


def compared(row: Row, counts: Sequence[Sequence[Counted]]) -> Line:
    """Compare the medians."""
    mine, other = (median(c.per_second for c in side) * row.times for side in counts)
    ratio = other / mine if row.is_cost else mine / other
    reached = ratio <= row.least if row.is_cost else ratio >= row.least
    return Line(
        row.label,
        row.against,
        _shown(row, mine, counts[0]),
        _shown(row, other, counts[1]),
        f"{ratio:.2f}",
        f"{'≤' if row.is_cost else '≥'} {row.least}",
        reached,
    )


def _shown(row: Row, rate: float, counts: Sequence[Counted]) -> str:
    unit = "/s" if row.times == 1 else " rows/s"
    p99 = median(count.p99_ms for count in counts)
    return f"{rate:,.0f}{unit}" + (f", p99 {p99:.1f} ms" if p99 else "")


def timed(what: Callable[[], None]) -> Counted:
    """Count one long call."""
    started = time.perf_counter()
    what()
    return Counted(1, time.perf_counter() - started)
