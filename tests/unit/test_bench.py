"""What the bench says of its figures, and what it sends; wrk is not needed here."""

import pytest

from atom.schema.declaration import Declaration
from bench import report, table
from bench.load import BenchError, Counted, Request, read_counts, script
from bench.measure import Row, compared, measure


def row(atom, other, **more):
    """Make a row whose sides come to so many answers a second."""
    return Row(
        name="x",
        label="x",
        against="y",
        atom=lambda seconds: Counted(atom * seconds, seconds, 1, 2),
        other=lambda seconds: Counted(other * seconds, seconds, 1, 2),
        **{"least": 0.9, "check": lambda: None, **more},
    )


def line(made):
    """Measure a row for two rounds of a second."""
    return compared(made, measure(made, 2, 1)[0])


def test_a_ratio_is_ours_over_theirs():
    """Twice as many answers is a ratio of 2."""
    found = line(row(200, 100))

    assert ("2.00", "≥ 0.9", True) == (found.ratio, found.aim, found.reached)


def test_an_aim_that_is_missed_is_said_so():
    """A table never hides a miss."""
    found = line(row(80, 100))

    assert not found.reached
    assert "≥ 0.9, **missed**" in report.table([found])


def test_a_cost_is_theirs_over_ours():
    """A server that answers a tenth less costs more than a tenth more."""
    found = line(row(90, 100, is_cost=True, least=1.1))

    assert ("1.11", "≤ 1.1", False) == (found.ratio, found.aim, found.reached)


def test_rows_of_a_request_are_counted():
    """A request that writes a thousand rows counts as a thousand."""
    assert line(row(2, 1, times=1000)).atom.startswith("2,000 rows/s")


@pytest.mark.parametrize("counted", [0, 1, 2])
def test_only_requests_that_the_log_has_are_counted(counted):
    """Two seconds of warming up and two rounds, of as many sides as are Atom's."""
    _, answered = measure(row(10, 10, counted=counted), 2, 1)

    assert 40 * counted == answered


def test_both_sides_are_compared_before_they_are_measured():
    """Answers that differ stop the bench."""

    def differ():
        raise BenchError("differ")

    with pytest.raises(BenchError, match="differ"):
        line(row(1, 1, check=differ))


def test_a_number_at_the_end_changes_from_request_to_request():
    """wrk draws it; a single answer of the program's own says where it stands."""
    request = Request("/a?id=", most=7)

    assert "[=[/a?id=]=] .. math.random(1, 7)" in script(request)
    assert "http://h/a?id=3" == request.url("http://h", 3)


def test_a_failed_request_is_no_result():
    """One answer that is not 2xx, and there is no figure."""
    with pytest.raises(BenchError, match="1 of 10 requests failed"):
        read_counts("COUNTED 10 1000000 1 5 5")


def test_the_tables_of_the_bench_can_be_declared():
    """What the drop-in says is what Atom reads; the wide one has 20 columns."""
    names = {}
    exec(table.drop_in(), names)
    declared = Declaration.parse(names["config_postgres_schema"])

    assert set(table.TABLES) == set(declared.tables)
    assert 20 == len(table.TABLES["bench_wide"]) + 1  # and the id
