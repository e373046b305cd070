"""Events of the ledger: what is written reads back, and nothing hostile is believed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passmuster import events
from passmuster._git import Repository
from passmuster.errors import Refused, UsageError
from passmuster.events import Promoted, Promotion, Registered, Registration, RolledBack
from passmuster.ledger import History, Ledger, chain_problems

DIGEST = "sha256:" + "ab" * 32


def facts(number: int = 1, **changes: Any) -> dict[str, Any]:
    """What all events of version `number` say."""
    return {
        "nonce": f"{number:032x}",
        "time": f"2026-11-23T12:00:{number:02d}Z",
        "who": "Ada <ada@example.org>",
        "model": "credit",
        "version": f"v{number}",
        "commit": f"{number:040x}",
        "model_digest": f"sha256:{number:064x}",
        "evidence": dict.fromkeys(("input", "reproduce", "score", "gate"), DIGEST),
        "registry": Registration(name="credit", mlflow_version=str(number), run_id="r1", uri="sqlite:///mlflow.db"),
        "targets": ("evaluate",),
        "environment": {"python": "3.11.7", "cpu_count": 2},
        "previous": None,
        **changes,
    }


@pytest.mark.parametrize(
    "targets",
    [
        pytest.param(["t" * 500] * 120, id="all that fits"),
        pytest.param(["t" * 5000, "train"], id="a long one"),
        pytest.param([f"train@{number}" for number in range(3000)], id="many"),
        pytest.param(["folder/" * 60 + str(number) for number in range(200)], id="many that are long"),
    ],
)
def test_a_model_of_long_names_and_many_targets_can_be_promoted(targets: list[str]) -> None:
    """Its verdict stands by then; what does not fit is named by digest, so that another target is told from it."""
    event = Registered(**facts(model="m" * 220, targets=tuple(targets)))
    other = Registered(**facts(model="m" * 220, targets=(*targets[:-1], f"{targets[-1]}'")))

    assert events.parse(events.text(event)) == event
    assert event.targets != other.targets
    assert (event.targets == tuple(targets)) == (len(targets) == 120)


def promotions(count: int) -> History:
    """A whole chain of `count` promotions."""
    versions: list[Registered] = []
    champions: list[Promotion] = []
    for number in range(1, count + 1):
        last = versions[-1].digest if versions else None
        before = champions[-1].digest if champions else None
        versions.append(Registered(**facts(number, previous=last)))
        champions.append(Promoted(**facts(number, previous=before), promotion=number, first=number == 1))
    return History(model="credit", versions=tuple(versions), promotions=tuple(champions))


def rolled_back(history: History, to: int) -> History:
    """The same with one rollback more."""
    champion = history.promotions[-1]
    number = champion.promotion + 1
    event = RolledBack(
        **facts(to, nonce="f" * 32, time=f"2026-11-23T12:01:{number:02d}Z", previous=champion.digest),
        promotion=number,
        replaced=champion.version,
        reason="it drifts",
    )
    return replace(history, promotions=(*history.promotions, event))


def with_promotion(history: History, index: int, **changes: Any) -> History:
    """The same with one promotion altered."""
    found = list(history.promotions)
    found[index] = replace(found[index], **changes)
    return replace(history, promotions=tuple(found))


plain = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=50)


@given(who=plain, reason=plain, target=plain)
def test_every_event_reads_back_as_it_was_written(who: str, reason: str, target: str) -> None:
    said = facts(who=who, targets=(target,))
    for event in (
        Registered(**said),
        Promoted(**said, promotion=1, first=True),
        RolledBack(**said, promotion=2, replaced="v2", reason=reason),
    ):
        assert events.parse(events.text(event)) == event


HOSTILE: dict[str, dict[str, Any]] = {
    "an unknown kind": {"event": "Crowned"},
    "a later format": {"format": 2},
    "an unknown key": {"extra": 1},
    "a nonce that is not hex": {"nonce": "z" * 32},
    "a digest with a line break": {"model_digest": DIGEST + "\n"},
    "a short commit": {"commit": "abc"},
    "version zero": {"version": "v0"},
    "a version that is a number": {"version": 1},
    "a promotion that is true": {"promotion": True},
    "promotion zero": {"promotion": 0},
    "a name that clears the screen": {"who": "Ada\x1b[2J"},
    "a name that turns the direction of text": {"who": "Ada\u202e"},
    "a name with half a character": {"who": "\ud800"},
    "a name that is too long": {"who": "a" * 201},
    "nobody": {"who": ""},
    "no such day": {"time": "2026-02-30T00:00:00Z"},
    "a local time": {"time": "2026-02-03T00:00:00"},
    "evidence without the verdict": {"evidence": dict.fromkeys(("input", "reproduce", "score"), DIGEST)},
    "no targets": {"targets": []},
    "an environment of lists": {"environment": {"python": [1]}},
    "first that is text": {"first": "yes"},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_event_is_refused(case: str) -> None:
    good = events.to_json(Promoted(**facts(), promotion=1, first=True))
    assert events.parse(json.dumps(good))

    with pytest.raises(Refused):
        events.parse(json.dumps({**good, **HOSTILE[case]}))


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{", "released by hand", "[" * 100_000, '"' + "a" * 70_000 + '"', '{"event": {}}']
)
def test_a_message_that_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        events.parse(text)


def test_a_missing_key_is_refused() -> None:
    good = events.to_json(Promoted(**facts(), promotion=1, first=True))
    for key in good:
        with pytest.raises(Refused):
            events.parse(json.dumps({name: value for name, value in good.items() if name != key}))


def test_a_new_event_is_later_than_the_one_before_even_where_the_clock_lags() -> None:
    ahead = Registered(**facts(time="2999-01-01T00:00:00Z"))

    assert events.now(ahead) == "2999-01-01T00:00:01Z"
    assert events.now() < "2999"


def test_a_whole_chain_has_no_problem_and_knows_its_champion() -> None:
    history = rolled_back(promotions(3), to=1)

    assert chain_problems(history) == []
    assert history.champion is not None and history.champion.version == "v1"
    assert history.replaced is not None and history.replaced.version == "v3"


def test_history_knows_who_was_champion_at_a_time() -> None:
    history = promotions(3)
    second = history.promotions[1]

    assert history.at(second.when) == second
    assert history.at(history.promotions[2].when.replace(microsecond=0)) == history.promotions[2]
    assert history.at(history.promotions[0].when.replace(year=2000)) is None


BROKEN: dict[str, History] = {
    "a promotion in the middle is gone": replace(
        promotions(3), promotions=(promotions(3).promotions[0], promotions(3).promotions[2])
    ),
    "the first promotion is gone": replace(promotions(3), promotions=promotions(3).promotions[1:]),
    "the last promotion is gone, its version is not": replace(promotions(3), promotions=promotions(3).promotions[:-1]),
    "a version is gone": replace(promotions(3), versions=promotions(3).versions[1:]),
    "the last version is gone": replace(promotions(3), versions=promotions(3).versions[:-1]),
    "another person stands in an old event": with_promotion(promotions(3), 1, who="Eve"),
    "a promotion names another commit than its version": with_promotion(promotions(3), 2, commit="f" * 40),
    "a promotion names another model": with_promotion(promotions(3), 2, model_digest=DIGEST),
    "a promotion names other evidence": with_promotion(
        promotions(1), 0, evidence=dict.fromkeys(("input", "reproduce", "score", "gate"), "sha256:" + "0" * 64)
    ),
    "the first promotion says it compared": with_promotion(promotions(1), 0, first=False),
    "a later promotion says it was the first": with_promotion(promotions(2), 1, first=True),
    "a promotion is earlier than the one before": with_promotion(promotions(2), 1, time="2026-11-23T11:00:00Z"),
    "a rollback to what is champion": with_promotion(rolled_back(promotions(2), 1), 2, replaced="v1"),
    "a rollback from what was not champion": with_promotion(rolled_back(promotions(3), 1), 3, replaced="v2"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_chain_is_told(case: str) -> None:
    assert chain_problems(BROKEN[case])


@pytest.mark.parametrize("name", ["", "-a", "a b", "a*", "a..b", "a@v1", "a#b", "a/", "ä", "a\n"])
def test_a_name_that_git_or_gto_would_misread_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError):
        Ledger(Repository(Path()), name, "origin")
