"""The welcome at the start: where things are, and three curls that work."""

import shlex
import sys
from collections.abc import Mapping
from typing import Any

from atom.account.root import RootLogin
from atom.config.resolve import is_production
from atom.runtime import Runtime

CURLS = """\
  curl -X POST {url}/auth/signup -H 'content-type: application/json' \\
    -d '{{"type":1,"username":"ada","password":"correct horse"}}'
  curl -X POST '{url}/public/object-create?table=test' \\
    -H 'content-type: application/json' -d '{{"title":"hello"}}'
  curl '{url}/public/object-read?table=test&limit=3'
"""


def address(config: Mapping[str, Any]) -> str:
    """Return the URL of the server as seen from this machine."""
    host = config["config_host"]
    if host in {"0.0.0.0", "::"}:  # noqa: S104
        host = "127.0.0.1"
    return f"http://{host}:{config['config_port']}"


def docs(config: Mapping[str, Any], url: str) -> str:
    """Return where to find the documentation; in production it takes the root key.

    >>> production = {"config_env": "production", "config_is_docs": False}
    >>> docs(production, "http://h")
    "docs  curl -H 'authorization: Bearer <config_key_root>' http://h/openapi.json"
    """
    if is_production(config) and not config["config_is_docs"]:
        key = "curl -H 'authorization: Bearer <config_key_root>'"
        return f"docs  {key} {url}/openapi.json"
    return f"docs  {url}/docs"


def login_line(config: Mapping[str, Any], login: RootLogin) -> str:
    """Return the login of a root user just created; it is known only now."""
    password = f"{shlex.quote(login.password)}   (shown only once)"
    if config["config_root_password"]:
        password = "as set in config_root_password"
    return f"  root user  {shlex.quote(login.username)}  password  {password}"


def text(config: Mapping[str, Any], login: RootLogin | None, keys: str = "") -> str:
    """Return the welcome. `keys` is the file of generated keys, if there is one."""
    url = address(config)
    lines = ["", f"{config['config_app_name']} serves {url}", f"  {docs(config, url)}"]
    if login is not None:
        lines.append(login_line(config, login))
        if keys:
            lines.append(f"  root key   config_key_root, or in {keys}")
        lines += ["", "Try:", CURLS.format(url=url)]
    return "\n".join(lines) + "\n"


def print_login(config: Mapping[str, Any], login: RootLogin) -> None:
    """Print the login of a root user that was just created."""
    sys.stdout.write(login_line(config, login) + "\n")
    sys.stdout.flush()


def print_welcome(runtime: Runtime) -> None:
    """Print the welcome of a server that is ready."""
    config = runtime.config
    folder = config["config_atom_folder"]
    keys = f"{folder}/keys.json" if runtime.is_embedded else ""
    sys.stdout.write(text(config, runtime.login, keys))
    sys.stdout.flush()
