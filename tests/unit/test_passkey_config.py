"""What `config_passkey_origin_list` and `config_mfa` may hold, alone and together."""

import pytest

from atom.config import check
from atom.config.key_mfa import origins
from atom.config.keys import KEYS

GOOD = {key.name: key.default for key in KEYS} | {
    "config_key_root": "r" * 16,
    "config_key_jwt": "j" * 32,
    "config_postgres_schema": {},
    "config_error": {},
    "config_role": {},
}


def problems(**changed):
    config = GOOD | {f"config_{name}": value for name, value in changed.items()}
    return [
        each for each in check.validate(config) if "passkey" in each or "mfa" in each
    ]


@pytest.mark.parametrize(
    "origin",
    [
        "http://shop.example",
        "https://shop.example/",
        "https://shop.example/login",
        "https://Shop.example",
        "shop.example",
        "https://",
        "http://127.0.0.1:8000",
        "*",
    ],
)
def test_what_no_browser_sends_as_origin_is_refused(origin):
    with pytest.raises(ValueError, match="https://shop.example"):
        origins(origin)


def test_pages_share_a_domain():
    pages = ("https://shop.example", "https://app.shop.example:8443")
    assert [] == problems(passkey_origin_list=pages)
    assert [] == problems(passkey_origin_list=pages[::-1], passkey_rp_id="shop.example")
    (problem,) = problems(passkey_origin_list=pages[::-1])
    assert "shop.example is not app.shop.example or below" in problem
    (problem,) = problems(passkey_origin_list=("https://ashop.example", pages[0]))
    assert "config_passkey_rp_id" in problem


def test_an_app_needs_a_domain():
    app = origins("android:apk-key-hash:abc")
    (problem,) = problems(passkey_origin_list=app)
    assert "config_passkey_rp_id" in problem
    assert [] == problems(passkey_origin_list=app, passkey_rp_id="shop.example")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(check, "find_spec", lambda name: None)
    found = problems(mfa="optional", passkey_origin_list=("https://shop.example",))
    assert ["pip install cryptography", "pip install webauthn"] == [
        each.partition(": needs a package: ")[2].partition("==")[0] for each in found
    ]
    assert [] == problems()


def test_a_key_is_long_enough():
    assert [] == problems(key_mfa="k" * 32)
    assert [] == problems(key_mfa=f"{'k' * 32}, {'o' * 32}")
    for key in ("k" * 31, f"{'k' * 32},old"):
        (problem,) = problems(key_mfa=key)
        assert "32 bytes" in problem
