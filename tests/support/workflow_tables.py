"""The tables in docs/workflows.md: what a workflow takes and gives, and what its jobs may. `make docs` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs/workflows.md"
_PLACE = re.compile(r"(<!-- ([\w-]+\.yml) -->\n).*?(<!-- end -->\n)", re.DOTALL)
_GRANT = re.compile(r"^      ([a-z-]+): (read|write) # (.+)$", re.MULTILINE)


def page(text: str) -> str:
    """Return the page with its tables as the workflows say them."""
    return _PLACE.sub(lambda match: f"{match[1]}{tables(match[2])}\n{match[3]}", text)


def tables(name: str) -> str:
    """Return the tables of one workflow."""
    text = (PROJECT / ".github/workflows" / name).read_text()
    workflow = yaml.safe_load(text)
    call = workflow[True]["workflow_call"]  # YAML reads `on` as true
    parts = [_table(("input", "type", "default", "what it is"), _inputs(call["inputs"]))]
    if secrets := call.get("secrets"):
        parts.append(
            _table(("secret", "what it is"), ((f"`{one}`", said["description"]) for one, said in secrets.items()))
        )
    if outputs := call.get("outputs"):
        parts.append(
            _table(("output", "what it is"), ((f"`{one}`", said["description"]) for one, said in outputs.items()))
        )
    parts.append(_table(("job", "may", "cache", "minutes, at most"), _jobs(text, workflow)))
    return "\n\n".join(parts)


def _inputs(inputs: Mapping[str, Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    for name, said in inputs.items():
        default = "**required**" if said.get("required") else f"`{said['default']}`" if said["default"] != "" else ""
        yield f"`{name}`", said["type"], default.replace("`False`", "`false`"), " ".join(said["description"].split())


def _jobs(text: str, workflow: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    blocks = re.split(r"^  ([a-z-]+):\n    name:", text, flags=re.MULTILINE)
    for name, block in zip(blocks[1::2], blocks[2::2], strict=True):
        job = workflow["jobs"][name]
        may = "<br>".join(
            f"`{what}: {right}`: {why}" for what, right, why in _GRANT.findall(block.partition("steps:")[0])
        )
        cache = str(job.get("cache-mode") or workflow.get("cache-mode") or "its jobs'")
        yield f"`{name}`", may, cache, str(job.get("timeout-minutes", "its jobs'"))


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
