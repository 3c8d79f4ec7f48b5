"""Where a file of a user is put, and what its beginning must look like. Pure."""

import re
import secrets
import unicodedata
from dataclasses import dataclass

from atom.errors import ApiError, Forbidden, nearest

SEPARATOR = "---"  # joins several keys, or URLs, in one field
KEY_BYTES = 900  # S3 takes 1024, with the folder of the user
SEGMENT = re.compile(r"\w[\w .()+@=,!-]*")
FOLDER = re.compile(r"user_(\d+)/")

# Content type by ending. Never what the client declares: a browser believes it.
TYPES = {
    "csv": "text/csv",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
    "png": "image/png",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "txt": "text/plain; charset=utf-8",
    "wav": "audio/wav",
    "webp": "image/webp",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "zip": "application/zip",
}
# What a browser may show in the page; all else is downloaded, HTML and SVG too.
SHOWN = frozenset(
    {"gif", "jpeg", "jpg", "mp3", "mp4", "pdf", "png", "txt", "wav", "webp"}
)
ZIP = rb"PK(?:\x03\x04|\x05\x06)"
TEXT = rb"[^\x00]*\Z"  # of the part that is looked at
BEGINS = {
    "csv": TEXT,
    "docx": ZIP,
    "gif": rb"GIF8[79]a",
    "jpeg": rb"\xff\xd8\xff",
    "jpg": rb"\xff\xd8\xff",
    "json": TEXT,
    "mp3": rb"ID3|\xff[\xe2-\xff]",
    "mp4": rb"....ftyp",
    "pdf": rb"%PDF-",
    "png": rb"\x89PNG\r\n\x1a\n",
    "pptx": ZIP,
    "txt": TEXT,
    "wav": rb"RIFF....WAVE",
    "webp": rb"RIFF....WEBP",
    "xlsx": ZIP,
    "zip": ZIP,
}
BEGINNING = 512  # bytes that are looked at


@dataclass(frozen=True, slots=True)
class Place:
    """The key of an object, and the headers it is stored with."""

    key: str
    extension: str

    @property
    def content_type(self) -> str:
        """The type by its ending; an unknown one is bytes, never a page."""
        return TYPES.get(self.extension, "application/octet-stream")

    @property
    def headers(self) -> dict[str, str]:
        """The headers a browser receives when it fetches the object."""
        found = {"ContentType": self.content_type}
        if self.extension not in SHOWN:
            found["ContentDisposition"] = "attachment"
        return found

    def check(self, beginning: bytes) -> None:
        """Check that a file is what its ending claims.

        Raises:
            ApiError: `file.wrong_content`.
        """
        pattern = BEGINS.get(self.extension)
        if pattern is None or re.match(pattern, beginning, re.DOTALL):
            return
        raise ApiError(
            f"The content of '{shown(self.key)}' is not .{self.extension}.",
            code="file.wrong_content",
        )


def shown(text: str) -> str:
    """Return a caller's text, short enough for a message.

    >>> shown("a" * 100) == "a" * 60 + "…"
    True
    """
    return text if len(text) <= 60 else f"{text[:60]}…"


def place(user_id: int, wanted: str, extensions: tuple[str, ...]) -> Place:
    """Return where a key that a user asks for is put: in the folder of the user.

    >>> place(7, "trip/a.PNG", ("png",)).key, place(7, "user_7/a.png", ("png",)).key
    ('user_7/trip/a.PNG', 'user_7/a.png')

    Raises:
        ApiError: `file.unreadable_key`, `file.extension_not_allowed`.
        Forbidden: `file.key_not_allowed`, for the folder of another user.
    """
    key = unicodedata.normalize("NFC", wanted)
    folder = f"user_{user_id}/"
    owner = FOLDER.match(key)
    if owner is not None and key.startswith(folder):
        key = key.removeprefix(folder)
    elif owner is not None:
        raise Forbidden(
            f"'{shown(wanted)}' is in the folder of another user.",
            code="file.key_not_allowed",
            hint=f"Your files are in {folder}",
        )
    parts = key.split("/")
    fits = (
        all(SEGMENT.fullmatch(part) and part[-1] not in " ." for part in parts)
        and len(key.encode()) <= KEY_BYTES
    )
    if not fits or SEPARATOR in key or key.endswith("-") or key.startswith("-"):
        raise ApiError(
            f"'{shown(wanted)}' is not a usable key.",
            code="file.unreadable_key",
            hint="Letters, digits, blanks and . _ - ( ) + @ = , ! in each part, parts "
            "joined by /; no part begins with a dot.",
        )
    return Place(folder + key, _extension(key, extensions))


def made_place(user_id: int, filename: str, extensions: tuple[str, ...]) -> Place:
    """Return a new key for a file of a user; of its name the ending is kept.

    Raises:
        ApiError: `file.extension_not_allowed`.
    """
    extension = _extension(filename, extensions)
    return Place(f"user_{user_id}/{secrets.token_hex(16)}.{extension}", extension)


def _extension(name: str, extensions: tuple[str, ...]) -> str:
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    if ending not in extensions:
        raise ApiError(
            f"A file may not end with '.{shown(ending)}'."
            if ending
            else f"'{shown(name)}' has no ending.",
            code="file.extension_not_allowed",
            hint=nearest(ending[:20], extensions)
            or f"Endings: {', '.join(extensions)}.",
        )
    return ending
