"""Whom each word of `config_mfa` demands a second factor of."""

from dataclasses import replace

import pytest

from atom.account import mfa, session
from atom.account.demand import is_lacking
from atom.account.signup import sign_up
from atom.config.key_mfa import MFA, MODES
from atom.errors import Unauthenticated
from tests.account_setup import cluster, database_url, ports, template

__all__ = ["cluster", "database_url", "ports", "template"]

ADD = "insert into users (type, username, api_access) values (1, $1, $2) returning id"
APP = "insert into atom.totp (user_id, secret) values ($1, 'x')"
DEMANDED = {"off": "", "optional": "", "required_for_admin": "ar", "required": "uar"}


async def test_by_mode_and_person(ports):
    """A user, an admin, and user 1; with an app none of them lacks anything."""
    run, value = ports.database.run, ports.database.value
    assert 1 == await value(ADD, "root", "")
    who = {"u": await value(ADD, "u", ""), "a": await value(ADD, "a", "5"), "r": 1}
    for has_app in (False, True):
        for mode in MODES:
            config = replace(ports.account, mfa=mode)
            found = [
                k for k, v in who.items() if await is_lacking(ports.database, config, v)
            ]
            assert ("" if has_app else DEMANDED[mode]) == "".join(found), mode
        if not has_app:
            for user_id in who.values():
                await run(APP, user_id)


async def test_where_it_is_required_a_sign_up_leads_to_it(ports):
    """And a session from before the change of the key ends at its next refresh."""
    made = await sign_up(ports, type=1, name="ada", password="correct horse battery")
    ports.account = replace(ports.account, mfa="required")
    with pytest.raises(Unauthenticated) as error:
        await session.rotate(ports, made.refresh)
    assert "mfa.required" == error.value.code

    entry = await sign_up(ports, type=1, name="bob", password="correct horse battery")
    assert isinstance(entry, mfa.Challenge)
    assert (("totp",), ()) == (entry.enrol, entry.methods)

    ports.account = replace(ports.account, mfa="optional")
    assert (await session.rotate(ports, made.refresh)).access


def test_another_word_is_refused():
    key = MFA[0]
    assert "required" == key.parse(" Required ")
    with pytest.raises(ValueError, match="expected one of off, optional"):
        key.parse("on")
