"""What promote and rollback share: an intent that survives a kill, one swap in the ledger, and aliases that follow it.

The order makes every moment safe. The intent is written first; then what nobody looks at yet (a registered version);
then one push decides; only then the aliases move, to what the ledger says after the push. Whoever comes next finds
the intent, asks the ledger whether the attempt's nonce is in it, and finishes or undoes.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from passmuster import events, record, workspace
from passmuster.errors import RaceLost, Refused, Unavailable
from passmuster.events import Event, Promotion
from passmuster.ledger import History, Ledger
from passmuster.progress import Progress
from passmuster.record import Record
from passmuster.registry import CHAMPION, LOST, PREVIOUS, PROMOTION, NotThere, Registry

#: Times that the aliases are set again because the ledger moved on meanwhile.
_ROUNDS = 20


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a promotion or a rollback."""

    state: str  #: "done", "already" (it was so before) or "dry run" (nothing was written)
    event: Promotion | None  #: the promotion that holds now; None in a dry run
    said: str  #: the sentence shown to people
    writes: tuple[str, ...] = ()  #: what was written, or would be

    def __str__(self) -> str:
        """Return what people are told."""
        return "\n  ".join((self.said, *(self.writes if self.state == "dry run" else ())))


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What one attempt is about to do."""

    step: str  #: "promote" or "rollback"
    nonce: str
    aim: str  #: promote: the gate record's digest; rollback: the version
    after: int  #: the number of the promotion that was champion; 0: none

    @classmethod
    def new(cls, step: str, aim: str, history: History) -> Intent:
        """Return an attempt with a nonce of its own."""
        return cls(step=step, nonce=secrets.token_hex(16), aim=aim, after=_last(history))

    def wants(self, other: Intent) -> bool:
        """Return whether both aim at the same, from the same champion."""
        return (self.step, self.aim, self.after) == (other.step, other.aim, other.after)


def _last(history: History) -> int:
    return history.champion.promotion if history.champion else 0


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where one model's promotions are made: its folder, its ledger, its registry."""

    folder: Path
    ledger: Ledger
    registry: Registry
    name: str  #: the registered model's
    progress: Progress

    @property
    def _path(self) -> Path:
        return self.folder / "intent.json"

    def read(self) -> History:
        """Return the ledger's history, as by `Ledger.read`.

        Raises:
            Refused: the champion is registered under another name than the config's; its aliases would be left behind.
        """
        history = self.ledger.read()
        name = history.champion.registry.name if history.champion else self.name
        if name != self.name:
            raise Refused(
                f"the champion of {self.ledger.model} is registered in MLflow as {name!r}, the config says "
                f"{self.name!r}; a model keeps its registry name"
            )
        return history

    def intent(self) -> Intent | None:
        """Return the intent that an attempt left, or None.

        Raises:
            Refused: it is there and can't be read; nobody but a person can say what it meant.
        """
        if not self._path.exists():
            return None
        body = record.read(self._path, "intent").body
        try:
            return Intent(**body)
        except TypeError as exc:
            raise Refused(f"{self._path} is no intent: {exc}; see `passmuster history`, then remove it") from exc

    def begin(self, intent: Intent) -> Intent:
        """Write the intent, or return the one that an attempt with the same aim left: its nonce finds what it did."""
        left = self.intent()
        if left is not None and left.wants(intent):
            self.progress.step("going on where an interrupted attempt stopped")
            return left
        if left is not None:
            self.undo(left)
        body = {"step": intent.step, "nonce": intent.nonce, "aim": intent.aim, "after": intent.after}
        record.write(Record(schema="intent", version=1, inputs={}, body=body), self._path)
        return intent

    def undo(self, intent: Intent) -> None:
        """Mark what a lost or given up attempt registered as lost, and forget the intent."""
        if intent.step == "promote" and (found := self.registry.find(self.name, intent.nonce)):
            self.registry.tag(self.name, found.number, LOST, "true")
        self._path.unlink(missing_ok=True)

    def recover(self) -> Promotion | None:
        """Finish an attempt that had won before it was interrupted, and return its event; else None.

        An attempt that had not won stays for `begin`, which goes on with it or undoes it; one that no longer can win
        is undone at once.
        """
        intent = self.intent()
        if intent is None:
            return None
        history = self.read()
        event = history.of_nonce(intent.nonce)
        if event is None:
            if intent.after != _last(history):
                self.undo(intent)
            return None
        self.progress.step(f"finishing an interrupted {intent.step}: {event.tag}")
        self.finish(intent, event)
        return event

    def swap(self, intent: Intent, new: Sequence[Event]) -> Promotion:
        """Append `new` to the ledger, whose last event must be the intent's champion, then let the aliases follow.

        Raises:
            RaceLost: another promotion came between; what this attempt registered is marked as lost.
        """
        try:
            self.ledger.append(*new)
        except RaceLost:
            if (mine := self.read().of_nonce(intent.nonce)) is None:
                self.undo(intent)
                raise
            self.finish(intent, mine)
            return mine
        event = new[-1]
        if not isinstance(event, Promotion):
            raise TypeError("the last event of a swap is a promotion")
        self.finish(intent, event)
        return event

    def finish(self, intent: Intent, event: Promotion) -> None:
        """Let the aliases follow the ledger, write the step's record, and forget the intent."""
        self.settle()
        body = events.to_json(event)
        inputs = {"gate": event.evidence["gate"]}
        record.write(
            Record(schema=intent.step, version=1, inputs=inputs, body=body), self.folder / f"{intent.step}.json"
        )
        self._path.unlink(missing_ok=True)

    def settle(self) -> None:
        """Point MLflow's aliases at what the ledger says, until the ledger did not change meanwhile.

        Raises:
            Refused: MLflow no longer has the champion's version.
            Unavailable: the ledger changed again and again.
        """
        history = self.ledger.read()
        for _ in range(_ROUNDS):
            if history.champion is None:
                return
            self._mirror(history, history.champion)
            again = self.ledger.read()
            found = self.registry.aliases(self.name).get(CHAMPION)
            if again.champion == history.champion and found == history.champion.mlflow_version:
                return
            history = again
        raise Unavailable(f"the aliases of {self.name} did not come to rest; run this again")

    def _mirror(self, history: History, champion: Promotion) -> None:
        key = f"{PROMOTION}{champion.promotion}"
        self.registry.tag(self.name, champion.mlflow_version, key, champion.digest)
        found = self.registry.aliases(self.name)
        if found.get(CHAMPION) != champion.mlflow_version:
            self.registry.set_alias(self.name, CHAMPION, champion.mlflow_version)
        previous = wanted_aliases(history)[PREVIOUS]
        if previous is None and PREVIOUS in found:
            self.registry.drop_alias(self.name, PREVIOUS)
        elif previous is not None and found.get(PREVIOUS) != previous:
            with contextlib.suppress(NotThere):  # deleted in MLflow: `audit` tells; the champion stands all the same
                self.registry.set_alias(self.name, PREVIOUS, previous)

    def refuse_lost_events(self, history: History) -> None:
        """Refuse a ledger that has forgotten a promotion which MLflow remembers.

        Raises:
            Refused: the version behind an alias was promoted later than the ledger's last event.
        """
        known = _last(history)
        later = self._remembered() - set(range(known + 1))
        if not later:
            return
        again = self.ledger.read().champion
        if again is None or again.promotion < max(later):
            raise Refused(
                f"MLflow remembers promotion {max(later)} of {self.ledger.model}, the ledger ends with {known}: a tag "
                "was deleted at the remote; restore it from another clone, see `passmuster audit`"
            )

    def _remembered(self) -> set[int]:
        found: set[int] = set()
        for number in set(self.registry.aliases(self.name).values()):
            with contextlib.suppress(NotThere):
                tags = self.registry.version(self.name, number).tags
                found |= set(remembered(tags))
        return found


