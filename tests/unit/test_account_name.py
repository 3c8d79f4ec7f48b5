"""The normal form of names and addresses is one: what has it keeps it."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atom.account.name import COLUMNS, normalize, validate
from atom.account.upgrade import PLAIN
from atom.errors import ApiError

TEXT = st.one_of(
    st.text(max_size=12),
    st.text("AaBbẞßİıÅåǅǆﬀΣςσ１Ａａ.-+@ ()0١", max_size=12),
    st.emails(),
    st.from_regex(r"\A\+?[0-9 ()./-]{4,20}\Z"),
)


def stored(kind, text):
    """Return what is stored, None when it is refused."""
    try:
        return validate(kind, text)
    except ApiError as error:
        assert "identity.unreadable" == error.code
        return None


@given(st.sampled_from(COLUMNS), TEXT)
def test_the_normal_form_has_itself(kind, text):
    found = stored(kind, text)
    if found is not None:
        assert found == validate(kind, found) == normalize(kind, text)


@given(st.sampled_from(COLUMNS), TEXT)
def test_composed_and_decomposed_are_one(kind, text):
    decomposed = unicodedata.normalize("NFD", text)
    assert stored(kind, text) == stored(kind, decomposed)


@given(st.sampled_from(COLUMNS), st.text("abcxyz019@.+-", min_size=1, max_size=20))
def test_case_and_width_do_not_count(kind, text):
    wide = "".join(chr(ord(each) + 0xFEE0) for each in text)
    assert stored(kind, text) == stored(kind, text.upper())
    if kind != "username" or re.fullmatch("[a-z0-9]+", text):
        assert stored(kind, text) == stored(kind, wide)


@given(st.sampled_from(COLUMNS), TEXT)
def test_an_upgrade_looks_at_whatever_is_not_in_normal_form(kind, text):
    """Its pattern may let PostgreSQL skip only what keeps its spelling."""
    found = stored(kind, text)
    if found is None or found == text:
        return
    pattern = re.search(r"!~ '(.*?)'", PLAIN[kind])[1]
    begins = kind == "mobile" and text.startswith("00")
    assert begins or not re.search(pattern, text)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("username", "Ada", "ada"),
        ("username", " ＡＤＡ ", "ada"),
        ("username", "Ada Lovelace", "ada lovelace"),
        ("username", "É", "é"),
        ("username", "ß", "ß"),
        ("username", "x" * 100, "x" * 100),
        ("username", "x" * 101, None),
        ("username", "", None),
        ("username", "a  b", None),
        ("username", "a\u200bb", None),
        ("username", "a\u3164", None),
        ("username", "\U0001f600", None),
        ("username", "a\0", None),
        ("username", "a\ud800", None),
        ("email", "A.B+c@X.COM", "a.b+c@x.com"),
        ("email", "ａ＠ｘ.com", "a@x.com"),
        ("email", "x@BÜCHER.example", "x@xn--bcher-kva.example"),
        ("email", "x@XN--BCHER-KVA.example", "x@xn--bcher-kva.example"),
        ("email", "x@a..b", None),
        ("email", "x@a_ü.com", None),
        ("email", "x", None),
        ("mobile", "+91 (98765) 432-10", "+919876543210"),
        ("mobile", "00919876543210", "+919876543210"),
        ("mobile", "٠٠٩١٩٨٧٦٥٤٣٢١٠", "+919876543210"),
        ("mobile", "98765 43210", "9876543210"),
        ("mobile", "12", None),
        ("mobile", "+1+1+1", None),
    ],
)
def test_each_kind_by_example(kind, text, expected):
    assert expected == stored(kind, text)
