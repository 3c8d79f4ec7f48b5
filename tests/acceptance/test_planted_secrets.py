"""Secrets are used in every way there is, then looked for wherever anything is kept."""

import secrets

import pytest

from tests.acceptance.authenticator import App
from tests.acceptance.mailing import mailing
from tests.acceptance.operations import eventually

TABLES = """
select format('%I.%I', n.nspname, c.relname) as name
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm', 'p') and n.nspname !~ '^(pg_|information_schema)'
order by 1
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with mailing(tmp_path_factory.mktemp("planted"), config_mfa="optional") as made:
        yield made


@pytest.fixture(scope="module")
def planted(shop):
    """Walk through the flows. Return every secret that was used, by what it is."""
    found = {}
    api, ada = shop.api, shop.user()
    found |= {"password": ada.password, "token": ada.token, "refresh": ada.refresh}

    pair = shop.done("/auth/token-refresh", refresh_token=ada.refresh)
    found |= {"second token": pair["message"], "second refresh": pair["refresh_token"]}
    headers = {"authorization": f"Bearer {pair['message']}"}

    body = {"name": "x", "route": ["GET /my/profile"]}
    answer = api.call("POST", "/my/api-key-create", json=body, headers=headers)
    key = found["API key"] = answer.json()["message"]
    for asked in ("/my/profile", f"/public/info?key={key}", f"/my/profile?token={key}"):
        api.call("GET", asked, headers={"authorization": f"Bearer {key}"})
    api.call("GET", "/my/profile", headers={"authorization": f"Bearer {key}x"})

    mistyped = found["mistyped"] = f"mistyped {secrets.token_hex(8)}"
    shop.post("/auth/login-password", username=ada.username, password=mistyped)
    shop.post("/auth/login-password", username=ada.username, password=[mistyped])
    shop.post("/auth/signup", username="x", password=mistyped, other=1)
    shop.post("/auth/token-refresh", refresh_token=mistyped)

    found["changed"] = f"changed {secrets.token_hex(8)}"
    body = {"id": ada.id, "password": found["changed"], "password_old": ada.password}
    path = "/my/object-update?table=users"
    answer = api.call("PUT", path, json=body, headers=headers)
    assert 200 == answer.status_code, answer.text

    shop.done("/auth/password-forgot", email=ada.email)
    found["reset"] = shop.link(ada.email, "password-reset")
    found["new"] = f"new {secrets.token_hex(8)}"
    shop.done("/auth/password-reset", token=found["reset"], password=found["new"])
    shop.post("/auth/password-reset", token=found["reset"], password=found["new"])
    pair = shop.login(email=ada.email, password=found["new"]).json()
    found |= {"third token": pair["message"], "third refresh": pair["refresh_token"]}
    headers = {"authorization": f"Bearer {pair['message']}"}

    found |= second_factor(shop, ada, found["new"])
    for query in (
        f"token={pair['message']}",
        f"password={found['new']}",
        f"Refresh-Token={pair['refresh_token']}",
        f"api_key={mistyped}&x=1",
    ):
        api.call("GET", f"/public/info?{query}")
    api.call("GET", "/my/profile", headers={"authorization": f"Bearer {ada.token}x"})
    api.call("GET", "/root/doctor", "root")
    api.call("POST", "/auth/logout", headers=headers)
    admin = api.person(api_access="1,2,3,4,5,6,8")
    by_admin = f"by admin {secrets.token_hex(8)}"
    found["by admin"] = by_admin
    made = {"type": 1, "username": f"a{secrets.token_hex(4)}", "password": by_admin}
    answer = api.call("POST", "/admin/object-create?table=users", admin, json=made)
    assert 200 == answer.status_code, answer.text
    api.call("POST", "/admin/db-runner", admin, json={"query": "select 1 from users"})

    found |= {
        name: value
        for name, value in api.config.items()
        if name in ("config_key_root", "config_key_jwt", "config_root_password")
    }
    return found


def second_factor(shop, ada, password):
    """Walk through setting an app up and logging in with it. Return its secrets."""
    ada.token = shop.login(email=ada.email, password=password).json()["message"]
    given = shop.done("/my/totp-create", ada, password=password)["message"]
    app = App(given["secret"])
    found = {"app": given["secret"], "app in hex": app.key.hex(), "uri": given["uri"]}
    codes = shop.done("/my/totp-confirm", ada, code=app.code())["message"]
    step = shop.login(email=ada.email, password=password).json()["message"]
    found |= {"mfa_token": step["mfa_token"]}
    shop.post("/auth/login-mfa", mfa_token=step["mfa_token"], recovery_code=[codes[1]])
    body = {"mfa_token": step["mfa_token"], "recovery_code": codes[0]}
    found["token after it"] = shop.done("/auth/login-mfa", **body)["message"]
    for place, one in enumerate(codes):
        found |= {f"recovery {place}": one, f"bare {place}": one.replace("-", "")}
    return found


def test_no_table_keeps_a_secret(shop, planted):
    """Neither in a row nor in the request log, the audit or the queue of mails."""
    api, last = shop.api, secrets.token_hex(8)
    api.call("GET", f"/public/info?last={last}")
    eventually(
        lambda: api.sql("select from log_api where query_param = $1", f"last={last}")
    )

    def kept():
        held = []
        for table in api.sql(TABLES):
            rows = api.sql(f"select to_jsonb(t)::text as text from {table['name']} t")
            text = "\n".join(row["text"] for row in rows)
            held += [(table["name"], k) for k, v in planted.items() if v in text]
        return held

    assert len(planted) > 12
    assert len(api.sql(TABLES)) > 15
    eventually(lambda: not kept())  # a mail is emptied once the server took it


def test_the_log_holds_no_secret(shop, planted):
    text = shop.api.log.read_text()
    assert len(text) > 100
    assert not [name for name, value in planted.items() if value in text]
