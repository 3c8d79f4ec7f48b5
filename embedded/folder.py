"""The folder `.atom`: files only its owner may read, and the keys of development."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atom.errors import ConfigError

NAME = ".atom"


def private_folder(root: Path, name: str = NAME) -> Path:
    """Return `.atom` (or `name`) in the project's folder, made for its owner only.

    Raises:
        ConfigError: when it belongs to another user or cannot be made.
    """
    folder = root.resolve() / name
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.stat()
        # x alone is left: where root has no user namespaces, PostgreSQL runs as another
        # user, who passes through to a folder of its own.
        if state.st_mode & 0o066:
            folder.chmod(0o700)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
    except OSError as error:
        raise ConfigError([_closed(folder, error)]) from error
    if os.geteuid() not in (0, state.st_uid):
        raise ConfigError([_closed(folder, "it belongs to another user")])
    return folder


def _closed(folder: Path, why: Any) -> str:
    return (
        f"The folder {folder} cannot be used: {why}. Give it to the user who runs the "
        "application (chown -R), or set config_postgres_url."
    )


def write(path: Path, content: Mapping[str, Any], *, once: bool = False) -> None:
    """Write a file that only its owner may read, whole or not at all.

    Raises:
        FileExistsError: with `once`, when another process was first.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    owner = path.parent.stat()
    write_new(draft, json.dumps(content, indent=1), (owner.st_uid, owner.st_gid))
    try:
        if not once:
            draft.replace(path)
            return
        _link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _link(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        # Without hard links, the later of two first starts at once wins.
        if path.exists():
            raise FileExistsError(path) from None
        draft.replace(path)


def write_new(path: Path, text: str, owner: tuple[int, int]) -> None:
    """Write a new file that only its owner may read.

    A file that is already there is removed, never written to: it may be another user's
    link to a file that root must not touch.
    """
    path.unlink(missing_ok=True)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    with os.fdopen(os.open(path, flags, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        if os.geteuid() == 0:
            os.fchown(file.fileno(), *owner)


def read(path: Path) -> dict[str, Any] | None:
    """Return the content of a file that `write` wrote; None when there is no file.

    Raises:
        ConfigError: when it cannot be read or is not what was written.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError([f"{path} cannot be read: {error}"]) from error
    if not isinstance(content, dict):
        raise ConfigError([f"{path} does not hold what Atom wrote to it."])
    return content


def keys(root: Path, name: str = NAME) -> dict[str, str]:
    """Return this project's own `config_key_jwt` and `config_key_root`.

    Made once, from the system's randomness; for development only. Processes that ask
    at the same time get the same keys.

    Raises:
        ConfigError: when the file that keeps them was damaged.
    """
    path = private_folder(root, name) / "keys.json"
    kept = read(path)
    if kept is None:
        made = {
            "config_key_jwt": secrets.token_urlsafe(48),
            "config_key_root": secrets.token_urlsafe(24),
        }
        try:
            write(path, made, once=True)
        except FileExistsError:
            return keys(root, name)
        return made
    for key, least in (("config_key_jwt", 32), ("config_key_root", 16)):
        if not isinstance(kept.get(key), str) or len(kept[key]) < least:
            raise ConfigError(
                [
                    f"{path} holds no usable {key}. Remove the file: new keys are "
                    "made at the next start, and all users log in again."
                ]
            )
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return {key: kept[key] for key in ("config_key_jwt", "config_key_root")}


def urls(folder: Path | str) -> dict[str, str]:
    """Return the URLs of a folder's servers, as their holder published them."""
    published = (read(Path(folder) / "run.json") or {}).get("urls", {})
    return {str(name): str(url) for name, url in published.items()}
