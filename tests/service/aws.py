"""AWS: moto's server keeps buckets, topics, queues and mails in memory.

It checks no signature, expiry or policy of an upload: tests look at what was signed.
"""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.served import ROOT, free_port
from tests.service.server import AbsentError, Server

REGION = "eu-west-1"


def keys(url: str) -> dict[str, str]:
    """Return the config that switches every service of AWS on, at a server."""
    regions = [f"config_{name}_region_name" for name in ("s3", "sns", "ses", "sqs")]
    return {
        "config_aws_access_key_id": "test-key-id",
        "config_aws_secret_access_key": "test-secret",
        "config_aws_endpoint_url": url,
        **dict.fromkeys(regions, REGION),
    }


@contextmanager
def aws(folder: Path) -> Iterator[Server]:
    """Build a server; any key signs on, and a region keeps what it has to itself."""
    if importlib.util.find_spec("moto") is None:
        raise AbsentError("moto is not installed: requirements-test.lock has it")
    program, port = ROOT / "tests/service/aws_server.py", free_port()
    yield Server(
        what="AWS (moto)",
        url=f"http://127.0.0.1:{port}",
        command=[sys.executable, program, "-H", "127.0.0.1", "-p", port],
        folder=folder,
        port=port,
        state="stood in",
    )
