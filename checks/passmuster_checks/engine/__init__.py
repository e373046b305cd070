"""The engine: exact facts of every column and row of the data files, each column read once, with bounded memory.

All gates of one run share what it found, since they ask with an equal `Request`:

    from passmuster_checks import engine

    facts = engine.facts(engine.Request.of(inputs))
    facts.profile("test", "Age")                         # ColumnProfile
    facts.distance(("train", "test"), "Age")             # Distances, see `statistics.distance`
    facts.row_facts("train"), facts.shared_rows(("train", "test")), facts.predictor("Age")

A profile that was stored (`Profile.write`) stands in for a split whose rows are gone: name its file in
`Request.stored`, and the name in `Request.pairs`.

What could not be measured is told in `Facts.failures`, and these methods raise it as `NotMeasured`; nothing is absent
without a reason. `facts` itself raises nothing over data, however broken they are. A stable promise.
"""

from __future__ import annotations

from functools import lru_cache

from passmuster import engines
from passmuster_checks.engine._facts import (
    CHAMPION,
    Facts,
    Failed,
    Pair,
    Predictor,
    Request,
    RowFacts,
    SharedRows,
    What,
)
from passmuster_checks.engine.profile import ColumnProfile, Kind, Profile

__all__ = [
    "CHAMPION",
    "ColumnProfile",
    "Facts",
    "Failed",
    "Kind",
    "Pair",
    "Predictor",
    "Profile",
    "Request",
    "RowFacts",
    "SharedRows",
    "What",
    "facts",
]


@lru_cache(maxsize=8)
def facts(request: Request, engine: str = "local") -> Facts:
    """Return the facts of the splits that `request` names; asked again in this process, what was found before.

    Args:
        request: what to measure.
        engine: who does it: `local`, this machine; `spark`, which `docs/spark.md` tells about.

    Raises:
        UsageError: there is no such engine, or what it needs is not there.
    """
    engines.check(engine)
    if engine == "spark":
        from passmuster_checks.engine import spark

        return spark.facts(request)
    from passmuster_checks.engine import _local

    return _local.facts(request)
