"""The text part of a mail, made of its HTML."""

import re
from html.parser import HTMLParser

BLOCKS = frozenset(
    {"blockquote", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p"}
    | {"section", "table", "tr", "ul"}
)
SKIPPED = frozenset({"head", "script", "style", "title"})
HIDDEN = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all", re.IGNORECASE)
BLANK = re.compile(r"[ \t\r\n\f\v\u200b]+")
GAP = re.compile(r"\n{3,}")


class _Reader(HTMLParser):
    """Collects the text of a document."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._hidden = ""  # the tag inside which nothing is read
        self._depth = 0  # how often it is open
        self._links: list[tuple[str, int]] = []  # open ones, and where they began

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a line, a link, or what is not shown."""
        if self._hidden:
            self._depth += tag == self._hidden
            return
        given = dict(attrs)
        if tag in SKIPPED or HIDDEN.search(given.get("style") or ""):
            self._hidden, self._depth = tag, 1
        elif tag == "br":
            self.found.append("\n")
        elif tag in BLOCKS:
            self.found.append("\n\n" if tag in {"p", "table"} else "\n")
            if tag == "li":
                self.found.append("- ")
        elif tag == "td":
            self.found.append(" ")
        elif tag == "img" and given.get("alt"):
            self.found.append(given["alt"] or "")
        elif tag == "a":
            self._links.append((given.get("href") or "", len(self.found)))

    def handle_endtag(self, tag: str) -> None:
        """End a line; write where a link leads."""
        if self._hidden:
            self._depth -= tag == self._hidden
            if not self._depth:
                self._hidden = ""
        elif tag in BLOCKS:
            self.found.append("\n\n" if tag in {"p", "table"} else "\n")
        elif tag == "a" and self._links:
            href, begun = self._links.pop()
            words = "".join(self.found[begun:]).strip()
            if href and href.removeprefix("mailto:") != words:
                self.found.append(f": {href}" if words else href)

    def handle_data(self, data: str) -> None:
        """Add words."""
        if not self._hidden:
            self.found.append(BLANK.sub(" ", data))


def text_of(html: str) -> str:
    """Return what a document reads like, the address of each link behind its words.

    >>> text_of('<title>T</title><p>Hi &lt;b&gt;,</p><a href="https://x.com/a">Go</a>')
    'Hi <b>,\\n\\nGo: https://x.com/a\\n'
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = "".join(reader.found).split("\n")
    text = "\n".join(re.sub(" +", " ", line).strip() for line in lines)
    return GAP.sub("\n\n", text).strip() + "\n"
