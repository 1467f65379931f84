"""`stgan ablate`: what each part of the method does."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from stgan.errors import Interrupted, StganError
from stgan.pipeline import STGAN
from stgan.records import write_record
from stgan.scoring import find_evaluator
from stgan.studies.ablations import FIGURE, AblationStudy, draw_variants, find_variants, generate_variant, score_variant


def ablate(
    variants: Annotated[
        list[str] | None, typer.Argument(metavar="[VARIANT]...", help="What to try; default: every variant.")
    ] = None,
    model: Annotated[str, typer.Option(help="Bundled name, folder, or Hugging Face hub id.")] = "weizmann",
    num: Annotated[int, typer.Option(help="Clips of each action.")] = 2,
    seed: Annotated[int, typer.Option(help="Same seed, same clips.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the clips of every variant, and a figure.")] = Path("ablations"),
    iterations: Annotated[int | None, typer.Option(help="Of all variants; default: each preset's.")] = None,
    evaluator: Annotated[str, typer.Option(help="What scores them; it must not have steered.")] = "evaluator",
    action: Annotated[str | None, typer.Option(help="Of the figure; default: the model's first.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the scores here too.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; default: a GPU if there is one.")] = None,
) -> None:
    """Generate and score variants of the presets: the paper's claims, and robust without each of its departures.

    Clips that are in OUT/VARIANT already are kept, so that an interrupted study goes on where it stopped.

    Example: stgan ablate robust no-goal pixels --num 1 --out study --json study.json
    """
    console = Console(markup=False, highlight=False)
    if num < 1:
        raise StganError(f"--num must be at least 1, not {num}")
    chosen = find_variants(variants or [])
    stgan = STGAN.from_pretrained(model, device)
    judge = find_evaluator(evaluator, stgan.folder, device=stgan.device)
    shown = stgan.check_actions([action] if action else [])[0]
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    rows, folders = [], {}
    try:
        with Progress(*columns, console=console) as progress:
            clips = progress.add_task("clips", total=len(chosen) * num * len(stgan.actions))
            for variant in chosen:
                progress.update(clips, description=variant.name)
                folders[variant.name] = generate_variant(
                    stgan, variant, num, seed, out, iterations=iterations,
                    on_clip=lambda: progress.update(clips, advance=1),
                )  # fmt: skip
                rows.append(score_variant(variant, folders[variant.name], num, judge))
    except KeyboardInterrupt:
        raise Interrupted("finished clips are kept, the same command makes the rest") from None
    draw_variants(out / FIGURE, folders, shown)
    table = Table(title=f"{num * len(stgan.actions)} clips of each variant, seed {seed}, scored by {evaluator}")
    table.add_column("variant", no_wrap=True)
    table.add_column("difference")
    for column in ("accuracy", "95 %", "IS", "motion", "change", "diversity", "steered to", "steps"):
        table.add_column(column, justify="right", no_wrap=column != "steered to")
    for row in rows:
        low, high = row.interval
        table.add_row(
            row.variant, row.difference, f"{row.accuracy:.2f}", f"{low:.2f}-{high:.2f}", f"{row.inception_score:.2f}",
            f"{row.motion:.2f}", f"{row.appearance_drift:.2f}", "" if row.variety is None else f"{row.variety:.1f}",
            f"{row.probability:.2f}", f"{row.steps:.0f}",
        )  # fmt: skip
    console.print(table)
    console.print(f"clips and {FIGURE} ({shown}) are in {out}", soft_wrap=True)
    if json_file:
        write_record(json_file, AblationStudy(stgan.name, evaluator, seed, iterations, shown, tuple(rows)))
