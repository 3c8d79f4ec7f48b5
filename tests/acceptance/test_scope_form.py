"""A page under a large scope: fast from the fourth on, and always the same rows."""

import time

import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.acceptance.people import newcomer
from tests.account_setup import execute
from tests.served import serve

CONFIG = """
config_postgres_schema = {"table": {
    "share": ["user_id-bigint-1-btree", "account_id-bigint-0-0"],
    "entry": ["account_id-bigint-0-btree", "kind-integer-0-0", "title-text-0-0"],
}}
config_scope = {
    "my_account": "select account_id from share where user_id = :me",
    "my_kind": "select account_id % 3 from share where user_id = :me limit 1",
}
config_table = {"entry": {
    "my": {"read": "account_id in my_account and kind not in my_kind"},
}}
"""
ACCOUNTS = 20_000
FILL = f"""
insert into entry (account_id, kind, title)
select nullif(n % {ACCOUNTS}, 7), n % 3, 'entry ' || n
from generate_series(1, 200000) n;
insert into share (user_id, account_id)
select {{large}}, n * 5 from generate_series(1, {ACCOUNTS} / 5) n;
insert into share (user_id, account_id) values ({{small}}, 3), ({{small}}, 4);
analyze entry; analyze share;
"""
MINE = """
select array_agg(id) as ids from (
    select id from entry
    where account_id = any (select account_id from share where user_id = {0})
      and kind <> all (select account_id % 3 from share where user_id = {0} limit 1)
    order by id desc limit 20) t
"""
PAGE = "/my/object-read?table=entry&limit=20"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Serve two hundred thousand rows, of which Ada reaches a fifth and Bob twenty."""
    code = copied(tmp_path_factory.mktemp("shared"), config_shared=CONFIG)
    with serve(code=code) as served:
        api = opened(served)
        api.ada, api.bob = newcomer(api), newcomer(api)
        execute(api.database, FILL.format(large=api.ada.id, small=api.bob.id))
        yield api
        api.http.close()


def page(api, who, more=""):
    return [row["id"] for row in api.message("GET", PAGE + more, who)]


def expected(api, who):
    (row,) = api.sql(MINE.format(who.id))
    return row["ids"]


@pytest.mark.parametrize("index", [False, True], ids=["no index", "an index"])
def test_every_form_reads_the_same_rows(shared, index):
    """The scope is large, so the forms are tried one after the other."""
    if index:
        execute(shared.database, "create index on share (account_id, user_id)")
    for who in (shared.ada, shared.bob):
        mine = expected(shared, who)
        for _ in range(6):
            assert mine == page(shared, who)


def test_a_page_is_fast_once_the_forms_are_known(shared):
    """The fastest of the last pages against the first, which knew nothing."""
    took = []
    for _ in range(12):
        began = time.perf_counter()
        page(shared, shared.ada, "&order=id desc&kind=is,not null")
        took.append(time.perf_counter() - began)

    assert min(took[4:]) < took[0] / 2


def test_a_change_of_the_scope_counts_at_once(shared):
    """Whatever form was found."""
    for _ in range(5):
        assert expected(shared, shared.ada) == page(shared, shared.ada)
    newest = page(shared, shared.ada)[0]
    text = f"""delete from share where user_id = {shared.ada.id} and account_id =
        (select account_id from entry where id = {newest})"""

    execute(shared.database, text)

    found = page(shared, shared.ada)
    assert newest not in found
    assert expected(shared, shared.ada) == found
