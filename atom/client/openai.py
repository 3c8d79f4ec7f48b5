"""OpenAI, or what speaks like it."""

from typing import Any

from atom.client import Client, Config, Live
from atom.config.parse import text
from atom.config.resolve import Key


async def connect(config: Config, live: Live) -> Any:
    """Make the client; asking whether it answers would cost money."""
    from openai import AsyncOpenAI

    return AsyncOpenAI(
        api_key=config["config_openai_key"],
        base_url=config.get("config_openai_base_url") or None,
        timeout=60.0,
        max_retries=1,
    )


OPENAI = Client(
    name="client_openai",
    needs=("config_openai_key",),
    package="openai==3.54.0",
    keys=(
        Key(
            "config_openai_key",
            text,
            None,
            "OpenAI's key.",
            secret=True,
            also=("OPENAI_API_KEY",),
        ),
        Key("config_openai_base_url", text, None, "Another address than OpenAI's own."),
    ),
    open=connect,
    close=lambda openai: openai.close(),
    optional=("config_openai_base_url",),
)
