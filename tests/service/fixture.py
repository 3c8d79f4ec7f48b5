"""The services of a run, as fixtures; a test that needs an absent one ends there."""

import pytest

from tests import machine
from tests.service.shared import shared


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
