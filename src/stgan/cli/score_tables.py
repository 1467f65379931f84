"""Scores as tables on the terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from stgan.cli.terminal import new_table, print_paragraph
from stgan.metrics.table import METRICS, Metric
from stgan.names import printable
from stgan.scoring import (
    GENERATED,
    ByProtocol,
    Comparison,
    Copies,
    Quoted,
    Rules,
    Scores,
    SetScores,
)

_FEATURES = ("frechet_video_distance", "kernel_video_distance", "diversity")
_PIXELS = ("motion", "flicker", "frozen", "appearance_drift")
_MOST_NAMES = 6  # of frozen clips; scores.json has them all


def show_protocol(console: Console, rules: Rules) -> None:
    """Print what a published number depends on; nothing of stgan's own protocol."""
    changes = ", ".join(rules.changes())
    if not rules.published and not changes:
        return
    console.print(f"protocol {rules.name}" + f", changed: {changes}" * bool(changes), soft_wrap=True)
    for line in [*([f"as in {rules.source}"] if rules.source else []), *rules.in_words()]:
        console.print(f"  {line}", soft_wrap=True)


def _by_protocol(by: ByProtocol, scores: Scores) -> str:
    """The published number."""
    changed = " (changed)" if by.changes else ""
    of = f"of {by.num_videos} generated" + f" and {by.num_real} real windows" * (by.num_real is not None)
    if by.draws is None:
        found = scores.inception_score
        score = f"Inception Score {found.mean:.4g}, deviation {found.std:.3g}" if found else "no number"
        return f"{by.rules.name}{changed}: {score}, {of}"
    metric = METRICS[by.rules.score]
    spread = f", deviation {by.draws.std:.3g} over {len(by.draws.values)} draws" * (len(by.draws.values) > 1)
    network = scores.feature_network
    return f"{by.rules.name}{changed}: {metric.name} distance {by.draws.mean:.6g}{spread}, {of}, by {network}"


def show_scores(console: Console, scores: Scores) -> None:
    """Print scores, as `stgan evaluate` does."""
    by = scores.evaluator
    if scores.feature_network != scores.evaluator:
        by += f", distances by {scores.feature_network}"
    title = f"{scores.num_videos} clips, scored by {by}" + " (FOOLED)" * bool(scores.fooled)
    rows = [
        replace(row, name=f"{row.name}, fooled") if scores.fooled and row.name == GENERATED else row
        for row in scores.rows
    ]
    if scores.by and scores.by.rules.published:
        console.print(_by_protocol(scores.by, scores), style="bold", soft_wrap=True)
    console.print(_recognition(title, rows, scores.quoted))
    if scores.sure_inception_score is not None:
        console.print(f"Inception Score: {scores.sure_inception_score:.2f} if every clip were surely recognised")
    for keys in (_FEATURES, _PIXELS):
        measured = [METRICS[key] for key in keys if any(getattr(row, key) is not None for row in rows)]
        if measured:
            console.print(_values(rows, measured))
    if scores.beside_real:
        console.print(_beside(scores.beside_real))
        if scores.beside_real.motion["motion"]:
            console.print(_motion(scores.beside_real))
    if scores.per_action:
        console.print(_per_action(scores))
    for word, names in (("frozen", scores.frozen_clips), ("flickering", scores.flickering_clips)):
        names = names or ()
        some = ", ".join(map(printable, names[:_MOST_NAMES])) + ", ..." * (len(names) > _MOST_NAMES)
        console.print(f"{word}: {len(names)} of {scores.num_videos} clips{': ' * bool(names)}{some}", soft_wrap=True)
    for name, order in ((GENERATED, scores.temporal_order), ("real", scores.temporal_order_real)):
        if order:
            console.print(
                f"temporal order, {name}: accuracy {order.ordered:.2f} in order, "
                f"{order.shuffled:.2f} with frames shuffled ({order.num_videos} clips)",
                soft_wrap=True,
            )
    if scores.precision is not None:
        console.print(
            f"precision {scores.precision:.2f}, recall {scores.recall:.2f}, density {scores.density:.2f}, "
            f"coverage {scores.coverage:.2f}"
        )
    for line in _copies(scores.copies) if scores.copies else ():
        console.print(line, soft_wrap=True)
    if twins := scores.near_duplicates:
        console.print(
            f"near-duplicates: {twins.num} clips ({twins.share:.2f}, {shown_interval(twins.interval)}) nearly equal "
            f"another one of their action; of real clips {twins.real:.2f}",
            soft_wrap=True,
        )
    if scores.fooled:
        console.print(
            "FOOLED: a network that scores these clips steered them; its scores only say how well it was fooled",
            soft_wrap=True,
        )
    if scores.fooled is None:
        console.print(
            "it is not known what steered these clips, and so whether the evaluator was fooled", soft_wrap=True
        )
    for skipped in scores.skipped:
        console.print(f"left out: {skipped.reason}", soft_wrap=True)
    for note in scores.notes:
        print_paragraph(console, f"note: {note}")


