"""Clips as HTML, by the templates of the report pages."""

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from stgan.app.desk import Desk
from stgan.report.films import Films
from stgan.report.page import environment, fixed
from stgan.report.shown import Shown
from stgan.scoring import Clip, measure

MOST_SHOWN = 24
"""Clips in a gallery."""

_STYLE = """
:root, .dark, .light { --ink: var(--body-text-color); --soft: var(--body-text-color-subdued);
  --line: var(--border-color-primary); --good: #1a7f43; --bad: #c62828 }
.dark { --good: #5bc98a; --bad: #ff7b72; --color-accent: #60a5fa }
.clips { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(150px, 44vw), 1fr)); gap: 16px 14px }
.clips figure { margin: 0; min-width: 0 }
.clips figcaption { font-size: 13px; line-height: 1.4; margin-top: 4px; overflow-wrap: anywhere }
.right { color: var(--good) } .wrong { color: var(--bad) } .soft { color: var(--soft) } .small { font-size: 13px }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(330px, 100%), 1fr)); gap: 20px }
.live img { width: 100%; max-width: 1024px; image-rendering: pixelated; border-radius: 6px }
.trace img { max-width: 100% }
.live svg { width: 100%; max-width: 480px; height: auto; display: block; margin-top: 8px }
.live progress { width: 100%; height: 10px; accent-color: #1f5fa8 }
.problem { border-left: 3px solid var(--bad); padding: 8px 12px; overflow-wrap: anywhere }
.plot svg { background: #fff; border-radius: 6px; max-width: 420px }
iframe.report { width: 100%; height: 80vh; border: 1px solid var(--line); border-radius: 8px; background: #fff }
dl dt { color: var(--soft) } dl dd { margin: 0 0 8px }
table.runs { width: 100%; border-collapse: collapse; font-size: 14px; border: 0 }
table.runs :is(td, th) { text-align: left; padding: 5px 12px 5px 0; border: 0; border-bottom: 1px solid var(--line) }
table.runs tr { border: 0 }
.scroll { overflow-x: auto }
"""


def style() -> str:
    """The style of everything here."""
    templates = environment()
    films, explained = (templates.get_template(f"{name}.html").module for name in ("films", "explained"))
    return f"{films.style()}{explained.style()}{_STYLE}"  # type: ignore[attr-defined]


def gallery(clips: Sequence[Clip], lines: Mapping[str, Iterable[Markup]]) -> Markup:
    """Clips that play. lines: below each, by the name of the clip."""
    show = environment().get_template("films.html").module.show  # type: ignore[attr-defined]
    films = Films()
    figures = [
        Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(
            show(films, clip, clip.name), Markup("<br>").join(lines.get(clip.name, ()))
        )
        for clip in clips[:MOST_SHOWN]
    ]
    note = Markup("<p class='soft small'>{} of {} clips are shown.</p>").format(len(figures), len(clips))
    return Markup('<div class="clips">{}</div>').format(Markup().join(figures)) + note * (len(clips) > len(figures))


def verdicts(desk: Desk, model: str, clips: Sequence[Clip], shown: Sequence[Shown] = ()) -> dict[str, list[Markup]]:
    """What every network of a model says of clips, by the names of the clips; networks that steered are marked.

    Networks that know none of the clips' actions say nothing. shown: gives the probability under the networks that
    steered where these are not the model's.
    """
    bold = Markup("<b>{}</b>")
    found: dict[str, list[Markup]] = {clip.name: [bold.format(clip.action or clip.name)] for clip in clips}
    for each in shown:
        if each.steered_to is not None and each.name in found:
            found[each.name].append(Markup("steered to {}").format(fixed(each.steered_to)))
    labelled = any(clip.action for clip in clips)
    for network in desk.evaluators(model):
        if labelled and not network.knows_some(clips):
            continue
        measured, _ = measure(clips, network)
        for clip, values in zip(measured.clips, measured.log_probabilities.exp(), strict=True):
            best = int(values.argmax())
            says = network.actions[best] if network.actions else str(best)
            mark = Markup(' <span class="wrong">(steered)</span>') if network.relation([clip]) else ""
            kind = "right" if says == clip.action else "wrong" if clip.action else "soft"
            line = Markup('{}{}: <span class="{}">{} {}</span>')
            found[clip.name].append(line.format(network.name, mark, kind, says, fixed(float(values[best]))))
    return found


def framed(page: Path, title: str) -> Markup:
    """A page in a frame of its own. Its films play only where scripts may run, which the policy of the page itself
    allows only to its own one.
    """
    text = html.escape(page.read_text(encoding="utf-8", errors="replace"))
    return Markup('<iframe class="report" sandbox="allow-scripts" title="{}" srcdoc="{}"></iframe>').format(
        title, Markup(text)
    )
