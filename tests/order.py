"""The order of files in a whole run: what waits is spread among what computes.

By name all brokers would come one after the other, and every process would wait.
"""

from collections.abc import Sequence
from itertools import groupby

# Files that wait for servers to die, to come back and to be missed.
WAITING = (
    "integration/test_broker_kafka.py",
    "acceptance/consumer/test_kill.py",
    "integration/test_broker_sqs.py",
    "acceptance/consumer/test_consumer_sqs.py",
    "acceptance/consumer/test_consumer_kafka.py",
    "acceptance/consumer/test_celery.py",
    "integration/test_broker_rabbitmq.py",
    "acceptance/test_events_broker.py",
    "acceptance/test_events_handler.py",
    "integration/test_service.py",
    "integration/test_broker_outage.py",
    "acceptance/consumer/test_consumer.py",
    "acceptance/test_replica.py",
    "integration/test_aws.py",
)
LONG = ("acceptance/", "integration/", "test_")


def spread(names: Sequence[str]) -> list[str]:
    """Return the names of files in order; the quick ones keep theirs, at the end.

    >>> wait, other = WAITING[0], WAITING[1]
    >>> spread([f"test_{n}" for n in "abcd"] + [other, wait, "unit/e"]) == [
    ...     wait, "test_a", "test_b", other, "test_c", "test_d", "unit/e"]
    True
    """
    slow = sorted((name for name in names if name in WAITING), key=WAITING.index)
    rest = [name for name in names if name.startswith(LONG) and name not in slow]
    quick = [name for name in names if name not in {*slow, *rest}]
    every = len(rest) // max(len(slow), 1)
    for number, name in reversed([*enumerate(slow)]):
        rest.insert(number * every, name)
    return rest + quick


def pytest_collection_modifyitems(items):
    """Sort the tests by their files."""
    files = {}
    for name, some in groupby(items, key=lambda item: item.nodeid.partition("::")[0]):
        files.setdefault(name, []).extend(some)
    items[:] = [item for name in spread([*files]) for item in files[name]]
