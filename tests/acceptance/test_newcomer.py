"""What somebody gets wrong in the first hour: each refusal tells the cure."""

import pytest

from atom.config import resolve as settings
from atom.config.keys import KEYS
from tests.integration.near import database_url
from tests.served import serve as served

__all__ = ["database_url"]
READ = "/my/object-read?table=test"
IMPORT = {"mode": "create", "table": "test"}


@pytest.mark.parametrize(
    ("filters", "hint"),
    [
        ("title=tea", "title==,x is equal to x"),
        ("rating=>3", "rating==,x is equal to x"),
        ("sort=title", "Parameters: table, column, order,"),
        ("ordr=title", "Did you mean 'order'?"),
        ("order_by=title", "Did you mean 'order'?"),
    ],
    ids=lambda text: text.partition("=")[0],
)
def test_filter_without_operator_is_told_how(api, ada, filters, hint):
    """A column is not taken for a misspelt parameter, and the other way round."""
    answer = api.call("GET", f"{READ}&{filters}", ada)

    assert 400 == answer.status_code
    assert hint in answer.json()["hint"]


def test_body_without_its_type_is_told_so(api):
    """What `curl -d` sends by default."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    body = '{"type":1,"username":"adele","password":"correct horse"}'
    answer = api.call("POST", "/auth/signup", content=body, headers=form)

    assert 422 == answer.status_code
    assert "Content-Type: application/json" in answer.json()["hint"]


@pytest.mark.parametrize(
    ("method", "path", "hint"),
    [
        ("GET", READ, "Authorization: Bearer <token>"),
        ("GET", "/root/explain", "config_key_root"),
        ("GET", "/my/profile/", "slash at its end"),
        ("GET", "/my/object-create?table=test", "It takes POST."),
    ],
    ids=["token", "root", "slash", "method"],
)
def test_refusal_at_the_door_tells_the_cure(api, method, path, hint):
    """Which header, which path, which method."""
    assert hint in api.call(method, path).json()["hint"]


def test_refusal_of_rights_and_queues_tells_the_cure(api, ada):
    """What an admin has to give; which key of a queue is not set."""
    denied = api.call("GET", "/admin/object-read?table=test", ada)
    queued = api.call(
        "POST", "/my/object-create?table=test&queue=redis", ada, json={"title": "x"}
    )

    assert "api_access" in denied.json()["hint"]
    assert "config_redis_pubsub_url" in queued.json()["hint"]


def test_place_out_of_range_is_told_the_range(api, ada):
    """Latitude first is what most people try."""
    answer = api.call("GET", f"{READ}&location_filter=28.6,97.2,0,20000", ada)

    assert "a latitude is from -90 to 90" in answer.json()["message"]


@pytest.mark.parametrize(
    ("file", "hint"),
    [
        (b"title\nK\xe4se\n", "UTF-8"),
        (b"title,\ntea,\n", "comma at the end"),
        (b"title;rating\ntea;1\n", "commas"),
    ],
    ids=["latin", "trailing", "semicolon"],
)
def test_file_of_a_spreadsheet_is_told_how_to_save_it(api, file, hint):
    """What a spreadsheet writes by another locale than ours."""
    files = {"file": ("sheet.csv", file)}
    answer = api.call("POST", "/root/postgres-import", "root", data=IMPORT, files=files)

    assert 400 == answer.status_code
    assert hint in answer.json()["hint"]


def test_explain_tells_a_stranger_from_a_lost_user(api):
    """Who asks without `user_id` asks for somebody without a token."""
    path = "/root/explain?path=/my/profile"

    assert "token missing" == api.message("GET", path, "root")["reason"]
    lost = api.message("GET", f"{path}&user_id=999999999", "root")
    assert "no such user" == lost["reason"]


def test_missing_tables_are_named_at_start(database_url):
    """A database of one's own, to which nothing was applied yet."""
    with served({"config_postgres_url": database_url}) as running:
        log = running.log.read_text()

    assert 1 == log.count("lacks tables that are declared")
    assert "users" in log and "schema apply" in log


class TestRemarks:
    """What the log says of names nobody knows."""

    def remarks(self, **values):
        return settings.resolve(KEYS, [("config_mine.py", values)]).remarks

    def test_own_name_is_welcome(self):
        """Also one that shares a word with a key of ours."""
        assert [] == self.remarks(config_note_max=10, config_shop_name="x")

    def test_misspelt_key_is_named(self):
        """With the right one."""
        assert "'config_workers'" in self.remarks(config_workrs=2)[0]

    def test_workers_are_given_no_name_that_is_no_key(self):
        """What the embedded servers add to the environment of workers is declared."""
        with served({"config_workers": "2"}) as server:
            log = server.log.read_text()

        assert 1 == log.count("atom serves ")
        assert "is not known" not in log
