"""Routes that hide one another: a fault, unless it is listed as an override."""

import re
from collections.abc import Iterable

from atom.config.resolve import Config
from atom.http.route import Route


def check(found: Iterable[Route], config: Config) -> None:
    """Check that no route hides another one, unless it is listed as an override."""
    allowed = set(config["config_route_override_list"])
    first: dict[tuple[str, str, str], str] = {}
    hidden: set[str] = set()
    for route in found:
        module = getattr(route.endpoint, "__module__", "main")
        place = getattr(route.endpoint, "place", f"{module}.py")
        shape = re.sub(r"{\w+", "{", route.path)
        for method in sorted(route.methods) or [""]:
            name = f"{method} {route.path}".strip()
            key = route.kind, method, shape
            if key not in first:
                first[key] = place
                continue
            hidden |= {name, route.path} & allowed
            if not {name, route.path} & allowed:
                config.problems.append(
                    f"{first[key]}: its {name} hides that of {place}. Use another "
                    f"path, or list {name!r} in config_route_override_list"
                )
    config.remarks.extend(
        f"config_route_override_list: {name!r} hides nothing."
        for name in sorted(allowed - hidden)
    )