def _recognition(title: str, rows: Sequence[SetScores], quoted: Sequence[Quoted]) -> Table:
    """The evaluator's scores of several sets of clips, and published scores. At most 80 characters wide."""
    table = new_table("", "clips", "accuracy (95 %)", "Inception Score (95 %)", title=title)
    for row in rows:
        score = row.inception_score
        spread = f" ± {score.std:.2f}" if score and score.std else ""
        table.add_row(
            row.name,
            str(row.num_videos),
            f"{row.accuracy:.2f} {shown_interval(row.accuracy_interval)}" if row.accuracy is not None else "",
            f"{score.mean:.2f}{spread} {shown_interval((score.low, score.high))}" if score else "",
        )
    if quoted:
        table.add_section()
        table.add_row("quoted, of other clips:", style="dim")
    for each in quoted:
        table.add_row(f"  {each.method}", "", "", f"{each.inception_score:.2f}", style="dim")
    return table


def _copies(copies: Copies) -> Iterator[str]:
    """How many clips are copies of training clips, beside how many real clips; or that it is not known."""
    beside = f"{copies.num_windows} windows of {copies.baseline}"
    for kind, found in (("frame", copies.frames), ("window", copies.windows)):
        near = f"median distance to the nearest {kind} of '{copies.training}' {found.generated:.3f}"
        near += f", of {beside} {found.real:.3f}" if found.real is not None else ""
        if found.share is not None:
            near = (
                f"{found.num} clips ({found.share:.2f}, {shown_interval(found.interval)}) are nearer to a {kind} than "
                f"{found.threshold:.3f}, as 1 % of the real ones are; {near}"
            )
        yield f"copies, by {kind}s: {near}"


def shown_interval(bounds: tuple[float, float] | None) -> str:
    """An interval as [low high]; empty for None."""
    return "[{:.2f} {:.2f}]".format(*bounds) if bounds else ""


def _values(rows: Sequence[SetScores], metrics: Sequence[Metric]) -> Table:
    """A table with a column for each metric."""
    table = new_table("", *(metric.name for metric in metrics))
    for row in rows:
        table.add_row(row.name, *(_number(getattr(row, metric.key), metric.digits) for metric in metrics))
    return table


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _beside(found: Comparison) -> Table:
    """Each value beside that of real clips. The two distances are means over splits of the real clips, and the last
    column is how far they are apart, in standard deviations of the real one.
    """
    title = f"beside real clips: {found.num_windows} windows of each"
    apart = any(value.deviations is not None for value in found.shown.values())
    table = new_table("", "generated", "real", "ratio", *["apart (sd)"] * apart, title=title)
    for key, value in found.shown.items():
        metric = METRICS[key]
        spread = "" if value.real_std is None else f" ± {_number(value.real_std, metric.digits)}"
        numbers = [_number(side, metric.digits) for side in (value.generated, value.real)]
        cells = ["" if value.deviations is None else f"{value.deviations:+.1f}"] * apart
        table.add_row(metric.name, numbers[0], numbers[1] + spread, _number(value.ratio, 2), *cells)
    return table


def _motion(found: Comparison) -> Table:
    """The motion of each action beside that of its real clips, and how many actions are within the tolerance."""
    title = f"motion beside real clips, within {found.tolerance:.0%} or not"
    table = new_table("action", "motion", "real", "ratio", "visible", "real", "ratio", title=title)
    every, visible = found.motion["motion"], found.motion["visible_motion"]
    for action in every:
        cells = [
            text
            for value in (every[action], visible[action])
            for text in (_number(value.generated, 2), _number(value.real, 2), _number(value.ratio, 2))
        ]
        table.add_row(action, *cells)
    table.add_section()
    counts = [f"{found.actions_within[name]} of {len(every)}" for name in ("motion", "visible_motion")]
    table.add_row("within", "", "", counts[0], "", "", counts[1])
    return table


def _per_action(scores: Scores) -> Table:
    table = new_table("action", "recognised", "95 %", "contribution")
    table.add_column("seen as")
    for action, share in scores.per_action.items():
        row = scores.confusion[scores.actions.index(action)]
        others = [
            f"{name} {count}" for name, count in zip(scores.actions, row, strict=True) if name != action and count
        ]
        low, high = scores.per_action_interval[action]
        contribution = scores.per_action_contribution[action]
        table.add_row(action, f"{share:.2f}", f"{low:.2f}-{high:.2f}", f"{contribution:.2f}", ", ".join(others))
    return table
