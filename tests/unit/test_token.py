"""Tokens: what is accepted, what is refused, and with which word."""

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atom.account.token import MAX_BYTES, Claims, Decoder, decode, encode
from atom.errors import Unauthenticated
from tests.unit.effort import counted

KEY = "k" * 32
NEW_KEY = "n" * 40
NOW = 1_700_000_000
USER = {"id": 7, "is_active": 1, "api_access": "1,2"}
SAID = {
    "exp": NOW + 60,
    "iat": NOW,
    "jti": "one",
    "sub": "7",
    "type": "access",
    "sid": "s",
    "ver": 3,
    "data": USER,
}


def token(**changes):
    """Make the token of user 7, good for a minute."""
    arguments = {"key": KEY, "now": NOW, "seconds": 60, "subject": 7}
    return encode(USER, **{**arguments, "session": "s", "version": 3, **changes})


def forged(said, key=KEY, **header):
    """Sign any claims with our key, as if we had issued them."""
    return jwt.encode(said, key, algorithm="HS256", headers=header or None)


def without(name):
    """Return good claims that lack one."""
    return {key: value for key, value in SAID.items() if key != name}


def parts(text):
    """Return header and claims of a token, unverified."""
    head, body, _ = text.split(".")
    return [
        json.loads(base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4)))
        for piece in (head, body)
    ]


def test_token_says_what_was_put_in():
    """Decoding gives back user, session, version and times."""
    assert Claims(USER, 7, "s", 3, NOW, NOW + 60, "one") == decode(
        token(unique="one"), [KEY], NOW
    )


def test_token_is_hs256_and_carries_exactly_the_claims_agreed():
    """Header and claims are those of the contract; data is the user's columns."""
    head, body = parts(token())

    assert head == {"alg": "HS256", "typ": "JWT"}
    assert {"exp", "iat", "jti", "sub", "type", "sid", "ver", "data"} == set(body)
    assert body["data"] == USER
    assert (body["sub"], body["type"]) == ("7", "access")


def test_two_sessions_have_different_jti():
    """Two tokens that differ in session differ in jti without chance being used."""
    first, second = (parts(token(session=s))[1]["jti"] for s in ("a", "b"))

    assert first != second


@pytest.mark.parametrize("late", [0, 1, 10**9])
def test_token_stops_at_its_second(late):
    """At `exp` and ever after a token is expired, in these words."""
    with pytest.raises(Unauthenticated) as caught:
        decode(token(), [KEY], NOW + 60 + late)

    assert (
        caught.value.code,
        caught.value.message,
    ) == ("token.expired", "token expired")


def test_token_is_good_in_its_last_second():
    """One second before `exp` a token still works."""
    assert decode(token(), [KEY], NOW + 59).subject == 7


def test_old_key_is_still_accepted():
    """While two keys are set, a token signed with either works."""
    assert decode(token(key=KEY), [NEW_KEY, KEY], NOW).subject == 7
    assert decode(token(key=NEW_KEY), [NEW_KEY, KEY], NOW).subject == 7


def none_algorithm():
    """Make a token that claims to need no signature."""
    return jwt.encode(SAID, "", algorithm="none")


