"""The table in the docs says of each file of the web-platform-tests what is true."""

from __future__ import annotations

from tests.browser_api.wpt import BEGIN, END, PAGE, held, names, table


def test_the_table_in_the_docs_is_the_one_of_the_tests() -> None:
    page = PAGE.read_text(encoding="utf-8")
    written = page.partition(BEGIN)[2].partition(END)[0].strip()
    assert written == table(), "python -m tests.browser_api.wpt --write"


def test_every_file_is_known_and_looked_at() -> None:
    assert set(held()) <= set(names())
    assert "| ? |" not in table()
    assert len(held()) > 150
