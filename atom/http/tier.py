"""What the first segment of a route's path promises."""

WITH_TOKEN = frozenset({"my", "private", "admin"})


def tier(path: str) -> str:
    """Return the first segment of a route's path: root, my, admin, public…

    >>> tier("/my/object-read")
    'my'
    >>> tier("/")
    ''
    """
    return path.split("/", 2)[1] if path.startswith("/") else ""
