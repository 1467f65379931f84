"""`stgan evaluate`: score clips with a network that did not steer them."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from stgan.cli import options
from stgan.cli.terminal import (
    check_needed,
    check_outputs,
    check_range,
    new_console,
    on_interrupt,
    print_note,
    write_json,
)
from stgan.defaults import LARGEST_SEED
from stgan.errors import StganError
from stgan.files import BUNDLED, DEFAULT_MODEL, default_cache, typed, write_text
from stgan.manifest import Manifest
from stgan.names import csv_cell, quoted
from stgan.progress import watching

if TYPE_CHECKING:
    from stgan.checkpoints import ModelFolder
    from stgan.scoring import Clip, Evaluator, Real, Rules, ScoreCache, Scores

_MOST_CLIPS = 1_000_000
_MOST_WORKERS = 256
_MOST_AT_ONCE = 4096
_FASTEST = 1000.0  # frames a second

EXAMPLES = (
    "stgan generate --num 10 --out clips && stgan evaluate clips",
    "stgan evaluate clips --real weizmann --json scores.json --csv clips.csv",
    "stgan evaluate clips --real UCF-101 --features i3d_torchscript.pt --protocol stylegan-v      (the FVD of papers)",
    "stgan evaluate clips --real weizmann --save-real weizmann.features.safetensors",
    "stgan evaluate other --real weizmann.features.safetensors                (as many other clips)",
    "stgan evaluate clips --evaluator c3d --allow-fooled                      (c3d steered these clips)",
)


def evaluate(
    folder: Annotated[
        Path,
        options.argument(
            "FOLDER",
            "What stgan generate wrote; or other clips: a folder of videos, of folders of frames, or of folders for "
            "each action, a list (csv, txt), or tensors (npy, npz, pt, safetensors); or what --save-features wrote.",
        ),
    ],
    scoring: options.Scoring,
    draws: options.Draws = None,
    inception: Annotated[
        bool,
        typer.Option(
            "--inception-score", help="Give the Inception Score also where the evaluator knows no action of the clips."
        ),
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Leave out clips that cannot be scored, and list them.")
    ] = False,
    json_file: options.Json = None,
    csv_file: Annotated[Path | None, options.file("--csv", "Write a line for each clip to this csv file.")] = None,
    save_features: Annotated[
        Path | None,
        options.file(
            "--save-features",
            "Write what networks say of the clips to this file, *.features.safetensors, which can then take the place "
            "of FOLDER.",
        ),
    ] = None,
    save_real: Annotated[
        Path | None,
        options.file("--save-real", "The same of the real clips; the file can then take the place of --real FOLDER."),
    ] = None,
) -> None:
    """Score clips: recognition, Inception Score, distances to real clips, copies, diversity, motion.

    The evaluator is a network that did not steer the clips. The results of networks for each clip are kept: after an
    interruption, the same command continues. Scores of clips that stgan generated are also written to
    FOLDER/scores.json.
    """
    from stgan.cli.score_tables import show_scores
    from stgan.scoring import SAVED, Rules, find_given
    from stgan.scoring import evaluate as score

    console = new_console()
    rules = chosen_rules(scoring, draws=draws)
    check_scoring(scoring, {"--draws": draws, "--save-real": save_real})
    saved = {"--save-features": save_features, "--save-real": save_real}
    check_outputs({"--json": json_file, "--csv": csv_file, **saved})
    for option, path in saved.items():
        if path and not path.name.endswith(SAVED):
            raise StganError(f"{option} {quoted(path)} does not end in {SAVED}, by which it is recognised; add that")
    clips = find_given(folder, partial(print_note, console), layout=scoring.layout, values=scoring.values)
    notes = _notes_on_manifest(folder, clips)
    scorer, space = find_networks(scoring, rules, folder, console)
    real = find_real(scoring, console)
    with score_cache(scoring.cache, console, scoring.evaluator, scoring.features, unused=scoring.no_cache) as kept:
        scores = score(
            clips, scorer, features=space, real=real, rules=rules, inception=inception,
            allow_fooled=scoring.allow_fooled, keep_going=keep_going, cache=kept, batch_size=scoring.batch_size,
            workers=scoring.workers, watch=watching(console), save_features=save_features, save_real=save_real,
        )  # fmt: skip
    scores = replace(scores, notes=(*scores.notes, *notes))
    show_scores(console, scores)
    write_json(json_file, scores)
    if csv_file:
        write_text(csv_file, _as_csv(scores))
    if replace(rules, splits=1, frames=None) == Rules():
        keep_scores(folder, scores, console)


def chosen_rules(scoring: options.Scoring, draws: int | None = None) -> "Rules":
    """The rules of the protocol, with those changed that an option names."""
    from stgan.scoring import PROTOCOLS
    from stgan.scoring.protocols import OPTIONS

    if scoring.protocol not in PROTOCOLS:
        raise StganError(f"there is no protocol {quoted(scoring.protocol)}; choose one of {', '.join(PROTOCOLS)}")
    given = {"draws": draws, **{name: getattr(scoring, name) for name in OPTIONS if name != "draws"}}
    changes = {name: value for name, value in given.items() if value is not None}
    for name, value in changes.items():
        if isinstance(value, int | float) and name != "seed":
            check_range(f"--{name.replace('_', '-')}", value, 1e-12 if name == "epsilon" else 1, _MOST_CLIPS)
    check_range("--seed", scoring.seed, 0, LARGEST_SEED)
    return replace(PROTOCOLS[scoring.protocol], **changes)


def check_scoring(scoring: options.Scoring, of_real: Mapping[str, Any]) -> None:
    """StganError unless options have values in their ranges, and those that are about real clips have some.

    of_real: more such options than `scoring` has.
    """
    check_range("--real-fps", scoring.real_fps, 0.01, _FASTEST)
    about_real = {
        "--real-csv": scoring.csv_list, "--real-fps": scoring.real_fps, "--num-real": scoring.num_real,
        "--real-window": scoring.real_window, "--resize": scoring.resize, "--covariance": scoring.covariance,
    }  # fmt: skip
    check_needed("--real", scoring.real, {**about_real, **of_real})
    check_range("--batch-size", scoring.batch_size, 1, _MOST_AT_ONCE)
    check_range("--workers", scoring.workers, 1, _MOST_WORKERS)


def find_networks(
    scoring: options.Scoring, rules: "Rules", folder: Path, console: Console
) -> "tuple[Evaluator, Evaluator | None]":
    """The evaluator and the network of --features, as the protocol prepares them; the protocol is printed."""
    from stgan.checkpoints import find_model
    from stgan.cli.score_tables import show_protocol
    from stgan.devices import choose_device
    from stgan.scoring import find_evaluator, prepared

    model = made_by(folder) if scoring.model is None else find_model(typed(scoring.model))
    find = partial(
        find_evaluator, model=model, frames=rules.frames, device=choose_device(scoring.device), run_code=True,
        trust_torchscript=scoring.trust_torchscript,
    )  # fmt: skip
    show_protocol(console, rules)
    scorer, space = find(scoring.evaluator), find(scoring.features) if scoring.features is not None else None
    if space is None or rules.score == "inception_score":
        return prepared(scorer, rules), space
    return scorer, prepared(space, rules)


def find_real(scoring: options.Scoring, console: Console) -> "Real | None":
    """The real clips, or what was measured of them; None without --real."""
    from stgan.scoring import Real, find_given, given_clips

    if scoring.real is None:
        return None
    clips = find_given(
        scoring.real, partial(print_note, console), given_clips, csv=scoring.csv_list,
        split_column=scoring.split_column, ucf_split=scoring.ucf_split, layout=scoring.layout, values=scoring.values,
    )  # fmt: skip
    return Real(clips, scoring.real_fps)


def made_by(folder: Path) -> "ModelFolder":
    """The bundled model that made the clips of a folder, by its manifest; else the default model.

    The manifest is not trusted: it cannot name any other model, which would then be loaded.
    """
    from stgan.checkpoints import bundled_models, find_model

    entry = next(Manifest(folder).read(), None)
    details = entry.details if entry else {}
    name, hashes = details.get("model"), details.get("hashes")
    if name in bundled_models() and isinstance(hashes, dict):
        model = find_model(BUNDLED / name)
        if model.describe(model.generator).hash == hashes.get("generator"):
            return model
    return find_model(DEFAULT_MODEL)


def keep_scores(folder: Path, scores: "Scores", console: Console) -> None:
    """Write scores of all clips of a manifest beside them, unless the evaluator steered the clips."""
    from stgan.scoring import SCORES

    if Manifest(folder).path.is_file() and scores.fooled is False and not scores.skipped:
        try:
            write_json(folder / SCORES, scores)
        except OSError as error:  # a read-only folder
            console.print(f"note: {SCORES} cannot be kept beside the clips ({error.strerror or error})", soft_wrap=True)


@contextmanager
def score_cache(
    folder: Path | None, console: Console, *networks: str | None, unused: bool = False
) -> Iterator["ScoreCache | None"]:
    """The cache for results of networks; None if it is unused, or if the default cache does not work.

    Ctrl-C in the block ends the command with a sentence that says whether results are kept.

    networks: the networks as the user named them. Nothing is kept of classifiers that code of the user makes, as it may
        change without a change of their weights.
    """
    from stgan.checkpoints.named_classifiers import is_named_classifier
    from stgan.checkpoints.own_classifier import is_own_classifier
    from stgan.scoring import ScoreCache

    cache, named = None, [name for name in networks if name]
    if not unused and not any(is_own_classifier(name) and not is_named_classifier(name) for name in named):
        try:
            cache = ScoreCache(folder or default_cache())
        except StganError as error:
            if folder:
                raise
            console.print(f"nothing is kept: {error}", soft_wrap=True)
    if cache is None:
        with on_interrupt("nothing was kept"):
            yield None
    else:
        with on_interrupt("the same command continues where this one stopped"), closing(cache):
            yield cache


def _notes_on_manifest(folder: Path, clips: Sequence["Clip"]) -> list[str]:
    """Notes on files that the manifest does not name, and on files that it names without a hash."""
    from stgan.scoring import unlisted

    if not Manifest(folder).path.is_file():
        return []
    notes = []
    if names := unlisted(folder, clips):
        notes.append(f"{len(names)} clips in the folder are not in its manifest and not scored, {names[0]} first")
    if unproven := [clip.name for clip in clips if clip.sha256 is None]:
        notes.append(
            f"the manifest has no hash of {len(unproven)} clips, so it is not known whether it describes these files"
        )
    return notes


def _columns(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values of a clip; those of a record inside it are called after both."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from ((f"{name}_{inner}", each) for inner, each in value.items())
        else:
            yield name, value


def _as_csv(scores: "Scores") -> str:
    file = io.StringIO()
    lines = [{name: csv_cell(value) for name, value in _columns(asdict(clip))} for clip in scores.clips]
    writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue().encode(errors="backslashreplace").decode()  # names of files need not be Unicode
