"""The curated checks of Deepchecks: what runs where a config names none. Data only; Deepchecks is not imported."""

from __future__ import annotations

from collections.abc import Mapping

from passmuster.config import Check, Task

CURATED: Mapping[str, Mapping[Task, Mapping[str, Check]]] = {
    gate: {task: {} for task in Task} for gate in ("integrity", "train-test", "evaluation")
}
