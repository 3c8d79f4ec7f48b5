"""As much of curl as our own lines need, for a machine that has none.

`python tests/curl.py [-X METHOD] [-H header] [-d body] [-F field] [-w format] URL`
Exit code 22 when the answer is an error and `--fail-with-body` was asked for.
"""

import sys
import time
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

BOUNDARY = "atom-boundary-7b1c"
TAKES_A_VALUE = {"--max-time", "--noproxy", "-o"}
DATA = {"-d", "--data", "--data-binary", "--json"}


def form(fields: list[str]) -> bytes:
    """Write multipart fields: `name=value`, or `name=@path` for a file."""
    parts = []
    for field in fields:
        name, _, value = field.partition("=")
        said, content = f'name="{name}"', value.encode()
        if value.startswith("@"):
            path = Path(value[1:])
            said, content = f'{said}; filename="{path.name}"', path.read_bytes()
        head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {said}\r\n\r\n"
        parts.append(head.encode() + content + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def main(words: list[str]) -> int:
    """Send one request; write its answer. Return the exit code."""
    method, body, headers, url, fields, tail, strict = None, None, {}, "", [], "", False
    while words:
        word = words.pop(0)
        if word in {"-X", "--request"}:
            method = words.pop(0)
        elif word in DATA:
            text = words.pop(0)
            body = sys.stdin.buffer.read() if text == "@-" else text.encode()
        elif word in {"-H", "--header"}:
            name, _, value = words.pop(0).partition(":")
            headers[name] = value.strip()
        elif word in {"-F", "--form"}:
            fields.append(words.pop(0))
        elif word == "-w":
            tail = words.pop(0)
        elif word in TAKES_A_VALUE:
            words.pop(0)
        elif word == "--fail-with-body":
            strict = True
        elif not word.startswith("-"):
            url = quote(word, safe=":/?&=%,;()<>'~!*|[]@+$")
    if fields:
        body = form(fields)
        headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
    began = time.monotonic()
    try:
        answer = urlopen(Request(url, body, headers, method=method), timeout=60)
    except HTTPError as error:
        answer = error
    except URLError as error:
        sys.stderr.write(f"{error.reason}\n")
        return 7
    sys.stdout.buffer.write(answer.read())
    spent = f"{time.monotonic() - began:.6f}"
    tail = tail.replace("%{http_code}", str(answer.status)).replace("\\n", "\n")
    sys.stdout.write(tail.replace("%{time_total}", spent))
    return 22 if strict and answer.status >= 400 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
