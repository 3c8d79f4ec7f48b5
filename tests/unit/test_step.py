"""The steps one by one, each with the ports that ship."""

import asyncio

import orjson
import pytest

from atom.account.token import Decoder, encode
from atom.errors import (
    ApiError,
    Forbidden,
    NotFound,
    RateLimited,
    TimedOut,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from atom.http.policy import CacheRule, RateRule, RoutePolicy
from atom.http.step.access import require_access
from atom.http.step.active import require_active
from atom.http.step.background import asked_for, run_in_background
from atom.http.step.body import limit_body
from atom.http.step.cache import answer_from_cache, key_for
from atom.http.step.concurrency import limit_concurrency
from atom.http.step.context import address_behind, open_context
from atom.http.step.error import answer_errors
from atom.http.step.rate import limit_rate
from atom.http.step.record import COLUMNS, masked, record
from atom.http.step.timeout import limit_time
from atom.http.step.token import authenticate
from atom.port import UserState
from atom.reply import success

KEY = "k" * 32


class Route:
    """Stands for everything further in; counts how often it is reached."""

    def __init__(self, answer=None, error=None):
        self.reached, self.answer, self.error = 0, answer, error

    async def __call__(self, exchange):
        self.reached += 1
        if self.error:
            raise self.error
        await exchange.reply(self.answer or success("ok"))


def body(exchange):
    """Return what the caller got as its body."""
    sent = exchange.scope["sent"]
    return b"".join(m.get("body", b"") for m in sent if m["type"].endswith("body"))


def headers(exchange):
    """Return the headers the caller got."""
    return dict(exchange.scope["sent"][0]["headers"])


def token(**options):
    """Sign a token for user 7."""
    defaults = dict(
        key=KEY, now=1_000, seconds=10**10, subject=7, session="s", version=0
    )
    return encode({"id": 7, "api_access": "5"}, **(defaults | options))


def bearer(text):
    """Return the header that carries a token."""
    return [(b"authorization", b"Bearer " + text.encode())]


class Known:
    """Users as the database would have them."""

    def __init__(self, state):
        self.kept = state

    async def state(self, user_id):
        return self.kept if user_id == 7 else None

    fresh = state


MY = RoutePolicy(name="GET /my/x", tier="my", token_required=True, active_required=True)
ACTIVE = UserState(True, frozenset({5}), 0)


def asking(exchange, text, *, policy=MY, state=ACTIVE, **ports):
    """Make an exchange that carries a token, its context opened."""
    made = exchange(
        headers=bearer(text),
        policy=policy,
        users=Known(state),
        tokens=Decoder((KEY,)),
        **ports,
    )
    made.authorization = b"Bearer " + text.encode()
    made.scope["state"] = {}
    return made


class TestContext:
    """open_context"""

    async def test_keeps_a_well_formed_request_id(self, exchange):
        """A caller's own id comes back; anything odd is replaced."""
        kept = exchange(headers=[(b"x-request-id", b"abc-1.2")])
        odd = exchange(headers=[(b"x-request-id", b"a b\n")])

        await open_context(kept, Route())
        await open_context(odd, Route())

        assert "abc-1.2" == kept.request_id
        assert 16 == len(odd.request_id)
        assert b"abc-1.2" == headers(kept)[b"x-request-id"]

    async def test_believes_only_known_proxies(self, exchange):
        """X-Forwarded-For from a stranger changes nothing."""
        forged = exchange(headers=[(b"x-forwarded-for", b"1.1.1.1")], ip="9.9.9.9")

        await open_context(forged, Route())

        assert "9.9.9.9" == forged.address

    @pytest.mark.parametrize(
        ("direct", "forwarded", "expected"),
        [
            ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
            ("9.9.9.9", "1.1.1.1", "9.9.9.9"),
            ("10.0.0.1", "", "10.0.0.1"),
        ],
    )
    def test_walks_back_through_trusted_hops(self, direct, forwarded, expected):
        """The first address that is not a proxy of ours is the client."""
        assert expected == address_behind(direct, forwarded, ("10.0.0.0/8",))


class TestToken:
    """authenticate"""

    async def test_verified_user_is_put_on_the_exchange(self, exchange):
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
                UserState(True, frozenset(), 0, frozenset({"s"})),
                "token.revoked",
            ),
            (token(subject=8), ACTIVE, "account.missing"),
            (token(), None, "account.missing"),
        ],
    )
    async def test_refuses(self, exchange, text, state, code):
        """Whatever is wrong with a token, the route is not reached."""
        route = Route()
        with pytest.raises(Unauthenticated) as caught:
            await authenticate(asking(exchange, text, state=state), route)

        assert code == caught.value.code
        assert 0 == route.reached

    async def test_bad_token_leaves_a_public_route_anonymous(self, exchange):
        """An open route stays open to somebody whose token has gone stale."""
        route = Route()
        made = asking(exchange, "rubbish", policy=RoutePolicy())
        await authenticate(made, route)

        assert 1 == route.reached
        assert {} == made.user

    async def test_missing_token_is_named(self, exchange):
        """No token at all is a different word."""
        with pytest.raises(Unauthenticated, match="token missing"):
            await authenticate(exchange(policy=MY), Route())

    @pytest.mark.parametrize("key", ["", "short"])
    @pytest.mark.parametrize("given", ["", "short"])
    async def test_root_is_closed_without_a_real_key(self, exchange, key, given):
        """An empty or short root key opens nothing, also not to itself."""
        made = exchange(policy=RoutePolicy(tier="root"), key_root=key)
        made.authorization = b"Bearer " + given.encode()
        with pytest.raises(Unauthenticated, match="token root mismatch"):
            await authenticate(made, Route())

    async def test_root_takes_its_key_and_attaches_no_user(self, exchange):
        """The operator is nobody's user."""
        made, route = exchange(policy=RoutePolicy(tier="root")), Route()
        made.authorization = b"bearer " + b"r" * 16
        await authenticate(made, route)

        assert 1 == route.reached
        assert {} == made.user

    async def test_without_users_a_token_route_is_closed(self, exchange):
        """A missing database closes the door."""
        made = exchange(policy=MY, users=None)
        made.authorization = b"Bearer x"
        with pytest.raises(Unavailable):
            await authenticate(made, Route())


