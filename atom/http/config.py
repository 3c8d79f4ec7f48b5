"""The config that steps read at every request, typed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """What config sets for every request."""

    env: str
    mode_check_is_active: str
    is_gzip: bool
    cors_origin_list: tuple[str, ...]
    trusted_proxy_list: tuple[str, ...]
    hsts_sec: int
