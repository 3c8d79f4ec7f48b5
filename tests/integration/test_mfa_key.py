"""The secrets of apps while the key that encrypts them is replaced."""

from dataclasses import replace

import pytest

from atom.account import mfa, totp, vault
from atom.errors import Unavailable
from tests.account_setup import cluster, database_url, ports, template

__all__ = ["cluster", "database_url", "ports", "template"]

OLD, NEW, OTHER = "o" * 32, "n" * 32, "j" * 32
ADD = "insert into atom.totp (user_id, secret, waiting) values ($1, $2, $3)"
FIND = "select secret, waiting from atom.totp where user_id = $1"


def configured(ports, **keys):
    ports.account = replace(ports.account, mfa="optional", **keys)
    return ports.account


async def add(ports, user_id):
    secret = totp.new_secret()
    await ports.database.run(
        ADD,
        user_id,
        vault.seal(ports.account, user_id, secret),
        vault.seal(ports.account, user_id, secret[::-1]),
    )
    return secret


async def found(ports, user_id):
    stored = await ports.database.row(FIND, user_id)
    return [vault.unseal(ports.account, user_id, bytes(one)) for one in stored]


@pytest.mark.parametrize("name", ["key_mfa", "key_jwt"])
async def test_a_start_with_two_keys_leaves_the_old_one_unneeded(ports, name):
    """`new,old` once, then `new` alone."""
    configured(ports, **{name: OLD})
    secret = await add(ports, 7)
    configured(ports, **{name: f"{NEW},{OLD}"})
    assert [secret, secret[::-1]] == await found(ports, 7)

    assert [] == await mfa.prepare(ports)

    configured(ports, **{name: NEW})
    assert [secret, secret[::-1]] == await found(ports, 7)


async def test_a_key_of_its_own_takes_over_from_that_of_tokens(ports):
    """Afterwards config_key_jwt can be replaced at once."""
    configured(ports, key_jwt=OLD)
    secret = await add(ports, 7)
    configured(ports, key_jwt=OLD, key_mfa=NEW)

    assert [] == await mfa.prepare(ports)

    configured(ports, key_jwt=OTHER, key_mfa=NEW)
    assert secret == (await found(ports, 7))[0]


async def test_a_key_that_is_gone_is_named_and_harms_no_other(ports, caplog):
    configured(ports, key_mfa=OLD)
    await add(ports, 7)
    configured(ports, key_mfa=NEW)
    secret = await add(ports, 8)

    assert [] == await mfa.prepare(ports)

    assert "of 1 users" in caplog.text
    assert secret == (await found(ports, 8))[0]
    with pytest.raises(Unavailable) as error:
        await found(ports, 7)
    assert "mfa.unreadable" == error.value.code


async def test_without_its_tables_it_does_not_start(ports):
    configured(ports)
    await ports.database.run("drop table atom.totp")
    (problem,) = await mfa.prepare(ports)
    assert "schema apply" in problem


async def test_each_encryption_differs_and_is_bound_to_its_user(ports):
    config = configured(ports)
    one, two = (vault.seal(config, 7, b"secret") for _ in range(2))
    assert one != two
    assert b"secret" not in one
    for stored, user in ((one, 8), (one[:-1] + bytes([one[-1] ^ 1]), 7), (b"", 7)):
        with pytest.raises(Unavailable):
            vault.unseal(config, user, stored)
