"""A page about generated clips: the clips, their scores by an evaluator, failures, and how all of it was made."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from markupsafe import Markup

from stgan.checkpoints import ModelFolder
from stgan.metrics.table import METRICS
from stgan.names import printable
from stgan.report.atlas import MOST_CLIPS, make_atlas
from stgan.report.beside_real import write_parts
from stgan.report.diagram import method_diagram
from stgan.report.explained import find_explained
from stgan.report.figures import MOST_ACTIONS, draw_confusion, draw_per_action
from stgan.report.film_files import Watch, films_of, write_with_films
from stgan.report.films import LONGEST, SPEED, alike, read_clip, strip
from stgan.report.iterations import Drawn, draw_iterations
from stgan.report.nearest import nearest_pairs
from stgan.report.page import PAGE, Drawing, drawing_beside
from stgan.report.reproducing import data_note, fooling_command, generate_command, settings
from stgan.report.shown import Shown, by_action, extremes, failures, first_of_each, shown_clips
from stgan.report.study import clip_sets, draw_first_clips, first_clips
from stgan.report.summary import beside_real, network_name, study_tiles, subtitle, tiles, unjudged, verdict
from stgan.scoring import Example, PixelScores, Scores
from stgan.studies.fooling import FoolingStudy
from stgan.version import __version__
from stgan.video import VideoError
from stgan.video.strips import Strip, save_strips

_MOST_STRIPS = 24
_MOST_EXPLAINED = 12
_MOST_PAIRS = 48  # of a clip and the nearest training frame
_MOST_LINES = 50  # of notes, and of clips that are not shown
_COLUMNS = (
    "frechet_video_distance", "kernel_video_distance", "diversity", "motion", "flicker", "frozen", "appearance_drift",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What a page is about.

    folder:     what `stgan generate` wrote, or any clips; or a fooling study, and then `scores` is None.
    model:      the model whose card describes the data.
    model_name: the model's name for commands.
    scores:     None if the clips are not scored.
    study:      a fooling study and its folder.
    command:    the words of the command that writes the page.
    real:       the folder of the real clips that the clips were compared with, whose frames the page may show.
    examples:   a real clip of each action, from that folder, to play beside the generated ones.
    """

    folder: Path
    model: ModelFolder
    model_name: str
    scores: Scores | PixelScores | None = None
    study: tuple[Path, FoolingStudy] | None = None
    command: tuple[str, ...] = ()
    real: Path | None = None
    examples: Mapping[str, Example] = field(default_factory=dict)


def write_scores_page(
    request: Request, out: Path | None = None, watch: Watch = lambda films, description, total: films
) -> tuple[Path, list[Path], Path | None]:
    """Write the page. Its figures are also PNG files in the folder `report_figures` beside it (of `report.html`).

    It needs no network, and no other file if its films have at most 5 MB together. Otherwise it needs the films in the
    folder `report_files/films` beside it, which are kept when it is written again. If the clips are of more than 40
    actions, it is an atlas of all of them, with such a folder.

    Args:
        out: default: FOLDER/report.html.
        watch: may wrap the films of an atlas, which are made one after another, to show progress.

    Returns:
        The page, the figures, and the folder of the films, if there is one.

    Raises:
        StganError: the folder has no clips, its manifest cannot be trusted, or a folder beside the page is a link.
    """
    page_file = out or request.folder / PAGE
    with drawing_beside(page_file) as drawing, TemporaryDirectory() as parts:
        written, films = _write(request, page_file, drawing, Path(parts), watch)
    return written, drawing.written, films


def _write(request: Request, page_file: Path, drawing: Drawing, parts: Path, watch: Watch) -> tuple[Path, Path | None]:
    """The page and the folder of its films. parts: an empty folder for the parts of real clips that it shows."""
    judged, (place, study) = request.scores, request.study or (None, None)
    scores = judged if isinstance(judged, Scores) else None
    of_study = place == request.folder
    sets = clip_sets(*request.study) if request.study else {}
    if of_study:
        clips = [clip for found in sets.values() for of_action in found.values() for clip in of_action]
    else:
        clips = shown_clips(request.folder, judged)
    actions = {} if of_study else by_action(clips, scores.actions if scores else ())
    many = len(actions) > MOST_ACTIONS
    chosen, rule = first_of_each(actions, MOST_CLIPS if many else None)
    known, cases, contributions = settings(clips), failures(clips, judged), extremes(clips)
    explained = [] if of_study else find_explained(request.folder)[0][:_MOST_EXPLAINED]
    first = first_clips(study, sets) if study else []
    real = write_parts(request.examples, request.real, chosen, parts) if request.real else {}
    picked = (clip for case in (*cases, *contributions) for clip, _ in case.clips)
    beside = (clip for _, of_action in first for _, clip, _ in of_action)
    places = [(shown.clip, False) for shown in (*chain(*chosen.values()), *picked, *beside)]
    places += [*((each.clip, False) for each in real.values()), *((each.film, True) for each in explained)]
    films = films_of(page_file, places, watch, beside=many)
    page = {
        "title": printable(request.folder.resolve().name),
        "subtitle": subtitle(clips, actions, known, study if of_study else None),
        "verdict": verdict(judged),
        "unjudged": unjudged(judged) if isinstance(judged, PixelScores) else None,
        "fooled": bool(scores and scores.fooled),
        "tiles": study_tiles(study) if study and of_study else tiles(scores),
        "scores": scores,
        "columns": [METRICS[key] for key in _COLUMNS],
        "beside_real": beside_real(scores),
        "study": study,
        "sets": list(sets),
        "first_clips": first,
        "first_clips_figure": drawing.picture("fooling", partial(draw_first_clips, sets=sets)) if sets else None,
        "rule": rule,
        "actions": chosen,
        "atlas": make_atlas(actions, chosen) if many else None,
        "films": films,
        "real": real,
        "explained": explained,
        "strips": [] if many else _strips(chosen, drawing),
        "nearest": nearest_pairs(list(islice(chain(*chosen.values()), _MOST_PAIRS)), request.real, drawing),
        **_iterations(clips, request.model, drawing),
        **_diagram(scores, study if of_study else None, known, drawing),
        **_per_action(scores, drawing),
        "cases": cases,
        "contributions": contributions,
        "known": known,
        "frames_shown": LONGEST,
        "speed": SPEED,
        "commands": _commands(request, clips, of_study),
        "data_note": data_note(request.model, clips[0].entry) if clips else None,
        "notes": scores.notes[:_MOST_LINES] if scores else [],
        "skipped": judged.skipped[:_MOST_LINES] if judged else [],
        "figures": [path.name for path in drawing.written],
        "figures_folder": printable(str(drawing.folder)),
        "network_name": network_name(scores),
        "version": __version__,
    }
    return write_with_films(page_file, "scores.html", films, page)


