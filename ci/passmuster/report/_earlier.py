"""What a comment remembers of earlier commits: a small list, hidden in the comment itself.

A comment is edited after each run, so it is its own memory. What comes back is text, and believed for nothing: whoever
may edit comments may edit it too.

Law: `remembered(remember(posting))` begins with what the posting says of its own commit, followed by what it
remembered of others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from passmuster.pull_request import Earlier, Posting
from passmuster.report import _conclusion
from passmuster.report._escape import clean

#: Commits, and characters of the whole, that are remembered.
_MOST, _LONGEST = 10, 3000

_HEAD, _WORDS, _REASON = 10, 80, 100

_MARK = "passmuster-earlier"
_MEMORY = re.compile(rf"<!-- {_MARK} (\[[^<>]*\]) -->")

#: What could end an HTML comment, or be read as anything but text.
_ESCAPED = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&-@#`"})


def remember(posting: Posting) -> str:
    """Return the hidden part of a comment that `remembered` reads, under 3,100 characters; no text of it is markup."""
    found: list[list[str]] = []
    for entry in [_now(posting), *others(posting)]:
        told = [entry.head, entry.words, entry.reason]
        if len(found) == _MOST or len(_packed([*found, told])) > _LONGEST:
            break
        found.append(told)
    return f"<!-- {_MARK} {_packed(found)} -->"


def remembered(text: str) -> tuple[Earlier, ...]:
    """Return what a comment remembers, newest first; nothing where it holds nothing that `remember` could have written.

    Args:
        text: the body of a comment by our own author.
    """
    found = _MEMORY.search(text)
    try:
        raw = json.loads(found[1]) if found else []
    except (ValueError, RecursionError):
        return ()
    return tuple(_entries(raw))


def others(posting: Posting) -> list[Earlier]:
    """Return what is remembered of other commits than the posting's own, each once."""
    own = posting.revision.head[:_HEAD]
    by_head = {entry.head: entry for entry in reversed(posting.earlier) if entry.head != own}
    return [entry for entry in posting.earlier if by_head.get(entry.head) is entry]


def _now(posting: Posting) -> Earlier:
    found = _conclusion.entries(posting)
    told = found[0] if found else None
    words = f"{told.emoji} {_conclusion.headline(posting)}" if told else _conclusion.headline(posting)
    reason = posting.problems[0] if posting.problems else told.why if told else ""
    return Earlier(head=posting.revision.head[:_HEAD], words=clean(words, _WORDS), reason=clean(reason, _REASON))


def _packed(found: list[list[str]]) -> str:
    return json.dumps(found, separators=(",", ":")).translate(_ESCAPED)


def _entries(raw: Any) -> Iterable[Earlier]:
    for entry in raw[:_MOST] if isinstance(raw, list) else ():
        match entry:
            case [str(head), str(words), str(reason)] if re.fullmatch("[0-9a-f]{7,40}", head):
                yield Earlier(head=head[:_HEAD], words=clean(words, 2 * _WORDS), reason=clean(reason, 2 * _REASON))
