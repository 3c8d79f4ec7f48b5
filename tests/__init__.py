"""Everything that proves Atom. `python -m tests` runs it all; test.sh runs curl.txt."""
