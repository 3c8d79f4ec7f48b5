"""AWS by boto3, which blocks: call it in a thread. One client for each service."""

import asyncio
from typing import Any

from atom.client import Client, Config, Live
from atom.config.parse import text
from atom.config.resolve import Key

KEYS = (
    Key(
        "config_aws_access_key_id",
        text,
        None,
        "AWS key id.",
        secret=True,
        also=("AWS_ACCESS_KEY_ID",),
    ),
    Key(
        "config_aws_secret_access_key",
        text,
        None,
        "AWS secret.",
        secret=True,
        also=("AWS_SECRET_ACCESS_KEY",),
    ),
    Key(
        "config_aws_endpoint_url",
        text,
        None,
        "Another address than AWS's own.",
        also=("AWS_ENDPOINT_URL",),
    ),
)


def declare(name: str, service: str, region: str, *, resource: bool = False) -> Client:
    """Declare the client of one service, switched on by its region."""

    def build(config: Config) -> Any:
        from boto3.session import Session
        from botocore.config import Config as Settings

        settings: dict[str, Any] = {}
        endpoint = config.get("config_aws_endpoint_url") or None
        if endpoint is not None:  # a stand-in rarely answers at bucket.host
            settings["s3"] = {"addressing_style": "path"}
        session = Session()  # a session of its own: they are not made to be shared
        make = session.resource if resource else session.client
        return make(
            service,
            aws_access_key_id=config[KEYS[0].name],
            aws_secret_access_key=config[KEYS[1].name],
            region_name=config[region],
            endpoint_url=endpoint,
            config=Settings(
                signature_version="s3v4" if service == "s3" else None,
                connect_timeout=2,
                read_timeout=5,
                retries={"mode": "standard", "max_attempts": 3},
                max_pool_connections=20,
                **settings,
            ),
        )

    async def connect(config: Config, live: Live) -> Any:
        return await asyncio.to_thread(build, config)

    async def close(handle: Any) -> None:
        (handle.meta.client if resource else handle).close()

    return Client(
        name=name,
        needs=(KEYS[0].name, KEYS[1].name, region),
        package="boto3==1.44.5",
        keys=(*KEYS, Key(region, text, None, f"Region; switches {name} on.")),
        open=connect,
        close=close,
        switch=(region,),
        optional=("config_aws_endpoint_url",),
    )


S3 = declare("client_s3", "s3", "config_s3_region_name")
S3_RESOURCE = declare(
    "client_s3_resource", "s3", "config_s3_region_name", resource=True
)
SNS = declare("client_sns", "sns", "config_sns_region_name")
SES = declare("client_ses", "ses", "config_ses_region_name")
