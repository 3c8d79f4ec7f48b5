"""The request id and the address of the client."""

import pytest

from atom.http.address import address_behind
from atom.http.step.context import open_context
from tests.unit.step.probe import Route, headers


async def test_keeps_a_well_formed_request_id(exchange):
    """A caller's own id comes back; anything odd is replaced."""
    kept = exchange(headers=[(b"x-request-id", b"abc-1.2")])
    odd = exchange(headers=[(b"x-request-id", b"a b\n")])

    await open_context(kept, Route())
    await open_context(odd, Route())

    assert "abc-1.2" == kept.request_id
    assert 16 == len(odd.request_id)
    assert b"abc-1.2" == headers(kept)[b"x-request-id"]


async def test_believes_only_known_proxies(exchange):
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
def test_walks_back_through_trusted_hops(direct, forwarded, expected):
    """The first address that is not a trusted proxy is the client."""
    assert expected == address_behind(
        direct, [hop.strip() for hop in forwarded.split(",") if hop], ("10.0.0.0/8",)
    )
