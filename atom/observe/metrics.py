"""Metrics: each declared here once, counted anywhere, read at /metrics.

Until `start` a metric costs one look at an attribute, and needs no package. Several
server processes write to files of one folder, which any of them reads as a whole.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from atom.errors import ConfigError

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client when it is imported
SAMPLE_SECONDS = 2.0  # between two looks at what is in use now
LATENCIES = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Labels = tuple[str, ...]


class Metric:
    """A metric by its labels; the values of a call are in their order."""

    kind = ""

    def __init__(self, name: str, help: str, *labels: str, **options: Any) -> None:
        self.name, self.help, self.labels = name, help, labels
        self.options = options
        self._children: dict[Labels, Any] = {}
        self._parent: Any = None
        self.is_on = False
        METRICS.append(self)
        if _is_on:
            self.turn(on=True)

    def turn(self, *, on: bool) -> None:
        """Begin to count, or cease; what was counted stays."""
        if on and self._parent is None:
            import prometheus_client

            make = getattr(prometheus_client, self.kind)
            self._parent = make(self.name, self.help, self.labels, **self.options)
        self.is_on = on

    def of(self, labels: Labels) -> Any:
        """Return what counts for these values of the labels."""
        child = self._children.get(labels)
        if child is None:
            parent = self._parent
            child = parent.labels(*labels) if labels else parent
            self._children[labels] = child
        return child


METRICS: list[Metric] = []
_is_on = False


class Counter(Metric):
    """Counts what happens; its name ends with _total."""

    kind = "Counter"

    def add(self, *labels: str, amount: float = 1) -> None:
        """Count once more."""
        if self.is_on:
            self.of(labels).inc(amount)


class Gauge(Metric):
    """A value of now; `multiprocess_mode` is how those of several processes add up."""

    kind = "Gauge"

    def __init__(
        self, name: str, help: str, *labels: str, multiprocess_mode: str = "livesum"
    ) -> None:
        super().__init__(name, help, *labels, multiprocess_mode=multiprocess_mode)

    def set(self, value: float, *labels: str) -> None:
        """Replace the value."""
        if self.is_on:
            self.of(labels).set(value)


class Histogram(Metric):
    """How many values there were up to each of its bounds, and their sum."""

    kind = "Histogram"

    def __init__(
        self, name: str, help: str, *labels: str, buckets: tuple[float, ...] = LATENCIES
    ) -> None:
        super().__init__(name, help, *labels, buckets=buckets)

    def observe(self, value: float, *labels: str) -> None:
        """Add a value."""
        if self.is_on:
            self.of(labels).observe(value)


# Requests, in the names and labels of prometheus-fastapi-instrumentator.
REQUESTS = Counter(
    "http_requests_total",
    "Requests answered, by route and class of status.",
    *("method", "handler", "status"),
)
SECONDS = Histogram(
    "http_request_duration_seconds",
    "How long a request took until its answer was sent.",
    *("method", "handler"),
)
IN_FLIGHT = Gauge("http_requests_inprogress", "Requests being answered now.")
REFUSED = Counter("atom_refused_total", "Requests refused, by error code.", "code")
CACHED = Counter("atom_cache_total", "Answers from the cache, or stored.", "outcome")

# Messages and events.
PRODUCED = Counter(
    "atom_queue_produced_total", "Messages confirmed by a broker.", "broker", "channel"
)
CONSUMED = Counter(
    "atom_queue_consumed_total",
    "Messages consumed, by outcome: done, retried, dead.",
    *("broker", "channel", "outcome"),
)
DEAD = Counter(
    "atom_queue_dead_total",
    "Messages moved to the dead letters.",
    *("broker", "channel"),
)
LAG = Gauge(
    "atom_queue_lag",
    "Messages that wait on a channel.",
    *("broker", "channel"),
    multiprocess_mode="livemax",
)
EVENT_PUBLISHED = Counter(
    "atom_event_published_total", "Events delivered to a target.", "target"
)
EVENT_DEAD = Counter("atom_event_dead_total", "Events given up.", "target")
EVENT_LAG = Gauge(
    "atom_event_lag_seconds",
    "Age of the oldest event that waits in the outbox.",
    multiprocess_mode="livemax",
)

# What a process has in use.
CONNECTIONS = Gauge(
    "atom_pool_connections",
    "Connections to PostgreSQL, by pool and state: used, idle.",
    *("pool", "state"),
)
POOL_MAX = Gauge("atom_pool_max", "Connections a pool may open.", "pool")
SOCKETS = Gauge("atom_sockets_open", "WebSockets that are open.")
TASKS = Gauge("atom_tasks_running", "Tasks that run in the background.")
JOURNAL = Gauge("atom_log_api_waiting", "Rows of log_api not written yet.")
LOOP_LAG = Gauge(
    "atom_loop_lag_seconds",
    "How late the event loop was at most, since the sample before.",
    multiprocess_mode="livemax",
)

_samplers: list[Callable[[], None]] = []


def start() -> None:
    """Count from now on.

    Raises:
        ImportError: without the package prometheus_client.
    """
    global _is_on
    import prometheus_client  # noqa: F401

    _is_on = True
    for metric in METRICS:
        metric.turn(on=True)


def serve(host: str, port: int) -> None:
    """Count from now on, and serve it from a thread: for a process without routes.

    Raises:
        ConfigError: without the package, or when the port is taken.
    """
    try:
        start()
        from prometheus_client import start_http_server

        start_http_server(port, host)
    except ImportError as error:
        raise ConfigError(["--metrics-port needs prometheus-client"]) from error
    except OSError as error:
        raise ConfigError([f"--metrics-port {port}: {error.strerror}"]) from error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options by which such a process is asked to serve it."""
    parser.add_argument(
        "--metrics-port", type=int, help="serve /metrics for Prometheus on this port"
    )
    parser.add_argument(
        "--metrics-host", default="127.0.0.1", help="its address, 127.0.0.1 if unset"
    )


