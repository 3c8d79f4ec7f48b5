"""Finds the rows that are refused among many: tries halves, until each is alone."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


async def in_halves(
    items: Sequence[Item],
    write: Callable[[Sequence[Item]], Awaitable[object]],
    is_halved: Callable[[Exception], bool],
    failures_max: int | None = None,
) -> list[tuple[Sequence[Item], Exception]]:
    """Write items; where one is refused write halves. Return the refused parts.

    `is_halved` looks at an error: whether smaller parts are to be tried. It may raise,
    which ends everything. After `failures_max` errors a part is refused whole. What
    `write` has failed at it must have undone.
    """
    refused: list[tuple[Sequence[Item], Exception]] = []
    failures, waiting = 0, [items]
    while waiting:
        part = waiting.pop()
        try:
            await write(part)
        except Exception as error:
            failures += 1
            is_final = failures_max is not None and failures > failures_max
            if not is_halved(error) or len(part) == 1 or is_final:
                refused.append((part, error))
                continue
            middle = len(part) // 2
            waiting += [part[middle:], part[:middle]]
    return refused


async def first_refused(
    count: int,
    write: Callable[[int, int], Awaitable[object]],
    is_about_one: Callable[[Exception], bool],
) -> tuple[int, Exception] | None:
    """Return the first item that is refused, from 1 to `count`, and its error.

    `write` takes the first and the last of a part; what it has written stays, so that
    items may depend on those before them. None when each passes: then the whole was
    refused for no item alone. Any error that `is_about_one` denies is raised.
    """
    first, last = 1, count
    while first <= last:
        middle = (first + last) // 2
        try:
            await write(first, middle)
        except Exception as error:
            if not is_about_one(error):
                raise
            if first == middle:
                return first, error
            last = middle
        else:
            first = middle + 1
    return None
