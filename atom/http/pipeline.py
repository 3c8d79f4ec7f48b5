"""What happens to a request, in order.

A step reads its keys of `config_api` and is left out where the policy of the route does
not need it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from atom.error_code import CODES
from atom.errors import nearest
from atom.http.policy import Key
from atom.http.step import (
    Step,
    access,
    active,
    background,
    body,
    cache,
    compress,
    concurrency,
    context,
    error,
    measure,
    origin,
    rate,
    record,
    role,
    timeout,
    token,
    trace,
)
from atom.own_code import OWN, find

STEPS: tuple[Step, ...] = (
    context.STEP,
    compress.STEP,
    record.STEP,
    measure.STEP,
    trace.STEP,
    error.STEP,
    concurrency.STEP,
    body.STEP,
    origin.STEP,
    token.STEP,
    access.STEP,
    active.STEP,
    role.STEP,
    rate.STEP,
    background.STEP,
    cache.STEP,
    timeout.STEP,
)


def keys_of(steps: Iterable[Step]) -> tuple[Key[Any], ...]:
    """Return every key of config_api, in the order of the steps that read them."""
    return tuple(key for step in steps for key in step.keys)


def placed(steps: Sequence[Step], step: Step, before: str) -> tuple[Step, ...]:
    """Return the steps with one more, before the one of that name.

    Raises:
        ValueError: when no step has that name, two steps would share a key, or a code
            is not in the table of error codes.
    """
    names = [each.name for each in steps]
    if before not in names:
        raise ValueError(f"no step {before!r}. {nearest(before, names)}".rstrip())
    taken = {key.name for key in keys_of(steps)} & {key.name for key in step.keys}
    if taken:
        raise ValueError(f"key {min(taken)!r} of config_api belongs to another step")
    if unknown := [code for code in step.codes if find(code) is None]:
        near = nearest(unknown[0], [*CODES, *OWN])
        raise ValueError(
            f"error code {unknown[0]!r} is not declared: a file of the project declares"
            f' its own, CODES = {{{unknown[0]!r}: "…"}}. {near}'.rstrip()
        )
    at = names.index(before)
    return (*steps[:at], step, *steps[at:])
