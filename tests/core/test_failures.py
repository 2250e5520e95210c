"""What went wrong with some of many: raised together, or logged one by one."""

from __future__ import annotations

import logging

import pytest

from wirebird.core.failures import Failures


class Failed:
    """Something with a logger."""

    logger = logging.getLogger("tests.failures")


def test_they_are_raised_together_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures(raises=True)
    failures.finish()
    one, other = KeyError("one"), OSError("other")
    failures.add(Failed(), one)
    failures.add(Failed(), other)
    with pytest.raises(ExceptionGroup, match="skipped broadcast") as caught:
        failures.finish()
    assert caught.value.exceptions == (one, other)
    assert not caplog.records


def test_they_are_logged_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures(raises=False)
    failures.add(Failed(), OSError("other"))
    failures.finish()
    assert caplog.messages == ["skipped broadcast: OSError: other"]
