"""Atom's own tests: found by Atom's settings alone, with a list of what was absent."""

import gc
import os
import tempfile
from pathlib import Path

import pytest

from tests import machine
from tests.service import shared
from tests.service.fixture import (  # noqa: F401
    aws_url,
    kafka_url,
    mongodb_url,
    rabbitmq_url,
    real_kafka_url,
    sasl_kafka_url,
    smtp_url,
    web,
)

SETTINGS = Path(__file__).resolve().with_name("pytest.ini")
ABSENT = "Skipped: absent: "
RUN = pytest.StashKey()


def is_ours(config):
    """Whether pytest was started with the settings of Atom's tests."""
    return config.inipath is not None and config.inipath.resolve() == SETTINGS


def pytest_configure(config):
    """Let examples take the time they take: a busy machine is not a fault."""
    if is_ours(config):
        from hypothesis import settings

        settings.register_profile("atom", deadline=None)
        settings.load_profile("atom")
        gc.disable()  # ten thousand tests are collected, and none of them is garbage
        if "TMPDIR" not in os.environ and (place := machine.memory()):
            os.environ["TMPDIR"] = tempfile.tempdir = str(place)
        config.stash[RUN] = shared.begin()


def pytest_collection_finish(session):
    """Look for garbage from now on, in what is made from now on."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure(config):
    """Wait for the servers of the run to end."""
    if folder := config.stash.get(RUN, None):
        shared.end(folder)


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


def pytest_terminal_summary(terminalreporter, config):
    """List the services of the run, what this machine lacks, and who did without."""
    if (folder := config.stash.get(RUN, None)) and (notes := shared.notes(folder)):
        terminalreporter.section("services", sep="-")
        for note in notes:
            what = ": ".join(part for part in (note.what, note.why) if part)
            terminalreporter.write_line(f"{note.name:<12} {note.state:<10} {what}")
    counted = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        counted[reason] = counted.get(reason, 0) + 1
    for reason, number in sorted(counted.items()):
        words = "1 test" if number == 1 else f"{number} tests"
        terminalreporter.write_line(f"{reason} ({words})")