ADMIN = RoutePolicy(name="GET /admin/x", tier="admin", id=5, token_required=True)


class TestAccess:
    """require_access and require_active"""

    @pytest.mark.parametrize(
        ("ids", "mode", "claim", "allowed"),
        [
            ({5}, "cache", "", True),
            ({4}, "cache", "5", False),
            ({5}, "database", "", True),
            ({4}, "database", "5", False),
            ({4}, "token", "1,5", True),
            ({5}, "token", "1,4", False),
        ],
    )
    async def test_id_must_be_listed(self, exchange, ids, mode, claim, allowed):
        """Each mode asks the source it names, and no other."""
        made = exchange(
            policy=ADMIN,
            config={"config_mode_check_api_access": mode},
            users=Known(UserState(True, frozenset(ids), 0)),
        )
        made.user.update(id=7, api_access=claim)
        made.state = made.ports.users.kept
        route = Route()
        if allowed:
            await require_access(made, route)
        else:
            with pytest.raises(Forbidden, match="api access denied"):
                await require_access(made, route)

        assert int(allowed) == route.reached

    async def test_route_without_id_is_closed(self, exchange):
        """A missing id never opens."""
        with pytest.raises(Forbidden, match="api id not mapped"):
            await require_access(exchange(policy=RoutePolicy(tier="admin")), Route())

    @pytest.mark.parametrize("mode", ["cache", "database"])
    async def test_inactive_user_is_refused(self, exchange, mode):
        """What the token says of it does not matter."""
        off = UserState(False, frozenset(), 0)
        made = exchange(
            policy=MY, users=Known(off), config={"config_mode_check_is_active": mode}
        )
        made.user.update(id=7, is_active=1)
        made.state = off
        with pytest.raises(Forbidden, match="user not active"):
            await require_active(made, Route())


