"""Kept answers: what an answer depends on is in its key, or it is not kept."""

import gzip

import httpx2
import pytest

from tests.acceptance.checkout import copied
from tests.acceptance.conftest import opened
from tests.served import serve

CONFIG = """
KEPT = {"cache_sec": ["inmemory", 60]}
config_api = {
    "/kept/mine": KEPT,
    "/kept/cookie": KEPT,
    "/kept/shared": {"cache_sec": ["inmemory", 60, "shared"]},
    "/kept/language": KEPT,
    "/kept/any": KEPT,
    "/kept/rules/{word}": KEPT,
    "/kept/packed": KEPT,
    "/kept/tagged": KEPT,
    "/kept/moody/{word:path}": KEPT,
    "/kept/caller": {**KEPT, "is_token": 1},
}
"""
ROUTER = """
import gzip
from typing import Annotated

from fastapi import Depends, Header
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from extend import *

router = APIRouter()
Basic = Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]
calls = {"n": 0}


def counted(**headers):
    calls["n"] += 1
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return responses.JSONResponse({"n": calls["n"]}, headers=names)


@router.get("/kept/mine")
async def mine(who: Basic):
    return {"who": who.username}


@router.get("/kept/cookie")
async def cookie(request: Request):
    return {"who": request.cookies.get("who")}


@router.get("/kept/shared")
async def shared(request: Request):
    return counted()


@router.get("/kept/language")
async def language(accept_language: Annotated[str, Header()] = ""):
    found = responses.JSONResponse({"language": accept_language})
    found.headers["vary"] = "Accept-Language"
    return found


@router.get("/kept/moody/{word:path}")
async def moody(word: str, request: Request):
    calls["n"] += 1
    seen = {name: request.headers.get(name, "") for name in ("x-a", "x-b")}
    names = "x-a" if calls["n"] % 2 else "x-a, x-b"
    return responses.JSONResponse(seen, headers={"vary": names})


@router.get("/kept/caller")
async def caller(request: Request):
    return {"who": request.state.user["id"], "cookie": request.cookies.get("who")}


@router.get("/kept/any")
async def any_of_all():
    return counted(vary="*")


@router.get("/kept/rules/{word}")
async def rules(word: str):
    return counted(cache_control=word)


@router.get("/kept/packed")
async def packed():
    return responses.Response(
        gzip.compress(b'{"a": 1}'),
        media_type="application/json",
        headers={"content-encoding": "gzip"},
    )


@router.get("/kept/tagged")
async def tagged():
    return counted(
        etag='"v1"', link="</x>; rel=next", x_total_count="7",
        cache_control="max-age=9", content_language="de",
    )
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A server whose routes answer by what they are asked with."""
    code = tmp_path_factory.mktemp("kept")
    copied(code, config_kept=CONFIG, router_kept=ROUTER)
    with serve(code=code) as served:
        running = opened(served)
        yield running
        running.http.close()


def ask(kept, path, **headers):
    """Ask without anything that was not given; return the answer."""
    return httpx2.get(kept.url + path, headers=headers)


def basic(name):
    return httpx2.BasicAuth(name, "x")._auth_header


def test_an_answer_for_credentials_is_for_nobody_else(kept):
    """Atom has not verified them, so it neither keeps nor repeats (F1)."""
    for name in ("alice", "bob", "alice"):
        answer = ask(kept, "/kept/mine", authorization=basic(name))
        assert {"who": name} == answer.json()
        assert "x-cache" not in answer.headers
    assert 401 == ask(kept, "/kept/mine").status_code


def test_an_answer_for_a_cookie_is_for_nobody_else(kept):
    """A stranger's answer is kept for strangers alone."""
    assert {"who": None} == ask(kept, "/kept/cookie").json()
    for name in ("alice", "bob"):
        assert {"who": name} == ask(kept, "/kept/cookie", cookie=f"who={name}").json()
    again = ask(kept, "/kept/cookie")
    assert ({"who": None}, "hit") == (again.json(), again.headers["x-cache"])


