"""The method as a diagram (the paper's Figure 2): one description, drawn as SVG and as PNG."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from stgan.files import replacing
from stgan.names import printable

WIDTH, HEIGHT = 480, 560
_FONT, _SMALL = 14, 12.5
_ROUND = 7  # radius of a box's corners
_LONGEST = 21  # letters that fit into a box

Kind = Literal["variable", "network", "evaluator", "fooled"]

# The CSS variable of each colour, and its default.
_FILL: dict[Kind, tuple[str, str]] = {
    "variable": ("--box-variable", "#f1f3f6"),
    "network": ("--box-network", "#dfeaf8"),
    "evaluator": ("--box-evaluator", "#dff3e6"),
    "fooled": ("--box-fooled", "#fbdcd9"),
}
_INK, _SOFT, _GRADIENT = ("--ink", "#1d2430"), ("--soft", "#5d6877"), ("--orange", "#b85410")


@dataclass(frozen=True)
class Box:
    """Lines of text in a frame, the first one bold. x and y: the left and top side, in units of the diagram."""

    x: int
    y: int
    width: int
    height: int
    lines: tuple[str, ...]
    kind: Kind


@dataclass(frozen=True)
class Arrow:
    """A line through these points, with a head at the last one, and a word at a place beside it.

    turned:   whether the word runs from bottom to top.
    gradient: whether the arrow stands for a gradient, and is dashed.
    """

    points: tuple[tuple[int, int], ...]
    word: str = ""
    at: tuple[int, int] = (0, 0)
    turned: bool = False
    gradient: bool = False


@dataclass(frozen=True)
class Diagram:
    """Boxes and arrows on an area of WIDTH x HEIGHT; y grows downwards."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    def svg(self) -> str:
        """SVG whose colours a page may set, for light and dark mode."""
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="The method: {escape("; ".join(b.lines[0] for b in self.boxes), {chr(34): "&quot;"})}" '
            'font-family="system-ui, DejaVu Sans, sans-serif" text-anchor="middle">'
        ]
        for name, colour in (("forward", _SOFT), ("gradient", _GRADIENT)):
            parts.append(
                f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
                f'orient="auto"><path d="M0 0 8 4 0 8z" style="fill:{_css(colour)}"/></marker>'
            )
        for arrow in self.arrows:
            colour, name = (_GRADIENT, "gradient") if arrow.gradient else (_SOFT, "forward")
            line = " ".join(f"{x:g},{y:g}" for x, y in arrow.points)
            dashes = ' stroke-dasharray="5 4"' if arrow.gradient else ""
            parts.append(
                f'<polyline points="{line}" fill="none" stroke-width="1.6"{dashes} '
                f'style="stroke:{_css(colour)}" marker-end="url(#{name})"/>'
            )
            if arrow.word:
                left, top = arrow.at
                turn = f' transform="rotate(-90 {left} {top})"' if arrow.turned else ""
                parts.append(
                    f'<text x="{left}" y="{top}" dy=".35em" font-size="{_SMALL}"{turn} style="fill:{_css(colour)}">'
                    f"{escape(arrow.word)}</text>"
                )
        for box in self.boxes:
            parts.append(
                f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="{_ROUND}" '
                f'style="fill:{_css(_FILL[box.kind])};stroke:{_css(_SOFT)}" stroke-width="1"/>'
            )
            for y, line, bold in _text(box):
                weight = ' font-weight="600"' if bold else ""
                parts.append(
                    f'<text x="{box.x + box.width / 2:g}" y="{y:g}" dy=".35em" font-size="{_FONT if bold else _SMALL}"'
                    f'{weight} style="fill:{_css(_INK)}">{escape(line)}</text>'
                )
        return "".join([*parts, "</svg>"])

    def save(self, path: Path) -> None:
        """Write the diagram as PNG."""
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(HEIGHT, 0))
        axes.set_axis_off()
        for arrow in self.arrows:
            colour = (_GRADIENT if arrow.gradient else _SOFT)[1]
            xs, ys = zip(*arrow.points, strict=True)
            axes.plot(xs, ys, color=colour, linewidth=1.4, linestyle=(0, (4, 3)) if arrow.gradient else "-")
            head = FancyArrowPatch(*arrow.points[-2:], arrowstyle="-|>", mutation_scale=11, color=colour, shrinkB=0)
            axes.add_patch(head)
            if arrow.word:
                turn = 90 if arrow.turned else 0
                axes.text(
                    *arrow.at, arrow.word, color=colour, fontsize=_SMALL - 2, rotation=turn, ha="center", va="center",
                    parse_math=False,
                )  # fmt: skip
        for box in self.boxes:
            corner = box.x + _ROUND, box.y + _ROUND
            size = box.width - 2 * _ROUND, box.height - 2 * _ROUND
            rounded = f"round,pad={_ROUND},rounding_size={_ROUND}"
            fill = _FILL[box.kind][1]
            axes.add_patch(FancyBboxPatch(corner, *size, boxstyle=rounded, facecolor=fill, edgecolor=_SOFT[1]))
            for y, line, bold in _text(box):
                axes.text(
                    box.x + box.width / 2, y, line, color=_INK[1], fontsize=(_FONT if bold else _SMALL) - 2,
                    fontweight="bold" if bold else "normal", ha="center", va="center", parse_math=False,
                )  # fmt: skip
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", dpi=144)


