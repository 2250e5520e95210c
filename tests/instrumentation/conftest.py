"""Each test here runs once per engine."""

from tests.engines import engine as engine
