"""The words of the house: what a docstring, a comment, a message and a page may use.

`python tests/unit/test_house_words.py atom/row docs` lists what is left to reword.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLEAN = (
    *("atom", "bench", "docs", "embedded", "router", "tools"),
    *("config.py", "extend.py", "function.py", "main.py", "router.py"),
    *("CHANGELOG.md", "readme.md"),
)

# Speech verbs for code, people for things, words nobody says: use raised, reported,
# returned, logged, listed, checked, next to, again, is, has.
BANNED = re.compile(
    r"\b(?:told|tells?|telling|said|says?|saying|whose|besides?|anew"
    r"|stands(?! for)|stood|somebody|nobody|befalls?|befell|rightly|shall|of ours)\b",
    re.IGNORECASE,
)
# "a port is no string": "is not a string". "There is no string" is English.
IS_NO = re.compile(
    r"(?<!there )(?<!there's )\b(?:is|are|was|were) no (?!longer\b|more\b|one\b)\w+",
    re.IGNORECASE,
)
# What to write for each; a failure shows it.
INSTEAD = {
    "returned, raised, reported, logged or listed": "tell tells telling told say says"
    " said saying hear hears",
    "next to, apart from, or also": "beside besides",
    "of which, or the name after: the key of a caller": "whose",
    "again": "anew",
    "is, has, or remains": "stands stood",
    "a user, a caller, someone": "somebody",
    "no one": "nobody",
    "happens": "befall befalls befell",
    "correctly": "rightly",
    "must, will": "shall",
    "Return, Add, Put": "give gives",
}
CURES = {word: cure for cure, words in INSTEAD.items() for word in words.split()}
CURES["of ours"] = "Atom's"
OPENINGS = re.compile(r"(?:say|tell|give|hear)s?\b", re.IGNORECASE)
NAME_WORDS = re.compile(r"[A-Z]?[a-z]+")
CODE = re.compile(r"``.*?``|`[^`]*`", re.DOTALL)
# The words of other programs: the system's user, and the methods of a file.
FOREIGN = re.compile(r"\buser nobody\b|\bnobody's (?:files|folder)\b")
FILE_METHODS = {"tell"}


def faults(text: str) -> list[str]:
    """Return the words of a text that a maintainer would not use.

    >>> faults("Say what a driver told; `tell()` is a method. There is no other.")
    ['Say', 'told']
    >>> faults("A port is no string. It is no longer.")
    ['is no string']
    """
    plain = FOREIGN.sub("", CODE.sub("", text))
    plain = re.sub(r"\s+", " ", plain)
    return BANNED.findall(plain) + IS_NO.findall(plain)


def named(name: str) -> list[str]:
    """Return the words of a name that a maintainer would not use.

    >>> named("TOLD_SECONDS"), named("isDeaf"), named("_said"), named("essay")
    (['TOLD'], [], ['said'], [])
    """
    words = name.split("_") if name.isupper() else NAME_WORDS.findall(name)
    return [word for word in words if BANNED.fullmatch(word)]


def docstrings(tree: ast.Module) -> dict[ast.Constant, str]:
    """Return the docstrings of a file by their node."""
    found = {}
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False):
            first = node.body[0]
            assert isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            found[first.value] = str(first.value.value)
    return found


def defined(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield every name that a file defines, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name not in FILE_METHODS:
                yield node.lineno, node.name
        elif isinstance(node, ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield the comments of a file; those on lines that follow each other are one."""
    begun, last, words = 0, -1, []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line = token.start[0]
        if line != last + 1 and words:
            yield begun, " ".join(words)
            words = []
        begun, last = (begun if words else line), line
        words.append(token.string.lstrip("# "))
    if words:
        yield begun, " ".join(words)


def in_python(source: str) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with the words of a Python file, with its line."""
    tree = ast.parse(source)
    texts = docstrings(tree)
    for node, text in texts.items():
        if OPENINGS.match(text.strip()):
            yield node.lineno, f"begins with {text.split()[0]!r}"
        for fault in faults(text):
            yield node.lineno, f"docstring: {fault}"
    for line, text in comments(source):
        for fault in faults(text):
            yield line, f"comment: {fault}"
    for node in ast.walk(tree):
        literal = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if literal and node not in texts and " " in node.value.strip():
            for fault in faults(node.value):
                yield node.lineno, f"text: {fault}"
    for line, name in defined(tree):
        for fault in named(name):
            yield line, f"name {name}: {fault}"


def in_text(source: str) -> list[tuple[int, str]]:
    """Return what is wrong with the words of any other file, paragraph by paragraph."""
    found, line = [], 1
    for part in re.split(r"(\n\s*\n)", source):
        found += [(line, fault) for fault in faults(part)]
        line += part.count("\n")
    return found


def findings(path: Path) -> list[str]:
    """Return what is wrong with the words of one file, as `file:line: what`."""
    source = path.read_text()
    python = path.suffix == ".py"
    found = sorted(set(in_python(source))) if python else in_text(source)
    return [
        f"{path.relative_to(ROOT)}:{line}: {what}; write: {cure(what)}"
        for line, what in found
    ]


def cure(what: str) -> str:
    """Return what to write instead of a fault.

    >>> cure("docstring: Anew"), cure("text: is no datatype"), cure("comment: of ours")
    ('again', 'is not a …', "Atom's")
    >>> cure("begins with 'Give'")
    'Return, Add, Put'
    """
    word = re.split(r": |begins with ", what)[-1].strip("'").lower()
    return CURES.get(word, "is not a …")


def files(place: str) -> list[Path]:
    """Return the files of a place whose words are read."""
    path = ROOT / place
    if not path.is_dir():
        return [path]
    kinds = {".py", ".md", ".sql"}
    return sorted(file for file in path.rglob("*") if file.suffix in kinds)


@pytest.mark.parametrize("place", CLEAN)
def test_a_clean_place_stays_clean(place):
    """Nothing of what was reworded comes back."""
    read = files(place)

    found = [what for path in read for what in findings(path)]

    assert read
    assert not found, "\n".join(["words to replace:", *found])


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('"""Say whether it is open."""', "begins with 'Say'"),
        ('"""Whether it is open, as somebody said."""', "docstring: somebody"),
        ('raise Error("a datatype is no datatype")', "text: is no datatype"),
        ('"""."""\n# was told\n# of ours', "comment: of ours"),
        ('"""."""\ntold_plainly = 1', "name told_plainly: told"),
        ('"""."""\ndef judge(whose): ...', "name whose: whose"),
    ],
)
def test_what_is_banned_is_found(source, fault):
    """In a docstring, a message, a comment and a name."""
    assert fault in [what for _, what in in_python(source)]


@pytest.mark.parametrize(
    "source",
    [
        '"""There is no row; it is no longer kept."""',
        '"""Run as user nobody, or `nobody`."""',
        '"""."""\nposition = file.tell()',
        '"""."""\nessay = {"told": 1}',
    ],
)
def test_what_is_english_is_not(source):
    """Other programs' words, and "there is no"."""
    assert list(in_python(source)) == []


if __name__ == "__main__":
    for place in sys.argv[1:]:
        for path in files(place):
            sys.stdout.write("".join(f"{what}\n" for what in findings(path)))
