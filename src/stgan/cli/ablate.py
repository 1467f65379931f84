"""`stgan ablate`: what each part of the method does."""

from pathlib import Path
from typing import Annotated

import typer

from stgan.cli import options
from stgan.cli.terminal import check_range, new_console, new_table, on_interrupt, write_json
from stgan.defaults import EVALUATOR
from stgan.files import typed
from stgan.progress import bars

_MOST_CLIPS = 100_000
EXAMPLES = ("stgan ablate", "stgan ablate robust no-goal pixels --num 1 --out study --json study.json")


def ablate(
    variants: Annotated[
        list[str] | None, typer.Argument(metavar="VARIANT", help="Variants to make. Default: all of them.")
    ] = None,
    model: options.Model = options.MODEL,
    num: options.Num = 2,
    seed: options.Seed = 0,
    out: Annotated[Path, options.folder("--out", "Folder for the clips of all variants, and a figure.")] = Path(
        "ablations"
    ),
    iterations: options.Iterations = None,
    evaluator: options.Evaluator = None,
    action: Annotated[
        str | None, typer.Option(help="Action that the figure shows. Default: the model's first.")
    ] = None,
    json_file: options.Json = None,
    device: options.Device = None,
) -> None:
    """Generate and score variants of the presets. In each, one part of the method is changed or left out.

    The variants test the paper's claims, and every difference between robust and paper. Finished clips in OUT/VARIANT
    are kept: after an interruption, the same command makes the rest.
    """
    from stgan.pipeline import STGAN
    from stgan.scoring import find_evaluator
    from stgan.studies.ablations import (
        FIGURE,
        AblationStudy,
        draw_variants,
        find_variants,
        generate_variant,
        score_variant,
    )

    console = new_console()
    check_range("--num", num, 1, _MOST_CLIPS)
    chosen = find_variants(variants or [])
    stgan = STGAN.from_pretrained(typed(model), device)
    scorer = find_evaluator(evaluator, stgan.folder, device=stgan.device, run_code=True)
    shown = next(iter(stgan.steering([action] if action else []).objectives))
    rows, folders = [], {}
    with on_interrupt("finished clips are kept, the same command makes the rest"), bars(console) as progress:
        clips = progress.add_task("clips", total=len(chosen) * num * len(stgan.actions))
        for variant in chosen:
            progress.update(clips, description=variant.name)
            folders[variant.name] = generate_variant(
                stgan, variant, num, seed, out, iterations=iterations,
                on_clip=lambda: progress.update(clips, advance=1),
            )  # fmt: skip
            rows.append(score_variant(variant, folders[variant.name], num, scorer))
    draw_variants(out / FIGURE, folders, shown)
    table = new_table(
        title=f"{num * len(stgan.actions)} clips of each variant, seed {seed}, scored by {evaluator or EVALUATOR}"
    )
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
        write_json(json_file, AblationStudy(stgan.name, evaluator or EVALUATOR, seed, iterations, shown, tuple(rows)))
