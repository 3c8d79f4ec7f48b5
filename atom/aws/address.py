"""The URL of an object on S3, and which object a URL names. Pure."""

import re
from urllib.parse import quote, unquote, urlsplit

from atom.aws.call import AwsConfig
from atom.aws.key import shown
from atom.errors import ApiError

SAFE = "/!*'()~"  # not escaped in a path; S3 takes these as they are
HOST = re.compile(
    r"(?:(?P<bucket>[a-z0-9][a-z0-9.-]+)\.)?"
    r"s3[.-](?:(?:dualstack\.)?(?P<region>[a-z0-9-]+)\.)?amazonaws\.com(?:\.cn)?"
    r"|(?:(?P<global_bucket>[a-z0-9][a-z0-9.-]+)\.)?s3\.amazonaws\.com"
)


def url(config: AwsConfig, bucket: str, key: str) -> str:
    """Return the URL of an object."""
    path = quote(key, safe=SAFE)
    if config.aws_endpoint_url:
        return f"{config.aws_endpoint_url.rstrip('/')}/{bucket}/{path}"
    if "." in bucket:  # no certificate covers bucket.name.s3.…
        return f"https://s3.{config.s3_region_name}.amazonaws.com/{bucket}/{path}"
    return f"https://{bucket}.s3.{config.s3_region_name}.amazonaws.com/{path}"


def named(config: AwsConfig, text: str) -> tuple[str, str]:
    """Return the bucket and the key that a URL names, to the letter.

    Raises:
        ApiError: `file.unreadable_url`.
    """
    try:
        parts = urlsplit(text)
        host = parts.netloc.lower()
    except ValueError:
        raise unreadable(text) from None
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise unreadable(text, "It has a query: write ? as %3F and # as %23.")
    endpoint = urlsplit(config.aws_endpoint_url or "")
    bucket, path = "", parts.path
    if config.aws_endpoint_url and host == endpoint.netloc.lower():
        path = path.removeprefix(endpoint.path.rstrip("/"))
    else:
        found = HOST.fullmatch(host)
        if found is None:
            raise unreadable(text)
        bucket = found["bucket"] or found["global_bucket"] or ""
    if parts.scheme not in {"http", "https"} or not path.startswith("/"):
        raise unreadable(text)
    path = path[1:]
    if not bucket:
        bucket, _, path = path.partition("/")
    try:
        key = unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise unreadable(text) from None
    if not key or not bucket:
        raise unreadable(text)
    return bucket, key


def unreadable(text: str, hint: str = "") -> ApiError:
    """Return the error for a URL that does not name an object."""
    return ApiError(
        f"'{shown(text)}' does not name a file on S3.",
        code="file.unreadable_url",
        hint=hint
        or "As an upload answers it: https://bucket.s3.region.amazonaws.com/key",
    )
