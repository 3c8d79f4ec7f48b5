"""Files of users: through this server, or straight to S3 by a presigned form."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from atom.aws.address import url
from atom.aws.bucket import allowed, missing
from atom.aws.call import Aws, AwsConfig, AwsRefused
from atom.aws.key import BEGINNING, SEPARATOR, Place, made_place, place, shown
from atom.errors import ApiError, TooLarge

SECONDS = 600.0  # one file on its way to S3; each of its parts has the read timeout


FIELDS = 16  # most parts of a form that are not files


@dataclass(frozen=True, slots=True)
class Form:
    """The multipart form of an upload; large files of it are on disk."""

    fields: Mapping[str, str]
    files: Sequence[UploadFile]


class Bounded(MultiPartParser):
    """A parser that counts the bytes of each file as they arrive."""

    def __init__(self, *given: Any, bytes_max: int, **named: Any) -> None:
        super().__init__(*given, **named)
        self._bytes_max = bytes_max
        self._bytes = 0

    def on_part_begin(self) -> None:
        """Begin to count."""
        super().on_part_begin()
        self._bytes = 0

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Count what has arrived.

        Raises:
            TooLarge: `file.too_large`.
        """
        super().on_part_data(data, start, end)
        self._bytes += end - start
        file = self._current_part.file
        if file is not None and self._bytes > self._bytes_max:
            raise too_large(file.filename or "", self._bytes_max // 1024)


@asynccontextmanager
async def _form(
    request: Request, parser: Callable[..., Bounded], most: int
) -> AsyncIterator[FormData]:
    """Read a multipart form by a parser; its files are closed at the end."""
    kind = request.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data"):
        raise HTTPException(400, detail="not a form")
    given = {"max_files": most, "max_fields": FIELDS}
    try:
        form = await parser(request.headers, request.stream(), **given).parse()
    except MultiPartException as error:
        raise HTTPException(400, detail=error.message) from error
    try:
        yield form
    finally:
        await form.close()


@asynccontextmanager
async def read_form(
    request: Request, config: AwsConfig, *, only: tuple[str, ...] = ("bucket", "key")
) -> AsyncIterator[Form]:
    """Read the form of an upload; its files are gone at the end of the block.

    `only` are the fields it needs, those without a file; `key` may be left out.

    Raises:
        ApiError: `request.invalid` when it cannot be read, `file.too_many`,
            `file.none`.
        TooLarge: `file.too_large`, once more bytes have arrived than a file may have.
    """
    most = config.s3_upload_max_files
    whole = partial(Bounded, bytes_max=config.s3_upload_max_kb * 1024)
    try:
        async with _form(request, whole, most) as form:
            fields = {}
            for name in only:
                given = form.get(name) or ""
                if not isinstance(given, str):
                    raise ApiError(f"'{name}' takes text, not a file.", status=422)
                if not given and name != "key":
                    raise ApiError(f"The form needs '{name}'.", status=422)
                fields[name] = given
            parts = [each for _, each in form.multi_items()]
            files = [each for each in parts if isinstance(each, UploadFile)]
            if not files:
                raise ApiError("There is no file in the form.", code="file.none")
            yield Form(fields, files)
    except HTTPException as error:  # of the parser, which is at fault with the client
        if "Too many files" in error.detail:
            raise ApiError(
                f"There are more than {most} files in the form.", code="file.too_many"
            ) from None
        raise ApiError("The body is not a form that can be read.") from None


async def upload(
    aws: Aws, user_id: int, bucket: str, files: Sequence[UploadFile], keys: str = ""
) -> dict[str, str]:
    """Store files in the folder of a user. Return the URL of each by its name.

    Raises:
        ApiError: as `placed`.
        Forbidden: `file.bucket_not_allowed`, `file.key_not_allowed`.
    """
    allowed(aws, bucket)
    places = placed(aws.config, user_id, files, keys)
    for file, target in zip(files, places, strict=True):
        await store(aws, bucket, file.file, target)
    return {
        file.filename or "": url(aws.config, bucket, target.key)
        for file, target in zip(files, places, strict=True)
    }


def placed(
    config: AwsConfig,
    user_id: int,
    files: Sequence[UploadFile],
    keys: str = "",
    *,
    by_name: bool = True,
) -> list[Place]:
    """Return where each of the files of a user goes, once all are checked.

    `keys` are where they go, one for each, joined by `---`; without any, new keys are
    made. Answered `by_name`, no two have the same.

    Raises:
        ApiError: `file.twice`, `file.wrong_content`, or as `place`.
        Forbidden: `file.key_not_allowed`.
        TooLarge: `file.too_large`.
    """
    wanted = [key.strip() for key in keys.split(SEPARATOR)] if keys.strip() else []
    if wanted and len(wanted) != len(files):
        raise ApiError(
            f"There are {len(files)} files and {len(wanted)} keys.",
            code="file.unreadable_key",
            hint=f"One key for each file, joined by {SEPARATOR}; or none.",
        )
    names = [file.filename or "" for file in files]
    if wanted:
        places = [place(user_id, key, config.s3_extension_list) for key in wanted]
    else:
        places = [made_place(user_id, name, config.s3_extension_list) for name in names]
    _require_distinct(names if by_name else (), [each.key for each in places])
    for name, file, target in zip(names, files, places, strict=True):
        _check(config, name, file, target)
    return places


def _require_distinct(names: Sequence[str], keys: Sequence[str]) -> None:
    """Check that no file of an upload takes the place of another.

    Raises:
        ApiError: `file.twice`.
    """
    for found in (names, keys):
        for each in found:
            if found.count(each) > 1:
                raise ApiError(f"'{shown(each)}' is there twice.", code="file.twice")


def too_large(name: str, limit: int) -> TooLarge:
    """Return the error for a file of more than so many KiB."""
    return TooLarge(
        f"'{shown(name)}' is larger than {limit} KiB.",
        code="file.too_large",
        hint="config_s3_upload_max_kb is the limit.",
    )


def _check(config: AwsConfig, name: str, file: UploadFile, target: Place) -> None:
    limit = config.s3_upload_max_kb
    if (file.size or 0) > limit * 1024:
        raise too_large(name, limit)
    if not file.size:
        raise ApiError(f"'{shown(name)}' is empty.", code="file.wrong_content")
    beginning = file.file.read(BEGINNING)
    file.file.seek(0)
    target.check(beginning)


async def store(aws: Aws, bucket: str, file: BinaryIO, target: Place) -> None:
    """Send one file, in parts when it is large, by one thread."""
    from boto3.s3.transfer import TransferConfig

    send = partial(
        aws.client("s3").upload_fileobj,
        file,
        bucket,
        target.key,
        ExtraArgs=target.headers,
        Config=TransferConfig(use_threads=False),
    )
    try:
        await aws.run("s3", send, seconds=SECONDS)
    except AwsRefused as error:
        if error.reason == "NoSuchBucket":
            raise missing(bucket) from error
        raise


async def presign(aws: Aws, user_id: int, bucket: str, key: str) -> dict[str, Any]:
    """Return a form by which a browser stores one file in the folder of a user.

    S3 checks its conditions: this key, this content type, this size at most.

    Raises:
        ApiError: as `place`.
        Forbidden: `file.bucket_not_allowed`, `file.key_not_allowed`.
    """
    config = aws.config
    allowed(aws, bucket)
    target = place(user_id, key, config.s3_extension_list)
    fields = {"Content-Type": target.content_type}
    if disposition := target.headers.get("ContentDisposition"):
        fields["Content-Disposition"] = disposition
    form = aws.client("s3").generate_presigned_post(  # computes, and calls nothing
        bucket,
        target.key,
        Fields=fields,
        Conditions=[
            *({name: value} for name, value in fields.items()),
            ["content-length-range", 1, config.s3_upload_max_kb * 1024],
        ],
        ExpiresIn=config.s3_presigned_expire_sec,
    )
    return {**form, "url_final": url(config, bucket, target.key)}
