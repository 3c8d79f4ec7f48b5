"""Many at once: one wins, the others are told, and nothing is ever a fault."""

import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.acceptance.people import newcomer


@pytest.fixture(scope="module")
def threads():
    """Twenty callers."""
    with ThreadPoolExecutor(20) as pool:
        yield pool


@pytest.fixture(scope="module")
def at_once(api, threads):
    """Make the same calls at the same time, each on a line of its own."""
    limits = httpx2.Limits(max_connections=40, max_keepalive_connections=40)
    with httpx2.Client(timeout=30, limits=limits) as http:

        def ask(call):
            method, path, who, body = call
            headers = {} if who is None else who.headers
            return http.request(method, api.url + path, headers=headers, json=body)

        def run(calls):
            answers = list(threads.map(ask, calls))
            for answer in answers:
                assert answer.status_code < 500, answer.text
            return answers

        yield run


def statuses(answers):
    """Count the answers by status."""
    return Counter(answer.status_code for answer in answers)


def rights(token):
    """Return the headers that carry a token."""
    return {"Authorization": f"Bearer {token}"}


def test_one_of_twenty_signups_of_a_name_wins(api, at_once):
    """The others hear that it is taken; one row is there."""
    name = f"race-{secrets.token_hex(4)}"
    body = {"type": 1, "username": name, "password": "correct horse"}

    answers = at_once([("POST", "/auth/signup", None, body)] * 20)

    assert {200: 1, 409: 19} == statuses(answers)
    assert 1 == len(api.sql("select from users where username = $1", name))


def test_one_of_many_spellings_of_a_name_wins(api, at_once):
    """Spaces around it and ways of writing an accent make no second user."""
    name = f"race-{secrets.token_hex(4)}"
    spellings = [f"{name}é", f" {name}é", f"{name}e\u0301", f"{name}e\u0301 "] * 2
    bodies = [
        {"type": 1, "username": spelt, "password": "correct horse"}
        for spelt in spellings
    ]

    answers = at_once([("POST", "/auth/signup", None, body) for body in bodies])

    assert {200: 1, 409: 7} == statuses(answers)


def test_one_of_twenty_refreshes_wins_and_the_session_stays(api, at_once):
    """Twenty at once are tabs of one browser: the pair of the first is good."""
    person = newcomer(api)
    body = {"refresh_token": person.refresh}

    answers = at_once([("POST", "/auth/token-refresh", None, body)] * 20)

    assert {200: 1, 409: 19} == statuses(answers)
    (won,) = [answer.json() for answer in answers if answer.status_code == 200]
    for token in (person.token, won["message"]):
        answer = api.call("GET", "/my/profile", headers=rights(token))
        assert 200 == answer.status_code
    body = {"refresh_token": won["refresh_token"]}
    assert 200 == api.call("POST", "/auth/token-refresh", json=body).status_code


def test_one_of_twenty_equal_reports_is_kept(api, at_once, ada):
    """One 200, the rest 409; also in lists, and through the batch."""
    other = newcomer(api)
    body = {"user_id": other.id}
    path = "/my/object-create?table=report_user"

    answers = at_once([("POST", path, ada, body)] * 20)

    assert {200: 1, 409: 19} == statuses(answers)
    other = newcomer(api)
    mixed = [{"user_id": other.id}, [{"user_id": other.id}]] * 10
    answers = at_once([("POST", path, ada, each) for each in mixed])
    assert {200: 1, 409: 19} == statuses(answers)
    found = "select from report_user where user_id = $1"
    assert 1 == len(api.sql(found, other.id))


def test_row_that_is_deleted_and_changed_at_once(api, at_once, ada):
    """Every call hears what became of the row: changed, deleted, or not there."""
    made = api.message(
        "POST", "/my/object-create?table=test", ada, json=[{"title": "x"}] * 5
    )
    calls = []
    for one in made:
        named = {"table": "test", "ids": [one]}
        value = {"column": "title", "value": "z"}
        calls += [
            ("PUT", "/my/object-update?table=test", ada, {"id": one, "title": "y"}),
            ("PUT", "/my/ids-update", ada, named | value),
            ("DELETE", "/my/ids-delete", ada, named),
            ("DELETE", f"/my/object-delete-any?table=test&id==,{one}", ada, None),
        ]

    answers = at_once(calls)

    assert set(statuses(answers)) <= {200, 404}
    deleted = sum(
        answer.json()["message"]
        for answer, (method, *_) in zip(answers, calls, strict=True)
        if method == "DELETE"
    )
    assert 5 == deleted
    assert [] == api.sql("select from test where id = any($1)", made)


