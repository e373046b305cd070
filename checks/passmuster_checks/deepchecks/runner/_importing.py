"""Brings Deepchecks in: without its voice, and without what no check needs."""

from __future__ import annotations

import sys
import warnings


def import_deepchecks() -> None:
    """Import Deepchecks, which takes seconds; what it would print is off afterwards."""
    import logging

    # A grammar of addresses, compiled for a third of the whole import; jsonschema does without where it is missing.
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    warnings.simplefilter("ignore")
    import deepchecks.tabular  # noqa: F401  its import sets levels and filters of its own

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
