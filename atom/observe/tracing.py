"""Which requests are timed for Sentry."""

_share: list[float] = []  # of requests; empty while Sentry is off


def start(share: float) -> None:
    """Time this share of requests from now on."""
    _share[:] = [share]


def stop() -> None:
    """Time no more requests."""
    _share.clear()


def is_on() -> bool:
    """Whether errors go to Sentry."""
    return bool(_share)


def rate() -> float:
    """Return the share of requests that are timed, 0 to 1."""
    return _share[0] if _share else 0.0
