"""Puts tables into a Markdown file, between the comments that mark their places."""

import datetime as dt
import os
import re
from collections.abc import Sequence
from pathlib import Path

from bench.table import Table


def put(file: Path, name: str, tables: Sequence[Table]) -> None:
    """Replace what stands between ``<!-- bench NAME -->`` and ``<!-- end -->``.

    Raises:
        LookupError: if the file has no such place.
    """
    today = dt.datetime.now(dt.UTC).date()
    how = f"Measured {today} on {os.cpu_count()} cores with `python -m bench {name}`."
    body = "\n\n".join([*(table.markdown() for table in tables), how])
    place = re.compile(rf"(<!-- bench {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    text, count = place.subn(
        lambda marks: f"{marks[1]}\n{body}\n\n{marks[2]}", file.read_text(encoding="utf-8")
    )
    if count != 1:
        raise LookupError(
            f"{file}: {count} places for {name}; one is `<!-- bench {name} -->` … `<!-- end -->`"
        )
    file.write_text(text, encoding="utf-8")
