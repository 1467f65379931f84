"""`stgan info`: the actions, networks and layers of a model."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from stgan.cli import options
from stgan.cli.terminal import check_needed, new_console, new_table
from stgan.defaults import FRAMES, PRESETS
from stgan.files import typed
from stgan.names import printable
from stgan.version import __version__

if TYPE_CHECKING:
    from stgan.pipeline import STGAN

EXAMPLES = (
    "stgan info",
    "stgan info jhmdb",
    "stgan info --layers                                    (what stgan generate --target can name)",
    "stgan info --layers --condition my_classifier.py:make",
)


def info(
    model: options.ModelArgument = options.MODEL,
    layers: Annotated[
        bool, typer.Option("--layers", help="List the layers that stgan generate --target can name, with their sizes.")
    ] = False,
    condition: Annotated[str | None, options.classifier("With --layers: list the layers of")] = None,
) -> None:
    """Show a model's actions and networks, the presets, and the bundled models."""
    from stgan.checkpoints import bundled_models, find_model

    console = new_console()
    check_needed("--layers", layers, {"--condition": condition})
    folder = find_model(typed(model))
    if layers:
        from stgan.checkpoints.own_classifier import load_own_classifier
        from stgan.pipeline import STGAN

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
    columns = ("network", "role", "architecture", "parameters", "accuracy on unseen clips", "hash")
    table = new_table(*columns, left=len(columns), title=f"{folder.name}: {', '.join(folder.actions)}")
    table.show_edge = False  # two more columns: what users copy stays whole, also in 80
    for column in table.columns:
        column.no_wrap = column.header in ("network", "parameters", "hash")
        column.overflow = "fold"
        column.min_width = 9 if column.header == "role" else None
    for part, role in roles.items():
        known = folder.describe(part)
        accuracy, digest = unseen_accuracy(known.provenance), known.hash or folder.load(part).hash
        table.add_row(part, role, printable(known.network, 40), f"{known.parameters:,}", accuracy, digest[:12])
    console.print(table)
    console.print(f"presets: {', '.join(PRESETS)}; bundled models: {', '.join(bundled_models()) or 'none'}")
    console.print(f"stgan {__version__}; model folder {folder.path}", soft_wrap=True)


def show_layers(stgan: "STGAN", console: Console, spec: str | None = None) -> None:
    """Print the layers of the condition networks and how to name their units. spec: the user's own classifier."""
    from stgan.sampling import window_of

    for name, part in stgan.folder.condition.items():
        table = new_table(title=f"{name}: --target LAYER[:UNIT] --condition {spec or name}")
        for column in ("layer", "channels", "T x Y x X", "a unit"):
            table.add_column(column, overflow="fold")  # never cut off, so that it can be copied
        frames = window_of(stgan.checkpoints[part].network) or FRAMES
        for path, layer in stgan.layers(name, frames).items():
            last = (layer.channels - 1, *(length - 1 for length in layer.size))
            sizes = " x ".join(map(str, layer.size)) + " (frame by frame)" * layer.per_frame
            table.add_row(path, str(layer.channels), sizes, f"{path}:{','.join(map(str, last))}")
        console.print(table)


def unseen_accuracy(provenance: dict[str, Any]) -> str:
    """The recorded accuracy as "0.985 (64/65)": on groups left out in training, else on test or validation clips.

    Empty if there is none, or if the record is not valid.
    """
    figures = provenance.get("figures")
    known = figures if isinstance(figures, dict) else {}
    unseen = next((known[part] for part in ("unseen_groups", "test_clips", "validation_clips") if part in known), None)
    try:
        return f"{unseen['accuracy']:.3f} ({unseen['correct']:d}/{unseen['clips']:d})" if unseen else ""
    except (TypeError, ValueError, LookupError):
        return ""
