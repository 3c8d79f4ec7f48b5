"""URLs given in parts: POSTGRES_SERVER, POSTGRES_USER and so on; REDIS_HOST."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from atom.config.resolve import Layer


@dataclass(frozen=True)
class Parts:
    """A URL in parts. `host` and `needs` must be set when any of the names is."""

    key: str
    scheme: str
    host: tuple[str, ...]  # any one of these names
    needs: tuple[str, ...]
    user: str
    password: str
    port: str
    database: str
    port_default: str
    database_default: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Every name it reads."""
        rest = (self.user, self.password, self.port, self.database)
        return (*self.host, *rest)

    def given(self, variables: Mapping[str, str]) -> list[str]:
        """Return the names that are set."""
        return [name for name in self.names if variables.get(name)]

    def missing(self, variables: Mapping[str, str]) -> list[str]:
        """Return the names that have to be set as well; a password may be empty."""
        lacks = [
            name
            for name in self.needs
            if not variables.get(name)
            and not (name == self.password and name in variables)
        ]
        if not any(variables.get(name) for name in self.host):
            lacks.insert(0, self.host[0])
        return lacks

    def url(self, variables: Mapping[str, str]) -> str:
        """Build the URL. Special characters of the parts are escaped.

        >>> POSTGRES.url({"POSTGRES_SERVER": "::1", "POSTGRES_USER": "a",
        ...     "POSTGRES_PASSWORD": "p@ss/:?#", "POSTGRES_DB": "shop"})
        'postgresql://a:p%40ss%2F%3A%3F%23@[::1]:5432/shop'
        >>> REDIS.url({"REDIS_HOST": "cache", "REDIS_PASSWORD": "x y"})
        'redis://:x%20y@cache:6379/0'
        """
        host = next(variables[name] for name in self.host if variables.get(name))
        port = variables.get(self.port) or self.port_default
        user = quote(variables.get(self.user) or "", safe="")
        password = variables.get(self.password) or ""
        login = f"{user}:{quote(password, safe='')}@" if password else f"{user}@"
        database = variables.get(self.database) or self.database_default
        path = quote(database, safe="")
        if host.startswith("/"):  # the folder of a Unix socket
            place = quote(host, safe="")
            return f"{self.scheme}://{login}/{path}?host={place}&port={port}"
        if ":" in host:
            host = f"[{host}]"
        return f"{self.scheme}://{login if login != '@' else ''}{host}:{port}/{path}"


POSTGRES = Parts(
    "config_postgres_url",
    "postgresql",
    ("POSTGRES_SERVER", "POSTGRES_HOST"),
    ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"),
    user="POSTGRES_USER",
    password="POSTGRES_PASSWORD",
    port="POSTGRES_PORT",
    database="POSTGRES_DB",
    port_default="5432",
)
REDIS = Parts(
    "config_redis_url",
    "redis",
    ("REDIS_HOST",),
    (),
    user="REDIS_USER",
    password="REDIS_PASSWORD",
    port="REDIS_PORT",
    database="REDIS_DB",
    port_default="6379",
    database_default="0",
)


def joined(
    parts: Parts, variables: Mapping[str, str], problems: list[str]
) -> list[Layer]:
    """Return the layer with the URL that the parts make; a half set is a problem."""
    given = parts.given(variables)
    if not given:
        return []
    if missing := parts.missing(variables):
        problems.append(
            f"{parts.key}: {', '.join(given)} without {', '.join(missing)}. Set all of "
            f"them, or {parts.key}."
        )
        return []
    port = variables.get(parts.port) or parts.port_default
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        problems.append(f"{parts.port}: expected a port from 1 to 65535")
        return []
    return [(", ".join(given), {parts.key: parts.url(variables)})]
