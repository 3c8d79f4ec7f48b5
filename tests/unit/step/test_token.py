"""Who may pass with which token."""

import pytest

from atom.errors import Unauthenticated, Unavailable
from atom.http.policy import RoutePolicy
from atom.http.step.token import authenticate
from atom.port import UserState
from tests.unit.step.probe import ACTIVE, MY, Route, asking, token


async def test_verified_user_is_put_on_the_exchange(exchange):
    """A good token fills the user."""
    made = asking(exchange, token())
    await authenticate(made, Route())

    assert {"id": 7, "api_access": "5"} == made.user


@pytest.mark.parametrize(
    ("text", "state", "code"),
    [
        ("rubbish", ACTIVE, "token.invalid"),
        (token(key="x" * 32), ACTIVE, "token.invalid"),
        (token(seconds=1), ACTIVE, "token.expired"),
        (token(version=1), ACTIVE, "token.revoked"),
        (token(), UserState(True, frozenset(), 1), "token.revoked"),
        (
            token(),
            UserState(True, frozenset(), 0, {"another": 2.0**40}),
            "token.revoked",
        ),
        (token(), UserState(True, frozenset(), 0, {"s": 1.0}), "token.expired"),
        (token(subject=8), ACTIVE, "account.missing"),
        (token(), None, "account.missing"),
    ],
)
async def test_refuses(exchange, text, state, code):
    """Whatever is wrong with a token, the route is not reached."""
    route = Route()
    with pytest.raises(Unauthenticated) as caught:
        await authenticate(asking(exchange, text, state=state), route)

    assert code == caught.value.code
    assert 0 == route.reached


async def test_bad_token_leaves_a_public_route_anonymous(exchange):
    """An open route stays open to a caller with a stale token."""
    route = Route()
    made = asking(exchange, "rubbish", policy=RoutePolicy())
    await authenticate(made, route)

    assert 1 == route.reached
    assert {} == made.user


async def test_missing_token_is_named(exchange):
    """No token at all is a different word."""
    with pytest.raises(Unauthenticated, match="token missing"):
        await authenticate(exchange(policy=MY), Route())


@pytest.mark.parametrize("key", ["", "short"])
@pytest.mark.parametrize("given", ["", "short"])
async def test_root_is_closed_without_a_real_key(exchange, key, given):
    """An empty or short root key opens nothing, also not to itself."""
    made = exchange(policy=RoutePolicy(tier="root"), key_root=key)
    made.authorization = b"Bearer " + given.encode()
    with pytest.raises(Unauthenticated, match="token root mismatch"):
        await authenticate(made, Route())


async def test_root_takes_its_key_and_attaches_no_user(exchange):
    """The operator is not a user."""
    made, route = exchange(policy=RoutePolicy(tier="root")), Route()
    made.authorization = b"bearer " + b"r" * 16
    await authenticate(made, route)

    assert 1 == route.reached
    assert {} == made.user


class Silent:
    """Users when the database does not answer."""

    async def state(self, user_id):
        raise Unavailable("The database does not answer.")


async def test_while_users_cannot_be_read_a_token_route_is_closed(exchange):
    """A database that is down closes the door; a public route goes on."""
    made, route = asking(exchange, token()), Route()
    made.ports.users = Silent()
    with pytest.raises(Unavailable):
        await authenticate(made, route)
    public = asking(exchange, token(), policy=RoutePolicy(name="GET /x"))
    public.ports.users = Silent()
    await authenticate(public, route)

    assert 1 == route.reached
    assert {} == public.user
