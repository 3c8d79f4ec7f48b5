"""/metrics, for Prometheus, with `config_is_prometheus=1`."""

import asyncio

from extend import *

from atom import client, observe

router = APIRouter(include_in_schema=False)


async def route_metrics(request: Request) -> responses.Response:
    """Show the metrics of every process of this server."""
    client.needed(request.app.state.ports.clients, "client_prometheus")
    metrics = observe.metrics
    if metrics.is_shared():  # files to be read
        body, media = await asyncio.to_thread(metrics.exposition)
    else:
        body, media = metrics.exposition()
    return responses.Response(body, headers={"Content-Type": media})


if config["config_is_prometheus"]:
    router.get("/metrics")(route_metrics)
