"""A webhook over TLS goes to the address that was checked, by the name it has."""

import asyncio
import shutil
import ssl
import subprocess

import pytest

from atom.event.declaration import Endpoint
from atom.event.envelope import Event
from atom.event.outbox import Claimed
from atom.event.relay import Refused
from atom.event.webhook import NotDelivered, WebhookTarget
from tests import machine

SECRET = "whsec_" + "A" * 44
EVENT = Claimed(1, "webhook:x", 1, Event("e", "a.b", "a", None, "t", 1, {}, {}))


@pytest.fixture
async def receiver(tmp_path):
    """A server for the name hook.test: its port, whom to trust, and what it got."""
    if shutil.which("openssl") is None:
        machine.absent("openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    words += ["-keyout", key, "-out", certificate, "-subj", "/CN=hook.test"]
    words += ["-addext", "subjectAltName=DNS:hook.test"]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    context, got = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.load_cert_chain(certificate, key)
    context.sni_callback = lambda _, name, __: got.append(name)

    async def answer(reader, writer):
        got.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    trusted = ssl.create_default_context(cafile=certificate)
    yield server.sockets[0].getsockname()[1], trusted, got
    server.close()


async def deliver(host, receiver, addresses=("127.0.0.1",), **more):
    """Deliver to a name with these addresses."""
    port, trusted, _ = receiver
    asked = []

    async def resolve(name, _):
        asked.append(name)
        return addresses

    endpoint = Endpoint("x", f"https://{host}:{port}/hook?a=1", SECRET, **more)
    target = WebhookTarget(endpoint, resolve=resolve, verify=trusted)
    try:
        await target.deliver(EVENT)
    finally:
        await target.close()
        assert [host] == asked


async def test_the_name_is_kept_and_its_certificate_is_checked(receiver):
    """The request goes to the address; SNI, Host and certificate are the name's."""
    _, _, got = receiver
    await deliver("hook.test", receiver, is_private=True)
    name, request = got
    assert "hook.test" == name
    assert request.startswith("POST /hook?a=1 HTTP/1.1\r\n")
    assert f"host: hook.test:{receiver[0]}\r\n" in request.lower()
    with pytest.raises(NotDelivered, match="certificate"):
        await deliver("other.test", receiver, is_private=True)


async def test_a_name_with_private_addresses_alone_is_not_asked(receiver):
    """It is refused at once; one without any address is tried again."""
    _, _, got = receiver
    with pytest.raises(Refused, match="private network"):
        await deliver("hook.test", receiver, ("127.0.0.1", "::1"))
    with pytest.raises(NotDelivered, match="cannot be reached"):
        await deliver("hook.test", receiver, ())

    assert [] == got
