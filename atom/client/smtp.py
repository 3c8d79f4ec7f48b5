"""SMTP: mails handed to a server, over connections that are used again."""

import asyncio
import ssl
import time
from email.message import EmailMessage
from functools import cached_property
from typing import Any

from atom.client import SILENT, Client, Config, Live
from atom.config.parse import flag, seconds, text, whole
from atom.config.resolve import Key
from atom.errors import ApiError, Unavailable

REFUSED = "client.refused"
SMTP_HOST = "config_smtp_host"
CONNECTIONS = 4  # at once
IDLE = 20.0  # seconds after which a connection is not used again
SHOWN_MAX = 300  # characters of what a server answers
# 530: authentication required, RFC 4954 section 6; nothing is wrong with the mail.
LOGIN_NEEDED = 530


class Postponed(Exception):
    """A mail that the server may take another time."""


class Smtp:
    """A server that takes mails."""

    def __init__(self, config: Config) -> None:
        self.host: str = config["config_smtp_host"]
        self.user: str | None = config["config_smtp_user"]
        self.password: str | None = config["config_smtp_password"]
        self.is_ssl: bool = config["config_smtp_ssl"]
        self.is_tls: bool = config["config_smtp_tls"] and not self.is_ssl
        usual = 465 if self.is_ssl else 587 if self.is_tls else 25
        self.port: int = config["config_smtp_port"] or usual
        self.seconds: float = config["config_smtp_timeout_sec"]
        self._turn = asyncio.Semaphore(CONNECTIONS)
        self._idle: list[tuple[Any, float]] = []

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    async def connect(self) -> Any:
        """Open a connection, encrypted and signed on as config has it.

        Raises:
            Unavailable: `client.silent` when the server does not answer as it should.
            ApiError: `client.refused` for the user or the password.
        """
        from aiosmtplib import SMTP, SMTPAuthenticationError, SMTPException

        made = SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user,
            password=self.password,
            timeout=self.seconds,
            use_tls=self.is_ssl,
            start_tls=self.is_tls,
            tls_context=self._trusted if self.is_ssl or self.is_tls else None,
        )
        try:
            async with asyncio.timeout(self.seconds):
                await made.connect()
        except SMTPAuthenticationError as error:
            made.close()
            raise ApiError(
                f"the mail server does not accept the login: {worded(error)}",
                code=REFUSED,
                status=502,
                hint="Check config_smtp_user and config_smtp_password.",
            ) from error
        except (SMTPException, OSError, TimeoutError) as error:
            made.close()
            raise self._silent(error) from error
        except BaseException:
            made.close()
            raise
        return made

    def _silent(self, error: Exception) -> Unavailable:
        hint = "Check config_smtp_host, config_smtp_port and that the server runs."
        if "SSL" in str(error) or "STARTTLS" in str(error):
            hint = (
                "config_smtp_tls=1 is STARTTLS, mostly on port 587; config_smtp_ssl=1 "
                "is TLS from the beginning, mostly on port 465. The certificate has to "
                "be one that this machine trusts."
            )
        return Unavailable(
            f"the mail server does not answer: {worded(error)}",
            code=SILENT,
            hint=hint,
            seconds=5,
        )

    async def send(self, message: EmailMessage, sender: str, to: str) -> None:
        """Hand over a mail; return once the server has taken it.

        Raises:
            Unavailable: when the server is away, whatever the mail.
            Postponed: when it may take this mail another time.
            ApiError: `client.refused` when it never will.
        """
        async with self._turn:
            try:
                connection = await self._connection()
            except ApiError as error:
                raise Unavailable(
                    error.message, code=SILENT, hint=error.hint, seconds=5
                ) from error
            is_whole = False
            try:
                async with asyncio.timeout(self.seconds):
                    await connection.send_message(message, sender=sender, recipients=to)
                is_whole = True
            except Exception as error:
                raise outcome(error) from error
            finally:
                if is_whole:
                    self._idle.append((connection, time.monotonic()))
                else:
                    connection.close()

    async def _connection(self) -> Any:
        """Return a connection that answers: an idle one, else a new one."""
        while self._idle:
            connection, since = self._idle.pop()
            if time.monotonic() - since < IDLE and await self._answers(connection):
                return connection
            connection.close()
        return await self.connect()

    async def _answers(self, connection: Any) -> bool:
        from aiosmtplib import SMTPException

        try:
            async with asyncio.timeout(min(self.seconds, 5)):
                await connection.rset()
        except (SMTPException, OSError, TimeoutError):
            return False
        return True

    async def probe(self) -> None:
        """Ask whether the server answers and accepts the login."""
        async with self._turn:
            connection = await self._connection()
            self._idle.append((connection, time.monotonic()))

    async def close(self) -> None:
        """End the idle connections."""
        while self._idle:
            connection, _ = self._idle.pop()
            if await self._answers(connection):
                await connection.quit()
            connection.close()


def worded(error: Exception) -> str:
    """Return what a server answered, in one line."""
    code, words = getattr(error, "code", ""), getattr(error, "message", str(error))
    text = " ".join(f"{code} {words}".split())[:SHOWN_MAX]
    return text or type(error).__name__


def outcome(error: Exception) -> Exception:
    """Return what an error during a mail means for it.

    Source: RFC 5321 section 4.2.1: 4xx may be tried again, 5xx not in the same form.
    """
    from aiosmtplib import SMTPNotSupported, SMTPRecipientsRefused

    if isinstance(error, SMTPRecipientsRefused):
        error = error.recipients[0]
    code = getattr(error, "code", 0)
    if code == LOGIN_NEEDED:
        return Unavailable(
            f"the mail server wants a login: {worded(error)}",
            code=SILENT,
            hint="Set config_smtp_user and config_smtp_password.",
        )
    if 500 <= code < 600 or isinstance(error, SMTPNotSupported):
        return ApiError(
            f"the mail server refuses it: {worded(error)}", code=REFUSED, status=502
        )
    if isinstance(error, TimeoutError):
        return Postponed("the mail server did not answer in time")
    return Postponed(f"the mail server did not take it: {worded(error)}")


async def opened(config: Config, live: Live) -> Smtp:
    """Build it; it connects when there is a mail."""
    import aiosmtplib  # noqa: F401 - a missing package is reported at start

    return Smtp(config)


async def examine(smtp: Smtp) -> str:
    """Sign on with a connection of its own."""
    connection = await smtp.connect()
    await connection.quit()
    return ""


SMTP = Client(
    name="client_smtp",
    needs=("config_smtp_host",),
    package="aiosmtplib==5.1.3",
    open=opened,
    close=lambda smtp: smtp.close(),
    probe=lambda smtp: smtp.probe(),
    examine=examine,
    optional=("config_smtp_password",),
    keys=(
        Key("config_smtp_host", text, None, "Server that mails are sent by."),
        Key(
            "config_smtp_port",
            whole(1, 65535),
            None,
            "Its port. Unset: 587, with config_smtp_ssl 465, without either 25.",
        ),
        Key("config_smtp_user", text, None, "User to sign on as; unset: none."),
        Key("config_smtp_password", text, None, "Password of that user.", secret=True),
        Key(
            "config_smtp_tls",
            flag,
            True,
            "Whether STARTTLS is used. Without it nothing is sent.",
        ),
        Key(
            "config_smtp_ssl",
            flag,
            False,
            "Whether the connection is TLS from the beginning, instead of STARTTLS.",
        ),
        Key(
            "config_smtp_timeout_sec",
            seconds,
            60.0,
            "Seconds to connect, and to hand over one mail.",
        ),
    ),
)
