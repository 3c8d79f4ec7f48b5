"""People for tests that need many: made past the sign-up, which has a limit."""

import secrets
from functools import cache

from argon2 import PasswordHasher

from tests.acceptance.conftest import Person

PASSWORD = "correct horse battery staple"


@cache
def hashed():
    """Hash the one password of all of them, once, as the server would."""
    return PasswordHasher(time_cost=4, memory_cost=19_456, parallelism=1).hash(PASSWORD)


def newcomer(api, **columns):
    """Make a user and log in; give them columns a user may not write, by SQL."""
    username = f"n{secrets.token_hex(6)}"
    insert = "insert into users (type, username, password) values (1, $1, $2)"
    (row,) = api.sql(f"{insert} returning id", username, hashed())
    body = {"type": 1, "username": username, "password": PASSWORD}
    answer = api.call("POST", "/auth/login-password", json=body)
    assert 200 == answer.status_code, answer.text
    pair = answer.json()
    for column, value in columns.items():
        api.sql(f"update users set {column} = $1 where id = $2", value, row["id"])
    return Person(row["id"], username, PASSWORD, pair["message"], pair["refresh_token"])
