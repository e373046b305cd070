"""Who measures the columns of data files: this machine, or Spark (`docs/spark.md`)."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

from passmuster.errors import UsageError

#: The engines, the usual one first.
ENGINES = ("local", "spark")

_NEEDS = "the engine `spark` needs PySpark and Java 17 or 21: install `passmuster[spark]` and a Java runtime"


def check(engine: str) -> None:
    """Refuse an engine that can't work here.

    Raises:
        UsageError: there is no such engine, or what it needs is not installed.
    """
    if engine not in ENGINES:
        raise UsageError(f"there is no engine {engine!r}; there are {' and '.join(f'`{name}`' for name in ENGINES)}")
    if engine == "spark" and find_spec("pyspark") is None:
        raise UsageError(f"PySpark is not installed; {_NEEDS}")
    if engine == "spark" and not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise UsageError(f"there is no `java` on the PATH, and JAVA_HOME is not set; {_NEEDS}")
