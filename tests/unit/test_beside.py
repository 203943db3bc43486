"""Reading figures out of what two runs of a benchmark printed."""

from __future__ import annotations

from benchmarks.beside import Figure, figures, medians, table

OUTPUT = """
    px    direct
    64    512 ms  1.5 s
  1024    600 ms  2.5 s
peer-1 idle after 0.21 s (at most 2)
"""


def test_numbers_are_told_apart_by_their_line_and_place() -> None:
    found = figures(OUTPUT)
    assert found[Figure("# # ms # s", 0, 1)] == 512
    assert found[Figure("# # ms # s", 1, 2)] == 2.5
    assert found[Figure("peer-1 idle after # s (at most #)", 0, 0)] == 0.21


def test_a_figure_is_the_median_of_the_runs_that_all_have_it() -> None:
    runs = [figures(f"took {seconds} s{extra}") for seconds, extra in ((3, ""), (1, ""), (2, ""))]
    assert medians([*runs, *runs[:0]]) == {Figure("took # s", 0, 0): 2.0}
    assert medians([figures("a 1"), figures("b 1")]) == {}


def test_constants_are_left_out_and_the_rest_is_told_as_a_ratio() -> None:
    there, here = figures("64 px: 100 ms"), figures("64 px: 104 ms")
    lines = list(table(there, here))
    assert len(lines) == 2
    assert "1.040" in lines[1]
