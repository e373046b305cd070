"""Texts that `init` writes, filled in by Jinja; a value is never markup, it is quoted as YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

#: What YAML 1.2 reads as this very text without quotes.
_PLAIN = re.compile(r"[A-Za-z_][\w./@-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def render(name: str, values: Mapping[str, Any]) -> str:
    """Return the template of this name with `values` in it; a value that is not there is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701  YAML and Markdown, not HTML
        loader=PackageLoader("passmuster.init"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        # Workflows are full of `${{ }}`.
        variable_start_string="<<",
        variable_end_string=">>",
    )
    environment.filters["q"] = quoted
    return environment.get_template(name).render(values)


def quoted(value: object) -> str:
    """Return a text as a YAML scalar: plain where that reads back as the same, else in double quotes."""
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)
