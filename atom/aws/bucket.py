"""Buckets created, opened to readers, emptied and deleted; objects deleted by URL."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from atom.aws.address import named
from atom.aws.call import Aws, AwsRefused, unwilling
from atom.aws.key import SEPARATOR, shown
from atom.errors import ApiError, Conflict, Forbidden, NotFound, nearest

MODES = ("create", "public", "empty", "delete")
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
AT_ONCE = 1000  # objects S3 deletes by one call
HOME = "us-east-1"  # the region that may not be named when a bucket is created


def allowed(aws: Aws, bucket: str) -> str:
    """Return a bucket that users may touch.

    Raises:
        Forbidden: `file.bucket_not_allowed`.
    """
    known = aws.config.s3_bucket_list
    if bucket in known:
        return bucket
    raise Forbidden(
        f"The bucket '{shown(bucket)}' is not open.",
        code="file.bucket_not_allowed",
        hint=nearest(bucket[:60], known) or "config_s3_bucket_list opens it.",
    )


async def operate(aws: Aws, mode: str, bucket: str) -> int:
    """Create, open, empty or delete a bucket. Return how many objects were deleted.

    Raises:
        ApiError: `file.unknown_mode`, or what S3 refuses.
    """
    if not NAME.fullmatch(bucket):
        raise unreadable(bucket)
    match mode:
        case "create":
            await _create(aws, bucket)
        case "public":
            await _open(aws, bucket)
        case "empty":
            return await _empty(aws, bucket)
        case "delete":
            await _call(aws, "delete_bucket", bucket)
        case _:
            raise ApiError(
                f"There is no mode '{shown(mode)}': {', '.join(MODES)}.",
                code="file.unknown_mode",
                hint=nearest(mode[:60], MODES),
            )
    return 0


async def _call(aws: Aws, operation: str, bucket: str, **arguments: Any) -> Any:
    """Call S3 about a bucket; what it refuses is in its caller's words.

    Raises:
        NotFound: `file.unknown_bucket`.
        Conflict: `file.bucket_exists`, `file.bucket_not_empty`.
        ApiError: `file.unreadable_bucket`.
    """
    name = shown(bucket)
    try:
        return await aws.call("s3", operation, Bucket=bucket, **arguments)
    except AwsRefused as error:
        if error.reason in {"NoSuchBucket", "404"}:
            raise missing(bucket) from error
        if error.reason in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
            raise Conflict(
                f"There is a bucket '{name}' already.",
                code="file.bucket_exists",
                hint="Its name must be free in all of AWS.",
            ) from error
        if error.reason == "BucketNotEmpty":
            raise Conflict(
                f"The bucket '{name}' is not empty.",
                code="file.bucket_not_empty",
                hint="Mode empty deletes what is in it.",
            ) from error
        raise


def missing(bucket: str) -> NotFound:
    """Return the error for a bucket that does not exist."""
    return NotFound(
        f"There is no bucket '{shown(bucket)}'.",
        code="file.unknown_bucket",
        hint="POST /root/s3-bucket-ops with mode create makes it.",
    )


def unreadable(bucket: str) -> ApiError:
    """Return the error for a name that no bucket can have."""
    return ApiError(
        f"'{shown(bucket)}' cannot be the name of a bucket.",
        code="file.unreadable_bucket",
        hint="3 to 63 lower-case letters, digits, dots and hyphens.",
    )


async def _create(aws: Aws, bucket: str) -> None:
    place: dict[str, Any] = {}
    if aws.config.s3_region_name != HOME:
        where = {"LocationConstraint": aws.config.s3_region_name}
        place["CreateBucketConfiguration"] = where
    await _call(aws, "create_bucket", bucket, **place)


async def _open(aws: Aws, bucket: str) -> None:
    """Let anyone read single objects, and no one list them."""
    statement = {
        "Sid": "read",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    await _call(aws, "delete_public_access_block", bucket)
    await _call(aws, "put_bucket_policy", bucket, Policy=policy)


async def _empty(aws: Aws, bucket: str) -> int:
    """Delete every object, with all versions, and every unfinished upload."""
    number = 0
    while True:
        page = await _call(aws, "list_object_versions", bucket, MaxKeys=AT_ONCE)
        found = [
            {"Key": each["Key"], "VersionId": each["VersionId"]}
            for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        ]
        if not found:
            break
        await _delete(aws, bucket, found)
        number += len(found)
    page = await _call(aws, "list_multipart_uploads", bucket)
    for each in page.get("Uploads", ()):
        which = {"Key": each["Key"], "UploadId": each["UploadId"]}
        await _call(aws, "abort_multipart_upload", bucket, **which)
    return number


async def _delete(aws: Aws, bucket: str, objects: Sequence[dict[str, str]]) -> None:
    """Delete objects, at most a thousand.

    Raises:
        AwsRefused: with the first that S3 kept.
    """
    answer = await _call(
        aws, "delete_objects", bucket, Delete={"Objects": objects, "Quiet": True}
    )
    for error in answer.get("Errors", ()):
        raise unwilling("s3", f"DeleteObject of {shown(error['Key'])}", error["Code"])


async def delete_urls(aws: Aws, text: str) -> int:
    """Delete the objects that URLs name, several joined by `---`. Return how many.

    Raises:
        ApiError: `file.unreadable_url`, before anything is deleted.
        Forbidden: `file.bucket_not_allowed`, likewise.
    """
    keys: dict[str, dict[str, None]] = defaultdict(dict)
    for each in filter(None, (part.strip() for part in text.split(SEPARATOR))):
        bucket, key = named(aws.config, each)
        keys[allowed(aws, bucket)][key] = None
    if not keys:
        raise ApiError("'url' names nothing to delete.", code="file.unreadable_url")
    for bucket, found in keys.items():
        await delete_keys(aws, bucket, tuple(found))
    return sum(map(len, keys.values()))


async def delete_keys(aws: Aws, bucket: str, keys: Sequence[str]) -> None:
    """Delete objects of one bucket; those that are gone already are none the less."""
    objects = [{"Key": key} for key in keys]
    for first in range(0, len(objects), AT_ONCE):
        await _delete(aws, bucket, objects[first : first + AT_ONCE])
