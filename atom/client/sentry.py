"""Sentry: every error that is logged, and how long some of the requests took.

What is sent holds no personal data: no body, no query, no header, no values of
variables, no arguments of a log line; what is quoted in a message is starred.
"""

import asyncio
import logging
import re
from typing import Any

from atom.client import Client, Config, Live
from atom.client.secret import without_secrets
from atom.config.parse import fraction, text
from atom.config.resolve import Key
from atom.errors import ApiError, ConfigError
from atom.observe import tracing
from atom.observe.log import drop_refused_handshake
from atom.observe.request_context import REQUEST_ID, ROUTE

FLUSH = 2.0  # seconds for what is left at the end
KNOCK = 3.0
QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|\b[\w.+-]+@[\w-]+\.[\w.]+\b|\+?\d{7,}")
# What they quote is a name in the code.
OF_CODE = {"AttributeError", "ImportError", "KeyError", "ModuleNotFoundError"} | {
    "NameError",
    "UnboundLocalError",
}
KEPT = {  # of an event; all else might hold personal data
    *("event_id", "timestamp", "start_timestamp", "level", "logger", "platform"),
    *("environment", "release", "server_name", "sdk", "exception", "logentry"),
    *("type", "transaction", "transaction_info", "contexts", "tags", "spans"),
    *("modules", "fingerprint", "_metrics_summary", "debug_meta"),
}
KEPT_CONTEXTS = {"runtime", "trace", "os"}


class Cleaner:
    """Takes personal data and secrets out of an event, and adds what finds it."""

    def __init__(self, config: Config) -> None:
        self._secrets = [
            value
            for name, value in config.items()
            if isinstance(value, str)
            and re.search("key|url|secret|password|dsn|token", name)
            and len(value) > 5
        ]

    def __call__(self, event: dict[str, Any], hint: dict[str, Any]) -> Any:
        """Return the event as it may be sent, or None for one that is not an error."""
        record = hint.get("log_record")
        if record is not None and not drop_refused_handshake(record):
            return None
        kept = {name: value for name, value in event.items() if name in KEPT}
        contexts = kept.get("contexts") or {}
        kept["contexts"] = {
            name: value for name, value in contexts.items() if name in KEPT_CONTEXTS
        }
        if "logentry" in kept:  # without the arguments
            kept["logentry"] = {"message": str(kept["logentry"].get("message", ""))}
        for one in (kept.get("exception") or {}).get("values", ()):
            one["value"] = self.cleaned(str(one.get("value", "")), one.get("type", ""))
        kept["tags"] = {
            name: value
            for name, value in (
                ("request_id", REQUEST_ID.get()),
                ("route", ROUTE.get()),
            )
            if value
        }
        if (route := ROUTE.get()) and "transaction" not in kept:
            kept["transaction"] = route
        return kept

    def cleaned(self, message: str, kind: str) -> str:
        """Return the message of an exception without what might be a value."""
        first = message.partition("\n")[0]  # PostgreSQL's DETAIL holds values of rows
        if kind not in OF_CODE:
            first = QUOTED.sub("***", first)
        return without_secrets(first, self._secrets)


async def connect(config: Config, live: Live) -> Any:
    """Send errors from now on.

    Raises:
        ConfigError: when the DSN cannot be read.
    """
    import sentry_sdk
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration
    from sentry_sdk.integrations.threading import ThreadingIntegration
    from sentry_sdk.utils import BadDsn

    clean: Any = Cleaner(config)
    try:
        sentry_sdk.init(
            dsn=config["config_sentry_dsn"],
            environment=config["config_env"],
            release=f"{config['config_app_name']}@{config['config_app_version']}",
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[
                LoggingIntegration(level=None, event_level=logging.ERROR),
                DedupeIntegration(),
                ExcepthookIntegration(),
                ThreadingIntegration(),
            ],
            send_default_pii=False,
            include_local_variables=False,
            include_source_context=True,
            max_request_body_size="never",
            max_breadcrumbs=0,
            traces_sample_rate=1.0,  # of those that the step `trace` has chosen
            before_send=clean,
            before_send_transaction=clean,
            shutdown_timeout=FLUSH,
        )
    except BadDsn as error:
        raise ConfigError([f"config_sentry_dsn is not a DSN: {error}"]) from None
    tracing.start(config["config_sentry_traces_sample_rate"])
    return sentry_sdk.get_client()


async def close(sentry: Any) -> None:
    """Send what is left, for a bounded time; send nothing from then on."""
    import sentry_sdk

    tracing.stop()
    await asyncio.to_thread(sentry.close, FLUSH)
    sentry_sdk.get_global_scope().set_client(None)


async def examine(sentry: Any) -> str:
    """Send nothing, with the key."""
    from urllib3 import request

    auth = sentry.transport.parsed_dsn.to_auth()
    answer = await asyncio.to_thread(
        request,
        "POST",
        auth.get_api_url(),
        body=b"{}\n",
        headers={"X-Sentry-Auth": auth.to_header()},
        timeout=KNOCK,
        retries=False,
    )
    if answer.status in (401, 403):
        raise ApiError(
            f"client_sentry refuses the DSN ({answer.status}).",
            code="client.refused",
            status=502,
            hint="Check config_sentry_dsn.",
        )
    return ""


SENTRY = Client(
    name="client_sentry",
    needs=("config_sentry_dsn",),
    package="sentry-sdk==2.75.0",
    keys=(
        Key(
            "config_sentry_dsn",
            text,
            None,
            "Sentry's DSN.",
            secret=True,
            also=("SENTRY_DSN",),
        ),
        Key(
            "config_sentry_traces_sample_rate",
            fraction,
            0.05,
            "Share of requests that Sentry gets the duration of, 0 to 1.",
        ),
    ),
    open=connect,
    close=close,
    examine=examine,
)
