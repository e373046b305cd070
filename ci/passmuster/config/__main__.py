"""`python -m passmuster.config [folder]` writes the schema and the reference of configs to the folder `docs`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path


def generated() -> Mapping[str, str]:
    """Return the generated files, by name."""
    from passmuster.config._reference import reference_text
    from passmuster.config._schema import schema_text

    return {"model-config.schema.json": schema_text(), "configuration.md": reference_text()}


if __name__ == "__main__":
    docs = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    docs.mkdir(exist_ok=True)
    for name, text in generated().items():
        docs.joinpath(name).write_text(text, encoding="utf-8")
