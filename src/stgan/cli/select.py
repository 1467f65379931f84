"""`stgan select`: of generated clips those that are worth training on, as a data set of their own."""

from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from stgan.checkpoints import find_model, is_own_classifier
from stgan.cli.evaluate import check_output, keep_scores, made_by, open_cache
from stgan.devices import choose_device
from stgan.errors import Interrupted, StganError
from stgan.files import write_text
from stgan.names import printable, quoted
from stgan.scoring import Clip, Evaluator, ScoreCache, Scores, evaluate, find_evaluator, generated_clips, kept_scores
from stgan.scoring.measurements import Watch
from stgan.studies.selection import MOST, Criterion, Selection, features_of, verdicts_of
from stgan.studies.selection import select as choose
from stgan.video import find_clips

_LONGEST_NAME = 30


def select(
    folder: Annotated[Path, typer.Argument(help="What stgan generate wrote.")],
    out: Annotated[Path, typer.Option(metavar="SET", help="Folder for the chosen clips and their lists.")] = Path(
        "selected"
    ),
    by: Annotated[
        Criterion,
        typer.Option(
            help="inception: what a clip contributes to the Inception Score (the paper's rule); confidence: the "
            "evaluator's probability of the action asked for; diversity: far from one another in its features."
        ),
    ] = Criterion.INCEPTION,
    most: Annotated[int, typer.Option("--max-per-class", help="Clips of an action at most.")] = MOST,
    least: Annotated[
        float | None,
        typer.Option(
            help="inception: nats that a clip contributes at least, default the mean; confidence: its probability, "
            "default 0.5; diversity: a distance of features that is exceeded, default 0."
        ),
    ] = None,
    any_verdict: Annotated[
        bool,
        typer.Option(
            "--any-verdict", help="Also clips that the evaluator names otherwise: the paper does not exclude them."
        ),
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="The model that made the clips; default: the bundled one that did.")
    ] = None,
    evaluator: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="Who judges: a network that did not steer the clips.")
    ] = "evaluator",
    real: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Real clips to train on, counted in the figure.")
    ] = None,
    csv_list: Annotated[
        str | None, typer.Option("--real-csv", metavar="NAME", help="The list in the real folder, if it has several.")
    ] = None,
    split_column: Annotated[str, typer.Option(help="Of that list: the column that says train or test.")] = "split",
    ucf_split: Annotated[int, typer.Option(help="Which of UCF-101's three splits.")] = 1,
    train_groups: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Count real clips of these groups (actors); default: split train, or all."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a former selection in SET.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write selection.json here.")] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where features are kept; default: ~/.cache/stgan.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; default: a GPU if there is one.")] = None,
) -> None:
    """Choose generated clips to train on, and write them as a data set that other libraries read.

    Takes the scores that stgan evaluate left in FOLDER/scores.json, or scores the clips first. Only clips that the
    evaluator names as asked are chosen, at most 100 of an action. SET holds a folder of clips for each action, lists as
    clips.csv, as those of UCF-101 and as Hugging Face's metadata.csv, what became of every candidate
    (candidates.csv), and the paper's Figure 6 (counts.png).

    Examples:

      stgan generate --num 200 --out clips && stgan select clips --out chosen

      stgan select clips --by diversity --max-per-class 50 --real weizmann --train-groups daria,denis --out chosen

      stgan select clips --by confidence --least 0.9 --out sure

      stgan select clips --any-verdict --out bare                      (the paper's rule and nothing else)
    """
    from stgan.studies.provenance import networks_behind
    from stgan.studies.selected_set import RECORD, check_place, count_real, write_set  # matplotlib is slow to load

    console = Console(markup=False, highlight=False)
    if most < 1:
        raise StganError(f"--max-per-class must be at least 1, not {most}")
    if train_groups and not real:
        raise StganError("--train-groups is of real clips; name their folder by --real")
    if json_file:
        check_output("--json", json_file)
        if folder.resolve() in json_file.resolve().parents:
            raise StganError(f"--json {quoted(json_file)} lies in {quoted(folder)}; give another place")
    clips = generated_clips(folder)
    check_place(out, folder, overwrite=overwrite)
    counts = None
    if real:
        groups = [name.strip() for name in train_groups.split(",")] if train_groups else None
        counts = count_real(find_clips(real, csv=csv_list, split_column=split_column, ucf_split=ucf_split), groups)
    whole = find_model(made_by(folder) if model is None else model)
    judge = find_evaluator(evaluator, whole, device=choose_device(device))
    if judge.steered(clips):
        raise StganError(
            f"{judge.name} steered these clips, or shares an ancestor with a network that did, so it would choose "
            "those that fooled it best; choose another --evaluator"
        )
    for clip in clips:
        clip.check_file()
    networks_behind(whole, folder, judge)  # complains before the clips are scored, which takes longer
    kept = None if is_own_classifier(evaluator) else open_cache(cache, console)  # whose code may change unseen
    try:
        with closing(kept) if kept else nullcontext():
            verdicts = verdicts_of(_scores(folder, judge, clips, kept, console))
            diverse = by is Criterion.DIVERSITY
            features = features_of(clips, judge, cache=kept, watch=_watch(console)) if diverse else None
    except KeyboardInterrupt:
        raise Interrupted("the same command goes on where this one stopped" if kept else "nothing was kept") from None
    selection = choose(clips, verdicts, by=by, most=most, least=least, any_verdict=any_verdict, features=features)
    write_set(out, selection, folder, whole, judge, real=counts, overwrite=overwrite)
    if json_file:
        write_text(json_file, (out / RECORD).read_text(encoding="utf-8"))
    _show(console, selection, judge, counts)
    console.print(f"{len(selection.clips)} of {len(clips)} clips are in {out}", soft_wrap=True)


def _scores(
    folder: Path, judge: Evaluator, clips: Sequence[Clip], cache: ScoreCache | None, console: Console
) -> Scores:
    """Those beside the clips, if they are of these clips and by this evaluator; else new ones, which are kept there."""
    if kept := kept_scores(folder, clips, judge):
        return kept
    scores = evaluate(clips, judge, cache=cache, watch=_watch(console))
    keep_scores(folder, scores, console)
    return scores


def _watch(console: Console) -> Watch:
    return lambda results, what, total: track(results, description=what, total=total, console=console)


def _show(console: Console, selection: Selection, judge: Evaluator, real: Mapping[str, int] | None) -> None:
    """At most 80 wide for usual names."""
    table = Table(title=f"chosen by {selection.by.value}, judged by {Path(judge.name).name}")
    table.add_column("class")
    columns = ("candidates", "recognised", "chosen", *(("real",) if real is not None else ()), "nats", "nats, chosen")
    for column in columns:
        table.add_column(column, justify="right")
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
        wrong = sum(selection.verdicts[clip.name].named != clip.action for clip in selection.clips)
        console.print(f"named otherwise by the evaluator: {wrong} of {len(selection.clips)} chosen", soft_wrap=True)


def _names(actions: Sequence[str], counts: Mapping[str, int] | None = None) -> str:
    return ", ".join(f"{printable(action)} {counts[action]}" if counts else printable(action) for action in actions)
