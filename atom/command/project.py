"""What a command works on: the project's config, and its database."""

import asyncio
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from atom.command.serve import refuse, require_direct_connection
from atom.config.resolve import Config
from atom.errors import ApiError, ConfigError
from atom.postgres.pooler import direct_url
from atom.runtime import Runtime


class Project:
    """The runtime of a command, and what is wrong with its config."""

    def __init__(self, runtime: Runtime, problems: Sequence[str]) -> None:
        self.runtime = runtime
        self.problems = problems

    @contextmanager
    def database(self) -> Iterator[tuple[Config, str]]:
        """Yield config and the URL of the configured database, or the embedded one.

        The process exits with 1 and all problems when there are any, and with the
        message of a `ConfigError` or `ApiError` that is raised inside.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _exit)
        try:
            refuse(self.problems, self.runtime.config.remarks)
            with self.runtime.servers(join=True, workers=1):
                config = self.runtime.config
                url = direct_url(config)
                seconds = config["config_postgres_connect_timeout_sec"]
                asyncio.run(require_direct_connection(url, seconds))
                yield config, url
        except ConfigError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(1)
        except ApiError as error:
            sys.stderr.write(f"{error.message} {error.hint}".strip() + "\n")
            sys.exit(1)


def _exit(number: int, frame: FrameType | None) -> None:
    """Leave in order, with the exit code of a signal."""
    raise SystemExit(128 + number)
