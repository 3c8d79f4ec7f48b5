"""One call to AWS, in a thread, with its errors as ours."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from atom.client import needed
from atom.client.aws import DENIED, THREADS, WRONG, refused
from atom.errors import ApiError, Unavailable

log = logging.getLogger(__name__)

TOTAL = 20.0  # seconds of a call with its retries; an upload has its own bound
BUSY = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "TooManyRequestsException"}
    | {"RequestTimeout", "RequestThrottled", "RequestLimitExceeded"}
    | {"ServiceUnavailable", "InternalError", "InternalFailure"}
)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class AwsConfig:
    """What config sets for the calls."""

    aws_endpoint_url: str | None
    s3_region_name: str | None
    s3_bucket_list: tuple[str, ...]
    s3_extension_list: tuple[str, ...]
    s3_upload_max_kb: int
    s3_upload_max_files: int
    s3_presigned_expire_sec: int


class AwsRefused(ApiError):
    """A call that AWS answered with an error; `reason` is its word for it."""

    status = 502
    code = "client.refused"
    reason = ""


class Aws:
    """The open services of AWS, called without holding up the event loop."""

    def __init__(self, clients: Mapping[str, Any], config: AwsConfig) -> None:
        self.clients = clients
        self.config = config
        self._starting = asyncio.Lock()

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service.

        Raises:
            Unavailable: `client.missing`, naming the key that switches it on.
        """
        keys = f"config_{service}_region_name"
        return needed(self.clients, f"client_{service}", keys)

    async def call(
        self,
        service: str,
        operation: str,
        /,
        *,
        seconds: float = TOTAL,
        **arguments: Any,
    ) -> Any:
        """Make one call, such as `("s3", "head_bucket", Bucket="b")`.

        Raises:
            ApiError: as `run`.
        """
        method = getattr(self.client(service), operation)
        work = partial(method, **arguments)
        return await self.run(service, work, seconds=seconds)

    async def run(
        self, service: str, work: Callable[[], Result], *, seconds: float = TOTAL
    ) -> Result:
        """Run a function that calls AWS in a thread, for a bounded time.

        Threads are started one at each turn of the event loop: fifty at once would
        hold it up for longer than a request may wait.

        Raises:
            AwsRefused: when AWS answers with an error; its own, `reason`, is kept.
            ApiError: `client.refused` for wrong credentials or a lacking right.
            Unavailable: `client.silent` when there is no answer.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                async with self._starting:
                    running = loop.run_in_executor(THREADS, work)
                    await asyncio.sleep(0)
                return await running
        except TimeoutError:
            raise silent(service, "no answer in time") from None
        except Exception as error:
            found = translated(service, error)
            if found is None:
                raise
            raise found from error


def translated(service: str, error: Exception) -> ApiError | None:
    """Return the error that callers see for one of AWS or of the way to it."""
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    if isinstance(error, ClientError):
        reason = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        log.warning("%s", error)
        if reason in WRONG | DENIED:
            return refused(service, error.operation_name, reason)
        if reason in BUSY or status >= 500:
            return silent(service, reason)
        return unwilling(service, error.operation_name, reason)
    if isinstance(error, BotoCoreError) and not isinstance(error, ParamValidationError):
        return silent(service, type(error).__name__)
    return None


def unwilling(service: str, operation: str, reason: str) -> AwsRefused:
    """Return the error for a call that AWS answers with an error of its own."""
    error = AwsRefused(
        f"{service} refused {operation}: {reason}.",
        hint="The log has the words of AWS.",
    )
    error.reason = reason
    return error


def silent(service: str, cause: str) -> Unavailable:
    """Return the error for a service without an answer."""
    log.warning("%s does not answer: %s", service, cause)
    return Unavailable(
        f"client_{service} does not answer.",
        code="client.silent",
        hint=f"Check config_{service}_region_name, config_aws_endpoint_url and the "
        "network.",
        seconds=5,
    )
