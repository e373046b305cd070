"""Text that others wrote is shown, and does nothing else."""

from __future__ import annotations

import re
import unicodedata
from html import unescape
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from passmuster.report._escape import BREAK, HIDDEN, clean, code, markdown, shorten, xml

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</code><b>passes</b>",
    "<!-- hidden -->",
    "[click](javascript:alert(1))",
    "![image](//evil.example/x.png)",
    "[a]: //evil.example",
    "*bold* _em_ **strong** ~~gone~~ `code` ``",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "# heading\n\n- list\n1. one\n> quote\n\n    code\n```\nfence\n```\n---",
    "@everyone @org/team a@b.example",
    "#123 GH-7 owner/name#5 org/repo@deadbeef",
    "http://evil.example https://evil.example www.evil.example ftp://evil.example mailto:a@b.example",
    "$E=mc^2$ :tada: \\*",
    "&lt;b&gt; &amp; &#64;all",
    "passes\u202egnol\u2066x\u2069",
    "zero\u200bwidth\ufeff\u00ad\u2060",
    "bell\x07 esc\x1b[31mred\x1b[0m nul\x00",
    "lone \ud800 surrogate",
    "Z" + "\u0301" * 40,
    "line\u2028separator\u0085next\r\nlast",
    "tag \U000e0041 filler \u3164",
]

text = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=60),
    st.text(alphabet="\\`*_{}[]()<>#+-.!|~@:/&$ \n\tGHw1a", max_size=40),
)


def rendered(source: str) -> str:
    """Render as GitHub does, as far as a renderer without GitHub's own filters can."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(source)


def plain(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html)).replace("\u200b", "")


@given(text)
@example("a\\")
@example("\\|")
def test_escaped_text_renders_as_itself_and_nothing_else(raw: str) -> None:
    html = rendered(f"x {markdown(raw)} y")

    assert re.findall(r"<[^>]*>", html) == ["<p>", "</p>"]
    assert plain(html).strip() == " ".join(f"x {clean(raw)} y".split(" ") if clean(raw) else ["x", "", "y"])


@given(st.lists(text, min_size=1, max_size=3))
def test_escaped_text_stays_in_its_cell(cells: list[str]) -> None:
    row = " | ".join(markdown(cell) for cell in cells)
    table = f"| {' | '.join('h' * len(cells))} |\n|{'---|' * len(cells)}\n| {row} |\n"

    html = rendered(table)

    assert html.count("<td>") == len(cells)
    assert not re.search(r"<(?!/?(?:table|thead|tbody|tr|th|td)>)", html)


@given(text)
def test_inline_code_is_one_element_that_its_content_cannot_end(raw: str) -> None:
    html = rendered(f"x {code(raw)} y")

    assert re.findall(r"<[^>]*>", html) == ["<p>", "<code>", "</code>", "</p>"]


@given(text)
def test_nothing_is_left_for_github_to_link_in_the_rendered_text(raw: str) -> None:
    shown = unescape(re.sub(r"<[^>]*>", "", rendered(f"x {markdown(raw)} y")))

    assert not re.search(r"@[A-Za-z0-9]", shown)
    assert not re.search(r"#\d", shown)
    assert not re.search(r"(?i)GH-\d|://|\bwww\.|\b(?:mailto|xmpp):", shown)


@given(text)
def test_escaped_text_holds_no_raw_bracket_pipe_or_line_break(raw: str) -> None:
    escaped = markdown(raw)

    assert not set(escaped) & set("<>|`\n\r")


@given(text)
def test_clean_text_is_one_line_of_visible_characters(raw: str) -> None:
    cleaned = clean(raw)

    assert all(unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for sign in cleaned)
    assert "\n" not in cleaned
    cleaned.encode()


@given(text)
def test_cleaning_twice_is_cleaning_once(raw: str) -> None:
    assert clean(clean(raw)) == clean(raw)


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\u2066", "\ufeff", "\x1b", "\x00", "\ud800", "\u3164"])
def test_what_cannot_be_seen_leaves_a_mark(hidden: str) -> None:
    assert clean(f"a{hidden}b") == f"a{HIDDEN}b"


def test_marks_do_not_pile_up_over_other_lines() -> None:
    assert clean("Z" + "\u0301" * 40).count("\u0301") == 3


def test_letters_of_all_scripts_stay_as_they_are() -> None:
    words = "Größe Ποσότητα 金額 مبلغ राशि é"

    assert clean(words) == words


def test_long_text_says_how_much_is_missing() -> None:
    assert shorten("abcdef", 4) == "abcd… (+2 characters)"
    assert len(clean("x" * 10_000_000, 100)) < 140


def test_mentions_are_broken_by_a_character_that_survives_rendering() -> None:
    assert markdown("@org/team") == f"@{BREAK}org/team"


@given(text)
def test_xml_text_is_well_formed_whatever_it_was(raw: str) -> None:
    element = ET.Element("x")
    element.text = xml(raw)

    ET.fromstring(ET.tostring(element, encoding="utf-8"))
