"""How curl.txt is read, before anything is sent."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.smoke import (
    ROOT,
    Line,
    SmokeError,
    api,
    files,
    fill,
    kept,
    parse,
    read_answer,
)

NAMES = {"baseurl", "password", "token", "token_admin", "token_root"}
NAMES |= {"user_id", "username"}


def test_comments_and_empty_lines_are_no_requests():
    """Only requests are read, with the line they stand on."""
    lines = parse('# front door\n\n  # more\ncurl "$baseurl/"\n')

    assert [Line(4, ("$baseurl/",))] == lines


def test_a_zero_in_front_skips_a_request():
    """`0 curl` is read, so that a mistake in it is told, and marked as skipped."""
    (line,) = parse('0 curl -X DELETE "$baseurl/a"')

    assert line.skipped
    assert ("-X", "DELETE", "$baseurl/a") == line.words


def test_a_message_can_be_kept_for_later_lines():
    """` #> name` is no argument of curl."""
    (line,) = parse("curl $baseurl/a --json '{}' #> row_id")

    assert "row_id" == line.keep
    assert ("$baseurl/a", "--json", "{}") == line.words


def test_what_stands_beside_the_message_can_be_kept():
    """` #> name=field` takes another field of the answer."""
    (line,) = parse("curl $baseurl/a #> refresh=refresh_token")

    assert ("refresh", "refresh_token") == (line.keep, line.field)
    assert "r1" == kept('{"message":"a","refresh_token":"r1"}', line.field)


def test_quotes_hold_as_in_a_shell():
    """JSON in single quotes and URLs in double quotes stay one argument each."""
    (line,) = parse("""curl "$baseurl/a?b=>,1&c=x y" -d '{"a": "it is # fine"}'""")

    assert ("$baseurl/a?b=>,1&c=x y", "-d", '{"a": "it is # fine"}') == line.words


@pytest.mark.parametrize(
    "text", ["wget x", "curl 'x", "1 curl x", "curly x"], ids=lambda text: text
)
def test_a_line_that_is_nothing_is_named(text):
    """A typing mistake never silently drops a request."""
    with pytest.raises(SmokeError, match="line 2"):
        parse(f"# comment\n{text}")


@given(st.text())
def test_a_value_is_put_in_as_it_is(value):
    """Quotes, dollars and spaces in a value change nothing around it."""
    assert f"Bearer {value}." == fill("Bearer $token.", {"token": value})


def test_a_name_without_a_value_is_told():
    """A request with a hole in it is never sent."""
    with pytest.raises(SmokeError, match=r"\$row has no value; there are \$token"):
        fill("$token $row", {"token": "x"})


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("http://a/my/profile?b=1",), "GET /my/profile"),
        (("http://a",), "GET /"),
        (("--json", "{}", "http://a/auth/signup"), "POST /auth/signup"),
        (("-X", "put", "http://a/b", "--json", "{}"), "PUT /b"),
    ],
)
def test_a_request_is_named_by_method_and_path(words, expected):
    """The name in curl.csv says which route was asked."""
    assert expected == api(words)


def test_time_is_in_milliseconds():
    """Curl tells seconds; the table tells milliseconds. A body may have many lines."""
    assert ("a\n1\n", 503, 1234.6) == read_answer("a\n1\n\n503 1.234567")


def test_a_kept_list_is_joined_by_commas():
    """Ids of a bulk create can be handed to `ids`."""
    assert "1,2" == kept('{"status":1,"message":[1,2]}')


class TestShippedCurlTxt:
    """The file in this checkout."""

    lines = parse((Path(ROOT) / "curl.txt").read_text())

    def test_every_name_has_a_value_when_it_is_used(self):
        """A name is one the runner knows or one that an earlier active line kept."""
        known = dict.fromkeys(NAMES, "x")
        for line in self.lines:
            for word in line.words if not line.skipped else ():
                fill(word, known)
            known |= {line.keep: "x"} if line.keep else {}

    def test_holds_no_secret(self):
        """Tokens and passwords come from the runner, or name a row made for the run."""
        for line in self.lines:
            for word in line.words:
                assert "Bearer e" not in word
                assert "Bearer" not in word or "Bearer $token" in word


def test_own_files_run_after_curl_txt(tmp_path):
    """By name; and only what is named, if anything is."""
    for name in ("curl_b.txt", "curl_a.txt", "curl.txt", "curl.csv"):
        (tmp_path / name).write_text("")

    found = [path.name for path in files([], tmp_path)]
    assert ["curl.txt", "curl_a.txt", "curl_b.txt"] == found
    assert [Path("x.txt")] == files(["x.txt"], tmp_path)
