"""The templates of mails: those of a project in `email/`, then those of Atom.

`<name>.html` is Jinja2, and everything put into it is escaped; its `<title>` is the
subject. `<name>.txt`, if there is one, is the text part; else the HTML makes it.
`<name>.mjml` is what the HTML is built from, and `<name>.json` has values to show it.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import unescape
from pathlib import Path
from typing import Any

from atom.errors import nearest
from atom.mail.text import text_of

FOLDER = "email"
SHIPPED = Path(__file__).parent / "template"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


class MailError(ValueError):
    """A mail that cannot be made: a fault of its template, or of who asks for it."""


@dataclass(frozen=True, slots=True)
class Content:
    """A template, filled in."""

    subject: str
    html: str
    text: str


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun.

    >>> plural(1, "day"), plural(2, "day"), plural(0, "entry", "entries")
    ('1 day', '2 days', '0 entries')
    """
    return f"{count} {one}" if count == 1 else f"{count} {many or one + 's'}"


def one_line(text: str) -> str:
    """Return a text as a header may hold it: one line, without control characters.

    >>> one_line("Hi\\r\\nBcc: eve@x.com \\x00")
    'Hi Bcc: eve@x.com'
    """
    plain = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(plain.split())


def clean(text: str) -> str:
    """Return a text without what neither JSON in PostgreSQL nor UTF-8 can hold.

    >>> clean("a\\0b\\ud800")
    'ab?'
    """
    return text.replace("\0", "").encode("utf-8", "replace").decode()


class Templates:
    """The templates of a project; a file of its own goes before one of Atom's."""

    def __init__(self, root: Path, values: Mapping[str, Any], *, is_fixed: bool):
        self.folders = (root / FOLDER, SHIPPED)
        self._values = {**values, "plural": plural}
        self._is_fixed = is_fixed  # production: files are read once
        self._warm: set[str] = set()

    @cached_property
    def environment(self) -> Any:
        """The environment of Jinja2."""
        from jinja2 import FileSystemLoader, StrictUndefined
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        made = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(self.folders),
            autoescape=lambda name: not str(name).endswith(".txt"),
            undefined=StrictUndefined,
            auto_reload=not self._is_fixed,
            trim_blocks=True,
        )
        made.globals.update(self._values)
        return made

    def names(self) -> list[str]:
        """Return the name of each template, in order."""
        files = (path for each in self.folders for path in each.glob("*.html"))
        return sorted({path.stem for path in files if NAME.fullmatch(path.stem)})

    async def fill(self, name: str, values: Mapping[str, Any]) -> Content:
        """Fill in a template; the first time it is compiled, away from the loop.

        Raises:
            MailError: for an unknown template or value, and for an empty subject.
        """
        if name in self._warm:
            return self.filled(name, values)
        found = await asyncio.to_thread(self.filled, name, values)
        self._warm.add(name)
        return found

    def filled(self, name: str, values: Mapping[str, Any]) -> Content:
        """Fill in a template.

        Raises:
            MailError: as `fill`.
        """
        from jinja2 import TemplateError, TemplateNotFound

        if not NAME.fullmatch(name):
            raise MailError(f"{name!r} is not the name of a template of a mail")
        place = f"{name}.html"
        try:
            html = self.environment.get_template(place).render(values)
            text = self._text(name, values) or text_of(html)
        except TemplateNotFound as error:
            lacking = str(error.name)
            hint = nearest(lacking.removesuffix(".html"), self.names())
            raise MailError(
                f"no template {FOLDER}/{lacking}. {hint}".rstrip()
            ) from None
        except TemplateError as error:
            line = getattr(error, "lineno", None)
            where = f"{FOLDER}/{place}" + (f", line {line}" if line else "")
            raise MailError(f"{where}: {error.message}") from error
        title = TITLE.search(html)
        subject = one_line(unescape(title[1])) if title else ""
        if not subject:
            raise MailError(
                f"{FOLDER}/{place}: it has no subject: <mj-title>, or <title> in HTML"
            )
        return Content(clean(subject), clean(html), clean(text))

    def _text(self, name: str, values: Mapping[str, Any]) -> str:
        from jinja2 import TemplateNotFound

        try:
            found = self.environment.get_template(f"{name}.txt")
        except TemplateNotFound:
            return ""
        return str(found.render(values))

    def sample(self, name: str) -> dict[str, Any]:
        """Return values to show a template with: its own, else the name of each.

        Raises:
            MailError: for an unknown template, and a file that is not a JSON object.
        """
        from jinja2 import TemplateError, meta

        found: dict[str, Any] = {}
        for place in (f"{name}.html", f"{name}.txt"):
            for folder in self.folders:
                if (file := folder / place).is_file():
                    try:
                        tree = self.environment.parse(file.read_text("utf-8"))
                    except TemplateError as error:
                        raise MailError(f"{FOLDER}/{place}: {error.message}") from error
                    found |= {
                        word: f"[{word}]"
                        for word in meta.find_undeclared_variables(tree)
                        if word not in self._values
                    }
                    break
        for folder in reversed(self.folders):
            if (file := folder / f"{name}.json").is_file():
                try:
                    found |= json.loads(file.read_text("utf-8"))
                except (ValueError, TypeError) as error:
                    raise MailError(f"{FOLDER}/{file.name}: {error}") from error
        return found


async def shown(templates: Templates, name: str) -> Content:
    """Return a template with its sample values.

    Raises:
        MailError: as `Templates.filled` and `sample`.
    """

    def fill() -> Content:
        return templates.filled(name, templates.sample(name))

    return await asyncio.to_thread(fill)
