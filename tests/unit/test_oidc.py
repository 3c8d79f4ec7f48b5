"""What `config_oidc` may hold."""

import pytest

from atom.client.oidc import provided

GOOD = {"issuer": "https://a.b", "client_id": "x", "redirect_uri": "https://c.d/e"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ([], "dict of services"),
        ("[1]", "dict of services"),
        ({"work": "x"}, "work: expected a dict"),
        ({"work": {**GOOD, "secret": "y"}}, "work: no key 'secret'"),
        *(
            ({"work": GOOD | {name: ""}}, f"work: {name} is missing")
            for name in ("issuer", "client_id", "redirect_uri")
        ),
        ({"work": GOOD | {"issuer": "http://a.b"}}, "https:// address"),
        ({"work": GOOD | {"redirect_uri": "http://a.b"}}, "https:// address"),
        ({"work": GOOD | {"redirect_uri": "javascript:alert(1)"}}, "https:// address"),
        ({"work": GOOD | {"scope": "email"}}, "openid"),
        ({"work": GOOD | {"is_email_trusted": "maybe"}}, "expected 0"),
    ],
)
def test_what_cannot_be_right_is_named(given, named):
    with pytest.raises(ValueError, match=named):
        provided(given)


def test_what_is_left_out_has_a_default():
    found = provided({"work": GOOD})["work"]
    assert ("", "openid email profile") == (found["client_secret"], found["scope"])
    assert found["is_email_trusted"] is False
    assert ("https://c.d/e",) == found["redirect_uri"]
