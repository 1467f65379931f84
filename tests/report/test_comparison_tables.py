"""Tables of a comparison of generators for papers and spreadsheets, with names that somebody chose with care."""

import csv
import re

import pytest
from generator_comparisons import comparison
from hypothesis import given
from hypothesis import strategies as st

from stgan.report.comparison_tables import as_csv, caption, escaped_latex, latex, lines, markdown

HOSTILE = r"a|b_{c}\input{x}%$&#~^<i>*`[y]"


def test_the_best_is_bold_and_nothing_else() -> None:
    found = comparison(["ours", "theirs", "others"])
    text = markdown(found)
    assert text.splitlines()[:3] == [
        "|  | ours | theirs | others | real |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| accuracy ↑ | **0.88** [0.50, 1.00] | 0.88 [0.50, 1.00] | 0.88 [0.50, 1.00] |  |",
    ]
    assert "| motion ≈ | 4.00 | 4.00 | 4.00 | 4.50 [4.00, 5.00] |" in text and text.count("**") == 2
    paper = latex(found)
    assert r"accuracy $\uparrow$ & \textbf{0.88} {\scriptsize [0.50, 1.00]} & 0.88 " in paper
    assert r"$-$0.0125 {\scriptsize [$-$0.5000, 0.2500]}" in paper and paper.count(r"\textbf") == 1
    rows = list(csv.DictReader(as_csv(found).splitlines()))
    assert [row["generator"] for row in rows if row["best"] == "True"] == ["ours"]
    assert rows[-1] == {
        "generator": "real clips", "fooled": "", "metric": "motion", "value": "4.5", "low": "4.0", "high": "5.0",
        "better": "as real clips", "best": "False",
    }  # fmt: skip


def test_the_caption_says_what_a_reader_must_know() -> None:
    words = caption(comparison(["ours", "theirs"], fooled=True))
    for part in (
        "1 clips of each generator, 1 of each of 1 actions, scored by evaluator (r2plus1d, weights 01234567)",
        "the middle 16 frames",
        "1 windows of 'real' on the 8 features of evaluator",
        "bootstrap over clips, 1000 draws",
        "Bold: better than every other generator",
        "Paired, as actions, seeds and numbers are equal: ours, theirs.",
        "Fooled: a network that scores these clips steered them",
    ):
        assert part in words
    assert caption(comparison(["ours", "theirs"]), intervals="Below", best="Stars").count("Below: 95 %") == 1
    assert "| theirs (fooled) |" in markdown(comparison(["ours", "theirs"], fooled=True))


def test_names_are_text_in_every_form() -> None:
    found = comparison([HOSTILE, "=cmd|'/C calc'!A0", "two\nlines\x1b[2J"])
    table = markdown(found)
    assert len({line.count(" | ") for line in table.splitlines() if line.startswith("| ")} - {0}) == 1
    assert r"a\|b\_\{c\}\\input\{x\}%\$\&\#\~^\<i\>\*\`\[y\]" in table and "\x1b" not in table
    paper = latex(found)
    assert r"a\textbar{}b\_\{c\}\textbackslash{}input\{x\}\%\$\&\#\textasciitilde{}\textasciicircum{}" in paper
    assert "\x1b" not in paper and r"\input" not in paper
    cells = [row["generator"] for row in csv.DictReader(as_csv(found).splitlines())]
    assert "'=cmd|'/C calc'!A0" in cells and HOSTILE in cells


@given(st.text(max_size=40))
def test_latex_has_no_special_characters_left(text: str) -> None:
    plain = re.sub(r"\\(text\w+\{\}|[{}$&#_%])|\$\\(uparrow|downarrow|approx)\$|\{[\[\]]\}", "", escaped_latex(text))
    assert not set(plain) & set('\\{}$&#_%~^<>|[]"')


@pytest.mark.parametrize(("most", "value"), [(4, "\N{MINUS SIGN}0.0125"), (2, "\N{MINUS SIGN}0.01")])
def test_digits(most: int, value: str) -> None:
    (line,) = (each for each in lines(comparison(["a", "b"]), most) if each.metric.name == "kernel")
    assert line.cells[0].value == value
