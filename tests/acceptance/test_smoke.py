"""`./test.sh`: curl.txt as an executable contract."""

import csv
import os
import subprocess
import sys

from tests.served import ROOT, free_port

TABLE = ["API", "Status Code", "Response Time (ms)"]


def smoke(tmp_path, *arguments, curl=True):
    """Run ./test.sh on a server of its own; return its exit code and output."""
    path, nobody = os.environ["PATH"], f"http://127.0.0.1:{free_port()}"
    if not curl:
        for tool in ("dirname", "sh"):
            (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
        path = f"{tmp_path}:{os.path.dirname(sys.executable)}"
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "test.sh"), *arguments],
        cwd=tmp_path,
        env={"PATH": path, "HOME": str(tmp_path), "baseurl": nobody},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_every_active_line_is_200_on_a_fresh_database(tmp_path):
    """The whole contract, and a table of real times."""
    code, said = smoke(tmp_path)
    rows = list(csv.reader((ROOT / "curl.csv").read_text().splitlines()))

    assert 0 == code, said
    assert TABLE == rows[0]
    assert len(rows) > 40
    assert {"200"} == {row[1] for row in rows[1:]}
    assert all(float(row[2]) > 0 for row in rows[1:])


def test_one_refusal_fails_the_run(tmp_path):
    """Exit code 1; skipped lines are not asked."""
    lines = tmp_path / "lines.txt"
    lines.write_text('curl "$baseurl/"\ncurl "$baseurl/nope"\n0 curl "$baseurl/no"\n')
    code, said = smoke(tmp_path, str(lines), curl=False)

    assert 1 == code
    assert "2 requests: 1 answered 200, 1 failed; 1 skipped" in said, said
