"""GitHub's dialect of Markdown, as far as a reader's safety depends on it: tables, HTML, and all that it links unasked.

What GitHub would make a link, a mention or a picture of becomes an element here, so that a test sees it. The rules are
those of GitHub's documentation on autolinked references and of its Markdown specification, taken rather too wide.
"""

from __future__ import annotations

import re
from html import unescape

from markdown_it import MarkdownIt

_PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

#: Within these GitHub links nothing.
_LITERAL = ("code", "pre", "a")

_LINKED = re.compile(
    r"""(?xi)
    (?:https?|ftp)://[^\s<]              # addresses
    | \bwww\.[^\s<]
    | \b(?:mailto|xmpp):[^\s<]
    | [\w.+-]+@[\w-]+\.[\w-]             # of mail
    | (?<![\w`])@[a-z0-9]                # people and teams
    | \#\d | \bGH-\d                     # issues, here and elsewhere
    | (?<!\w)[0-9a-f]{7,40}(?!\w)        # commits
    | @[0-9a-f]{7,40}(?!\w)
    """
)
_PICTURE = re.compile(r":[\w+-]+:")
_TAG = re.compile(r"<(/?)([A-Za-z][\w-]*)([^<>]*)>|<!--.*?-->", re.S)


def render(source: str) -> str:
    """Return the HTML that GitHub would show, links and pictures made of mere text among it."""
    parts: list[str] = []
    literal = at = 0
    page = _PARSER.render(source)
    for tag in _TAG.finditer(page):
        parts.append(_text(page[at : tag.start()], literal > 0))
        parts.append(tag[0])
        if tag[2] in _LITERAL:
            literal += -1 if tag[1] else 1
        at = tag.end()
    return "".join([*parts, _text(page[at:], literal > 0)])


def _text(raw: str, literal: bool) -> str:
    if literal or not raw.strip():
        return raw
    shown = unescape(raw)
    if _LINKED.search(shown):
        return f'<a href="linked">{raw}</a>'
    return f"<g-emoji>{raw}</g-emoji>" if _PICTURE.search(shown) else raw


def tags(page: str) -> set[str]:
    """Return the names of all elements of a page, with their attributes where they have any."""
    return {f"{tag[2]}{tag[3]}".strip() for tag in _TAG.finditer(page) if tag[2] and not tag[1]}


def shown(page: str) -> str:
    """Return what a reader sees of a page."""
    return unescape(_TAG.sub("", page)).replace("\u200b", "")
