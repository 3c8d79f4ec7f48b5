#!/bin/sh
# Runs every active line of curl.txt and of your curl_*.txt, and writes curl.csv:
# ./test.sh [file …]
# baseurl=http://… ./test.sh  asks that server; when none answers there, one is started
# on an embedded database of its own. What it does is in tests/smoke.py.
cd "$(dirname "$0")" || exit 2
python=.venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" -m tests.smoke "$@"
