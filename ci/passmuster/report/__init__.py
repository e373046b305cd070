"""The step `report`: what a reviewer, a terminal and other programs are told of one model.

All formats are pure functions of `ReportFacts`, and those are read from the records alone: no clock, no git, no
network; the same records give the same bytes. The verdict comes first, then why, then what to do; what can't be
believed reads as *could not be judged*, never as a pass.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from passmuster import workspace
from passmuster.config import ModelConfig
from passmuster.errors import UsageError
from passmuster.progress import Progress
from passmuster.record import write_atomically
from passmuster.report import _facts, _json, _junit, _markdown, _text
from passmuster.report._facts import ReportFacts

__all__ = ["FORMATS", "ReportFacts", "facts", "html", "junit", "markdown", "part", "report", "text", "to_json"]

facts = _facts.facts
part = _facts.part
markdown = _markdown.render
text = _text.render
junit = _junit.render


def html(facts: ReportFacts) -> str:
    """Return the report as one self-contained HTML file under 2 MB."""
    from passmuster.report import _html  # Jinja2 is not needed for the others

    return _html.render(facts)


def to_json(facts: ReportFacts) -> dict[str, Any]:
    """Return the report for machines, as JSON types."""
    return _json.render(facts)


def _as_json(facts: ReportFacts) -> str:
    return json.dumps(to_json(facts), indent=1, allow_nan=False) + "\n"


def _as_text(facts: ReportFacts) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=False, color_system=None, legacy_windows=False)
    text(facts, console)
    return console.file.getvalue() if isinstance(console.file, io.StringIO) else ""


#: Formats that are written to files: name → (file, function).
FORMATS: dict[str, tuple[str, Callable[[ReportFacts], str]]] = {
    "markdown": ("report.md", markdown),
    "html": ("report.html", html),
    "json": ("report.json", _as_json),
    "junit": ("report.xml", junit),
    "text": ("report.txt", _as_text),
}


def report(
    root: Path,
    model: ModelConfig | str,
    *,
    formats: Iterable[str] = ("markdown", "html", "json", "junit"),
    progress: Progress,
) -> dict[str, Path]:
    """Write the report of one model beside its records, and return format → file.

    Args:
        root: the checkout; records are in `<root>/.passmuster/<model>/`.
        model: the model's config, or its name. A config stands for a model that exists: one without any record is
            reported as *could not be judged*. A name without a folder of records is a mistake of the caller.
        formats: any of `FORMATS`.
        progress: is told what is written.

    Raises:
        UsageError: a format or a model that is not known.
        Refused: the records came with a commit (see `workspace.folder`).
    """
    name = model if isinstance(model, str) else model.name
    wanted = list(dict.fromkeys(formats))
    if unknown := [entry for entry in wanted if entry not in FORMATS]:
        raise UsageError(f"unknown format {unknown[0]!r}; there are {', '.join(FORMATS)}")
    folder = workspace.folder(root, name)
    if isinstance(model, str) and (not name or Path(name).name != name or not folder.is_dir()):
        raise UsageError(f"nothing is recorded of a model {name!r}; run `passmuster run {name}` first")
    found = facts(folder)
    written: dict[str, Path] = {}
    for entry in wanted:
        file, render = FORMATS[entry]
        progress.step(f"writing {file} of {name}")
        write_atomically(folder / file, render(found))
        written[entry] = folder / file
    return written
