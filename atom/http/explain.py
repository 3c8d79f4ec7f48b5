"""Why a user may or may not call a route: the answer of `GET /root/explain`."""

from collections.abc import Iterable, Sequence
from typing import Any

from atom.error_code import CODES
from atom.http.policy import RoutePolicy
from atom.http.step import Caller, Check, Step
from atom.port import UserState


def explain(
    policy: RoutePolicy,
    steps: Sequence[Step],
    user: UserState | None,
    *,
    is_anonymous: bool = False,
) -> dict[str, Any]:
    """Return the rules of a route, in order, and the first that refuses this user."""
    caller = Caller(user, is_anonymous)
    root = policy.tier == "root"
    checks = [
        Check("tier", policy.tier or "public", "root key needed" if root else ""),
        *_lines(filter(_is_guard, steps), policy, caller),
        Check("owner", "created_by_id" if policy.tier == "my" else "none"),
        *_lines((step for step in steps if not _is_guard(step)), policy, caller),
        Check("limits", _limits(steps, policy)),
    ]
    refused = next((check for check in checks if check.refuses), None)
    return {
        "route": policy.name,
        "checks": [
            {"check": check.name, "rule": check.rule, "refuses": check.refuses}
            for check in checks
        ],
        "allowed": refused is None,
        "refused_by": refused and refused.name,
        "reason": refused and refused.refuses,
    }


def _is_guard(step: Step) -> bool:
    """Return True if the step decides by who the caller is."""
    return any({401, 403} & {*CODES[code].statuses} for code in step.codes)


def _lines(steps: Iterable[Step], policy: RoutePolicy, caller: Caller) -> list[Check]:
    return [step.explain(policy, caller) for step in steps if step.explain is not None]


def _limits(steps: Iterable[Step], policy: RoutePolicy) -> dict[str, Any]:
    """Return the keys of the steps that have no line of their own."""
    return {
        key.name: key.describe(key.of(policy))
        for step in steps
        if step.explain is None
        for key in step.keys
    }