def method_diagram(
    *, condition: str, evaluator: str, fooled: bool | None, preset: str, iterations: str, frames: str
) -> Diagram:
    """The diagram of how a clip is made and scored.

    Args:
        condition: names of the networks that steered.
        evaluator: name of the network that scores.
        fooled: whether the evaluator steered; None if that is not known.
        preset: name of the preset, which determines the prior in the diagram.
        iterations, frames: text for these numbers.
    """
    prior = {
        "paper": ("reconstruction", "encoder E after G,", "as in PPGN"),
        "motion": ("clip prior", "denoises the codes", "of all frames"),
        "pixels": ("no generator", "the pixels are", "optimised"),
    }.get(preset, ("frame prior", "denoises the codes", "frame by frame"))
    role = {True: "STEERED: FOOLED", False: "never steers", None: "steered? unknown"}[fooled]
    scorer = ("evaluator", printable(evaluator, _LONGEST), role)
    back = "gradient, at low noise" if preset == "motion" else f"gradient, {iterations} times"
    boxes = (
        Box(90, 16, 200, 44, ("start", "noise from the seed"), "variable"),
        Box(90, 100, 200, 60, ("codes z(t)", "one for each frame"), "variable"),
        Box(330, 100, 140, 60, prior, "network"),
        Box(90, 208, 200, 60, ("video generator G", "image generator, inflated", "by Eq. 6\u20137"), "network"),
        Box(90, 316, 200, 44, ("video", frames), "variable"),
        Box(330, 310, 140, 56, ("clip", "after the last", "iteration"), "variable"),
        Box(90, 408, 200, 60, ("condition network \u03a6", printable(condition, _LONGEST)), "network"),
        Box(330, 408, 140, 60, scorer, "fooled" if fooled else "evaluator"),
        Box(90, 504, 200, 44, ("log p of the action", "is maximised: Eq. 8"), "variable"),
        Box(330, 504, 140, 44, ("scores", "accuracy, IS, ..."), "variable"),
    )  # fmt: skip
    arrows = (
        Arrow(((190, 60), (190, 100))),
        Arrow(((290, 120), (330, 120))),
        Arrow(((330, 142), (290, 142))),
        Arrow(((190, 160), (190, 208))),
        Arrow(((190, 268), (190, 316))),
        Arrow(((190, 360), (190, 408)), "shifted, noisy" if preset in ("robust", "motion") else "", (236, 384)),
        Arrow(((290, 338), (330, 338))),
        Arrow(((400, 366), (400, 408))),
        Arrow(((190, 468), (190, 504))),
        Arrow(((400, 468), (400, 504))),
        Arrow(
            ((90, 526), (44, 526), (44, 130), (90, 130)), back, (28, 328), True, True
        ),
    )  # fmt: skip
    return Diagram(boxes, arrows)


def _text(box: Box) -> list[tuple[float, str, bool]]:
    """For each line: the y of its middle, its text, and whether it is bold."""
    middle, step = box.y + box.height / 2, 16
    first = middle - step * (len(box.lines) - 1) / 2
    return [(first + step * i, line, i == 0) for i, line in enumerate(box.lines)]


def _css(colour: tuple[str, str]) -> str:
    return f"var({colour[0]}, {colour[1]})"
