"""The table of error codes, compared with every place that makes an error."""

import ast
import importlib
from pathlib import Path

import pytest

from atom.error_code import CODES, SECTIONS
from atom.errors import ApiError

ROOT = Path(__file__).parents[2]
PLACES = [
    *sorted((ROOT / "atom").rglob("*.py")),
    *sorted((ROOT / "router").glob("*.py")),
    *sorted(ROOT.glob("*.py")),
]


def constants(tree):
    """Return the strings and numbers a module gives a name to."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            both = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                both = zip(target.elts, value.elts, strict=True)
            for name, constant in both:
                if isinstance(name, ast.Name) and isinstance(constant, ast.Constant):
                    found[name.id] = constant.value
    return found


def error_classes():
    """Return every class of error in atom/, by name."""
    for path in PLACES:
        if path.is_relative_to(ROOT / "atom"):
            text = path.read_text()
            if "ApiError" in text or "Unprocessable" in text:
                relative = path.relative_to(ROOT).with_suffix("")
                importlib.import_module(".".join(relative.parts))
    known, more = {ApiError.__name__: ApiError}, [ApiError]
    while more:
        for one in more.pop().__subclasses__():
            if one.__module__.startswith("atom."):
                known[one.__name__] = one
                more.append(one)
    return known


def made():
    """Yield (code, status, place) for each call that makes an error."""
    known = error_classes()
    for path in PLACES:
        tree = ast.parse(path.read_text())
        named = constants(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name not in known:
                continue
            given = {word.arg: word.value for word in node.keywords}
            code, status = known[name].code, known[name].status
            if "code" in given:
                code = value(given["code"], named)
            if "status" in given:
                status = value(given["status"], named)
            if code is not None:
                yield code, status, f"{path.relative_to(ROOT)}:{node.lineno}"


def value(node, named):
    """Return the constant of an expression; None for one that is computed."""
    if isinstance(node, ast.Name):
        return named.get(node.id)
    return node.value if isinstance(node, ast.Constant) else None


def test_every_code_that_is_raised_is_in_the_table():
    """With each status it is answered with."""
    wrong = [
        (code, status, place)
        for code, status, place in made()
        if code not in CODES or (status and status not in CODES[code].statuses)
    ]

    assert not wrong


def test_every_code_of_the_table_is_raised():
    """A code nobody can receive is not documented."""
    raised = {code for code, _, _ in made()}
    raised |= {one.code for one in error_classes().values()}
    raised |= {
        text
        for path in PLACES
        if path.name != "error_code.py"
        for text in constants(ast.parse(path.read_text())).values()
    }

    assert not set(CODES) - raised


def test_no_code_is_listed_twice():
    """One code, one line of the table."""
    assert len(CODES) == sum(len(codes) for _, codes in SECTIONS)


class TestApiError:
    """What an error carries."""

    def test_what_is_given_wins_over_the_class(self):
        """Status, headers and detail are part of making it, not of changing it."""
        error = ApiError("no", status=418, headers={"Allow": "GET"}, detail=[1])

        assert (418, {"Allow": "GET"}, [1]) == (
            error.status,
            error.headers,
            error.detail,
        )
        assert ApiError.status == 400

    def test_places_are_put_before_the_message(self):
        """The innermost place stays next to the words."""
        error = ApiError("no such column").at("line 2").at("file a.csv")

        assert "file a.csv: line 2: no such column" == error.message == str(error)

    @pytest.mark.parametrize("kind", error_classes().values(), ids=lambda k: k.__name__)
    def test_headers_of_one_error_are_its_own(self, kind):
        """No error changes the headers of the next one."""
        words = {"seconds": 3} if kind.__name__ == "RateLimited" else {}
        first, second = kind("no", **words), kind("no", **words)
        first.headers["x-a"] = "1"

        assert "x-a" not in second.headers
