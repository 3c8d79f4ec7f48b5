"""Prometheus: what the metrics are written with, which /metrics shows."""

from typing import Any

from atom.client import Client, Config, Live
from atom.config.parse import flag
from atom.config.resolve import Key


async def start(config: Config, live: Live) -> Any:
    """Count from now on."""
    from atom.observe import metrics

    metrics.start()
    return metrics


async def stop(metrics: Any) -> None:
    """Cease to count."""
    metrics.stop()


PROMETHEUS = Client(
    name="client_prometheus",
    needs=("config_is_prometheus",),
    package="prometheus_client==0.26.0",
    keys=(
        Key("config_is_prometheus", flag, False, "Whether /metrics counts and shows."),
        Key(
            "config_is_metrics",
            flag,
            False,
            "Whether /metrics is open in production too, without the root key.",
        ),
    ),
    open=start,
    close=stop,
)
