"""OpenAI, or what speaks like it: a prompt, the text of an image."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

from atom.client import SILENT, Client, Config, Live
from atom.config.parse import seconds, text, whole
from atom.config.resolve import Key
from atom.errors import ApiError, Unavailable

CONNECT = 5.0
KINDS = (  # what a file begins with, and its media type
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF", "application/pdf"),
)
READ_IT = (
    "Return the text of this document as it is written, in reading order, tables as "
    "Markdown. Add nothing of your own."
)

Message = dict[str, Any]


class Assistant:
    """A client of OpenAI with the models and limits of config; `raw` is its own."""

    def __init__(self, raw: Any, config: Config) -> None:
        self.raw = raw
        self.model: str = config["config_openai_model"]
        self.model_ocr: str = config["config_openai_model_ocr"] or self.model
        self.seconds: float = config["config_openai_timeout_sec"]

    def __getattr__(self, name: str) -> Any:
        """Return what OpenAI's own client has by that name."""
        return getattr(self.raw, name)

    async def prompt(
        self, prompt: str | list[Message], *, model: str = "", **options: Any
    ) -> str:
        """Return the answer to a prompt, or to a list of messages."""
        from openai import OpenAIError

        try:
            async with asyncio.timeout(self.seconds):
                found = await self.raw.chat.completions.create(
                    model=model or self.model, messages=messages(prompt), **options
                )
        except (OpenAIError, TimeoutError) as error:
            raise worded(error, self.raw.api_key) from error
        return found.choices[0].message.content or "" if found.choices else ""

    async def stream(
        self, prompt: str | list[Message], *, model: str = "", **options: Any
    ) -> AsyncIterator[str]:
        """Yield the answer piece by piece; all of it within the limit of time."""
        from openai import OpenAIError

        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.seconds
        try:
            async with asyncio.timeout_at(deadline):
                pieces = await self.raw.chat.completions.create(
                    model=model or self.model,
                    messages=messages(prompt),
                    stream=True,
                    **options,
                )
            async with pieces:
                while True:
                    async with asyncio.timeout_at(deadline):
                        piece = await anext(pieces, None)
                    if piece is None:
                        return
                    if piece.choices and (words := piece.choices[0].delta.content):
                        yield words
        except (OpenAIError, TimeoutError) as error:
            raise worded(error, self.raw.api_key) from error

    async def ocr(
        self,
        source: bytes | str,
        *,
        page: int | None = None,
        prompt: str = READ_IT,
        model: str = "",
        **options: Any,
    ) -> str:
        """Return the text in an image or a PDF: its bytes, or the URL of an image."""
        if page is not None:
            prompt += f" Only page {page}."
        content = [{"type": "text", "text": prompt}, part(source)]
        asked = [{"role": "user", "content": content}]
        return await self.prompt(asked, model=model or self.model_ocr, **options)


def messages(prompt: str | list[Message]) -> list[Message]:
    """Return a prompt as messages."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return prompt


def part(source: bytes | str) -> Message:
    """Return a file as a part of a message.

    Raises:
        ApiError: when it is neither an image nor a PDF.
    """
    if isinstance(source, str):
        if not source.startswith(("https://", "http://", "data:image/")):
            raise unreadable()
        return {"type": "image_url", "image_url": {"url": source}}
    kind = next((kind for start, kind in KINDS if source.startswith(start)), "")
    if source[:4] == b"RIFF" and source[8:12] == b"WEBP":
        kind = "image/webp"
    if not kind:
        raise unreadable()
    data = f"data:{kind};base64,{base64.b64encode(source).decode()}"
    if kind == "application/pdf":
        file = {"filename": "document.pdf", "file_data": data}
        return {"type": "file", "file": file}
    return {"type": "image_url", "image_url": {"url": data}}


def unreadable() -> ApiError:
    """Return the error of a file that no text can be read from."""
    return ApiError(
        "The file is neither an image (PNG, JPEG, GIF, WebP) nor a PDF.",
        code="request.invalid",
        hint="Send its bytes, or the URL of an image.",
    )


def worded(error: Exception, key: str) -> ApiError:
    """Return the ApiError of an error of OpenAI's client, without the key."""
    status = getattr(error, "status_code", None)
    if status in (401, 403):
        return ApiError(
            f"client_openai refuses the key ({status}).",
            code="client.refused",
            status=502,
            hint="Check config_openai_key.",
        )
    if status is None or status == 429 or status >= 500:
        cause = "is busy" if status else f"does not answer ({type(error).__name__})"
        return Unavailable(
            f"client_openai {cause}.",
            code=SILENT,
            hint="Check config_openai_base_url, and the limits of the account.",
            seconds=5,
        )
    shown = str(error).replace(key, "***")[:200]
    return ApiError(
        f"client_openai refuses: {shown}",
        code="client.refused",
        status=502,
        hint="Check the model and what was sent.",
    )


async def connect(config: Config, live: Live) -> Any:
    """Make the client; asking whether it answers would cost money."""
    from openai import AsyncOpenAI, Timeout

    limit = config["config_openai_timeout_sec"]
    raw = AsyncOpenAI(
        api_key=config["config_openai_key"],
        base_url=config.get("config_openai_base_url") or None,
        timeout=Timeout(limit, connect=min(CONNECT, limit)),
        max_retries=config["config_openai_retry"],
    )
    return Assistant(raw, config)


async def examine(openai: Assistant) -> str:
    """Ask for the model, which costs nothing."""
    from openai import NotFoundError, OpenAIError

    try:
        found = await openai.raw.models.retrieve(openai.model)
    except NotFoundError as error:
        raise ApiError(
            f"client_openai has no model {openai.model!r}.",
            code="client.refused",
            status=502,
            hint="Set config_openai_model.",
        ) from error
    except OpenAIError as error:
        raise worded(error, openai.raw.api_key) from error
    return str(found.id)


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
        Key(
            "config_openai_base_url",
            text,
            None,
            "Another address than OpenAI's own.",
            also=("OPENAI_BASE_URL",),
        ),
        Key(
            "config_openai_model",
            text,
            "gpt-4.1-mini",
            "Model of function_openai_prompt.",
        ),
        Key(
            "config_openai_model_ocr",
            text,
            None,
            "Model of function_openai_ocr. Unset: config_openai_model.",
        ),
        Key(
            "config_openai_timeout_sec",
            seconds,
            60.0,
            "Seconds an answer may take, all tries together.",
        ),
        Key("config_openai_retry", whole(0, 5), 1, "Tries after the first."),
    ),
    open=connect,
    close=lambda openai: openai.raw.close(),
    examine=examine,
    optional=("config_openai_base_url",),
)
