"""One pooled HTTP client, and the services on top of it: Fast2SMS, Resend."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from atom.client import SILENT, Client, Config, Live
from atom.config.parse import text
from atom.config.resolve import Key
from atom.errors import ApiError, Unavailable

CONNECT, READ, TOTAL = 3.0, 8.0, 10.0  # seconds
CONNECTIONS = 50
TRIES = 2  # of a request that the service has not taken in, or takes in only once
REFUSED = "client.refused"
BUSY = frozenset({429, 502, 503, 504})
DENIED = frozenset({401, 403})
LACKING = frozenset({400, 422})  # what was sent is not complete: the key was accepted
KEY_CODES = frozenset({412, 413, 415})  # of Fast2SMS: unknown, disabled
LACKING_CODES = frozenset({405, 406, 411})  # of Fast2SMS: route, values, numbers
SHOWN_MAX = 200  # of what a service answers

FAST2SMS_KEYS = ("config_fast2sms_url", "config_fast2sms_key")
RESEND_KEYS = ("config_resend_url", "config_resend_key")
GOOGLE_KEY = "config_google_login_client_id"
OIDC_KEY = "config_oidc"


async def connect(config: Config, live: Live) -> Any:
    """Open the pool; it connects when there is something to ask."""
    from httpx2 import AsyncClient, Limits, Timeout

    return AsyncClient(
        timeout=Timeout(READ, connect=CONNECT),
        limits=Limits(max_connections=CONNECTIONS, max_keepalive_connections=10),
        follow_redirects=False,
        trust_env=True,
    )


class ServiceRefused(ApiError):
    """A request that a service refuses; `answered` is the status, if it was not 200."""

    answered = 0


@dataclass(frozen=True, slots=True, repr=False)
class Service:
    """A service on the shared client: where it is, and the key that opens it."""

    http: Any
    name: str
    url: str
    key: str
    keys: tuple[str, str]

    async def ask(
        self, method: str, *, headers: Mapping[str, str], once: bool = True, **body: Any
    ) -> Any:
        """Ask the service; return its JSON.

        A request that acts twice when it is sent twice is `once`: tried again only if
        the service was not reached.

        Raises:
            Unavailable: `client.silent` without an answer in time.
            ApiError: `client.refused` when the service refuses.
        """
        from httpx2 import ConnectError, ConnectTimeout, HTTPError

        for last in [False] * (TRIES - 1) + [True]:
            try:
                async with asyncio.timeout(TOTAL):
                    answer = await self.http.request(
                        method, self.url, headers=headers, **body
                    )
            except (ConnectError, ConnectTimeout) as error:
                if last:
                    raise self.silent(error) from error
            except (HTTPError, TimeoutError) as error:
                if last or once:
                    raise self.silent(error) from error
            else:
                if answer.status_code < 400:
                    return read(answer)
                if last or once or answer.status_code not in BUSY:
                    self.refuse(answer)
            await asyncio.sleep(0.2)
        raise AssertionError("unreachable")

    def silent(self, error: Exception) -> Unavailable:
        """Return the error of a service that does not answer."""
        return Unavailable(
            f"{self.name} does not answer ({type(error).__name__}).",
            code=SILENT,
            hint=f"Check {self.keys[0]} and that the service runs.",
            seconds=5,
        )

    def refuse(self, answer: Any) -> NoReturn:
        """Raise what an answer means that is not a success."""
        status = answer.status_code
        if status in BUSY:
            raise Unavailable(
                f"{self.name} is busy ({status}).", code=SILENT, seconds=5
            )
        if status in DENIED:
            error = self.refused(f"it does not accept the key ({status})", self.keys[1])
        else:
            error = self.refused(f"{status} {worded(read(answer))}", "what was sent")
        error.answered = status
        raise error

    def refused(self, why: str, check: str) -> ServiceRefused:
        """Return the error of a service that refuses; the key is not in it."""
        shown = why.replace(self.key, "***")[:SHOWN_MAX]
        return ServiceRefused(
            f"{self.name} refuses: {shown}.",
            code=REFUSED,
            status=502,
            hint=f"Check {check}.",
        )

    async def prove(self, headers: Mapping[str, str], **body: Any) -> str | None:
        """Ask for nothing to be sent, with the key; None: that proves nothing here.

        Raises:
            ApiError: `client.refused` when the service does not accept the key.
        """
        answer = await self.http.post(self.url, headers=headers, **body)
        status, found = answer.status_code, read(answer)
        if status in BUSY:
            self.refuse(answer)
        code = found.get("status_code") if isinstance(found, dict) else None
        if status in DENIED or code in KEY_CODES:
            why = f"it does not accept the key ({code or status})"
            raise self.refused(why, self.keys[1])
        return "" if status in LACKING or code in LACKING_CODES else None


def read(answer: Any) -> Any:
    """Return the JSON of an answer, or its text."""
    try:
        return answer.json()
    except ValueError:
        return answer.text


def worded(body: Any) -> str:
    """Return the message in a body.

    >>> worded({"message": ["sent", "twice"]}), worded("x"), worded({"a": 1})
    ('sent twice', 'x', '')
    """
    found = body.get("message", "") if isinstance(body, dict) else body
    return " ".join(map(str, found)) if isinstance(found, list) else str(found)


def prove_sms(service: Service) -> Awaitable[str | None]:
    """Have Fast2SMS send a code to no number."""
    body = {"route": "otp", "variables_values": "", "numbers": ""}
    return service.prove({"authorization": service.key}, json=body)


def prove_mail(service: Service) -> Awaitable[str | None]:
    """Have Resend send a mail to no address."""
    return service.prove({"Authorization": f"Bearer {service.key}"}, json={})


async def send_sms(service: Service, mobile: str, otp: str) -> str:
    """Have Fast2SMS send a code; return the id it gives the message."""
    body = {"route": "otp", "variables_values": otp, "numbers": national(mobile)}
    headers = {"authorization": service.key}
    found = await service.ask("POST", headers=headers, json=body)
    if not isinstance(found, dict) or not found.get("return"):
        raise service.refused(worded(found), service.keys[1])
    return str(found.get("request_id", ""))


def national(mobile: str) -> str:
    """Return a number as Fast2SMS takes it, without the code of India.

    >>> national("+919876543210"), national("98765 43210")
    ('9876543210', '9876543210')
    """
    digits = "".join(each for each in mobile if each.isdigit())
    return digits.removeprefix("91") if len(digits) > 10 else digits


async def send_mail(
    service: Service,
    to: str | list[str],
    subject: str,
    *,
    sender: str,
    html: str = "",
    plain: str = "",
    idempotency_key: str = "",
) -> str:
    """Have Resend send a mail; return its id.

    With an `idempotency_key` it is tried again, and sent once.
    """
    body: dict[str, Any] = {
        "from": sender,
        "to": [to] if isinstance(to, str) else to,
        "subject": subject,
    }
    body |= {name: each for name, each in (("html", html), ("text", plain)) if each}
    headers = {"Authorization": f"Bearer {service.key}"}
    if idempotency_key:
        headers["Idempotency-Key"] = idempotency_key
    found = await service.ask(
        "POST", headers=headers, json=body, once=not idempotency_key
    )
    if not isinstance(found, dict) or "id" not in found:
        raise service.refused(worded(found), "what was sent")
    return str(found["id"])


HTTP = Client(
    name="client_http",
    needs=(),
    package="httpx2==2.16.2",
    open=connect,
    close=lambda http: http.aclose(),
    switch=(*FAST2SMS_KEYS, *RESEND_KEYS, GOOGLE_KEY, OIDC_KEY),
)


def declare(
    name: str,
    keys: tuple[str, str],
    title: str,
    prove: Callable[[Service], Awaitable[str | None]],
) -> Client:
    """Declare a service on the shared client."""

    async def use(config: Config, live: Live) -> Service:
        url, key = keys
        return Service(live[HTTP.name], name, config[url], config[key], keys)

    return Client(
        name=name,
        needs=keys,
        package=HTTP.package,
        keys=(
            Key(keys[0], text, None, f"{title}'s address."),
            Key(keys[1], text, None, f"{title}'s key.", secret=True),
        ),
        open=use,
        examine=prove,
        after=HTTP.name,
    )


FAST2SMS = declare("client_fast2sms", FAST2SMS_KEYS, "Fast2SMS", prove_sms)
RESEND = declare("client_resend", RESEND_KEYS, "Resend", prove_mail)
