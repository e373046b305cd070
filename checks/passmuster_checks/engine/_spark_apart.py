"""How far apart two splits' columns are, where Spark has counted them; `_apart` says the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from pyspark.sql import DataFrame

from passmuster.errors import NotMeasured
from passmuster_checks.engine import _apart, _spark_counts
from passmuster_checks.engine._apart import Apart
from passmuster_checks.engine._columns import Categories, Form, Numbers
from passmuster_checks.engine._facts import Pair
from passmuster_checks.engine._spark_counts import Ranked, Wide
from passmuster_checks.statistics import distance
from passmuster_checks.statistics.distance import cells


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """A column of one of two splits."""

    form: Form | Wide
    counts: tuple[DataFrame, int]  #: where its values are counted, and under what code


def apart(base: Side, current: Side) -> Apart:
    """Return how far apart two columns are.

    Raises:
        NotMeasured: they are of different kinds, or of one that has no distance, or one has no rows.
    """
    ours, theirs = base.form, current.form
    if isinstance(ours, Wide) or isinstance(theirs, Wide):
        return _wide(base, current)
    found = _apart.apart(ours, theirs)
    if not any(isinstance(form, Ranked) and form.thinned for form in (ours, theirs)):
        return found
    # What was left out does not matter for this one.
    before, now = ours.profile(), theirs.profile()
    exact = cells.null_share((before.null + before.nan, now.null + now.nan), (before.rows, now.rows))
    return replace(found, distances=replace(found.distances, sizes={**found.distances.sizes, "null_share": exact}))


def _wide(base: Side, current: Side) -> Apart:
    for side in (base.form, current.form):
        if not isinstance(side, Wide | Categories) and side.missing < side.rows:
            raise NotMeasured(
                f"it holds {base.form.type} in one and {current.form.type} in the other, which can't be compared"
            )
    (frame, ours), (other, theirs) = base.counts, current.counts
    found = _spark_counts.aligned(frame if frame is other else frame.unionByName(other), ours, theirs)
    distances = distance.of_counts(
        distance.Counts(values=found.base, null=base.form.missing),
        distance.Counts(values=found.current, null=current.form.missing),
    )
    size = distances.sizes.get("share_ratio")
    return Apart(distances=distances, category=None if size is None else found.name(size.category))


def narrow(forms: Mapping[str, Form | Wide], pair: Pair) -> dict[str, Form]:
    """Return the forms that can be compared with a stored profile.

    Raises:
        NotMeasured: one of the pair has too many categories for it.
    """
    for split in pair:
        if isinstance(form := forms.get(split), Wide):
            raise NotMeasured(
                f"it has {form.distinct:,} different values, more than {_spark_counts.MOST_CATEGORIES:,}, which is too "
                "many to be compared with a stored profile; leave the column out"
            )
    return {split: _plain(form) for split, form in forms.items() if not isinstance(form, Wide)}


def _plain(form: Form) -> Form:
    """Return a form of the class that a stored profile's is of."""
    if not isinstance(form, Ranked):
        return form
    return Numbers(**{part.name: getattr(form, part.name) for part in fields(Numbers)})
