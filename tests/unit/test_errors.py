"""The exit codes are a promise."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from passmuster.errors import PRECEDENCE, ExitCode, PassmusterError, combine

DOCS = Path(__file__).parents[2] / "docs" / "exit-codes.md"


def test_the_documentation_has_each_code_and_no_other() -> None:
    documented = {int(n): name for n, name in re.findall(r"^\| (\d+) \| `(\w+)` \|", DOCS.read_text(), re.M)}

    assert documented == {int(code): code.name for code in ExitCode}


def test_the_documented_precedence_is_the_one_in_force() -> None:
    found = re.search(r"the first of ([\d, ]+) counts", DOCS.read_text())

    assert found
    assert [int(n) for n in found[1].split(", ")] == [int(code) for code in PRECEDENCE]


@given(st.lists(st.sampled_from(PRECEDENCE), min_size=1))
def test_several_results_are_ok_only_if_all_are(codes: list[ExitCode]) -> None:
    assert (combine(codes) is ExitCode.OK) == all(code is ExitCode.OK for code in codes)


def test_no_result_at_all_is_not_ok() -> None:
    assert combine([]) is ExitCode.NOTHING_TO_DO


def test_each_error_has_a_code_of_its_own() -> None:
    codes = [cls.code for cls in PassmusterError.__subclasses__()]

    assert len(codes) == len(set(codes))
    assert ExitCode.OK not in codes
