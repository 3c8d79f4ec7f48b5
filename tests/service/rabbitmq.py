"""RabbitMQ of the system's packages, with a node, ports and folders of its own."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.served import free_port
from tests.service.server import AbsentError, Server
from tests.web import KEY

# Debian's own in the PATH changes its user and with it every folder.
DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

PASSWORDS = {"guest": "guest", "me": KEY, "poor": "poor"}
USERS = {  # poor may declare nothing
    "vhosts": [{"name": "/"}],
    "users": [
        {"name": name, "password": password, "tags": ""}
        for name, password in PASSWORDS.items()
    ],
    "permissions": [
        {
            "user": name,
            "vhost": "/",
            "configure": "^$" if name == "poor" else ".*",
            "write": ".*",
            "read": ".*",
        }
        for name in PASSWORDS
    ],
}


def program() -> Path:
    """Return the server's program.

    Raises:
        AbsentError: when the system has none.
    """
    found = shutil.which("rabbitmq-server")
    if not found or not shutil.which("epmd"):
        raise AbsentError("no rabbitmq-server in the PATH: apt install rabbitmq-server")
    return DEBIAN if DEBIAN.exists() else Path(found)


@contextmanager
def rabbitmq(folder: Path) -> Iterator[Server]:
    """Build a server; Erlang's port mapper, which it asks, is the block's own too."""
    command = program()
    folder.mkdir(parents=True, exist_ok=True)
    port, mapper_port, dist_port = free_port(), free_port(), free_port()
    (folder / "users.json").write_text(json.dumps(USERS))
    (folder / "rabbitmq.conf").write_text(
        "loopback_users = none\nlog.console = true\n"
        f"load_definitions = {folder}/users.json\n"
    )
    (folder / "enabled_plugins").write_text("[].\n")
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("RABBITMQ_")},
        "HOME": str(folder),  # the cookie of this node alone
        "ERL_EPMD_PORT": str(mapper_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"atom{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(dist_port),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
    }
    words = ["epmd", "-address", "127.0.0.1", "-port", str(mapper_port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, env=env, **quiet) as mapper:
        try:
            yield Server(
                what=f"RabbitMQ {version()}",
                url=f"amqp://guest:guest@127.0.0.1:{port}/",
                command=[command],
                folder=folder,
                port=port,
                env=env,
            )
        finally:
            mapper.kill()


def version() -> str:
    """Return the version of the installed server, from the name of its folder."""
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
    return found[-1].name.rpartition("-")[2] if found else ""
