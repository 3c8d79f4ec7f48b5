"""Files of users: through this server, or straight to S3 by a presigned form."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
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

    bucket: str
    keys: str
    files: Sequence[UploadFile]


@asynccontextmanager
async def read_form(request: Request, config: AwsConfig) -> AsyncIterator[Form]:
    """Read the form of an upload; its files are gone at the end of the block.

    Raises:
        ApiError: `request.invalid` when it cannot be read, `file.too_many`.
    """
    most = config.s3_upload_max_files
    try:
        async with request.form(max_files=most, max_fields=FIELDS) as form:
            bucket, keys = form.get("bucket"), form.get("key") or ""
            if not isinstance(bucket, str) or not bucket:
                raise ApiError("The form needs 'bucket'.", status=422)
            if not isinstance(keys, str):
                raise ApiError("'key' takes text, not a file.", status=422)
            parts = [each for _, each in form.multi_items()]
            files = [each for each in parts if isinstance(each, UploadFile)]
            yield Form(bucket, keys, files)
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

    `keys` are where they go, one for each, joined by `---`; without any, new keys are
    made. All files are checked before the first is stored.

    Raises:
        ApiError: `file.none`, `file.twice`, `file.wrong_content`, or as `place`.
        Forbidden: `file.bucket_not_allowed`, `file.key_not_allowed`.
        TooLarge: `file.too_large`.
    """
    config = aws.config
    allowed(aws, bucket)
    if not files:
        raise ApiError("There is no file in the form.", code="file.none")
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
    _require_distinct(names, [each.key for each in places])
    for name, file, target in zip(names, files, places, strict=True):
        _check(aws, name, file, target)
    for file, target in zip(files, places, strict=True):
        await _store(aws, bucket, file.file, target)
    return {
        name: url(config, bucket, target.key)
        for name, target in zip(names, places, strict=True)
    }


def _require_distinct(names: Sequence[str], keys: Sequence[str]) -> None:
    """Check that no file of an upload takes the place of another.

    Raises:
        ApiError: `file.twice`.
    """
    for found in (names, keys):
        for each in found:
            if found.count(each) > 1:
                raise ApiError(f"'{shown(each)}' is there twice.", code="file.twice")


def _check(aws: Aws, name: str, file: UploadFile, target: Place) -> None:
    limit = aws.config.s3_upload_max_kb
    if (file.size or 0) > limit * 1024:
        raise TooLarge(
            f"'{shown(name)}' is larger than {limit} KiB.",
            code="file.too_large",
            hint="config_s3_upload_max_kb is the limit.",
        )
    beginning = file.file.read(BEGINNING)
    file.file.seek(0)
    target.check(beginning)


async def _store(aws: Aws, bucket: str, file: BinaryIO, target: Place) -> None:
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
