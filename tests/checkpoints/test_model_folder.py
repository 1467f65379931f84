"""Finding a model, and what its `model.json` may say."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from stgan.checkpoints import CheckpointError, ModelFolder, assemble, bundled_models, find_model, model_folder
from stgan.checkpoints.checkpoint import save_checkpoint
from stgan.files import BUNDLED, typed
from stgan.networks import LRCN

pytestmark = pytest.mark.usefixtures("unchecked")

MODEL = "model.json"
KEYS = ("name", "actions", "encoder", "generator", "condition", "evaluators")


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No test asks the real hub; here is what they asked for."""
    asked: list[str] = []

    def offline(repository: str, **options: Any) -> str:
        asked.append(repository)
        raise LocalEntryNotFoundError("Cannot find an appropriate cached snapshot.\nCheck your\r\n connection.")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    return asked


def refused(model: str | Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        find_model(model)
    message = str(caught.value)
    assert "\n" not in message
    return message


def edit(model: Path, **values: Any) -> None:
    path = model / MODEL
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_folder(model: Path) -> None:
    folder = find_model(model)
    assert folder == find_model(str(model))
    assert folder.path == model
    assert folder.condition == {"lrcn": "lrcn", "c3d": "c3d"}
    assert folder.evaluators == {"evaluator": "evaluator", "temporal_stream": "temporal_stream"}
    assert folder.priors == {"map_codec": "map_codec", "frame_prior": "frame_prior", "clip_prior": "clip_prior"}
    assert folder.parts == (
        *("encoder", "generator", "map_codec", "frame_prior", "clip_prior"),
        *("lrcn", "c3d", "evaluator", "temporal_stream"),
    )
    assert {type(folder.load(part).network).__name__ for part in folder.parts} == {
        *("AlexNet", "ImageGenerator", "MapCodec", "MapPrior", "LRCN", "C3D", "R2Plus1D", "TemporalStream")
    }


def test_saved_and_found_again(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path, "ü", ("walk", "run"), "e", "g", {"lrcn": "l"}, {})
    folder.save()
    assert find_model(tmp_path) == folder and folder.parts == ("e", "g", "l")
    assert not {"map_codec", "frame_prior", "clip_prior"} & json.loads((tmp_path / MODEL).read_text()).keys()
    priors = {"map_codec": "m", "frame_prior": "f", "clip_prior": "c"}
    (whole := replace(folder, **priors, clip_size=227, frame_guidance=1.8)).save()
    assert find_model(tmp_path) == whole and whole.priors == priors
    assert whole.parts == ("e", "g", "m", "f", "c", "l")
    values = json.loads((tmp_path / MODEL).read_text())
    for wrong in (0, -1, 10**9, 2.5, 227.0, True, "227", [227]):
        (tmp_path / MODEL).write_text(json.dumps({**values, "clip_size": wrong}))
        assert "clip_size: must be " in refused(tmp_path)


def test_former_roles_are_ignored(model: Path) -> None:
    """Of priors of vector codes, which older models have."""
    wanted = find_model(model)
    edit(model, code_prior="code_prior", sequence_prior="../gone")
    assert find_model(model) == wanted


def test_put_together_from_checkpoints(model: Path) -> None:
    wanted = find_model(model)
    (model / MODEL).unlink()
    (model / "notes").mkdir()
    save_checkpoint(model / "sports", LRCN(wanted.load("lrcn").network.config), card="")  # type: ignore[arg-type]
    found, left = assemble(model, wanted.name, evaluators=("evaluator", "temporal_stream"))
    assert replace(found, condition=wanted.condition) == wanted == find_model(model)
    assert set(found.condition) == {"lrcn", "c3d"} and left == ["sports"]
    chosen, left = assemble(model, "other", condition=("lrcn",), evaluators=("c3d",))
    assert chosen.condition == {"lrcn": "lrcn"} and chosen.evaluators == {"c3d": "c3d"}
    assert left == ["evaluator", "sports", "temporal_stream"]


def test_what_cannot_be_put_together(model: Path, tmp_path: Path) -> None:
    def refused_to(**options: Any) -> str:
        with pytest.raises(CheckpointError) as caught:
            assemble(model, "name", **options)
        return str(caught.value)

    assert "no classifier 'sport'" in refused_to(condition=("sport",))
    assert "both as condition network and as evaluator" in refused_to(condition=("c3d",), evaluators=("c3d",))
    lrcn = find_model(model).load("lrcn")
    save_checkpoint(model / "odd", lrcn.network, actions=("a", "b", "c"), card="")
    assert "'odd' knows other classes than" in refused_to()
    shutil.rmtree(model / "odd")
    shutil.copytree(model / "encoder", model / "second")
    assert "several encoders: encoder, second" in refused_to()
    shutil.rmtree(model / "second")
    shutil.rmtree(model / "generator")
    assert "no image generator" in refused_to()
    with pytest.raises(CheckpointError, match="no folder"):
        assemble(tmp_path / "nowhere", "name")


def test_in_the_home_folder(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(model.parent))
    assert find_model("~/model").path == model


def test_bundled_names(model: Path, monkeypatch: pytest.MonkeyPatch, hub: list[str]) -> None:
    shutil.copytree(model, model.with_name("other"))
    (model.parent / "unfinished").mkdir()
    monkeypatch.setattr(model_folder, "BUNDLED", model.parent)
    assert bundled_models() == ["model", "other"]
    assert find_model("other").path == model.with_name("other")
    for unknown in ("weizman", "unfinished", "a/b/c", "./user/name", "/no/where", "model\n"):
        message = refused(unknown)
        assert "model, other" in message and repr(unknown) in message
    assert not hub


def test_a_folder_of_a_bundled_name(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: list[str]
) -> None:
    """A path means the folder, and a string that could mean both is refused."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert "no such folder" in refused(Path("weizmann")) and find_model("weizmann").actions[0] == "bend"
    shutil.copytree(model, "weizmann")
    for own in (Path("weizmann"), "./weizmann", "weizmann/", tmp_path / "here/weizmann", typed("./weizmann")):
        assert find_model(own).name == "tiny", own
    message = refused("weizmann")
    assert "'./weizmann'" in message and repr(str(BUNDLED / "weizmann")) in message
    assert find_model(str(BUNDLED / "weizmann")).actions[0] == "bend"
    (Path("weizmann") / MODEL).unlink()
    made, _ = assemble(Path("weizmann"), "mine", evaluators=["evaluator", "temporal_stream"])
    assert made.name == "mine" and made.path == Path("weizmann")
    shutil.rmtree("weizmann")
    Path("weizmann").symlink_to(BUNDLED / "weizmann")  # no two of that name
    assert find_model("weizmann").actions[0] == "bend"
    assert not hub


def test_a_folder_with_the_form_of_a_hub_id(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model.rename("user_name")
    Path("user").mkdir()
    shutil.move("user_name", "user/name")
    message = refused("user/name")
    assert "'./user/name'" in message and "hub" in message and not hub
    for own in (Path("user/name"), "./user/name", "user/name/", typed("user/name")):
        assert find_model(own).name == "tiny", own
    assert typed("user/other") == "user/other" and typed("user") == "user"  # may be a hub id, and a bundled name


@pytest.mark.parametrize("name", ["a" * 5000, "~nobody_of_this_name", "~nobody_of_this_name/model", "a\0b", "\ud800"])
def test_names_that_no_folder_can_have(name: str) -> None:
    assert "no model" in refused(name)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    assert str(tmp_path / MODEL) in refused(tmp_path)


def test_offline(hub: list[str]) -> None:
    message = refused("user/name")
    assert hub == ["user/name"]
    assert "no such folder" in message and "Cannot find an appropriate cached snapshot)" in message


@pytest.mark.parametrize(
    "error", [TimeoutError("slow"), ValueError("no valid id"), type("ProxyError", (Exception,), {})("no")]
)
def test_whatever_goes_wrong_at_the_hub(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """The HTTP library under the hub's client has exceptions of its own, and has been replaced before."""

    def fail(repository: str, **options: Any) -> str:
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    assert str(error) in refused("user/name")


def test_from_the_hub(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = []

    def download(repository: str, allow_patterns: list[str]) -> str:
        wanted.extend(allow_patterns)
        return str(model)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert find_model("user/name").path == model
    inside = {"*/config.json", "*/model.safetensors", "*/README.md"}
    assert set(wanted) == {"model.json", "README.md", *inside}  # nothing that could be code


def test_links_in_the_cache_of_the_hub(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache links each file to one of the repository's blobs; no link out of the repository is followed."""
    repository = tmp_path / "models--user--name"
    snapshot = repository / "snapshots" / "abc"
    (repository / "blobs").mkdir(parents=True)
    snapshot.parent.mkdir()
    model.rename(snapshot)
    config = snapshot / "lrcn" / "config.json"
    config.rename(repository / "blobs" / "0123")
    config.symlink_to("../../../blobs/0123")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(snapshot))
    assert find_model("user/name").load("lrcn").actions
    weights = snapshot / "c3d" / "model.safetensors"
    weights.rename(repository / "weights")
    weights.symlink_to("../../../weights")
    with pytest.raises(CheckpointError, match=r"model\.safetensors' is a link that leaves its folder"):
        find_model("user/name").load("c3d")


@pytest.mark.parametrize("file", ["model.json", "lrcn/config.json", "lrcn/model.safetensors"])
def test_a_link_out_of_the_folder_is_not_followed(model: Path, tmp_path: Path, file: str) -> None:
    path, elsewhere = model / file, tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(CheckpointError, match="is a link that leaves its folder; put the file itself there"):
        find_model(model).load("lrcn")
    path.unlink()
    elsewhere.rename(path.with_name("renamed"))
    path.symlink_to("renamed")
    assert find_model(model).load("lrcn").actions


OUTSIDE = ["../other", "..", ".", "", "/etc", "nested/encoder", "encoder/..", "../../model/encoder", "link", "a\0b"]


@pytest.mark.parametrize("outside", OUTSIDE)
@pytest.mark.parametrize(
    "role", ["encoder", "generator", "map_codec", "frame_prior", "clip_prior", "condition", "evaluators"]
)
def test_checkpoints_outside_the_folder(model: Path, role: str, outside: str) -> None:
    shutil.copytree(model / "encoder", model.parent / "other")
    (model / "link").symlink_to(model.parent / "other")
    edit(model, **{role: {"lrcn": outside} if role in ("condition", "evaluators") else outside})
    assert MODEL in refused(model)


def test_an_absolute_path(model: Path) -> None:
    shutil.copytree(model / "encoder", model.parent / "other")
    edit(model, encoder=str(model.parent / "other"))
    assert "outside" in refused(model)


def test_a_link_to_itself(model: Path) -> None:
    (model / "link").symlink_to("link")
    edit(model, encoder="link")
    with pytest.raises(CheckpointError):
        find_model(model).load("link")


@pytest.mark.parametrize("key", ["format", *KEYS])
def test_missing_keys(model: Path, key: str) -> None:
    values = json.loads((model / MODEL).read_text())
    del values[key]
    (model / MODEL).write_text(json.dumps(values))
    assert key in refused(model)


@pytest.mark.parametrize(
    "values",
    [
        *[{"format": value} for value in (0, 2, "1", None)],
        *[{"actions": value} for value in (None, 5, [], "abc", [1], {"walk": 1})],
        *[{role: value} for role in ("encoder", "generator") for value in (None, 5, ["encoder"], {})],
        *[
            {role: value}
            for role in ("map_codec", "frame_prior", "clip_prior")
            for value in (0, 5, "", False, [role], {}, "\x1b[31mred")
        ],
        *[{"condition": value} for value in (None, {}, "lrcn", ["lrcn"], {"lrcn": None}, {"lrcn": 5})],
        *[{"evaluators": value} for value in (None, "evaluator", {"evaluator": ["evaluator"]})],
        *[{"name": value} for value in (None, 5, "", "a/b", "\x1b[31mred", "\u202egnp", "a" * 5000)],
        *[{"actions": value} for value in (["../x"], ["a\nb"], ["."], [""], ["-" * 101], ["walk", "walk"])],
        *[{"condition": {value: "lrcn"}} for value in ("", "\x1b[31mred", "a" * 5000)],
        {"condition": {"lrcn": "a" * 5000}},
        {"condition": {f"c{number}": "lrcn" for number in range(17)}},
    ],
    ids=lambda values: str(values)[:60],
)
def test_wrong_values(model: Path, values: dict) -> None:
    edit(model, **values)
    assert MODEL in refused(model)


NO_JSON_OBJECTS = [b"", b"[]", b'{"format": 1', b"\xff", b'{"format": ' + b"[" * 100_000]


@pytest.mark.parametrize("data", NO_JSON_OBJECTS, ids=["empty", "list", "cut", "no text", "deep"])
def test_files_that_are_no_json_objects(model: Path, data: bytes) -> None:
    (model / MODEL).write_bytes(data)
    assert MODEL in refused(model)


def test_a_file_of_10_megabytes(model: Path) -> None:
    (model / MODEL).write_bytes((model / MODEL).read_bytes() + b" " * 10_000_000)
    assert "too large" in refused(model)
