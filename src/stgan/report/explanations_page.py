"""A page about what `stgan explain` wrote: each clip, where the network looks, and what would change its answer."""

from pathlib import Path

from stgan.errors import StganError
from stgan.names import printable, quoted
from stgan.report.explained import Explained, find_explained
from stgan.report.film_files import Watch, films_of, write_with_films
from stgan.report.films import SPEED
from stgan.report.page import PAGE
from stgan.version import __version__

_MOST_INSIDE = 12  # films inside the page; more are files beside it
_MOST_NOTES = 50


def write_explanations_page(
    folder: Path,
    out: Path | None = None,
    *,
    command: str = "",
    watch: Watch = lambda films, description, total: films,
) -> tuple[Path, Path | None]:
    """Write the page of a folder that `stgan explain` wrote.

    Args:
        out: default: FOLDER/report.html.
        command: that writes the page.
        watch: see `write_scores_page`.

    Returns:
        The page, and the folder of the films beside it if there are more than 12, or they are too large for it.

    Raises:
        StganError: no explanation can be shown, or the folder of the films is a link.
    """
    explained, refused = find_explained(folder)
    if not explained:
        raise StganError(refused[0] if refused else f"{quoted(folder)} has no explanations; run stgan explain")
    page_file = out or folder / PAGE
    films = films_of(page_file, [(each.film, True) for each in explained], watch, beside=len(explained) > _MOST_INSIDE)
    page = {
        "title": printable(folder.resolve().name),
        "subtitle": f"{len(explained)} explained clip{'s' if len(explained) > 1 else ''}",
        "explained": explained,
        "films": films,
        "known": _known(explained),
        "speed": SPEED,
        "command": printable(command),
        "notes": refused[:_MOST_NOTES],
        "version": __version__,
    }
    return write_with_films(page_file, "explanations.html", films, page)


def _known(explained: list[Explained]) -> dict[str, str]:
    """What all explanations share."""
    found = [each.found for each in explained]
    values = {
        "network": {each.condition for each in found},
        "weights of the network": {each.condition_hash[:16] for each in found},
        "frames": {str(each.frames) for each in found},
        "side in pixels": {str(each.side) for each in found},
        "seed": {str(each.seed) for each in found},
        "explained with": {f"stgan {each.version}" for each in found},
    }
    return {name: shared.pop() for name, shared in values.items() if len(shared) == 1}
