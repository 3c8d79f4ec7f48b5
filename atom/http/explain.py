"""Why a user may call a route, or which rule refuses: what `GET /root/explain` says."""

from typing import Any

from atom.http.policy import RoutePolicy
from atom.port import UserState


def explain(
    policy: RoutePolicy, user: UserState | None, *, is_stranger: bool = False
) -> dict[str, Any]:
    """Say what holds for a route, in order, and which rule first refuses this user."""
    root = policy.tier == "root"
    nobody = "token missing" if is_stranger else "no such user"
    checks = [
        _check("tier", policy.tier or "public", "root key needed" if root else ""),
        _check(
            "token",
            "needed" if policy.token_required else "not needed",
            nobody if policy.token_required and user is None else "",
        ),
        _check(
            "access",
            f"id {policy.id}" if policy.tier == "admin" else "not checked",
            "api access denied"
            if policy.tier == "admin"
            and (user is None or policy.id not in user.api_access)
            else "",
        ),
        _check(
            "active",
            "checked" if policy.active_required else "not checked",
            "user not active"
            if policy.active_required and user is not None and not user.is_active
            else "",
        ),
        _check("owner", "created_by_id" if policy.tier == "my" else "none", ""),
        _check("rate", policy.rate and policy.rate.described(), ""),
        _check("cache", policy.cache and policy.cache.described(), ""),
        _check(
            "limits",
            {
                "body_bytes": policy.body_bytes,
                "timeout_sec": policy.timeout,
                "concurrency_max": policy.concurrency,
            },
            "",
        ),
    ]
    refused = next((check for check in checks if check["refuses"]), None)
    return {
        "route": policy.name,
        "checks": checks,
        "allowed": refused is None,
        "refused_by": refused and refused["check"],
        "reason": refused and refused["refuses"],
    }


def _check(name: str, rule: Any, refuses: str) -> dict[str, Any]:
    return {"check": name, "rule": rule, "refuses": refuses}
