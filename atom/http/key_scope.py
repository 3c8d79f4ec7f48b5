"""Which routes an API key opens: those it was made for, as templates with a verb."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from atom.errors import ApiError, nearest
from atom.http.step.token import IS_API_KEY, key_refused, require_route

if TYPE_CHECKING:
    from starlette.requests import Request

    from atom.http.policy_table import PolicyTable
    from atom.http.route import Route


def is_by_key(request: Request) -> bool:
    """Whether the caller of a route came by an API key."""
    return "api_key" in request.scope["state"]


def require_person(request: Request) -> None:
    """Refuse an API key in what only the user themself does.

    Raises:
        Forbidden: `key.refused`.
    """
    if is_by_key(request):
        raise key_refused()


def require_key_too(request: Request, method: str, route: Route | None) -> None:
    """Refuse an API key that was not made for another route as well.

    Raises:
        Forbidden: `key.route`.
    """
    if is_by_key(request):
        require_route(request.scope["state"]["api_key"], method, route)


def read_key_routes(policies: PolicyTable, given: Iterable[str]) -> list[str]:
    """Return the routes a key is to open, each with its verb, in order.

    Raises:
        ApiError: `key.unknown_route`, with the nearest one.
    """
    verbs: dict[str, set[str]] = {}
    for route, verb, policy in policies.each():
        if policy.tier != "root" and IS_API_KEY.of(policy) and route.kind != "mount":
            verbs.setdefault(route.path, set()).add("GET" if verb == "*" else verb)
    found: set[str] = set()
    for text in given:
        verb, _, path = text.strip().rpartition(" ")
        verb = verb.strip().upper()
        if path not in verbs:
            raise _unknown(f"no route for API keys has the path {path!r}", path, verbs)
        if verb and verb not in verbs[path]:
            raise _unknown(f"{path} has no {verb} for API keys", verb, verbs[path])
        found.update(f"{each} {path}" for each in ({verb} if verb else verbs[path]))
    return sorted(found)


def _unknown(what: str, word: str, words: Iterable[str]) -> ApiError:
    return ApiError(what, code="key.unknown_route", hint=nearest(word, words))
