"""`stgan info`: what a model is and what its cards say."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from stgan.checkpoints import bundled_models, find_model, load_own_classifier
from stgan.errors import StganError
from stgan.files import DEFAULT_MODEL, typed
from stgan.pipeline import FRAMES, STGAN
from stgan.sampling import PRESETS, window_of
from stgan.version import __version__


def info(
    model: Annotated[
        str, typer.Argument(help="Bundled name, folder, or Hugging Face hub id.", show_default="weizmann")
    ] = str(DEFAULT_MODEL),
    layers: Annotated[
        bool, typer.Option("--layers", help="List what generate --target can name, with its sizes.")
    ] = False,
    condition: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="List the layers of a classifier of your own; its code is run."),
    ] = None,
) -> None:
    """Show a model's actions and networks, the presets, and the bundled models."""
    console = Console(markup=False, highlight=False)
    folder = find_model(typed(model))
    if condition is not None and not layers:
        raise StganError("--condition is whose layers are listed; add --layers")
    if layers:
        own = None if condition is None else load_own_classifier(condition)
        show_layers(STGAN(folder, condition=own), console, condition)
        return
    roles = {
        folder.encoder: "encoder",
        folder.generator: "generator",
        **{part: role.replace("_", " ") for role, part in folder.priors.items()},
        **{part: "condition network" for part in folder.condition.values()},
        **{part: "evaluator (never steers)" for part in folder.evaluators.values()},
    }
    table = Table(title=f"{folder.name}: {', '.join(folder.actions)}")
    for column in ("network", "role", "architecture", "parameters", "accuracy on unseen clips", "hash"):
        table.add_column(column)
    for part, role in roles.items():
        checkpoint = folder.load(part)
        accuracy = unseen_accuracy(checkpoint.provenance)
        parameters = sum(parameter.numel() for parameter in checkpoint.network.parameters())
        table.add_row(part, role, type(checkpoint.network).__name__, f"{parameters:,}", accuracy, checkpoint.hash[:12])
    console.print(table)
    console.print(f"presets: {', '.join(PRESETS)}; bundled models: {', '.join(bundled_models()) or 'none'}")
    console.print(f"stgan {__version__}; model folder {folder.path}", soft_wrap=True)


def show_layers(stgan: STGAN, console: Console, spec: str | None = None) -> None:
    """The layers of the condition networks, and how their units are written; `spec` is how an own one is named."""
    for name, part in stgan.folder.condition.items():
        table = Table(title=f"{name}: --target LAYER[:UNIT] --condition {spec or name}")
        for column in ("layer", "channels", "T x Y x X", "a unit"):
            table.add_column(column, overflow="fold")  # to be copied whole
        frames = window_of(stgan.checkpoints[part].network) or FRAMES
        for path, layer in stgan.layers(name, frames).items():
            last = (layer.channels - 1, *(length - 1 for length in layer.size))
            sizes = " x ".join(map(str, layer.size)) + " (frame by frame)" * layer.per_frame
            table.add_row(path, str(layer.channels), sizes, f"{path}:{','.join(map(str, last))}")
        console.print(table)


def unseen_accuracy(provenance: dict[str, Any]) -> str:
    """The accuracy that a checkpoint claims, as "0.985 (64/65)", of left-out groups, else of test or validation clips;
    nothing if it claims none, or nonsense."""
    figures = provenance.get("figures")
    known = figures if isinstance(figures, dict) else {}
    unseen = next((known[part] for part in ("unseen_groups", "test_clips", "validation_clips") if part in known), None)
    try:
        return f"{unseen['accuracy']:.3f} ({unseen['correct']:d}/{unseen['clips']:d})" if unseen else ""
    except (TypeError, ValueError, LookupError):
        return ""
