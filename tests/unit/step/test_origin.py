"""Which pages may open a WebSocket."""

import pytest

from atom.errors import Forbidden
from atom.http.step.origin import check_origin
from tests.unit.step.probe import Route

LISTED = {"config_cors_origin_list": ("https://shop.example",)}


@pytest.mark.parametrize(
    ("kind", "headers", "config", "refused"),
    [
        ("websocket", [(b"origin", b"https://shop.example")], LISTED, False),
        ("websocket", [(b"origin", b"https://other.example")], LISTED, True),
        ("websocket", [(b"origin", b"https://other.example")], {}, False),
        ("websocket", [], LISTED, False),
        (
            "websocket",
            [(b"origin", b"https://shop.example"), (b"origin", b"https://x.example")],
            LISTED,
            True,
        ),
        (
            "websocket",
            [(b"host", b"a"), (b"host", b"b"), (b"origin", b"http://a")],
            LISTED,
            True,
        ),
        ("websocket", [(b"host", b"A"), (b"origin", b"http://a")], LISTED, False),
        ("http", [(b"origin", b"https://other.example")], LISTED, False),  # CORS has it
    ],
)
async def test_only_a_page_that_may(exchange, kind, headers, config, refused):
    made, route = exchange(config=config), Route()
    made.scope |= {"type": kind, "headers": headers}
    if refused:
        with pytest.raises(Forbidden) as found:
            await check_origin(made, route)
        assert "origin.refused" == found.value.code
        return
    await check_origin(made, route)