def _strips(chosen: Mapping[str, Sequence[Shown]], drawing: Drawing) -> list[tuple[str, str]]:
    """The first clip of each action as frames side by side: (action, picture)."""
    found = []
    for action, clips in list(chosen.items())[:_MOST_STRIPS]:
        try:
            found.append((action, read_clip(clips[0].clip.source).frames))
        except VideoError:
            continue
    if not found:
        return []
    labels = [printable(action, 14) for action, _ in found]
    pictures = alike([frames for _, frames in found])
    strips = [Strip(*pair) for pair in zip(labels, pictures, strict=True)]
    drawing.picture("strips", lambda path: save_strips(path, strips))
    return [(action, strip(frames)) for action, frames in found]


def _iterations(clips: Sequence[Shown], model: ModelFolder, drawing: Drawing) -> dict[str, Any]:
    drawn: Drawn | str = ""

    def draw(path: Path) -> bool:
        nonlocal drawn
        drawn = draw_iterations(path, clips, model)
        return isinstance(drawn, Drawn)

    return {"iterations": drawing.picture("iterations", draw), "iterations_of": drawn}


def _diagram(
    scores: Scores | None, study: FoolingStudy | None, known: Mapping[str, str], drawing: Drawing
) -> dict[str, Any]:
    condition = known.get("condition", "").replace("both", "lrcn and c3d")
    if study:
        condition = " or ".join(study.steered_by)
    elif scores and scores.steered_by:
        condition = " and ".join(scores.steered_by)
    evaluator = network_name(scores) or (scores.evaluator if scores else None)
    diagram = method_diagram(
        condition=condition or "LRCN, C3D",
        evaluator=evaluator or "a network of its own",
        fooled=scores.fooled if scores else False,
        preset=known.get("preset", "robust"),
        iterations=known.get("iterations", "many"),
        frames=f"{known['frames']} frames" if "frames" in known else "RGB in [0, 1]",
    )
    drawing.picture("method", diagram.save)
    return {"diagram": Markup(diagram.svg())}


def _per_action(scores: Scores | None, drawing: Drawing) -> dict[str, Any]:
    """The figures about actions and the lines of the table; of very many actions, those that are recognised least."""
    found: dict[str, Any] = {"confusion": None, "per_action": None, "action_lines": [], "actions_rule": ""}
    if scores is None or not scores.per_action:
        return found
    share, fooled = scores.per_action, bool(scores.fooled)
    names = [action for action in scores.actions if action in share]
    names += [action for action in share if action not in names]
    if len(names) > MOST_ACTIONS:
        worst = set(sorted(names, key=lambda action: share[action])[:MOST_ACTIONS])
        found["actions_rule"] = f"Of {len(names)} actions, the {MOST_ACTIONS} that are recognised least."
        names = [action for action in names if action in worst]
    intervals, contributions = scores.per_action_interval, scores.per_action_contribution
    shares = {name: share[name] for name in names}
    found["per_action"] = drawing.picture(
        "per_action", lambda path: draw_per_action(path, shares, intervals, contributions, fooled=fooled)
    )
    rows = [scores.actions.index(name) for name in names if name in scores.actions]
    if rows and scores.confusion:
        found["confusion"] = drawing.picture(
            "confusion", lambda path: draw_confusion(path, scores.actions, scores.confusion, rows, fooled=fooled)
        )
    found["action_lines"] = [
        {"name": name, "share": share[name], "interval": intervals.get(name), "contribution": contributions.get(name)}
        for name in names
    ]
    return found


def _commands(request: Request, clips: Sequence[Shown], of_study: bool) -> list[str]:
    """The commands that make the clips, the scores and the page again."""
    commands = []
    if of_study and request.study:
        commands.append(fooling_command(*request.study, clips))
    elif command := generate_command(request.folder, clips):
        commands.append(command)
    if isinstance(request.scores, Scores):
        evaluate = ["stgan", "evaluate", str(request.folder), "--model", request.model_name]
        evaluate += ["--evaluator", request.scores.evaluator]
        evaluate += ["--allow-fooled"] * bool(request.scores.fooled)
        evaluate += ["--real", "FOLDER"] * (request.scores.frechet_video_distance is not None)
        commands.append(shlex.join(evaluate))
    return [printable(command) for command in (*commands, shlex.join(request.command)) if command]
