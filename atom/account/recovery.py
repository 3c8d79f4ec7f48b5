"""Recovery codes: each lets a user in once who has lost the other factor.

They have 120 random bits: a slow hash would add nothing.
"""

import hashlib
import re
import secrets
from typing import Any

COUNT = 10
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
GROUPS, SIZE = 6, 4

ADD = """
insert into atom.recovery_code (code_hash, user_id)
select code_hash, $2 from unnest($1::bytea[]) as one (code_hash)
"""
REMOVE = "delete from atom.recovery_code where user_id = $1"
USE = "delete from atom.recovery_code where code_hash = $1 and user_id = $2"


def new_code() -> str:
    """Return a code of six groups of four letters and digits."""
    groups = (
        "".join(secrets.choice(LETTERS) for _ in range(SIZE)) for _ in range(GROUPS)
    )
    return "-".join(groups)


def digest(code: str, user_id: int) -> bytes:
    """Return what is stored of a code; spaces, hyphens and capitals do not count.

    >>> digest("abcd-2345", 7) == digest(" ABCD 2345", 7)
    True
    """
    plain = re.sub(r"[\s-]", "", code).lower()
    text = f"recovery\0{user_id}\0{plain}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).digest()


async def renew(connection: Any, user_id: int) -> list[str]:
    """Replace the codes of a user, in a transaction. Return the new ones."""
    codes = [new_code() for _ in range(COUNT)]
    await connection.run(REMOVE, user_id)
    await connection.run(ADD, [digest(code, user_id) for code in codes], user_id)
    return codes


async def use(connection: Any, user_id: int, code: str) -> bool:
    """Use a code up. Return whether the user had it."""
    return bool(await connection.run(USE, digest(code, user_id), user_id))
