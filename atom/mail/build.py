"""The HTML of templates, built from MJML.

The first line of what is built, a comment of Jinja2 that is never sent, holds a digest
of the source: whether it is fresh can be seen without the package.
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from atom.errors import nearest
from atom.mail.template import FOLDER, SHIPPED, MailError

PACKAGE = "mjml-python==1.4.2"
INCLUDE = re.compile(r"<mj-include\s+path=\"(?:\./)?([^\"]*)\"\s*(?:/>|></mj-include>)")
INCLUDED = re.compile(r"[A-Za-z0-9_-]+\.mjml")
DEPTH_MAX = 8  # of files that include files
TAG = re.compile(r"<(mj[a-z-]*)")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
# The compiler writes an unknown tag as it is, without a word.
TAGS = {
    *("mjml", "mj-head", "mj-body", "mj-include", "mj-raw"),
    *("mj-all", "mj-attributes", "mj-breakpoint", "mj-class", "mj-font", "mj-preview"),
    *("mj-html-attribute", "mj-html-attributes", "mj-selector", "mj-style", "mj-title"),
    *("mj-column", "mj-group", "mj-hero", "mj-section", "mj-wrapper"),
    *("mj-button", "mj-divider", "mj-image", "mj-spacer", "mj-table", "mj-text"),
    *("mj-accordion", "mj-accordion-element", "mj-accordion-text"),
    *("mj-accordion-title", "mj-carousel", "mj-carousel-image", "mj-navbar"),
    *("mj-navbar-link", "mj-social", "mj-social-element"),
}
MARK = "{{# Built from {name} {digest}: python main.py email build #}}\n"
MARKED = re.compile(r"\{# Built from \S+ ([0-9a-f]{16}):")


def sources(folder: Path) -> list[Path]:
    """Return the sources of a folder; a file that begins with `_` is a part of others.

    The folder may be absent.
    """
    found = folder.glob("*.mjml")
    return sorted(path for path in found if not path.name.startswith("_"))


def whole(path: Path, folders: Sequence[Path], depth: int = 0) -> str:
    """Return a source with everything it includes, from these folders alone.

    Raises:
        MailError: for a file that is not there, and an unknown tag.
    """
    text = COMMENT.sub("", path.read_text("utf-8"))
    for found in TAG.finditer(text):
        if found[1] not in TAGS:
            line = text.count("\n", 0, found.start()) + 1
            hint = nearest(found[1], TAGS)
            place = f"{path.name}, line {line}"
            raise MailError(f"{place}: unknown tag {found[1]}. {hint}".rstrip())

    def included(found: re.Match[str]) -> str:
        name = found[1]
        file = next((each / name for each in folders if (each / name).is_file()), None)
        if not INCLUDED.fullmatch(name) or file is None or depth == DEPTH_MAX:
            raise MailError(f"{path.name}: cannot include {name!r}")
        return whole(file, folders, depth + 1)

    return INCLUDE.sub(included, text)


def build(path: Path, folders: Sequence[Path]) -> str:
    """Return the HTML of a source.

    Raises:
        MailError: for a fault of the source, and without the package.
    """
    try:
        from mjml import mjml2html
    except ImportError:
        raise MailError(f"email build needs a package: pip install {PACKAGE}") from None
    text = whole(path, folders)
    try:
        html: str = mjml2html(text, fonts={})
    except ValueError as error:
        raise MailError(
            f"{path.name}: {error}. It has to be XML: inside of {{{{ }}}} and {{% %}} "
            "write `a is lt b` for `a < b`."
        ) from None
    return MARK.format(name=path.name, digest=digest(text)) + html + "\n"


def digest(text: str) -> str:
    """Return what marks the HTML of a source."""
    return sha256(text.encode()).hexdigest()[:16]


def stale(folder: Path, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield each source of a folder that its HTML was not built from.

    Raises:
        MailError: as `whole`.
    """
    for path in sources(folder):
        built = path.with_suffix(".html")
        head = built.read_text("utf-8")[:200] if built.is_file() else ""
        found = MARKED.match(head)
        if found is None or found[1] != digest(whole(path, folders)):
            yield path


def remarks(root: Path) -> list[str]:
    """Return a remark if templates of a project are not built from their sources."""
    place = root / FOLDER
    try:
        found = [f"{FOLDER}/{path.name}" for path in stale(place, (place, SHIPPED))]
    except MailError as error:
        return [f"{FOLDER}: {error}"]
    if not found:
        return []
    return [
        f"{', '.join(found)}: the HTML is not built of it: python main.py email build"
    ]
