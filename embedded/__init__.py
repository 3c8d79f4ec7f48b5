"""A private PostgreSQL and Valkey for a machine that has none; not for production.

In reading order:

    binaries  where the programs are on this machine
    folder    `.atom`: its files, readable by its owner only; the keys of development
    lock      which process holds the servers, and how others find them
    child     becomes a server: takes its user, is tied to its parent, executes
    run_as    the user that the servers run as
    leftover  processes of an earlier run
    server    one program, kept running
    prepare   what the superuser does once
    postgres  the database
    valkey    the Redis of several workers
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from atom.errors import ConfigError
from embedded import postgres, valkey
from embedded.folder import NAME, keys, private_folder
from embedded.lock import hold

__all__ = ("keys", "provided")

PRODUCTION = ("production", "staging")
FOLDER = "config_atom_folder"
POSTGRES = "config_postgres_url"
REDIS = ("config_redis_url", "config_redis_url_ratelimiter", "config_redis_pubsub_url")


@contextmanager
def provided(
    config: Mapping[str, Any], root: Path, *, join: bool, workers: int
) -> Iterator[dict[str, Any]]:
    """Run the servers that the config does not name; yield their URLs as config.

    PostgreSQL when `config_postgres_url` is unset; Valkey when several workers have no
    Redis to share. With `join`, servers that another process of this project runs are
    used, and stay up afterwards.

    Raises:
        ConfigError: in production, when another process holds them, or when they
            cannot be run here; always with the cure.
    """
    needs_postgres = not config.get(POSTGRES)
    needs_redis = workers > 1 and not any(config.get(key) for key in REDIS[:2])
    if needs_postgres and config.get("config_env") in PRODUCTION:
        missing = [POSTGRES, *(REDIS[:2] if needs_redis else ())]
        raise ConfigError(
            [
                f"config_env={config['config_env']} does not run on a private "
                "database. Set "
                f"{', '.join(missing)}."
            ]
        )
    if config.get("config_env") in PRODUCTION or not (needs_postgres or needs_redis):
        yield {}
        return
    with ExitStack() as stack:
        folder = private_folder(root, config.get(FOLDER) or NAME)
        held = stack.enter_context(hold(folder, join=join))
        urls = dict(held.urls)
        if held.ours and needs_postgres:
            urls[POSTGRES] = stack.enter_context(postgres.served(held.folder))
        if held.ours and needs_redis:
            url = stack.enter_context(valkey.served(held.folder))
            urls |= dict.fromkeys(REDIS, url)
        if held.ours:
            held.publish(urls)
            stack.callback(held.wait_for_others)
            stack.callback(held.withdraw)
        yield {key: url for key, url in urls.items() if not config.get(key)}
