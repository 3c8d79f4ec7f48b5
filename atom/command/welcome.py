"""The welcome at the start: where things are, and three curls that work."""

import shlex
import sys
from dataclasses import dataclass

from atom.account.root import RootLogin
from atom.config.resolve import Config
from atom.config.view import view
from atom.http.docs_pass import is_docs_closed
from atom.runtime import Runtime

CURLS = """\
  curl -X POST {url}/auth/signup -H 'content-type: application/json' \\
    -d '{{"type":1,"username":"ada","password":"correct horse"}}'
  curl -X POST '{url}/public/object-create?table=test' \\
    -H 'content-type: application/json' -d '{{"title":"hello"}}'
  curl '{url}/public/object-read?table=test&limit=3'
"""


@dataclass(frozen=True, slots=True)
class WelcomeConfig:
    """What config sets for the welcome."""

    env: str
    host: str
    port: int
    app_name: str
    atom_folder: str
    is_docs: bool
    root_password: str | None


def address(given: WelcomeConfig) -> str:
    """Return the URL of the server as seen from this machine."""
    host = given.host
    if host in {"0.0.0.0", "::"}:  # noqa: S104
        host = "127.0.0.1"
    return f"http://{host}:{given.port}"


def docs(given: WelcomeConfig, url: str) -> str:
    """Return where to find the documentation; in production it asks for the root key.

    >>> production = WelcomeConfig("production", "h", 80, "Atom", ".atom", False, None)
    >>> docs(production, "http://h")
    'docs  http://h/docs  (log in with config_key_root)'
    >>> opened = WelcomeConfig("production", "h", 80, "Atom", ".atom", True, None)
    >>> docs(opened, "http://h")
    'docs  http://h/docs'
    """
    if is_docs_closed(given.env, given.is_docs):
        return f"docs  {url}/docs  (log in with config_key_root)"
    return f"docs  {url}/docs"


def login_line(given: WelcomeConfig, login: RootLogin) -> str:
    """Return the login of a root user just created; it is known only now."""
    password = f"{shlex.quote(login.password)}   (shown only once)"
    if given.root_password:
        password = "as set in config_root_password"
    return f"  root user  {shlex.quote(login.username)}  password  {password}"


def text(given: WelcomeConfig, login: RootLogin | None, keys: str = "") -> str:
    """Return the welcome. `keys` is the file of generated keys, if there is one."""
    url = address(given)
    lines = ["", f"{given.app_name} serves {url}", f"  {docs(given, url)}"]
    if login is not None:
        lines.append(login_line(given, login))
        if keys:
            lines.append(f"  root key   config_key_root, or in {keys}")
        lines += ["", "Try:", CURLS.format(url=url)]
    return "\n".join(lines) + "\n"


def print_login(config: Config, login: RootLogin) -> None:
    """Print the login of a root user that was just created."""
    sys.stdout.write(login_line(view(WelcomeConfig, config), login) + "\n")
    sys.stdout.flush()


def print_welcome(runtime: Runtime) -> None:
    """Print the welcome of a server that is ready."""
    given = view(WelcomeConfig, runtime.config)
    keys = f"{given.atom_folder}/keys.json" if runtime.is_embedded else ""
    sys.stdout.write(text(given, runtime.login, keys))
    sys.stdout.flush()