def wanted_aliases(history: History) -> dict[str, str | None]:
    """Return alias → the MLflow version that the ledger asks for; None: the alias should not be there."""
    champion, replaced = history.champion, history.replaced
    return {
        CHAMPION: champion.mlflow_version if champion else None,
        PREVIOUS: replaced.mlflow_version if replaced else None,
    }


def disagreement(history: History, aliases: dict[str, str]) -> str:
    """Return how `aliases` differ from what the ledger asks for; empty: they agree."""
    return "; ".join(
        f"alias {alias} is at {_shown(aliases.get(alias))}, the ledger says {_shown(number)}"
        for alias, number in wanted_aliases(history).items()
        if aliases.get(alias) != number
    )


def _shown(number: str | None) -> str:
    return f"MLflow version {number}" if number else "none"


def remembered(tags: Mapping[str, str]) -> dict[int, str]:
    """Return promotion number → digest of its event, as the tags of an MLflow version tell."""
    numbers = {key.removeprefix(PROMOTION): value for key, value in tags.items() if key.startswith(PROMOTION)}
    return {int(number): value for number, value in numbers.items() if number.isdecimal()}


@contextlib.contextmanager
def at_desk(folder: Path) -> Iterator[None]:
    """Hold a model's folder alone: two attempts in one folder would share one intent.

    Raises:
        Unavailable: another process holds it; a killed one does not.
    """
    import fcntl

    workspace.make(folder)
    with (folder / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise Unavailable(f"another promotion or rollback is at work in {folder}; wait until it ends") from exc
        yield
