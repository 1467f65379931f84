"""Tables in docs/ come from the records beside them."""

import json
import re
from pathlib import Path
from typing import Any

from stgan.metrics.table import markdown_table
from stgan.report.augmentation_tables import markdown_tables
from stgan.report.comparison_tables import markdown
from stgan.scoring import read_generator_comparison
from stgan.studies.actors import read_study

DOCS = Path(__file__).parent.parent / "docs"


def test_the_tables_of_the_augmentation_study_are_those_of_its_record() -> None:
    study = read_study(DOCS / "results" / "augmentation.json")
    assert markdown_tables(study).strip() in (DOCS / "augmentation.md").read_text(encoding="utf-8")


def read(name: str) -> Any:
    return json.loads((DOCS / "results" / f"{name}.json").read_text(encoding="utf-8"))


def test_the_table_of_metrics_is_the_one_that_the_code_reads() -> None:
    assert markdown_table() in (DOCS / "metrics.md").read_text(encoding="utf-8")


def test_the_table_of_compared_presets_is_that_of_its_record() -> None:
    found = read_generator_comparison(DOCS / "results" / "compare_weizmann_seed1.json")
    assert markdown(found) in (DOCS / "results.md").read_text(encoding="utf-8")


def test_the_tables_of_how_fast_it_is_are_those_of_their_records() -> None:
    rows = [
        f"| {size} | {of['seconds']:.2f} | {of['parts']['prior']:.2f} | {of['parts']['generator']:.2f} "
        f"| {of['parts']['condition']:.2f} | {of['outside_networks']:.0%} | {of['seconds_at_floor']:.2f} "
        f"| {of['peak_memory_bytes'] / 1e9:.2f} |"
        for size, of in read("bench_generate_two_cores")["batches"].items()
    ]
    for of in read("bench_curve_two_cores")["curve"]:
        low, high = of["accuracy_interval"]
        rows.append(
            f"| {of['iterations']} | {of['seconds']:.2f} | {of['accuracy']:.3f} [{low:.2f}, {high:.2f}] "
            f"| {of['inception_score']:.2f} | {of['motion']:.2f} |"
        )
    forms = read("bench_generator_two_cores")
    for of in (forms["conv3d"], forms["factorised"]):
        rate = of["trunk_flops"] / of["trunk_seconds"] / 1e9
        rows.append(f"| {of['seconds']:.3f} | {of['trunk_seconds']:.3f} | {of['trunk_flops'] / 1e9:.1f} | {rate:.0f} |")
    rows.append(f"it is {forms['speedup']:.2f} times as fast")
    lrcn, c3d = read("paper_scale_two_cores")["conditions"].values()
    for part in lrcn["parts"]:
        if part != "update":
            cells = [
                f"{of['flops'] / 1e9:.1f} | {of['seconds']:.2f} | {of['flops'] / of['seconds'] / 1e9:.0f}"
                for of in (lrcn["parts"][part], c3d["parts"][part])
            ]
            rows.append(f"| {' | '.join(cells)} |")
    text = (DOCS / "performance.md").read_text(encoding="utf-8")
    assert len(rows) == 4 + 5 + 3 + 6 and [row for row in rows if row not in text] == []