class TestRate:
    """limit_rate"""

    async def test_caller_is_turned_away_once_the_window_is_used_up(self, exchange):
        """The third request in a window allowing two never reaches the route."""
        policy, route = RoutePolicy(name="GET /x", rate=RateRule(2, 60)), Route()
        counter = exchange().ports.counter

        for _ in range(2):
            await limit_rate(exchange(policy=policy, counter=counter), route)
        with pytest.raises(RateLimited) as caught:
            await limit_rate(exchange(policy=policy, counter=counter), route)

        assert 2 == route.reached
        assert "60" == caught.value.headers["Retry-After"]

    async def test_another_caller_has_a_window_of_his_own(self, exchange):
        """Addresses and users are counted apart."""
        policy, route = RoutePolicy(name="GET /x", rate=RateRule(1, 60)), Route()
        counter = exchange().ports.counter
        for ip in ("10.0.0.1", "10.0.0.2"):
            await limit_rate(exchange(policy=policy, counter=counter, ip=ip), route)
        known = exchange(policy=policy, counter=counter)
        known.user["id"] = 7
        await limit_rate(known, route)

        assert 3 == route.reached

    async def test_answer_says_what_is_left(self, exchange):
        """RateLimit headers stand on every answer of a limited route."""
        made = exchange(policy=RoutePolicy(rate=RateRule(2, 60)))
        await limit_rate(made, Route())

        assert b'"default";r=1;t=60' == headers(made)[b"ratelimit"]


CACHED = RoutePolicy(name="GET /test", cache=CacheRule("inmemory", 60))


class TestCache:
    """answer_from_cache"""

    async def test_second_answer_is_the_first_again(self, exchange):
        """Body and content type are replayed and marked."""
        route, stores = Route(), exchange().ports.stores
        first = exchange(query="a=1&b=2", policy=CACHED, stores=stores)
        second = exchange(query="b=2&a=%31", policy=CACHED, stores=stores)
        await answer_from_cache(first, route)
        await answer_from_cache(second, route)

        assert 1 == route.reached
        assert body(first) == body(second)
        assert b"application/json" == headers(second)[b"content-type"]
        assert b"hit" == headers(second)[b"x-cache"]
        assert ("stored", "cached") == (first.outcome, second.outcome)

    async def test_users_never_share_an_answer(self, exchange):
        """Not with each other, and not with strangers."""
        route, stores = Route(), exchange().ports.stores
        for user in ({}, {"id": 1}, {"id": 2}):
            made = exchange(policy=CACHED, stores=stores)
            made.user.update(user)
            await answer_from_cache(made, route)

        assert 3 == route.reached

    async def test_only_a_200_is_kept(self, exchange):
        """A refusal is asked again, and stays a refusal."""
        route, stores = Route(error=NotFound("no")), exchange().ports.stores
        for _ in range(2):
            with pytest.raises(NotFound):
                await answer_from_cache(exchange(policy=CACHED, stores=stores), route)

        assert 2 == route.reached

    async def test_many_askers_are_one_question(self, exchange):
        """Forty askers at once make the route work once."""
        stores = exchange().ports.stores

        class Slow(Route):
            async def __call__(self, exchange):
                await asyncio.sleep(0.02)
                await super().__call__(exchange)

        route = Slow()
        asked = [exchange(policy=CACHED, stores=stores) for _ in range(40)]
        await asyncio.gather(*(answer_from_cache(one, route) for one in asked))

        assert 1 == route.reached
        assert 1 == len({body(one) for one in asked})

    def test_values_cannot_pose_as_other_parameters(self):
        """Escaping keeps `a=1&b=2` apart from one parameter that holds it."""
        assert key_for("x", "a=1&b=2", "u") != key_for("x", "a=1%26b%3D2", "u")


