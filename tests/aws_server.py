"""AWS to test against: moto's server, which keeps its state and checks no signature."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import machine
from tests.served import free_port, is_open

CACHED = Path("~/.cache/atom-tests/moto/bin/moto_server").expanduser()
REGION = "eu-west-1"


def keys(url: str) -> dict[str, str]:
    """Return the config that switches every service of AWS on, at a server."""
    return {
        "config_aws_access_key_id": "test-key-id",
        "config_aws_secret_access_key": "test-secret",
        "config_aws_endpoint_url": url,
        **{
            f"config_{name}_region_name": REGION for name in ("s3", "sns", "ses", "sqs")
        },
    }


@pytest.fixture(scope="session")
def aws_url() -> Iterator[str]:
    """An AWS of the run's own; end the test where there is none."""
    program = Path(sys.executable).with_name("moto_server")
    program = program if program.exists() else CACHED
    if not program.exists():
        machine.absent("moto_server")
    port = free_port()
    with subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)],
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        until = time.monotonic() + 60
        while not is_open("127.0.0.1", port):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
        process.terminate()
