"""Comparisons of generators that nobody measured."""

from collections.abc import Sequence

from stgan.scoring import Difference, Estimate, GeneratorComparison, GeneratorScores


def comparison(
    names: Sequence[str], clips: tuple[str, ...] = ("left/a.mp4",), *, fooled: bool = False
) -> GeneratorComparison:
    """The first is better than all others in accuracy. The last one may be fooled."""
    accuracy = Estimate(0.875, 0.5, 1.0)
    kernel = Estimate(-0.0125, -0.5, 0.25)
    motion = Estimate(4.0, None, None)
    return GeneratorComparison(
        generators=tuple(
            GeneratorScores(
                name=name, fooled=fooled and name == names[-1], steered_by=(), drawn_with=names[0], clips=clips,
                values={"accuracy": accuracy, "kernel_video_distance": kernel, "motion": motion},
            )
            for name in names
        ),
        num_videos=len(clips),
        actions={"left": len(clips)},
        real={"motion": Estimate(4.5, 4.0, 5.0)},
        num_real=len(clips),
        real_name="real",
        differences=tuple(
            Difference(
                metric="accuracy", first=names[0], second=other, difference=0.25, low=0.125, high=0.5, better=names[0]
            )
            for other in names[1:]
        ),
        evaluator="evaluator", evaluator_network="r2plus1d", evaluator_hash="0123456789",
        protocol="the middle 16 frames",
        feature_network="evaluator", feature_hash="0123456789", feature_size=8, splits=1, resamples=1000, notes=(),
    )  # fmt: skip
