"""What counts as a deviation from the expectations, and what is expected."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest
from autobahn_testsuite import results
from autobahn_testsuite.results import Deviation, Outcome

AUTOBAHN = pathlib.Path(__file__).resolve().parent.parent.parent / "autobahn_testsuite"
INFORMATIONAL = ["7.1.6", "7.13.1", "7.13.2"]


def outcome(behavior: str, close: str = "OK") -> Outcome:
    """An outcome whose time and report do not matter."""
    return Outcome(behavior, close, duration_ms=1, report="case.json")


@pytest.mark.parametrize("role", ["server", "client"])
def test_every_case_is_expected_to_be_ok(role: str) -> None:
    expected = results.read_expected(AUTOBAHN / "expected" / f"{role}.json")
    # The suite has 301 cases of 1 to 10, and 12.* and 13.* are 5 + 7 groups of 18.
    assert len(expected) == 301 + 12 * 18
    assert [case for case, word in expected.items() if word != "OK"] == INFORMATIONAL


def test_an_expectation_cannot_be_a_failure(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "server.json"
    path.write_text('{"6.4.1": "NON-STRICT"}')
    with pytest.raises(ValueError, match=r"6\.4\.1.*NON-STRICT"):
        results.read_expected(path)


@pytest.mark.parametrize("word", ["FAILED", "NON-STRICT", "UNIMPLEMENTED", "INFORMATIONAL"])
def test_whatever_is_not_ok_is_a_deviation(word: str) -> None:
    found = results.compare({"1.1.1": "OK"}, ["1.1.1"], {"1.1.1": outcome(word)})
    assert found == [Deviation("1.1.1", "OK", f"{word}, close: OK", "case.json")]


@pytest.mark.parametrize("word", ["FAILED", "WRONG CODE", "UNCLEAN", "FAILED BY CLIENT"])
def test_the_end_of_the_connection_counts_too(word: str) -> None:
    for expected in ("OK", "INFORMATIONAL"):
        found = results.compare({"1.1.1": expected}, ["1.1.1"], {"1.1.1": outcome("OK", word)})
        assert [deviation.case for deviation in found] == ["1.1.1"]


def test_an_informational_case_may_say_so() -> None:
    expected = {"7.1.6": "INFORMATIONAL", "7.13.1": "INFORMATIONAL"}
    found = {"7.1.6": outcome("INFORMATIONAL", "INFORMATIONAL"), "7.13.1": outcome("OK")}
    assert results.compare(expected, expected, found) == []


def test_a_case_that_did_not_run_is_a_deviation() -> None:
    (deviation,) = results.compare({"1.1.1": "OK"}, ["1.1.1"], {})
    assert (deviation.case, deviation.got) == ("1.1.1", "did not run")


def test_a_case_that_nobody_expected_is_a_deviation() -> None:
    (deviation,) = results.compare({}, [], {"14.1.1": outcome("OK")})
    assert (deviation.case, deviation.expected) == ("14.1.1", "not in the expectations")


def test_select() -> None:
    cases = ["10.1.1", "9.1.1", "12.1.1", "12.1.11", "9.10.1"]
    assert results.select(cases, ["9.*", "12.*.11"]) == ["9.1.1", "9.10.1", "12.1.11"]
    assert results.select(cases, ["12.1.1", "12.*.1"]) == ["12.1.1"]
    assert results.select(cases, ["8.*"]) == []


def test_read_outcomes(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "index.json"
    assert results.read_outcomes(path) == {}
    path.write_text("{}")  # what the suite writes when it could not connect
    assert results.read_outcomes(path) == {}
    case = {"behavior": "OK", "behaviorClose": "OK", "duration": 1, "reportfile": "case.json"}
    path.write_text(json.dumps({"wirebird": {"1.1.1": case}}))
    assert results.read_outcomes(path) == {"1.1.1": outcome("OK")}


def test_table() -> None:
    found = {"9.1.1": outcome("OK"), "9.1.2": outcome("FAILED"), "10.1.1": outcome("OK")}
    lines = [line.split() for line in results.table({"client": found}).splitlines()[1:]]
    assert lines == [
        ["client", "9", "2", "1", "FAILED,", "2", "OK"],
        ["client", "10", "1", "1", "OK"],
    ]


def test_without_python_27_it_says_what_to_do(tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [sys.executable, str(AUTOBAHN / "run.py"), "--quick"],
        env={"AUTOBAHN_PYTHON": str(tmp_path / "python2.7")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "pyenv install 2.7.18" in done.stderr