def stop() -> None:
    """Cease to count."""
    global _is_on
    _is_on = False
    for metric in METRICS:
        metric.turn(on=False)


def is_on() -> bool:
    """Whether metrics are counted in this process."""
    return _is_on


def is_shared() -> bool:
    """Whether several processes count together."""
    return FOLDER in os.environ


@contextmanager
def sampled(sampler: Callable[[], None]) -> Iterator[None]:
    """Have gauges set by `sampler`, before each reading and every SAMPLE_SECONDS."""
    _samplers.append(sampler)
    try:
        yield
    finally:
        _samplers.remove(sampler)


async def sample_always() -> None:
    """Set the gauges again and again: another process may be the one that is read."""
    loop = asyncio.get_running_loop()
    late, due = 0.0, loop.time() + SAMPLE_SECONDS
    while True:
        asked = loop.time()
        await asyncio.sleep(0.1)
        late = max(late, loop.time() - asked - 0.1)
        if loop.time() >= due:
            LOOP_LAG.set(late)
            sample()
            late, due = 0.0, loop.time() + SAMPLE_SECONDS


def sample() -> None:
    """Set the gauges now."""
    for sampler in _samplers:
        sampler()


def exposition() -> tuple[bytes, str]:
    """Return all metrics in Prometheus's text form, and its media type.

    Those of every process that shares the folder; gauges of processes that have ended
    are left out.
    """
    from prometheus_client import CollectorRegistry, exposition, registry

    sample()
    found: CollectorRegistry = registry.REGISTRY
    if is_shared():
        from prometheus_client import multiprocess

        _forget_ended(Path(os.environ[FOLDER]))
        found = CollectorRegistry()
        collector: Callable[[Any], object] = multiprocess.MultiProcessCollector
        collector(found)
    return exposition.generate_latest(found), exposition.CONTENT_TYPE_LATEST


def _forget_ended(folder: Path) -> None:
    """Delete what processes that have ended wrote of their present."""
    from prometheus_client import multiprocess

    forget: Callable[[int, str], None] = multiprocess.mark_process_dead
    for pid in {path.stem.rpartition("_")[2] for path in folder.glob("gauge_live*")}:
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            forget(int(pid), str(folder))


@contextmanager
def shared_folder(*, wanted: bool) -> Iterator[None]:
    """Have the processes started inside count together, in a folder made for them."""
    if not wanted or is_shared():
        yield
        return
    folder = mkdtemp(prefix="atom-metrics-")
    os.environ[FOLDER] = folder
    try:
        yield
    finally:
        del os.environ[FOLDER]
        rmtree(folder, ignore_errors=True)


def now() -> float:
    """Return a time to measure from, in seconds."""
    return time.perf_counter()
