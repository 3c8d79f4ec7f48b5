"""gzip on the way out, message by message."""

import gzip
import zlib

import pytest
from starlette.responses import Response, StreamingResponse

from atom.http.compress import PackedOnce
from atom.http.step.compress import compress_answers
from tests.unit.step.probe import Route, body, headers

TEXT = "one line of many\n" * 200


def asking(exchange, accepted=b"gzip", **given):
    """Make an exchange of a client that accepts this encoding."""
    made = exchange(**given)
    made.accept_encoding = accepted
    return made


async def test_a_whole_answer_has_a_true_length(exchange):
    """The announced length is that of the compressed body."""
    made = asking(exchange)
    await compress_answers(made, Route(Response(TEXT, media_type="text/plain")))

    assert TEXT.encode() == gzip.decompress(body(made))
    assert b"gzip" == headers(made)[b"content-encoding"]
    assert len(body(made)) == int(headers(made)[b"content-length"])


async def test_a_stream_is_sent_part_by_part(exchange):
    """Each part can be read as soon as it has come."""

    async def parts():
        for _ in range(3):
            yield TEXT

    made = asking(exchange)
    made.scope["asgi"] = {"spec_version": "2.4"}
    answer = StreamingResponse(parts(), media_type="text/csv")
    await compress_answers(made, Route(answer))
    sent = [m["body"] for m in made.scope["sent"] if "body" in m]
    reader = zlib.decompressobj(31)

    assert TEXT.encode() == reader.decompress(sent[0])
    assert TEXT * 3 == gzip.decompress(b"".join(sent)).decode()
    assert b"content-length" not in headers(made)


@pytest.mark.parametrize(
    ("media_type", "given"),
    [
        ("image/png", {}),
        ("application/zip", {}),
        ("text/event-stream", {}),
        ("text/plain", {"content-encoding": "br"}),
        ("text/plain", {"content-range": "bytes 0-9/99"}),
        ("text/plain", {"cache-control": "no-transform"}),
    ],
)
async def test_other_answers_are_passed_on(exchange, media_type, given):
    """Packed kinds, packed bodies, parts of a body, and what must not be changed."""
    made = asking(exchange)
    answer = Response(TEXT, headers=given, media_type=media_type)
    await compress_answers(made, Route(answer))

    assert TEXT.encode() == body(made)


async def test_switched_off(exchange):
    """By config_is_gzip=0."""
    made = asking(exchange, config={"config_is_gzip": False})
    await compress_answers(made, Route(Response(TEXT, media_type="text/plain")))

    assert TEXT.encode() == body(made)


async def test_kept_answers_are_compressed_once_and_bounded():
    """The same bytes come back, and memory is given back oldest first."""
    packed = PackedOnce(bytes_max=5_000)
    first, second = b"a" * 2_000, b"b" * 2_000
    made = await packed.of(first)

    assert made is await packed.of(bytes(bytearray(first)))
    await packed.of(second)
    await packed.of(b"c" * 2_000)
    assert made is not await packed.of(first)