def test_figures_of_jhmdb_are_those_of_its_records() -> None:
    page = (DOCS / "jhmdb.md").read_text(encoding="utf-8")
    study = read("jhmdb_augmentation")
    for run in study["runs"]:
        generated, real, both = (100 * arm["chosen"]["test"] for arm in run["arms"])
        row = f"| seed {run['seed']} | {generated:.1f} % | {real:.1f} % | {both:.1f} % | {both - real:+.1f} |"
        assert row in page
    means = [study["summary"][name] for name in ("generated", "real", "both", "gain")]
    for mean, form in zip(means, ("{:.1f} % ({:.1f}-{:.1f})",) * 3 + ("**{:+.1f}** ({:.1f} to {:+.1f})",), strict=True):
        assert form.format(*(100 * mean[name] for name in ("mean", "low", "high"))) in page.replace(
            "**23.4 %**", "23.4 %"
        )
    for verdict in read("jhmdb_fooling_paper")["rows"]:
        score, name = verdict["scores"]["inception_score"], "LRCN" if verdict["evaluator"] == "lrcn" else "C3D"
        judge = "evaluator" if verdict["evaluator"] == "evaluator" else name + ", *fooled*" * verdict["fooled"]
        shown = f"{score['mean']:.2f} ({score['low']:.2f}-{score['high']:.2f})"
        row = rf"\| {re.escape(judge)} \| {verdict['scores']['accuracy']:.2f} \(.*\) \| {re.escape(shown)} \|"
        assert re.search(row, page.replace("**", "")), row
    scores = read("jhmdb_motion_seed7")
    low, high = scores["accuracy_interval"]
    assert f"({scores['accuracy']:.2f}, {low:.2f}-{high:.2f}, of 189 clips" in page
    record = read("jhmdb_init_seed7")
    for part in ("given", "free", "real"):
        clips = record[part]
        named, motion = (sum(clip[key] for clip in clips) / len(clips) for key in ("named", "motion"))
        assert f"| {named:.2f} (" in page and f"| {motion:.1f}" in page
    free, frames = read("jhmdb_free_seed7"), read("jhmdb_free_seed7")["copies"]["frames"]
    assert [int(clip["named"] == clip["action"]) for clip in free["clips"]] == [
        clip["named"] for clip in record["free"]
    ]
    low, high = frames["interval"]
    assert f"one ({frames['share']:.2f}, {low:.2f}-{high:.2f}) is nearer" in page and frames["num"] == 1
    beside = free["beside_real"]
    drift, motion = (beside["values"][name]["ratio"] for name in ("appearance_drift", "motion"))
    assert f"appearance change {drift:.2f} and motion {motion:.2f} of real" in " ".join(page.split())
    kept = [clip["kept"] for clip in record["given"]]
    assert f"| {sum(kept) / len(kept):.1f} dB |" in page


def test_figures_of_explanations_are_those_of_their_record() -> None:
    page, clips = (DOCS / "explain.md").read_text(encoding="utf-8"), read("explain_jhmdb")["clips"]
    changes = sorted(clip["mean_change"] for clip in clips)
    assert f"| flipped, as bytes | {sum(clip['flipped'] for clip in clips)} |" in page and len(clips) == 20
    assert f"{sum(changes) / 20:.1f} (median {(changes[9] + changes[10]) / 2:.1f}, largest {changes[-1]:.1f})" in page
    free = [clip for clip in clips if clip["evaluator_before"] != clip["to"]]
    followed = sum(clip["evaluator_after"] == clip["to"] for clip in free)
    assert f"| {followed} of the {len(free)} clips of which it did not say so before |" in page


def test_figures_of_spectral_are_those_of_its_record() -> None:
    page, record = (DOCS / "results.md").read_text(encoding="utf-8"), read("spectral_imagenet")
    for key in ("fixed", "drawn"):
        clips = record[key]["clips"]
        mean = sum(clip["probability"] for clip in clips) / len(clips)
        named = sum(clip["named"] == clip["class"] for clip in clips)
        assert f"| **{mean:.2f}** | {named} of {len(clips)} | {record[key]['motion']:.1f} |" in page
    jhmdb = read("spectral_jhmdb")
    named = sum(clip["named"] == clip["action"] for clip in jhmdb["clips"])
    words = f"names {named} of the {jhmdb['num_videos']} (of\nunseen real clips half), with a motion of"
    assert f"{words} {jhmdb['motion']:.1f} and a flicker of {jhmdb['flicker']:.2f}" in page
    natural = record["natural"]
    words = f"a mean probability of {natural['probability']:.2f}\n({natural['accuracy'] * 20:.0f} of 20), a motion of"
    assert f"{words} {natural['motion']:.1f} and a flicker of {natural['flicker']:.2f}" in page
    for key in ("fixed", "horama_fourier", "horama_maco"):
        scores = record[key]
        shown = f"{scores['probability']:.2f} | {scores['accuracy'] * 20:.0f} of 20 | {scores['motion']:.1f} "
        assert f"| {shown}| {scores['flicker']:.2f} |" in page
