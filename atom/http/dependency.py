"""Dependencies of FastAPI for routes: the caller, the database, the ports, rights."""

from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

import atom.port
from atom.account import access
from atom.errors import Unauthenticated
from atom.http.route import ROLE
from atom.http.step import active

# Its name is that of the scheme which `openapi` declares: it draws the lock.
BEARER = HTTPBearer(scheme_name="user", auto_error=False)


async def _ports(request: Request) -> atom.port.Ports:
    ports: atom.port.Ports = request.app.state.ports
    return ports


async def _database(request: Request) -> Any:
    return request.app.state.client_postgres


async def _caller(
    request: Request,
    token: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
) -> dict[str, Any]:
    """Return the active user of a request.

    Raises:
        Unauthenticated: without a token, or with one that is not valid.
        Forbidden: when the user is not active.
    """
    user: dict[str, Any] = request.state.user
    if not user and token is not None:
        raise Unauthenticated("token invalid", code="token.invalid")
    if not user:
        raise Unauthenticated(
            "token missing",
            code="token.missing",
            hint="Log in, and send the header Authorization: Bearer <token>.",
        )
    ports = await _ports(request)
    await active.require(ports, user, await ports.users.state(user["id"]))
    return user


# What the policy of a route takes over from its dependencies (`route.py` reads it): the
# steps check the caller before a cached answer is sent, which no dependency sees.
_caller.needs = frozenset({"token"})  # type: ignore[attr-defined]

Ports = Annotated[atom.port.Ports, Depends(_ports)]
Db = Annotated[Any, Depends(_database)]
Me = Annotated[dict[str, Any], Depends(_caller)]


def require_access(api_id: int) -> Any:
    """Return a dependency on a caller who holds an api id; its value is the caller."""

    async def caller(me: Me, ports: Ports) -> dict[str, Any]:
        state = await ports.users.state(me["id"])
        await access.require(ports, me, api_id, state)
        return me

    caller.needs = frozenset({"access"})  # type: ignore[attr-defined]
    return Depends(caller)


def require_role(name: str) -> Any:
    """Return a dependency on a caller who has a role of `config_role`.

    Its value is the caller. The database is asked for every request.
    """

    async def caller(me: Me, ports: Ports) -> dict[str, Any]:
        await ports.roles.require(me["id"], (name,))
        return me

    caller.needs = frozenset({f"{ROLE}{name}"})  # type: ignore[attr-defined]
    return Depends(caller)
