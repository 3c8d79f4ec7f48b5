"""AWS by boto3, which blocks: every call runs in a thread of `THREADS`.

One client for each service, switched on by its region. `atom/aws/` has the calls.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from atom.client import Client, Config, Live
from atom.config.parse import names, text, whole
from atom.config.resolve import Key
from atom.errors import ApiError

CALLS = 64  # at once; one that was given up counts until its thread is free
CONNECT, READ = 2.0, 5.0  # seconds, for each of three attempts
POLL_SECONDS = 5  # a receive from SQS waits so long for a message
THREADS = ThreadPoolExecutor(CALLS, "aws")
Probe = Callable[[Any], Any]

ID = Key(
    "config_aws_access_key_id",
    text,
    None,
    "AWS key id.",
    secret=True,
    also=("AWS_ACCESS_KEY_ID",),
)
SECRET = Key(
    "config_aws_secret_access_key",
    text,
    None,
    "AWS secret.",
    secret=True,
    also=("AWS_SECRET_ACCESS_KEY",),
)
ENDPOINT = Key(
    "config_aws_endpoint_url",
    text,
    None,
    "Another address than AWS's own.",
    also=("AWS_ENDPOINT_URL",),
)
BUCKETS = Key("config_s3_bucket_list", names, (), "Buckets that users may upload to.")
FILES = (
    BUCKETS,
    Key(
        "config_s3_extension_list",
        names,
        (
            *("jpg", "jpeg", "png", "gif", "webp", "pdf", "txt", "csv", "json"),
            *("mp3", "wav", "mp4", "zip", "docx", "xlsx", "pptx"),
        ),
        "Endings that an uploaded file may have.",
    ),
    Key(
        "config_s3_upload_max_kb",
        whole(1, 5_000_000),
        10_240,
        "Largest uploaded file, in KiB.",
    ),
    Key(
        "config_s3_upload_max_files",
        whole(1, 1000),
        20,
        "Most files of one upload.",
    ),
    Key(
        "config_s3_presigned_expire_sec",
        whole(1, 604_800),
        600,
        "Seconds that a presigned upload is valid.",
    ),
)
QUEUES = (
    Key(
        "config_sqs_topic",
        text,
        None,
        "SNS topic, by name or ARN, that `queue setup sqs` subscribes the queue to.",
    ),
    Key(
        "config_sqs_event_list",
        names,
        (),
        "Event types of that topic that the queue takes; all, if empty.",
    ),
)
# The words AWS has for credentials that it does not accept, and for a lacking right.
WRONG = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidClientTokenId"}
    | {"UnrecognizedClientException", "InvalidSignatureException", "AuthFailure"}
    | {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
    | {"RequestTimeTooSkewed", "MissingAuthenticationToken", "TokenRefreshRequired"}
)
DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "403"}
    | {"AllAccessDisabled", "AccountProblem", "UnauthorizedOperation"}
)
REFUSED = "client.refused"


def refused(service: str, operation: str, reason: str) -> ApiError:
    """Return the error for credentials that are wrong, or lack a permission."""
    if reason in WRONG:
        text = f"AWS does not accept the credentials: {reason}."
        hint = f"Check {ID.name} and {SECRET.name}, and the clock of this machine."
    else:
        text = f"AWS does not permit {operation} of {service}: {reason}."
        hint = f"Allow {service}:{operation} to the user of {ID.name}."
    return ApiError(text, code=REFUSED, status=502, hint=hint)


def declare(
    name: str,
    service: str,
    probe: Probe,
    keys: tuple[Key, ...] = (),
    *,
    resource: bool = False,
) -> Client:
    """Declare the client of one service, switched on by its region."""
    region = f"config_{service}_region_name"

    def build(config: Config) -> Any:
        from boto3.session import Session
        from botocore.config import Config as Settings

        settings: dict[str, Any] = {}
        endpoint = config.get(ENDPOINT.name) or None
        if endpoint is not None:  # a stand-in rarely answers at bucket.host
            settings["s3"] = {"addressing_style": "path"}
        session = Session()  # a session of its own: they are not made to be shared
        make = session.resource if resource else session.client
        handle = make(
            service,
            aws_access_key_id=config[ID.name],
            aws_secret_access_key=config[SECRET.name],
            region_name=config[region],
            endpoint_url=endpoint,
            config=Settings(
                signature_version="s3v4" if service == "s3" else None,
                connect_timeout=CONNECT,
                read_timeout=READ + (POLL_SECONDS if service == "sqs" else 0),
                retries={"mode": "standard", "total_max_attempts": 3},
                max_pool_connections=CALLS,
                **settings,
            ),
        )
        handle.atom_buckets = config.get(BUCKETS.name) or ()  # for the probe
        return handle

    async def connect(config: Config, live: Live) -> Any:
        return await in_thread(partial(build, config))

    async def close(handle: Any) -> None:
        (handle.meta.client if resource else handle).close()

    async def permitted(handle: Any) -> None:
        await in_thread(partial(_probe, service, probe, handle))

    async def version(handle: Any) -> str:
        """Return that of the API; the probe has proven the rest."""
        client = getattr(handle.meta, "client", handle)
        return f"{service.upper()}, API {client.meta.service_model.api_version}"

    return Client(
        name=name,
        needs=(ID.name, SECRET.name, region),
        package="boto3==1.44.5",
        keys=(
            *(ID, SECRET, ENDPOINT, *keys),
            Key(region, text, None, f"Region; switches {name} on."),
        ),
        open=connect,
        close=close,
        probe=permitted,
        examine=version,
        switch=(region,),
        optional=(ENDPOINT.name,),
    )


async def in_thread(work: Callable[[], Any]) -> Any:
    """Run a call in a thread of its own pool, not in the few that all others share."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(THREADS, work)


def _probe(service: str, probe: Probe, handle: Any) -> None:
    """Make a cheap call that needs the credentials and a right.

    Raises:
        ApiError: `client.refused`, with the key or the permission to correct.
    """
    from botocore.exceptions import ClientError

    try:
        probe(handle)
    except ClientError as error:
        reason = str(error.response.get("Error", {}).get("Code", ""))
        if reason in WRONG | DENIED:
            raise refused(service, error.operation_name, reason) from error
        raise


def _probe_s3(handle: Any) -> None:
    """Reach each bucket of config; without any, prove the credentials alone."""
    from botocore.exceptions import ClientError

    client = getattr(handle.meta, "client", handle)
    for bucket in handle.atom_buckets:
        client.head_bucket(Bucket=bucket)
    if not handle.atom_buckets:
        try:
            client.list_buckets(MaxBuckets=1)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in DENIED:
                raise


S3 = declare("client_s3", "s3", _probe_s3, FILES)
S3_RESOURCE = declare("client_s3_resource", "s3", _probe_s3, FILES, resource=True)
SNS = declare("client_sns", "sns", lambda sns: sns.list_topics())
SES = declare("client_ses", "ses", lambda ses: ses.get_send_quota())
SQS = declare("client_sqs", "sqs", lambda sqs: sqs.list_queues(MaxResults=1), QUEUES)
