"""The application, top to bottom: config, clients, one middleware, routers, server."""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import embedded
from atom import command, openapi
from atom import malloc as memory
from atom import runtime as wire
from atom.client import opened
from atom.client.all import CLIENTS
from atom.command import serve, welcome
from atom.config import check as soundness
from atom.config import door as discover
from atom.http.cors import CorsForBrowsers
from atom.http.middleware import ConfigApiMiddleware
from atom.http.pipeline import STEPS
from atom.http.policy_table import PolicyTable
from atom.http.route import routes
from atom.http.step.error import HANDLERS
from atom.observe import log
from function import ROOT, function_config_read

sys.excepthook = serve.told_plainly
memory.use_one_arena()
config = function_config_read()
log.configure(config["config_log_level"], config.remarks)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open what is configured, serve, then close it again in reverse order."""
    serve.end_with_parent()
    with embedded.provided(config, ROOT, join=True, workers=1) as found:
        serve.adopt(config, found)
        async with (
            opened(CLIENTS, config, on_open=wire.taken_up(app)) as clients,
            wire.connected(config, clients) as ports,
        ):
            wire.publish(app, config, clients, ports)
            login = await wire.prepare(ports, config)
            if login is not None or serve.speaks_for_all(__name__):
                welcome.tell(config, login)
            gc.collect()
            gc.freeze()  # what lives as long as the process is not looked at again
            gc.set_threshold(20_000, 20, 50)
            yield


app = FastAPI(
    title=config["config_app_name"],
    version=config["config_app_version"],
    lifespan=lifespan,
    openapi_url=None,  # router/docs.py serves it, and the pages that show it
    exception_handlers=HANDLERS,
    redirect_slashes=False,
    telemetry={"tracing": False, "metrics": False, "logs": False},
)
for router in discover.routers(ROOT, config.problems):
    app.include_router(router)

app.state.ports = wire.closed(config)
app.state.policies = PolicyTable(config, routes(app), config.problems, STEPS)
log.remark(app.state.policies.remarks)
openapi.install(app)
app.add_middleware(ConfigApiMiddleware, steps=STEPS, policies=app.state.policies)
app.add_middleware(
    CorsForBrowsers,
    allow_origins=config["config_cors_origin_list"],
    allow_methods=config["config_cors_method_list"],
    allow_headers=config["config_cors_headers_list"],
    allow_credentials=config["config_cors_allow_credentials"],
    expose_headers=["x-request-id", "ratelimit", "ratelimit-policy", "retry-after"],
)

if problems := config.problems + soundness.faults(config):
    serve.refuse(problems)

if __name__ == "__main__":
    command.run(sys.argv[1:], app, config, ROOT)
