"""Keeps one server for a test run:  python -m tests.service NAME FOLDER"""

import sys
from pathlib import Path

from tests.service.shared import keep

keep(sys.argv[1], Path(sys.argv[2]))
