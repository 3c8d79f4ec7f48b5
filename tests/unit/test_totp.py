"""Codes of an app against the vectors of the standards, and recovery codes."""

from urllib.parse import parse_qs, urlsplit

import pytest

from atom.account import recovery, totp

KEY = b"12345678901234567890"
# RFC 6238 appendix B, SHA1.
VECTORS = {
    59: "94287082",
    1111111109: "07081804",
    1111111111: "14050471",
    1234567890: "89005924",
    2000000000: "69279037",
    20000000000: "65353130",
}
# RFC 4226 appendix D.
COUNTED = "755224 287082 359152 969429 338314 254676 287922 162583 399871 520489"


@pytest.mark.parametrize(("now", "code"), VECTORS.items())
def test_codes_are_those_of_the_standard(now, code):
    assert code == totp.code(KEY, now // 30, 8)
    assert now // 30 == totp.step_of(KEY, code[2:], now)


def test_counted_codes_are_those_of_the_standard():
    assert COUNTED.split() == [totp.code(KEY, step) for step in range(10)]


def test_a_clock_may_be_one_step_behind_or_ahead():
    here = 1_700_000_010 // 30
    found = [
        totp.step_of(KEY, totp.code(KEY, here + off), 1_700_000_010)
        for off in (-2, -1, 0, 1, 2)
    ]
    assert [None, here - 1, here, here + 1, None] == found


@pytest.mark.parametrize(
    "given",
    ["", "1", "12345", "1234567", "\u0661\u0662\u0663\u0664\u0665\u0666", "\ud800"],
)
def test_what_cannot_be_a_code_is_none(given):
    assert totp.step_of(KEY, given, 1_700_000_000) is None


def test_secrets_are_new_and_long_enough():
    """RFC 4226 section 4, R6: 128 bits at least, 160 advised."""
    made = {totp.new_secret() for _ in range(100)}
    assert 100 == len(made)
    assert {20} == {len(each) for each in made}


def test_a_uri_keeps_every_letter():
    """A name with a colon would end the issuer."""
    uri = urlsplit(totp.uri(KEY, "a: b&c", "ada@x.y/?"))
    assert "/a%20%20b%26c:ada%40x.y%2F%3F" == uri.path
    assert ["a: b&c"] == parse_qs(uri.query)["issuer"]


def test_recovery_codes_have_120_bits_and_are_bound_to_a_user():
    made = {recovery.new_code() for _ in range(100)}
    assert 100 == len(made)
    assert {24} == {len(each.replace("-", "")) for each in made}
    assert 32 == len(set(recovery.LETTERS))
    one = made.pop()
    assert recovery.digest(one, 1) != recovery.digest(one, 2)
    assert 32 == len(recovery.digest("\ud800", 1))
