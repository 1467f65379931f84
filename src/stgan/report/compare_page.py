"""A page about several generators: their scores, the differences, and their clips side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from stgan.metrics.table import METRICS
from stgan.names import printable
from stgan.report.comparison_tables import SIGNS, caption, lines, title
from stgan.report.film_files import Watch, films_of, write_with_films
from stgan.report.films import SPEED
from stgan.report.shown import shown_clips
from stgan.scoring import Clip, GeneratorComparison
from stgan.version import __version__

_MOST_FILMS = 48
_MOST_DIFFERENCES = 300
_MOST_NOTES = 50


def write_compare_page(
    comparison: GeneratorComparison,
    folders: Mapping[str, Path],
    out: Path,
    *,
    real: tuple[Path, Sequence[Clip]] | None = None,
    command: str = "",
    watch: Watch = lambda films, description, total: films,
) -> tuple[Path, Path | None]:
    """Write the page: the first clips of each action, a row for each number.

    Returns the page, and the folder of its films if they are too large to be inside it.

    Args:
        folders: those of the generators, by their names.
        real: the folder of the real clips, and the clips. Those that are links out of it are not shown.
        command: that writes the page.
        watch: may wrap the films beside the page, to show progress.

    Raises:
        StganError: a folder has no clips.
    """
    actions, positions = _positions(comparison, folders)
    columns = [title(each) for each in comparison.generators]
    of_real: dict[str, list[Clip]] = {}
    if real:
        columns.append("real")
        for clip in real[1]:
            if clip.action is not None and clip.path.resolve().is_relative_to(real[0].resolve()):
                of_real.setdefault(clip.action, []).append(clip)
    shown: list[tuple[str, list[Clip | None]]] = []
    times: dict[str, int] = {}
    for action, clips in list(zip(actions, positions, strict=True))[: max(1, _MOST_FILMS // len(columns))]:
        number = times[action] = times.get(action, -1) + 1
        others = of_real.get(action, [])
        beside = [others[number] if number < len(others) else None] * bool(real)
        shown.append((f"{printable(action)} {number + 1}", [*clips, *beside]))
    out.parent.mkdir(parents=True, exist_ok=True)
    clear = [each for each in comparison.differences if each.clear]
    films = films_of(out, [(clip, False) for _, row in shown for clip in row if clip], watch)
    page = {
        "title": "Generators compared",
        "subtitle": f"{', '.join(map(title, comparison.generators))}: {comparison.num_videos} clips of each",
        "fooled": comparison.fooled,
        "columns": columns,
        "lines": lines(comparison),
        "signs": SIGNS,
        "caption": caption(comparison),
        "differences": [(METRICS[each.metric], each) for each in clear[:_MOST_DIFFERENCES] if each.metric in METRICS],
        "num_clear": len(clear),
        "num_differences": len(comparison.differences),
        "shown": shown,
        "num_videos": comparison.num_videos,
        "films": films,
        "speed": SPEED,
        "command": printable(command),
        "notes": [printable(note) for note in comparison.notes[:_MOST_NOTES]],
        "version": __version__,
    }
    return write_with_films(out, "compare.html", films, page)


def _positions(
    comparison: GeneratorComparison, folders: Mapping[str, Path]
) -> tuple[list[str], list[list[Clip | None]]]:
    """The action of each position, and the clips there; None for a clip that is a link, which a page must not show."""
    known = [{shown.name: shown for shown in shown_clips(folders[each.name], None)} for each in comparison.generators]
    rows = [
        [of.get(name) for of, name in zip(known, names, strict=True)]
        for names in zip(*(each.clips for each in comparison.generators), strict=True)
    ]
    actions = [next((shown.action for shown in row if shown), "?") for row in rows]
    return actions, [[shown.clip if shown else None for shown in row] for row in rows]