class TestBackground:
    """run_in_background"""

    async def test_answers_at_once_and_works_after(self, exchange):
        """The caller does not wait; the row of the log comes with the result."""
        made = exchange(query="is_background=1", method="POST", body=b"{}")
        made.after = lambda: done.append(made.description)
        done, route = [], Route()
        await run_in_background(made, route)

        assert "added in background" == orjson.loads(body(made))["message"]
        assert 0 == route.reached
        await made.ports.tasks.drain(seconds=1)
        assert 1 == route.reached
        assert "ok" in done[0]

    async def test_reads_are_refused(self, exchange):
        """Nobody would see the answer of a read."""
        with pytest.raises(ApiError) as caught:
            await run_in_background(exchange(query="is_background=1"), Route())

        assert "background.refused" == caught.value.code

    async def test_bodies_that_wait_are_bounded(self, exchange, monkeypatch):
        """Who need not wait for an answer cannot fill the memory; it is freed again."""
        monkeypatch.setattr("atom.http.step.background.HELD_MAX", 5)
        query = {"query": "is_background=1", "method": "POST"}
        first, second, third = (exchange(**query, body=b"{ }") for _ in range(3))
        await run_in_background(first, Route())

        with pytest.raises(Unavailable) as caught:
            await run_in_background(second, Route())
        assert "background.busy" == caught.value.code
        await first.ports.tasks.drain(seconds=10)
        await run_in_background(third, Route())
        await third.ports.tasks.drain(seconds=10)

        with pytest.raises(TooLarge):
            await run_in_background(exchange(**query, body=b"{    }"), Route())

    def test_value_must_be_0_or_1(self):
        """Anything else is told, never guessed."""
        with pytest.raises(ApiError):
            asked_for("is_background=yes")


class TestTheRest:
    """error, body, time, concurrency, record"""

    async def test_fault_tells_nothing(self, exchange):
        """The text of an exception stays with us."""
        made = exchange()
        await answer_errors(made, Route(error=RuntimeError("secret detail")))

        assert 500 == made.status
        assert b"secret" not in body(made)

    async def test_announced_body_is_refused_unread(self, exchange):
        """Content-Length above the limit never reaches the route."""
        made = exchange(method="POST", policy=RoutePolicy(body_bytes=10))
        made.content_length = b"11"
        with pytest.raises(TooLarge):
            await limit_body(made, Route())

    async def test_body_without_length_is_counted(self, exchange):
        """A chunked body stops at the limit."""
        made = exchange(
            method="POST", policy=RoutePolicy(body_bytes=10), body=b"x" * 11
        )

        async def read(exchange):
            await exchange.body()

        with pytest.raises(TooLarge):
            await limit_body(made, read)

    async def test_slow_route_is_stopped(self, exchange):
        """The handler is cancelled, not left running."""
        stopped = []

        async def slow(exchange):
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                stopped.append(True)
                raise

        with pytest.raises(TimedOut):
            await limit_time(exchange(policy=RoutePolicy(timeout=0.01)), slow)
        assert [True] == stopped

    async def test_begun_answer_is_not_cut(self, exchange):
        """A stream may take longer than its first byte."""
        made = exchange(policy=RoutePolicy(timeout=0.01))

        async def stream(exchange):
            await exchange.send(
                {"type": "http.response.start", "status": 200, "headers": []}
            )
            await asyncio.sleep(0.05)
            await exchange.send({"type": "http.response.body", "body": b"end"})

        await limit_time(made, stream)
        assert b"end" == body(made)

    async def test_busy_route_says_so(self, exchange):
        """What is over the limit is refused at once; room is given back."""
        policy = RoutePolicy(name="GET /busy", concurrency=1)
        route = Route()

        async def nested(first):
            with pytest.raises(Unavailable):
                await limit_concurrency(exchange(policy=policy), route)

        await limit_concurrency(exchange(policy=policy), nested)
        await limit_concurrency(exchange(policy=policy), route)
        assert 1 == route.reached

    async def test_one_row_for_a_request(self, exchange):
        """What was asked, how it was answered; secrets starred."""
        made = exchange(query="a=1&otp=123456")

        async def inner(exchange):
            await answer_errors(exchange, Route(error=Forbidden("no")))

        await record(made, inner)
        (row,) = made.ports.journal.rows
        told = dict(zip(COLUMNS, row, strict=True))

        assert (5, 403, "a=1&otp=***") == (
            told["type"],
            told["status_code"],
            told["query_param"],
        )

    @pytest.mark.parametrize(
        "query",
        ["token=abc", "x=1&password_old=abc", "OTP=abc", "google_token=abc&y=2"],
    )
    def test_secret_values_are_masked(self, query):
        """No spelling of a secret-looking name shows its value."""
        assert "abc" not in masked(query)
