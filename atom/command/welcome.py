"""What a person is told at the start: where things are, and three curls that work."""

import shlex
import sys
from collections.abc import Mapping
from typing import Any

from atom.account.root import RootLogin

CURLS = """\
  curl -X POST {url}/auth/signup -H 'content-type: application/json' \\
    -d '{{"type":1,"username":"ada","password":"correct horse"}}'
  curl -X POST '{url}/public/object-create?table=test' \\
    -H 'content-type: application/json' -d '{{"title":"hello"}}'
  curl '{url}/public/object-read?table=test&limit=3'
"""


def address(config: Mapping[str, Any]) -> str:
    """Return where a person on this machine finds the server."""
    host = config["config_host"]
    if host in {"0.0.0.0", "::"}:  # noqa: S104
        host = "127.0.0.1"
    return f"http://{host}:{config['config_port']}"


def text(config: Mapping[str, Any], login: RootLogin | None) -> str:
    """Write the welcome; with the root login when it was made just now."""
    url = address(config)
    folder = config["config_atom_folder"]
    lines = ["", f"{config['config_app_name']} serves {url}", f"  docs  {url}/docs"]
    if login is not None:
        username = shlex.quote(login.username)
        password = f"{shlex.quote(login.password)}   (told this once)"
        if config["config_root_password"]:
            password = "as set in config_root_password"
        lines += [
            f"  root user  {username}  password  {password}",
            f"  root key   config_key_root, or in {folder}/keys.json"
            if config.get("config_is_embedded")
            else "",
            "",
            "Try:",
            CURLS.format(url=url),
        ]
    return "\n".join(lines) + "\n"


def tell(config: Mapping[str, Any], login: RootLogin | None) -> None:
    """Print the welcome."""
    sys.stdout.write(text(config, login))
    sys.stdout.flush()
