"""`stgan evaluate`: what a network that did not steer sees in generated clips."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from stgan.checkpoints import find_model
from stgan.files import write_text
from stgan.scoring import find_evaluator, generated_clips, score


def evaluate(
    folder: Annotated[Path, typer.Argument(help="A folder that stgan generate wrote.")],
    model: Annotated[str, typer.Option(help="The model whose evaluators are meant.")] = "weizmann",
    evaluator: Annotated[str, typer.Option(help="evaluator, c3d, lrcn, or a checkpoint folder.")] = "evaluator",
    splits: Annotated[int, typer.Option(help="Parts over which the Inception Score is averaged.")] = 1,
    allow_fooled: Annotated[
        bool, typer.Option("--allow-fooled", help="Score with a network that steered, and say so.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the scores here too.")] = None,
) -> None:
    """Score generated clips by recognition accuracy, Inception Score and motion.

    Example: stgan generate --num 10 --out clips && stgan evaluate clips
    """
    console = Console(markup=False, highlight=False)
    clips = generated_clips(folder)
    checkpoint = find_evaluator(evaluator, find_model(model))
    scores = score(
        clips,
        checkpoint,
        evaluator,
        splits=splits,
        allow_fooled=allow_fooled,
        watch=lambda clips: track(clips, description="scoring", console=console),
    )
    table = Table(title=f"{scores.num_videos} clips, scored by {scores.evaluator}" + " (FOOLED)" * scores.fooled)
    table.add_column("action")
    table.add_column("recognised", justify="right")
    table.add_column("named instead")
    for number, action in enumerate(checkpoint.actions):
        if action in scores.per_action:
            row = scores.confusion[number]
            others = {
                name: count for name, count in zip(checkpoint.actions, row, strict=True) if name != action and count
            }
            named = ", ".join(f"{name} {count}" for name, count in others.items())
            table.add_row(action, f"{scores.per_action[action]:.2f}", named)
    console.print(table)
    console.print(
        f"accuracy {scores.accuracy:.3f}   inception score {scores.inception_score['mean']:.2f} "
        f"(std over {splits} splits {scores.inception_score['std']:.2f})   motion {scores.motion:.2f}"
    )
    if json_file:
        write_text(json_file, json.dumps(asdict(scores), indent=2) + "\n")