REFUSED = {
    "empty": "",
    "garbage": "garbage",
    "three empty parts": "..",
    "not ascii": "é.é.é",
    "lone surrogate": "\ud800.a.b",
    "another key": forged(SAID, key="x" * 32),
    "no algorithm": none_algorithm(),
    "another algorithm": jwt.encode(SAID, "k" * 64, algorithm="HS512"),
    "no signature": token().rpartition(".")[0] + ".",
    "cut": token()[:-3],
    "critical extension": forged(SAID, crit=["zip"]),
    "refresh type": forged({**SAID, "type": "refresh"}),
    "type list": forged({**SAID, "type": ["access"]}),
    "no exp": forged(without("exp")),
    "no iat": forged(without("iat")),
    "no jti": forged(without("jti")),
    "no sub": forged(without("sub")),
    "no type": forged(without("type")),
    "no data": forged(without("data")),
    "no session": forged(without("sid")),
    "no version": forged(without("ver")),
    "data list": forged({**SAID, "data": [7]}),
    "exp text": forged({**SAID, "exp": str(NOW + 60)}),
    "exp float": forged({**SAID, "exp": NOW + 60.5}),
    "exp true": forged({**SAID, "exp": True}),
    "exp null": forged({**SAID, "exp": None}),
    "exp list": forged({**SAID, "exp": [NOW]}),
    "iat text": forged({**SAID, "iat": "now"}),
    "version text": forged({**SAID, "ver": "3"}),
    "subject name": forged({**SAID, "sub": "root"}),
    "subject negative": forged({**SAID, "sub": "-7"}),
    "subject huge": forged({**SAID, "sub": "7" * 5000}),
    "subject other digits": forged({**SAID, "sub": "٧"}),
    "session number": forged({**SAID, "sid": 1}),
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_we_did_not_issue_is_invalid(text):
    """Forged, damaged and foreign tokens are refused, all in the same words."""
    with pytest.raises(Unauthenticated) as caught:
        decode(text, [NEW_KEY, KEY], NOW)

    assert (
        caught.value.code,
        caught.value.message,
    ) == ("token.invalid", "token invalid")
    assert caught.value.headers["WWW-Authenticate"] == "Bearer"


def test_huge_token_is_invalid_though_signed():
    """A token above 8 KB is refused before anything is computed of it."""
    text = forged({**SAID, "data": {"id": 7, "name": "x" * MAX_BYTES}})

    with pytest.raises(Unauthenticated) as caught:
        decode(text, [KEY], NOW)

    assert caught.value.code == "token.invalid"


def test_good_claims_are_accepted_when_nothing_is_wrong():
    """The table above starts from claims that are accepted as they are."""
    assert decode(forged(SAID), [NEW_KEY, KEY], NOW).subject == 7


@given(st.text(max_size=300))
def test_no_text_is_more_than_refused(text):
    """Whatever text comes: it is refused with our error, never another."""
    with pytest.raises(Unauthenticated):
        decode(text, [KEY], NOW)


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
        max_size=5,
    ),
    st.integers(1, 2**63 - 1),
    st.integers(0, 2**31 - 1),
)
def test_any_user_survives_the_journey(user, subject, version):
    """Whatever columns a token carries come back as they went in."""
    text = encode(
        user, key=KEY, now=NOW, seconds=1, subject=subject, session="", version=version
    )
    claims = decode(text, [KEY], NOW)

    assert (user, subject, version) == (claims.user, claims.subject, claims.version)


class TestDecoder:
    def test_remembered_token_is_the_same_claims(self):
        """A token decoded twice is verified once."""
        decoder = Decoder([KEY])

        assert decoder.decode(token(), NOW) is decoder.decode(token(), NOW)

    def test_remembered_token_expires_all_the_same(self):
        """What is remembered is the signature, not that the token is good."""
        decoder = Decoder([KEY])
        decoder.decode(token(), NOW)

        for _ in range(2):
            with pytest.raises(Unauthenticated) as caught:
                decoder.decode(token(), NOW + 60)
            assert caught.value.code == "token.expired"

    def test_refused_token_is_refused_again(self):
        """A forged token is not remembered as anything."""
        decoder = Decoder([KEY])

        for _ in range(2):
            with pytest.raises(Unauthenticated):
                decoder.decode(token(key=NEW_KEY), NOW)

    def test_memory_is_bounded(self):
        """The oldest tokens are forgotten; they still verify."""
        decoder = Decoder([KEY], size=3)
        for unique in "abcdef":
            decoder.decode(token(unique=unique), NOW)

        assert len(decoder._known) == 3
        assert decoder.decode(token(unique="a"), NOW).unique == "a"

    def test_remembered_token_costs_almost_nothing(self):
        """A token seen before is not taken apart again: a few steps."""
        decoder, text = Decoder([KEY]), token()
        with counted() as first:
            decoder.decode(text, NOW)

        with counted() as effort:
            decoder.decode(text, NOW)

        assert effort.steps < 30 < first.steps
