"""Tables for people, as text."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Sequence


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as plain text, as wide as the terminal; cells are never read as markup."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        made.add_column(Text(column), overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    width = max(shutil.get_terminal_size((120, 24)).columns, 80)
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None, emoji=False).print(made)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()).strip("\n")
