"""A column of datatype `file`: the id of an upload, and what its file may be."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atom.schema import reading

DATATYPE, KEPT_AS = "file", "uuid"
KEYS = ("name", "datatype", "is_mandatory", "index", "old", "max_kb", "media")
MEDIA = re.compile(r"[a-z]+/(?:\*|[a-z0-9][a-z0-9.+-]*)")
MOST_KB = 5_000_000


@dataclass(frozen=True)
class FileRule:
    """What the file of a column may be; 0 and () leave it to what may be uploaded."""

    max_kb: int = 0
    media: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The rule for people, or ""."""
        size = f"at most {self.max_kb} KiB" if self.max_kb else ""
        return "; ".join(filter(None, (", ".join(self.media), size)))


def rule(entry: Mapping[str, Any]) -> FileRule:
    """Read what a file may be.

    Raises:
        ValueError: naming the key and what is wrong with it.
    """
    reading.known(entry, KEYS)
    size = entry.get("max_kb", 0)
    if type(size) is not int or not 0 <= size <= MOST_KB:
        raise ValueError(f"'max_kb' is a whole number up to {MOST_KB}, not {size!r}")
    media = entry.get("media", ())
    if not isinstance(media, list | tuple):
        raise ValueError(f"'media' is a list such as ['image/*'], not {media!r}")
    for each in media:
        if not isinstance(each, str) or not MEDIA.fullmatch(each):
            raise ValueError(f"'media': {each!r} is not such as image/* or image/png")
    return FileRule(size, tuple(media))
