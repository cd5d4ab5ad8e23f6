"""Which line a client's words are about."""

import pytest

from xds.pipeline.named_line import named_line

DOCUMENT = b"""\
hosts: [a.example.com]
http:
  - name: testers
    match:
      - uri: {regex: "/a/(.*"}
      - headers: {x-user: {regex: "^[0-9"}}
    rewrite:
      uri: "/new-place"  # as agreed
"""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("Duplicate entry of domain a.example.com", 1),
        ("rewrite to /new-place is not possible", 8),
        ("no such thing", 0),
        ("", 0),
    ],
)
def test_the_line_with_the_longest_value_in_the_words(words: str, line: int) -> None:
    assert named_line(DOCUMENT, words) == line


def test_a_text_that_is_no_text_has_no_line() -> None:
    assert named_line(b"\xff\xfe\x00", "anything") == 0
