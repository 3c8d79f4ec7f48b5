"""Why a user may or may not call a route: the answer of `GET /root/explain`."""

from collections.abc import Iterable, Sequence
from typing import Any

from atom.http.policy import RoutePolicy
from atom.http.step import Caller, Check, Step
from atom.port import UserState


def explain(
    policy: RoutePolicy,
    steps: Sequence[Step],
    user: UserState | None,
    *,
    is_anonymous: bool = False,
    roles: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the rules of a route, in order, and the first that refuses this user."""
    caller = Caller(user, is_anonymous, frozenset(roles))
    guards = [step for step in steps if step.guards]
    others = [step for step in steps if not step.guards]
    root = policy.tier == "root"
    checks = [
        Check("tier", policy.tier or "public", "root key needed" if root else ""),
        *_lines(guards, policy, caller),
        Check("owner", "created_by_id" if policy.tier == "my" else "none"),
        *_lines(others, policy, caller),
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