def test_shared_answers_are_for_everybody(kept):
    """The operator has said so."""
    first = ask(kept, "/kept/shared", authorization=basic("alice")).json()

    assert first == ask(kept, "/kept/shared").json()


def test_an_answer_that_varies_is_kept_for_each_value(kept):
    """German for Germans, however often English was asked for meanwhile."""
    for _ in range(2):
        for word in ("de", "en"):
            answer = ask(kept, "/kept/language", **{"accept-language": word})
            assert {"language": word} == answer.json()
    assert "hit" == answer.headers["x-cache"]
    numbers = {ask(kept, "/kept/any").json()["n"] for _ in range(3)}
    assert 3 == len(numbers)


def test_a_cookie_of_a_user_counts_as_well(kept):
    """The token is verified and the cookie is not: such an answer is not kept."""
    eve = kept.person()
    seen = []
    for cookie in ("one", "two", None, None):
        headers = dict(eve.headers) | ({"cookie": f"who={cookie}"} if cookie else {})
        answer = ask(kept, "/kept/caller", **headers)
        seen.append((answer.json()["cookie"], answer.headers.get("x-cache")))
    assert [("one", None), ("two", None), (None, None), (None, "hit")] == seen


@pytest.mark.parametrize("word", ["plain", "odd%23%25", "a%3Fb%23anyone%23%25"])
def test_what_an_answer_varies_by_may_change(kept, word):
    """And no spelling of a path makes one answer serve for another."""
    for a, b in (
        ("1", "1"),
        ("2", "1"),
        ("2", "2"),
        ("1", "2"),
        ("2", "3"),
        ("1", "1"),
    ):
        for _ in range(3):
            asked = {"x-a": a, "x-b": b}
            got = ask(kept, f"/kept/moody/{word}", **asked)
            names = [name.strip() for name in got.headers["vary"].split(",")]
            for name in ("x-a", "x-b"):
                if name in names:
                    assert asked[name] == got.json()[name], (asked, got.json())


@pytest.mark.parametrize(
    "word", ["no-store", "private", "no-cache", "max-age=5, Private"]
)
def test_an_answer_that_forbids_it_is_not_kept(kept, word):
    """Whoever asks."""
    first, second = (ask(kept, f"/kept/rules/{word}").json()["n"] for _ in range(2))

    assert first != second


def test_a_hit_has_every_header_of_the_answer(kept):
    """And an age; what is compressed stays readable (F6)."""
    first, second = ask(kept, "/kept/tagged"), ask(kept, "/kept/tagged")

    assert "hit" == second.headers["x-cache"]
    assert second.headers["age"].isdigit()
    for name in ("etag", "link", "x-total-count", "cache-control", "content-language"):
        assert first.headers[name] == second.headers[name]
    for _ in range(2):
        assert {"a": 1} == ask(kept, "/kept/packed").json()
    raw = httpx2.Client()
    with raw.stream("GET", kept.url + "/kept/packed") as answer:
        assert "gzip" == answer.headers["content-encoding"]
        assert b'{"a": 1}' == gzip.decompress(b"".join(answer.iter_raw()))
    raw.close()


@pytest.mark.parametrize("tags", ['"v1"', 'W/"v1"', '"other", "v1"', "*"])
def test_a_caller_who_has_it_is_answered_304(kept, tags):
    """Without a body, with the tag; another tag is answered whole."""
    ask(kept, "/kept/tagged")
    answer = ask(kept, "/kept/tagged", **{"if-none-match": tags})

    assert (304, b"", '"v1"') == (
        answer.status_code,
        answer.content,
        answer.headers["etag"],
    )
    assert 200 == ask(kept, "/kept/tagged", **{"if-none-match": '"v2"'}).status_code


def test_head_is_answered_from_a_kept_get(kept):
    """With the headers of the body it leaves out."""
    whole = ask(kept, "/kept/tagged")
    answer = httpx2.head(kept.url + "/kept/tagged")

    assert ("hit", b"") == (answer.headers["x-cache"], answer.content)
    assert str(len(whole.content)) == answer.headers["content-length"]
