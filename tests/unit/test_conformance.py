"""docs/conformance.md says what is tested, no more and no less."""

import pytest

from tests.conformance import DOCUMENT, SECTIONS, document, found, table


@pytest.mark.parametrize("number", [number for section in SECTIONS.values() for number in section])
def test_every_line_has_a_test(number: int) -> None:
    assert found()[number], f"no test is named test_{number:02}_…"


def test_every_test_that_is_named_after_a_line_is_about_one() -> None:
    assert set(found()) == {number for section in SECTIONS.values() for number in section}


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(table()), "run: python -m tests.conformance"
