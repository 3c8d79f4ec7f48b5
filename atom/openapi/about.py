"""The description that `/docs` begins with: the user's own, from a Markdown file."""

from pathlib import Path


def description(root: Path, file: str | None, problems: list[str]) -> str:
    """Return the text of `config_docs_description_file`; "" leaves Atom's own."""
    if not file:
        return ""
    try:
        return (root / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "not UTF-8"
        problems.append(f"config_docs_description_file: {file}: {cause}")
        return ""
