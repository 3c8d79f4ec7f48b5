"""Which passwords are refused: those that many use, and those with the user's own name.

`common_password.txt` has the most used ones of leaked lists, as the package zxcvbn
counts them (MIT licence, Dropbox and Daniel Wolf).
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from atom.account.config import AccountConfig
from atom.account.password import require_length
from atom.errors import ApiError

LIST = Path(__file__).parent / "common_password.txt"
NAME_MIN = 3  # letters; a shorter name is in many words


def require_fit(
    password: str, config: AccountConfig, names: Iterable[str | None] = ()
) -> None:
    """Check a password that a user chooses; `names` are theirs, addresses included.

    Raises:
        ApiError: `password.too_short`, `password.common`, `password.own_name`.
    """
    require_length(password, config)
    if not config.is_password_check:
        return
    plain = password.casefold()
    if plain.strip() in common():
        raise ApiError(
            "password is one of the most common ones",
            code="password.common",
            hint="Choose one that no list has: several words, for example.",
        )
    for name in names:
        own = (name or "").partition("@")[0].casefold()
        if len(own) >= NAME_MIN and own in plain:
            raise ApiError(
                "password contains your own name",
                code="password.own_name",
                hint="Choose one without your username or the name of your e-mail.",
            )


@cache
def common() -> frozenset[str]:
    """Return the passwords of the list."""
    return frozenset(LIST.read_text("utf-8").split("\n")) - {""}
