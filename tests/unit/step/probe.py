"""What the tests of the steps share: a route, a token, the answer."""

from atom.account.token import Decoder, encode
from atom.http.policy import RoutePolicy
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
