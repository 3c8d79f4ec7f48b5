"""In production a browser stays with https, and opens /docs with the root key.

A page asks for it, since a browser cannot send the header.
"""

import re
import time

import httpx2
import pytest

from atom.http.docs_pass import DocsPass
from tests.integration.near import database_url
from tests.served import serve

__all__ = ["database_url"]

PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
COOKIE = "atom_docs"
CLOSED = ("/docs", "/redoc", "/openapi.json", "/docs/redoc.standalone.js")


@pytest.fixture(scope="module")
def production(database_url):
    values = {"config_postgres_url": database_url, "config_is_postgres_init": "1"}
    more = {
        "config_env": "production",
        "config_trusted_proxy_list": "127.0.0.1",
        "config_is_prometheus": "1",
    }
    with serve({**values, **more}) as served:
        yield served


@pytest.fixture
def browser(production):
    """A browser of its own, at an address of its own."""
    address = f"198.51.100.{time.monotonic_ns() % 250}"
    headers = {**PAGE, "x-forwarded-for": address}
    with httpx2.Client(base_url=production.url, headers=headers) as client:
        yield client


def log_in(browser, key, **more):
    return browser.post("/docs/login", data={"key": key}, **more)


@pytest.mark.parametrize(
    ("proto", "sent"), [("https", "max-age=31536000"), ("http", None), ("x", None)]
)
def test_a_browser_stays_with_https(production, proto, sent):
    for path in ("/", "/my/profile", "/nowhere"):
        with httpx2.Client(base_url=production.url) as client:
            answer = client.get(path, headers={"x-forwarded-proto": proto})
        assert sent == answer.headers.get("strict-transport-security"), path


def test_the_banner_names_the_page_and_the_key(production):
    (line,) = re.findall(r"^  docs  .*$", production.log.read_text(), re.M)
    assert f"{production.url}/docs" in line
    assert "config_key_root" in line


def test_a_browser_is_led_to_the_page_and_back(production, browser):
    first = browser.get("/docs")
    page = browser.get("/docs", follow_redirects=True)
    key = production.config["config_key_root"]
    came = log_in(browser, key, follow_redirects=True)

    assert (303, "/docs/login") == (first.status_code, first.headers["location"])
    assert 200 == page.status_code
    assert 'type="password"' in page.text
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert "no-store" == page.headers["cache-control"]
    assert "<script" not in page.text
    assert (200, "/docs") == (came.status_code, came.url.path)
    assert "swagger" in came.text
    assert [200] * 4 == [browser.get(path).status_code for path in CLOSED]
    kept = browser.get("/openapi.json").headers["cache-control"]
    assert "private, no-cache" == kept


def test_the_cookie_is_for_this_site_alone_and_holds_no_key(production, browser):
    key = production.config["config_key_root"]
    https = {"x-forwarded-proto": "https"}
    plain = log_in(browser, key).headers["set-cookie"]
    safe = log_in(browser, key, headers=https).headers["set-cookie"]

    for each in (plain, safe):
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(each.split("; "))
        assert key not in each
    assert "Secure" in safe
    assert "Secure" not in plain


def test_it_opens_the_documentation_and_nothing_else(production, browser):
    log_in(browser, production.config["config_key_root"])

    for path in ("/root/postgres-init?mode=plan", "/root/reset-global", "/metrics"):
        assert 401 == browser.get(path).status_code, path
    assert 401 == browser.get("/my/profile").status_code
    refused = browser.get("/docs", headers={"authorization": "Bearer wrong"})
    assert 401 == refused.status_code  # a header counts before a cookie


@pytest.mark.parametrize("path", CLOSED)
def test_without_a_browser_it_is_401(production, path):
    """As before: a program sends the key as a header."""
    key = production.config["config_key_root"]
    with httpx2.Client(base_url=production.url) as client:
        assert 401 == client.get(path).status_code
        header = {"authorization": f"Bearer {key}"}
        assert 200 == client.get(path, headers=header).status_code


@pytest.mark.parametrize("path", CLOSED[2:])
def test_only_pages_lead_to_the_login(browser, path):
    assert 401 == browser.get(path).status_code


def forged(key, now):
    good = DocsPass(key).issue(now)
    ends, mark = good.split(".")
    yield from ("", ".", "x", "1.2.3", f"{ends}.", f".{mark}", "²." + mark)
    yield f"{int(ends) + 1}.{mark}"
    yield f"{ends}.{mark[:-1]}{'0' if mark[-1] != '0' else '1'}"
    yield DocsPass("another key of 32 characters....").issue(now)
    yield DocsPass(key).issue(now - 10**6)
    yield f"{10**400}.{mark}"
    yield f"{ends}.é"


def test_a_forged_cookie_opens_nothing(production):
    key = production.config["config_key_root"]
    now = int(time.time())
    with httpx2.Client(base_url=production.url) as client:
        for each in forged(key, now):
            header = {"cookie": f"{COOKIE}={each}".encode()}
            assert 401 == client.get("/openapi.json", headers=header).status_code
        header = {"cookie": f"a=b; {COOKIE}={DocsPass(key).issue(now)}; c=d"}
        assert 200 == client.get("/openapi.json", headers=header).status_code


def test_a_wrong_key_is_refused_and_guesses_are_counted(production, browser):
    answers = [log_in(browser, f"guess {n}") for n in range(11)]
    codes = [each.status_code for each in answers]
    key = production.config["config_key_root"]

    assert [401] * 10 + [429] == codes
    assert "That is not the root key." in answers[0].text
    assert "set-cookie" not in answers[0].headers
    assert "guess" not in answers[0].text
    assert 429 == log_in(browser, key).status_code
    elsewhere = {"x-forwarded-for": "203.0.113.7"}
    assert 303 == log_in(browser, key, headers=elsewhere).status_code


@pytest.mark.parametrize(
    "sent",
    [
        {"data": {}},
        {"data": {"key": ["a", "b"]}},
        {"files": {"key": ("a.txt", b"x")}},
        {"json": {"key": "x"}},
        {"content": b"\xff\xfe"},
        {"data": {"key": "é" * 100}},
    ],
    ids=["nothing", "twice", "file", "json", "bytes", "letters"],
)
def test_a_form_of_another_kind_is_refused(browser, sent):
    assert 401 == browser.post("/docs/login", **sent).status_code


def test_where_the_documentation_is_open_there_is_no_login(api):
    """In development."""
    assert 200 == api.call("GET", "/docs", headers=PAGE).status_code
    answer = api.call("GET", "/docs/login", headers=PAGE, follow_redirects=False)
    assert (303, "/docs") == (answer.status_code, answer.headers["location"])
    assert 404 == api.call("POST", "/docs/login", data={"key": "x"}).status_code
