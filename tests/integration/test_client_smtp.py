"""SMTP on loopback: TLS, STARTTLS, the login, and servers that do not behave."""

import asyncio
import shutil
import ssl
import subprocess
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from atom.client import Live, health, opened
from atom.client.doctor import examine
from atom.client.smtp import SMTP, Postponed, Smtp
from atom.config.keys import KEYS
from atom.errors import ApiError, Unavailable
from atom.mail.letter import Letter, message
from tests import machine
from tests.served import free_port
from tests.service.post_office import PASSWORD, USER, post_office

DEFAULTS = {key.name: key.default for key in KEYS}
TO = "ada@x.com"


def config(port, **values):
    return {
        **DEFAULTS,
        "config_smtp_host": "127.0.0.1",
        "config_smtp_port": port,
        "config_smtp_tls": False,
        "config_smtp_timeout_sec": 5.0,
        **{f"config_smtp_{name}": value for name, value in values.items()},
    }


async def send(port, to=TO, **values):
    """Send one mail with these values of config."""
    letter = Letter(to, "Hi", "<p>Hi</p>", "Hi")
    made = message(letter, ("Shop", "shop@x.com"), "1", datetime.now(UTC))
    async with opened((SMTP,), config(port, **values)) as live:
        await live["client_smtp"].send(made, "shop@x.com", to)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1, and the context of a server that has it."""
    if shutil.which("openssl") is None:
        machine.absent("openssl")
    folder = tmp_path_factory.mktemp("certificate")
    key, path = folder / "key.pem", folder / "certificate.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    words += ["-keyout", key, "-out", path, "-subj", "/CN=127.0.0.1"]
    words += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    return path, context


@pytest.fixture
def trusted(certificate, monkeypatch):
    """The certificate is one that this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    return certificate[1]


@pytest.fixture(params=["starttls", "tls from the beginning"])
def secure(request, certificate):
    """A server that takes no login and no mail in the clear, and how to reach it."""
    if request.param == "starttls":
        options = {"tls_context": certificate[1], "require_starttls": True}
        options["auth_require_tls"] = True
        flags = {"tls": True}
    else:
        options, flags = {"ssl_context": certificate[1]}, {"ssl": True}
    with post_office(**options) as office:
        yield office, {**flags, "user": USER, "password": PASSWORD}


async def test_encrypted(secure, trusted):
    """The login and the mail go over TLS."""
    office, how = secure
    await send(office.port, **how)

    assert 1 == len(office.read(TO))
    assert [True] == office.encrypted
    assert [(USER, PASSWORD)] == office.signed_on


# The server's half of the handshake that was ended.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_certificate_that_is_not_trusted_ends_it(secure):
    """Before the password is sent; the hint has the cure."""
    office, how = secure
    with pytest.raises(Unavailable) as caught:
        await send(office.port, **how)

    assert "certificate" in caught.value.message.lower()
    assert "trusts" in caught.value.hint
    assert [] == office.signed_on == office.mails


async def test_a_server_without_starttls_gets_nothing():
    """config_smtp_tls=1 is no wish."""
    with post_office() as office:
        with pytest.raises(Unavailable) as caught:
            await send(office.port, tls=True, user=USER, password=PASSWORD)

    assert "config_smtp_tls" in caught.value.hint
    assert [] == office.signed_on == office.mails


async def test_a_wrong_password_is_named():
    """By doctor; mails wait, since nothing is wrong with them."""
    with post_office() as office:
        values = {"user": USER, "password": "not-that-one"}
        with pytest.raises(Unavailable, match="535"):
            await send(office.port, **values)
        given = config(office.port, **values)
        async with opened((SMTP,), given) as live:
            (found,) = await examine((SMTP,), given, live)
            assert {"client_smtp": "silent"} == await health((SMTP,), live)

    assert ("refused", False) == (found.state, found.permitted)
    assert "config_smtp_password" in found.cure
    assert "not-that-one" not in f"{found}"


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
async def test_a_login_that_is_wanted_and_not_set():
    """Mails wait; the hint names the keys."""
    with post_office(auth_required=True) as office:
        with pytest.raises(Unavailable) as caught:
            await send(office.port)

    assert "config_smtp_user" in caught.value.hint


@pytest.mark.parametrize(
    ("to", "kind"),
    [("refused@x.com", ApiError), ("grey@x.com", Postponed), ("hang@x.com", Postponed)],
)
async def test_what_a_mail_comes_to(to, kind):
    """For ever, for now, and without an answer."""
    with post_office() as office:
        with pytest.raises(kind) as caught:
            await send(office.port, to, timeout_sec=0.5)

    assert not isinstance(caught.value, Unavailable)


async def test_an_address_that_only_smtputf8_can_spell():
    """A server that has it takes it."""
    with post_office(enable_SMTPUTF8=True) as office:
        await send(office.port, "zoë@x.com")
        assert 1 == len(office.read("zoë@x.com"))
    with post_office(enable_SMTPUTF8=False) as office:
        with pytest.raises(ApiError, match="refuses"):
            await send(office.port, "zoë@x.com")


@asynccontextmanager
async def odd(greeting, *, then=()):
    """Run a server that greets so, answers some commands, and then hangs up."""

    ended = asyncio.Event()

    async def answer(reader, writer):
        try:
            writer.write(greeting)
            for line in then:
                await reader.readuntil(b"\r\n")
                writer.write(line)
            if not greeting:
                await reader.read()
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            ended.set()
        finally:
            writer.close()
            ended.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await ended.wait()


@pytest.mark.parametrize(
    "greeting",
    [
        b"",
        b"421 4.3.2 too many connections\r\n",
        b"554 5.3.2 not today\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"220 ",
    ],
    ids=["silent", "busy", "closed", "of another kind", "half"],
)
async def test_a_server_that_is_not_there_for_anyone(greeting):
    """It is away: no mail is at fault."""
    async with odd(greeting) as port:
        with pytest.raises(Unavailable):
            await send(port, timeout_sec=0.5)
    with pytest.raises(Unavailable):
        await send(free_port())


async def test_a_server_that_hangs_up_in_the_middle():
    """The mail may have been the reason: this try counts."""
    then = (b"250 x\r\n", b"250 OK\r\n")
    async with odd(b"220 x\r\n", then=then) as port:
        with pytest.raises(Postponed):
            await send(port)


async def test_an_idle_connection_that_was_closed_is_not_used():
    """A server that was started again takes the next mail at once."""
    smtp = None
    with post_office() as office:
        smtp = Smtp(config(office.port))
        letter = Letter(TO, "Hi", "<p>Hi</p>", "Hi")
        made = message(letter, ("Shop", "shop@x.com"), "1", datetime.now(UTC))
        await smtp.send(made, "shop@x.com", TO)
        office.close()
        office.open()
        await smtp.send(made, "shop@x.com", TO)
        await smtp.close()

        assert 2 == len(office.read(TO))


async def test_without_the_package(monkeypatch):
    """The start goes on, and names what to install."""
    import sys

    monkeypatch.setitem(sys.modules, "aiosmtplib", None)
    async with opened((SMTP,), config(25)) as live:
        assert isinstance(live, Live)
        assert live["client_smtp"] is None
        assert "pip install aiosmtplib==" in live.problems["client_smtp"].hint
