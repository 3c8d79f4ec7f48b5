"""The application, top to bottom: config, clients, one middleware, routers, server."""

import gc
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

gc.disable()  # what is loaded stays: a search for garbage in it is a part of each start
if (
    __name__ == "__mp_main__"
):  # a worker that loads is ended by its parent, not by Ctrl+C
    signal.signal(signal.SIGINT, signal.SIG_IGN)

from fastapi import FastAPI

from atom import command, file, mail, openapi
from atom.command import serve, welcome
from atom.config import door
from atom.config.check import validate
from atom.event.declaration import declared as events_of
from atom.event.declaration import models_of, unhandled, waiting
from atom.event.run import relayed_by_server
from atom.http import override
from atom.http.application import Application
from atom.http.cors import CorsForBrowsers
from atom.http.middleware import ConfigApiMiddleware
from atom.http.pipeline import STEPS, keys_of
from atom.http.policy_table import PolicyTable
from atom.http.route import routes
from atom.http.step.error import HANDLERS
from atom.observe import log
from atom.rpc import declared
from atom.rpc.route import router as router_of
from atom.runtime import Runtime, freeze_memory
from function import ROOT, function_config_read

sys.excepthook = serve.print_config_error
config = function_config_read()
log.configure(config["config_log_level"])


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open what is configured, serve, then close it again in reverse order."""
    serve.end_with_parent()
    async with app.state.runtime as running:
        if running.login is not None or serve.is_primary(__name__):
            log.remark(config.remarks)
            welcome.print_welcome(running)
        freeze_memory()
        ports = running.ports
        with serve.at_stop(ports.feed.stop, ports.topics.stop):
            async with relayed_by_server(app), door.started(app, starts):
                yield


app = Application(
    title=config["config_app_name"],
    version=config["config_app_version"],
    description=openapi.description(
        ROOT, config["config_docs_description_file"], config.problems
    ),
    lifespan=lifespan,
    openapi_url=None,  # router/docs.py serves it, and the pages that show it
    exception_handlers=HANDLERS,
    redirect_slashes=False,
    telemetry={"tracing": False, "metrics": False, "logs": False},
)
for router in door.routers(ROOT, config):
    app.include_router(router)

hooks, handlers = door.hooks(ROOT, config), door.handlers(ROOT, config)
models = models_of(door.modules(ROOT, door.HANDLER), config.problems)
steps = door.steps(ROOT, config, STEPS)
rpc = declared(config, keys_of(steps))
app.include_router(router_of(rpc.routes))
events = events_of(config, config.problems, models=models, handled=handlers.events)
config.problems += unhandled(events)
config.remarks += waiting(events, config)
config.problems += mail.faults(config)
config.remarks += mail.remarks(ROOT)
file.check(config, ROOT)
starts = door.starts(ROOT, config)
commands = door.commands(ROOT, config)
served = routes(app)
override.check(served, config)

app.state.runtime = Runtime(
    config,
    ROOT,
    state=app.state,
    clients=door.clients(ROOT),
    hooks=hooks,
    rpcs=rpc.routes,
    handlers=handlers,
    events=events,
)
app.state.policies = PolicyTable(
    config.replace({"config_api": rpc.api}), served, config.problems, steps
)
config.remarks += app.state.policies.remarks
openapi.install(app)
app.add_middleware(
    ConfigApiMiddleware,
    steps=steps,
    policies=app.state.policies,
    prefix=config["config_root_path"],
)
app.add_middleware(
    CorsForBrowsers,
    allow_origins=config["config_cors_origin_list"],
    allow_methods=config["config_cors_method_list"],
    allow_headers=config["config_cors_headers_list"],
    allow_credentials=config["config_cors_allow_credentials"],
    expose_headers=["x-request-id", "ratelimit", "ratelimit-policy", "retry-after"],
)

problems = config.problems + validate(config)
gc.freeze()
gc.enable()
if __name__ == "__main__":
    command.run(sys.argv[1:], app, app.state.runtime, problems, commands)
serve.refuse(problems, config.remarks)