def test_many_rows_in_either_order_do_not_lock_each_other_out(api, at_once, ada):
    """Two who change the same rows in opposite order both get an answer."""
    made = api.message(
        "POST", "/my/object-create?table=test", ada, json=[{"title": "x"}] * 200
    )
    named = {"table": "test", "column": "title"}
    calls = [
        (
            "PUT",
            "/my/ids-update",
            ada,
            named | {"ids": made if n % 2 else made[::-1], "value": f"v{n}"},
        )
        for n in range(20)
    ]

    answers = at_once(calls)

    assert set(statuses(answers)) <= {200, 409}
    assert 200 in statuses(answers)
    titles = api.sql("select distinct title from test where id = any($1)", made)
    assert 1 == len(titles)


def test_password_is_changed_once(api, at_once):
    """Of twenty with the same old password, those who come late are refused."""
    person = newcomer(api)
    bodies = [
        {"id": person.id, "password": f"new password {n}"}
        | {"password_old": person.password}
        for n in range(8)
    ]
    path = "/my/object-update?table=users"

    answers = at_once([("PUT", path, person, body) for body in bodies])

    assert {200: 1, 401: 7} == statuses(answers)
    logins = [
        api.call(
            "POST",
            "/auth/login-password",
            json={"type": 1, "username": person.username, "password": body["password"]},
        ).status_code
        for body in bodies
    ]
    assert 1 == logins.count(200)
    assert 401 == api.call("GET", "/my/profile", person).status_code


def test_account_is_deleted_once(api, at_once):
    """Twenty at once, among readers and writers: gone, and never a fault."""
    person = newcomer(api)
    calls = [
        ("DELETE", "/my/account-delete?mode=hard", person, None),
        ("GET", "/my/profile", person, None),
        ("POST", "/my/object-create?table=test", person, {"title": "late"}),
        ("GET", "/my/token-refresh", person, None),
    ] * 5

    answers = at_once(calls)

    assert set(statuses(answers)) <= {200, 401, 404}
    assert 1 == statuses(answers[::4])[200]
    assert [] == api.sql("select from users where id = $1", person.id)
    assert 401 == api.call("GET", "/my/profile", person).status_code


def test_logout_and_refresh_at_once_leave_no_session(api, at_once):
    """Whoever wins: after the logout nothing of the session works."""
    person = newcomer(api)
    refresh = {"refresh_token": person.refresh}
    calls = [
        ("POST", "/auth/token-refresh", None, refresh),
        ("POST", "/auth/logout", person, None),
    ]

    answers = at_once(calls * 3)

    tokens = [person.token]
    for answer in answers:
        if "refresh_token" in answer.json():
            tokens.append(answer.json()["message"])
            body = {"refresh_token": answer.json()["refresh_token"]}
            again = api.call("POST", "/auth/token-refresh", json=body)
            assert 401 == again.status_code
    for token in tokens:
        answer = api.call("GET", "/my/profile", headers=rights(token))
        assert 401 == answer.status_code


def test_schema_applied_by_many_at_once(api, at_once):
    """One after the other: an advisory lock keeps them apart."""
    root = type("Root", (), {"headers": api.root})
    answers = at_once([("GET", "/root/postgres-init", root, None)] * 6)

    assert {200: 6} == statuses(answers)


def test_answer_of_one_is_not_the_answer_of_another(api, at_once):
    """Forty reads of two people, at once: each gets their own rows."""
    people = [newcomer(api), newcomer(api)]
    for person in people:
        body = {"title": f"of {person.id}"}
        api.message("POST", "/my/object-create?table=test", person, json=body)
    path = "/my/object-read?table=test&column=created_by_id"

    answers = at_once([("GET", path, people[n % 2], None) for n in range(40)])

    for n, answer in enumerate(answers):
        owners = {row["created_by_id"] for row in answer.json()["message"]}
        assert {people[n % 2].id} == owners
