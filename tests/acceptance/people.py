"""People for tests that need many: made past the sign-up, which has a limit."""

import secrets
from functools import cache

from argon2 import PasswordHasher

from tests.acceptance.conftest import Person
from tests.served import CHEAP

PASSWORD = "correct horse battery staple"
# Who asked for the last change of a user, by the audit.
LAST_CHANGE = """
select created_by_id, request_id from atom.row_audit
where table_name = 'users' and row_key = $1 order by id desc limit 1
"""


@cache
def hashed():
    """Hash the one password of all of them, once, as the server would."""
    memory, rounds = (int(value) for value in CHEAP.values())
    hasher = PasswordHasher(time_cost=rounds, memory_cost=memory, parallelism=1)
    return hasher.hash(PASSWORD)


def newcomer(api, **columns):
    """Make a user, also with columns a user may not write, and log in."""
    username = f"n{secrets.token_hex(6)}"
    columns |= {"type": 1, "username": username, "password": hashed()}
    places = ", ".join(f"${number}" for number, _ in enumerate(columns, 1))
    insert = f"insert into users ({', '.join(columns)}) values ({places}) returning id"
    (row,) = api.sql(insert, *columns.values())
    body = {"type": 1, "username": username, "password": PASSWORD}
    answer = api.call("POST", "/auth/login-password", json=body)
    assert 200 == answer.status_code, answer.text
    pair = answer.json()
    return Person(row["id"], username, PASSWORD, pair["message"], pair["refresh_token"])
