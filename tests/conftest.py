"""Atom's own tests: found by Atom's settings alone, with a list of what was absent."""

from pathlib import Path

import pytest

SETTINGS = Path(__file__).resolve().with_name("pytest.ini")
ABSENT = "Skipped: absent: "


def is_ours(config):
    """Whether pytest was started with the settings of Atom's tests."""
    return config.inipath is not None and config.inipath.resolve() == SETTINGS


def pytest_configure(config):
    """Let examples take the time they take: a busy machine is not a fault."""
    if is_ours(config):
        from hypothesis import settings

        settings.register_profile("atom", deadline=None)
        settings.load_profile("atom")


def pytest_ignore_collect(collection_path, config):
    """Leave Atom's tests out of a `pytest` with other settings, or with none."""
    return None if is_ours(config) else True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Refuse a test that is skipped for any other reason than the machine's."""
    report = yield
    if report.skipped and ABSENT not in str(report.longrepr):
        report.outcome = "failed"
    return report


def pytest_terminal_summary(terminalreporter):
    """List what this machine lacks, and how many tests did without."""
    counted = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        counted[reason] = counted.get(reason, 0) + 1
    for reason, number in sorted(counted.items()):
        words = "1 test" if number == 1 else f"{number} tests"
        terminalreporter.write_line(f"{reason} ({words})")
