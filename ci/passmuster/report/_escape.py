"""Neutralise text that others wrote: data, configs, messages of programs. All of it goes through here.

Two stages. `clean` makes text honest: one line, no character that hides, reorders or overlaps what stands beside it.
`markdown`, `code` and `xml` then keep it from becoming markup in their target; HTML is left to Jinja2's autoescape.

GitHub looks for mentions, issue numbers and addresses in the *rendered* text, where an entity is the character again,
so those are broken by a zero-width space, the only invisible character that a report contains.
"""

from __future__ import annotations

import re
import unicodedata

#: Stands where a character was that can't be shown.
HIDDEN = "\N{REPLACEMENT CHARACTER}"

#: Breaks what GitHub would link.
BREAK = "&#8203;"

#: Categories that are never shown: controls, format (bidi marks, zero-width, tags), surrogates, private, unassigned.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})

#: Letters and marks that print as nothing (Unicode's Default_Ignorable_Code_Point beyond the categories above).
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0\u2800")

#: Marks on one letter; more of them climb over the lines around it.
_MOST_MARKS = 3

_MARKDOWN = {
    **{sign: f"\\{sign}" for sign in "\\*_[]~"},
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "|": "&#124;",
    "`": "&#96;",
    "$": "&#36;",
    "@": f"@{BREAK}",
    "#": f"&#35;{BREAK}",
}
_MARKDOWN_TABLE = str.maketrans(_MARKDOWN)

#: The same where no backslash escapes, as in the summary of a fold, which is HTML.
_HTML_TABLE = str.maketrans({**_MARKDOWN, **{sign: f"&#{ord(sign)};" for sign in "\\*_[]~"}})

#: What GitHub links without any mark: addresses, `www.`, `GH-1`.
_LINKED = re.compile(r"(?i)(:(?=//)|\bwww(?=\.)|\bGH(?=-\d)|\b(?:mailto|xmpp)(?=:))")

#: What GitHub makes of prose, not of code: a picture of `:name:`, a link of what begins as a commit does.
_DRAWN = re.compile(r"(?i):(?=[\w+\\&#;-]+:)|[0-9a-f]{6}(?=[0-9a-f])")

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def shorten(text: str, limit: int) -> str:
    """Return `text`, or its first `limit` characters and how many more there were."""
    return text if len(text) <= limit else f"{text[:limit]}… (+{len(text) - limit:,} characters)"


def clean(text: str, limit: int = 4000) -> str:
    """Return `text` on one line, at most about `limit` characters, with what can't be seen replaced by `HIDDEN`."""
    if len(text) <= limit and text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()  # nearly always
    signs: list[str] = []
    marks = 0
    for sign in " ".join(shorten(text, limit).split()):
        marks = marks + 1 if unicodedata.combining(sign) else 0
        hidden = marks > _MOST_MARKS or sign in _BLANK or unicodedata.category(sign) in _HIDDEN_CATEGORIES
        signs.append(HIDDEN if hidden else " " if sign.isspace() else sign)
    return re.sub(f"{HIDDEN}{{2,}}", HIDDEN, "".join(signs))


def verbatim(text: str, limit: int = 4000) -> str:
    """Return `text` as by `clean`, but with its spaces as they are."""
    return " ".join(clean(part, limit) for part in shorten(text, limit).split(" "))


def markdown(text: str, limit: int = 4000) -> str:
    """Return `text` as inline GitHub Markdown that shows it and does nothing else, also within a table's cell."""
    return _prose(_unlinked(clean(text, limit).translate(_MARKDOWN_TABLE)))


def code(text: str, limit: int = 4000) -> str:
    """Return `text` as inline code of GitHub Markdown; nothing in it can end the element."""
    return f"<code>{_unlinked(clean(text, limit).translate(_MARKDOWN_TABLE))}</code>"


def html(text: str, limit: int = 4000) -> str:
    """Return `text` for a line of HTML within GitHub Markdown, which escapes by entities alone."""
    return _prose(_unlinked(clean(text, limit).translate(_HTML_TABLE)))


def _unlinked(escaped: str) -> str:
    return _LINKED.sub(rf"\1{BREAK}", escaped)


def _prose(escaped: str) -> str:
    return _DRAWN.sub(rf"\g<0>{BREAK}", escaped)


def xml(text: str, limit: int = 100_000) -> str:
    """Return `text` without the characters that XML 1.0 forbids; line breaks stay."""
    return _NOT_XML.sub("", shorten(text, limit))
