"""`stgan select`: choose generated clips to train on, and write them as a data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from stgan.cli import options
from stgan.cli.evaluate import keep_scores, made_by, score_cache
from stgan.cli.terminal import check_needed, check_output, new_console, new_table, read_clips
from stgan.errors import StganError
from stgan.files import typed, write_text
from stgan.names import printable, quoted
from stgan.progress import watching
from stgan.records import read_text

if TYPE_CHECKING:
    from stgan.scoring import Clip, Evaluator, ScoreCache, Scores
    from stgan.studies.selection import Selection

_LONGEST_NAME = 30
EXAMPLES = (
    "stgan generate --num 200 --out clips && stgan select clips --out chosen",
    "stgan select clips --by diversity --max-per-class 50 --real weizmann --train-groups daria,denis --out chosen",
    "stgan select clips --by confidence --least 0.9 --out sure",
    "stgan select clips --any-verdict --out bare          (the paper's rule and nothing else)",
)


def select(
    folder: Annotated[Path, options.argument("FOLDER", "What stgan generate wrote.")],
    out: Annotated[Path, options.folder("--out", "Folder for the chosen clips and their lists.", "SET")] = Path(
        "selected"
    ),
    by: Annotated[
        Literal["inception", "confidence", "diversity"],
        typer.Option(
            help="inception: what a clip contributes to the Inception Score (the paper's rule). confidence: the "
            "evaluator's probability of the intended action. diversity: clips whose features are far apart."
        ),
    ] = "inception",
    most: Annotated[int, typer.Option("--max-per-class", help="Largest number of clips of an action.")] = 100,
    least: Annotated[
        float | None,
        typer.Option(
            help="Smallest value of a chosen clip. inception: its contribution in nats (default: the mean). "
            "confidence: its probability (default: 0.5). diversity: a distance of features (default: 0)."
        ),
    ] = None,
    any_verdict: Annotated[
        bool,
        typer.Option(
            "--any-verdict", help="Also choose clips in which the evaluator sees another action, as the paper does."
        ),
    ] = False,
    model: options.ModelOfClips = None,
    evaluator: options.Evaluator = None,
    real: options.Real = None,
    csv_list: options.RealCsv = None,
    split_column: options.SplitColumn = "split",
    ucf_split: options.UcfSplit = 1,
    train_groups: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Count the real clips of these groups (actors). Default: of the split train, or all."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier selection in SET.")] = False,
    json_file: options.Json = None,
    cache: options.Cache = None,
    device: options.Device = None,
) -> None:
    """Choose generated clips to train on, and write them as a data set that other libraries read.

    The command uses the scores that stgan evaluate left in FOLDER/scores.json, or scores the clips first. It chooses at
    most 100 clips of an action, and only clips in which the evaluator recognises the intended action. SET gets a folder
    of clips for each action; lists of them as clips.csv, in UCF-101's format and as Hugging Face's metadata.csv; the
    result for every candidate (candidates.csv); and the paper's Figure 6 (counts.png). The figure also counts the clips
    of --real.
    """
    from stgan.checkpoints import find_model
    from stgan.devices import choose_device
    from stgan.scoring import find_evaluator, generated_clips
    from stgan.studies.provenance import networks_behind
    from stgan.studies.selected_set import RECORD, check_place, count_real, write_set
    from stgan.studies.selection import Criterion, features_of, scores_by_clip
    from stgan.studies.selection import select as choose

    console = new_console()
    if most < 1:
        raise StganError(f"--max-per-class must be at least 1, not {most}")
    check_needed("--real", real, {"--real-csv": csv_list, "--train-groups": train_groups})
    check_output("--json", json_file)
    if json_file and folder.resolve() in json_file.resolve().parents:
        raise StganError(f"--json {quoted(json_file)} is inside {quoted(folder)}; name a file in another folder")
    clips = generated_clips(folder)
    check_place(out, folder, overwrite=overwrite)
    counts = None
    if real:
        groups = [name.strip() for name in train_groups.split(",")] if train_groups else None
        counts = count_real(
            read_clips(console, real, csv=csv_list, split_column=split_column, ucf_split=ucf_split), groups
        )
    whole = made_by(folder) if model is None else find_model(typed(model))
    scorer = find_evaluator(evaluator, whole, device=choose_device(device), run_code=True)
    if related := scorer.relation(clips):
        raise StganError(f"{related}, so it would choose those that fooled it best; choose another --evaluator")
    for clip in clips:
        clip.check_file()
    networks_behind(whole, folder, scorer)  # finds errors before the clips are scored, which takes longer
    with score_cache(cache, console, evaluator) as kept:
        verdicts = scores_by_clip(_scores(folder, scorer, clips, kept, console))
        features = features_of(clips, scorer, cache=kept, watch=watching(console)) if by == "diversity" else None
    selection = choose(
        clips, verdicts, by=Criterion(by), most=most, least=least, any_verdict=any_verdict, features=features
    )
    write_set(out, selection, folder, whole, scorer, real=counts, overwrite=overwrite)
    if json_file:
        write_text(json_file, read_text(out / RECORD))
    _show(console, selection, scorer, counts)
    console.print(f"{len(selection.clips)} of {len(clips)} clips are in {out}", soft_wrap=True)


def _scores(
    folder: Path, scorer: "Evaluator", clips: Sequence["Clip"], cache: "ScoreCache | None", console: Console
) -> "Scores":
    """The scores beside the clips, if this evaluator scored these clips; else new ones, which are kept there."""
    from stgan.scoring import evaluate, kept_scores

    if kept := kept_scores(folder, clips, scorer):
        return kept
    scores = evaluate(clips, scorer, cache=cache, watch=watching(console))
    keep_scores(folder, scores, console)
    return scores


def _show(console: Console, selection: "Selection", scorer: "Evaluator", real: Mapping[str, int] | None) -> None:
    """Print a table, at most 80 characters wide for short names, and notes."""
    columns = ("candidates", "recognised", "chosen", *(("real",) if real is not None else ()), "nats", "nats, chosen")
    title = f"chosen by {selection.by.value}, scored by {Path(scorer.name).name}"
    table = new_table("class", *columns, title=title)
    for action, found in selection.classes.items():
        chosen = f"{found.chosen}{' thin' if action in selection.thin else ''}"
        table.add_row(
            printable(action, _LONGEST_NAME),
            str(found.candidates),
            str(found.recognised),
            chosen,
            *((str(real.get(action, 0)),) if real is not None else ()),
            f"{found.contribution:.2f}",
            "" if found.contribution_of_chosen is None else f"{found.contribution_of_chosen:.2f}",
        )
    console.print(table)
    if selection.thin:
        few = _names(selection.thin, {action: found.chosen for action, found in selection.classes.items()})
        console.print(f"thin, with fewer than {selection.most} clips: {few}", soft_wrap=True)
    if selection.without:
        console.print(f"without any chosen clip: {_names(selection.without)}", soft_wrap=True)
    if selection.any_verdict:
        wrong = sum(selection.scores[clip.name].named != clip.action for clip in selection.clips)
        console.print(f"seen as another action: {wrong} of {len(selection.clips)} chosen", soft_wrap=True)


def _names(actions: Sequence[str], counts: Mapping[str, int] | None = None) -> str:
    return ", ".join(f"{printable(action)} {counts[action]}" if counts else printable(action) for action in actions)
