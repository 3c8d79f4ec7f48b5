"""The services of a run, as fixtures; a test that needs an absent one ends there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import machine
from tests.service.kafka import SASL
from tests.service.server import AbsentError, Server
from tests.service.shared import home, opened, shared
from tests.service.web import Space


@contextmanager
def own(name: str, folder: Path) -> Iterator[Server]:
    """Run a server that is the test's own, to be killed; end the test without one."""
    try:
        with opened(name, folder) as server:
            yield server
    except AbsentError as error:
        machine.absent(f"{name} ({error})")


def url(name: str) -> str:
    """Return where the run's server answers; end the test where there is none."""
    note = shared(name)
    if note.state == "absent":
        machine.absent(f"{name} ({note.why})")
    return note.url


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """A RabbitMQ, shared by the run: use channels of your own."""
    return url("rabbitmq")


@pytest.fixture(scope="session")
def mongodb_url() -> str:
    """A server that speaks MongoDB's protocol, shared: use a database of your own."""
    return url("mongodb")


@pytest.fixture(scope="session")
def kafka_url() -> str:
    """A Kafka or its mock, shared: use topics of your own."""
    return url("kafka")


@pytest.fixture(scope="session")
def real_kafka_url(kafka_url: str) -> str:
    """A Kafka that keeps what it has, makes topics, and moves partitions."""
    note = shared("kafka")
    if note.state != "real":
        machine.absent(f"kafka ({note.why})")
    return note.url


@pytest.fixture(scope="session")
def sasl_kafka_url(real_kafka_url: str) -> str:
    """Where the same Kafka takes the user me alone, with the password `web.KEY`."""
    return (home("kafka") / "server" / SASL).read_text()


@pytest.fixture(scope="session")
def aws_url() -> str:
    """A server for AWS's clients, shared: use names of your own."""
    return url("aws")


@pytest.fixture(scope="session")
def smtp_url() -> str:
    """A mail server, shared: use addresses of your own."""
    return url("smtp")


@pytest.fixture
def web() -> Space:
    """The test's own space in the server that stands in for HTTP services."""
    return Space(url("web"))
