"""Hub ids, loaded from huggingface-hub's cache without a network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from support.checkpoints import bert, sentence_transformers_files
from twofold import Embedder, InputError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.checkpoints import Made

HUB_ID = "harbour/fog-small"
OLD, NEW = "1" * 40, "2" * 40


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub cache with two commits of one model: `main` is the newer one, a tag points to the older one."""
    place = tmp_path_factory.mktemp("hub")
    store(place, HUB_ID, OLD, lambda folder: bert(folder, seed=1))
    store(place, HUB_ID, NEW, lambda folder: bert(folder, seed=2))
    refs = place / "models--harbour--fog-small" / "refs"
    refs.mkdir()
    (refs / "main").write_text(NEW, "utf-8")
    (refs / "v1").write_text(OLD, "utf-8")
    return place


def store(cache: Path, hub_id: str, commit: str, make: Callable[[Path], Made]) -> None:
    """Put a checkpoint into the cache. As in a real one, the snapshot has links to blobs."""
    home = cache / f"models--{hub_id.replace('/', '--')}"
    snapshot, blobs = home / "snapshots" / commit, home / "blobs"
    make(snapshot)
    sentence_transformers_files(snapshot, query="query: ", document="passage: ")
    (snapshot / "README.md").write_text("---\nlicense: mit\n---\n# Fog\n", "utf-8")
    blobs.mkdir(exist_ok=True)
    for file in [file for file in snapshot.rglob("*") if file.is_file()]:
        blob = blobs / f"{commit[0]}-{file.relative_to(snapshot).as_posix().replace('/', '-')}"
        file.rename(blob)
        file.symlink_to(os.path.relpath(blob, file.parent))


def run(cache: Path, code: str, **environment: str) -> str:
    """Run code in a process whose environment names that cache, and return what it printed. `Embedder` is imported."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import json\nfrom twofold import Embedder, ModelError\n{code}"],
        env={**os.environ, "HF_HUB_CACHE": str(cache), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def snapshot(cache: Path, commit: str) -> Path:
    return cache / "models--harbour--fog-small" / "snapshots" / commit


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """That cache and no network in this process. huggingface-hub read its environment when it was imported."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return monkeypatch


def failure(model: str, revision: str | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        Embedder(model, device="cpu", revision=revision).embed_query("fog")
    return str(caught.value)


@pytest.mark.usefixtures("hub")
def test_a_cached_id_and_its_revisions_load_offline(cache: Path) -> None:
    revisions = {None: NEW, "main": NEW, "v1": OLD, OLD: OLD, NEW: NEW}
    for revision, commit in revisions.items():
        model = Embedder(HUB_ID, revision=revision, dtype="float32", device="cpu")
        here = Embedder(snapshot(cache, commit), dtype="float32", device="cpu")
        np.testing.assert_allclose(model.embed_query("fog"), here.embed_query("fog"), atol=1e-6)
        assert (model.space.fingerprint, model.card.licence) == (here.space.fingerprint, "mit")
    old, new = (Embedder(snapshot(cache, commit), device="cpu").space for commit in (OLD, NEW))
    assert old.weights != new.weights


@pytest.mark.usefixtures("hub")
def test_an_id_or_a_revision_that_is_not_cached_is_named_with_the_way_out() -> None:
    said = failure("harbour/nowhere")
    assert said.startswith("harbour/nowhere is not a folder, and as a hub id it could not be downloaded: ")
    assert "Give the path of a checkpoint folder, or check the id, the network and, for a gated model, HF_TOKEN" in said
    assert failure(HUB_ID, "v9").startswith("harbour/fog-small (revision v9) is not a folder, and as a hub id")


def test_a_hub_that_does_not_answer_serves_what_is_cached_and_shows_no_token(cache: Path) -> None:
    """Online, with the connection refused."""
    secret = "hf_" + "S" * 34
    printed = run(
        cache,
        f"""
print(json.dumps(Embedder({HUB_ID!r}, dtype='float32', device='cpu').embed_query('fog').tolist()))
try:
    Embedder("harbour/nowhere").embed_query("fog")
except ModelError as error:
    print(error)
""",
        HF_HUB_OFFLINE="0",
        HF_ENDPOINT="http://127.0.0.1:9",
        HF_TOKEN=secret,
    )
    vector, said = printed.splitlines()
    here = Embedder(snapshot(cache, NEW), dtype="float32", device="cpu").embed_query("fog")
    np.testing.assert_allclose(json.loads(vector), here, atol=1e-6)
    assert said.startswith("harbour/nowhere is not a folder, and as a hub id it could not be downloaded")
    assert secret not in said


@pytest.mark.parametrize("model", ["harbour/fog small", "harbour/-fog-", "a/b/c", "./harbour", "/harbour/fog", "~/fog"])
def test_what_can_be_no_id_is_refused_without_the_network(model: str) -> None:
    assert model in failure(model)


def test_a_file_is_not_a_checkpoint(cache: Path) -> None:
    file = snapshot(cache, NEW) / "model.safetensors"
    with pytest.raises(ModelError, match="is a file: give the folder that contains it"):
        Embedder(file).embed_query("fog")


def test_a_snapshot_that_lacks_its_weights_says_so(hub: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As after an interrupted download."""
    hub.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--harbour--half"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(NEW, "utf-8")
    bert(home / "snapshots" / NEW)
    (home / "snapshots" / NEW / "model.safetensors").unlink()
    assert "has no weights" in failure("harbour/half")


PAGES: dict[str, object] = {
    "/api/models/harbour/pickled/tree/main": ["config.json", "onnx/model.onnx", "pytorch_model.bin"],
    "/api/models/harbour/pickled/tree/refs/pr/7": ["config.json"],
    "/api/models/harbour/pickled/tree/refs/pr/4": ["config.json", "model.safetensors"],
    "/api/models/harbour/quantised/tree/main": ["config.json", "fog-Q8_0.gguf"],
}
"""The files of models on a hub, by revision."""


@pytest.fixture
def page() -> Iterator[str]:
    """The address of a hub that lists files and pull requests, and serves no file."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0].replace("%2F", "/")
            if path.endswith("/discussions"):
                titles = {9: "Better README", 7: "Adding safetensors variant", 4: "Add `safetensors`"}
                made = {"createdAt": "2026-01-01T00:00:00.000Z", "status": "open", "isPullRequest": True}
                pulls = [{**made, "num": num, "title": title, "repo": REPO} for num, title in titles.items()]
                self.answer({"count": 3, "start": 0, "discussions": pulls})
            elif path in PAGES:
                names = cast("list[str]", PAGES[path])
                self.answer([{"type": "file", "path": name, "size": 1, "oid": "0"} for name in names])
            else:
                self.send_error(404)

        def answer(self, body: object) -> None:
            sent = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            """Be silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


REPO = {"name": "harbour/pickled", "type": "model"}


PICKLED = (
    r"harbour/pickled has its weights only as a pickle \(pytorch_model\.bin\).*convert it to model\.safetensors"
    r".*\. Or use its pull request that has model\.safetensors: revision='refs/pr/4'"
)
QUANTISED = r"harbour/quantised has only GGUF files \(fog-Q8_0\.gguf\)"


@pytest.mark.parametrize(("model", "said"), [("harbour/pickled", PICKLED), ("harbour/quantised", QUANTISED)])
def test_a_hub_id_without_safetensors_says_what_it_has(
    hub: pytest.MonkeyPatch, tmp_path: Path, page: str, model: str, said: str
) -> None:
    """Only safetensors are downloaded, so the folder cannot tell. The hub is asked."""
    home = tmp_path / f"models--{model.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(NEW, "utf-8")
    bert(home / "snapshots" / NEW)
    (home / "snapshots" / NEW / "model.safetensors").unlink()
    hub.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    offline = failure(model)
    assert offline.startswith(f"{model} has no weights in the hub's cache (")
    assert "give the revision of a pull request that has model.safetensors" in offline
    hub.setattr("twofold.local.opening.locate", lambda *_: home / "snapshots" / NEW)  # this hub serves no files
    hub.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.setattr(constants, "ENDPOINT", page)
    assert re.match(said, failure(model))


@pytest.mark.usefixtures("hub")
def test_messages_name_the_id_that_the_user_typed() -> None:
    model = Embedder(HUB_ID, dtype="float32", device="cpu", truncate="error")
    assert model.card.label == HUB_ID
    for options, said in (
        ({"dimensions": 49}, f"dimensions=49, but {HUB_ID} has 1 to 48"),
        ({"query_task": "clustering"}, f"{HUB_ID} has no task 'clustering'"),
        ({"late_window": 4096}, f"late_window=4096, but {HUB_ID} takes at most"),
    ):
        with pytest.raises(InputError) as caught:
            Embedder(HUB_ID, device="cpu", **cast("Any", options)).embed_query("fog")
        assert said in str(caught.value)
    assert model.space.model == "bert-3x48"  # equal for a copy of the folder


@pytest.mark.usefixtures("hub")
def test_an_error_of_the_checkpoint_names_the_id(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"auto_map": {"AutoModel": "own.Own"}}
    monkeypatch.setattr("twofold.local.files.refusals.read_json", lambda _: own)
    assert failure(HUB_ID).startswith(f"{HUB_ID} needs its own code (own.Own)")
    assert str(cache) not in failure(HUB_ID)


def test_options_of_a_known_id_are_checked_before_any_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twofold.local.opening.locate", lambda *_: pytest.fail("looked for files"))
    with pytest.raises(InputError, match=r"dimensions=1025, but jinaai/jina-embeddings-v3 has 1 to 1024"):
        Embedder("jinaai/jina-embeddings-v3", dimensions=1025)
    with pytest.raises(InputError, match=r"multilingual-e5-small has no task 'clustering': it has 'query', 'document'"):
        Embedder("intfloat/multilingual-e5-small", query_task="clustering")
    with pytest.raises(InputError, match=r"late_window=8193, but .* takes at most 8192"):
        Embedder("jina-embeddings-v3", late_window=8193)
    Embedder("google/embeddinggemma-300m", query_task="STS")  # a prompt that only its own files state


def test_a_known_id_names_the_checkpoint_where_its_own_files_do_not(hub: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The published bge and e5 folders do not name their model in any file that an engine reads."""

    def wide(folder: Path) -> Any:
        made = bert(folder)
        widen(folder / "model.safetensors")
        config = json.loads((folder / "config.json").read_text("utf-8"))
        config |= {"hidden_size": 384, "num_attention_heads": 6}
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        return made

    home = tmp_path / "models--BAAI--bge-small-en-v1.5"
    wide(home / "snapshots" / NEW)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(NEW, "utf-8")
    hub.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("BAAI/bge-small-en-v1.5", "bge-small-en-v1.5"):
        card = Embedder(name, device="cpu").card
        prefix = "Represent this sentence for searching relevant passages: "
        assert (card.name, card.pooling, card.max_tokens) == ("BAAI/bge-small-en-v1.5", "cls", 128)
        assert (card.side("query").prefix, card.side("document").prefix) == (prefix, "")
    plain = Embedder(home / "snapshots" / NEW, device="cpu").card
    assert (plain.name, plain.pooling, plain.tasks) == ("bert-3x384", "mean", ())


def widen(file: Path) -> None:
    """Make a tiny BERT eight times as wide by repeating its values."""
    tensors = {}
    for name, tensor in load_file(file).items():
        wide = tensor if "intermediate" in name and "bias" in name else torch.cat([tensor] * 8, dim=-1)
        if wide.ndim == 2 and tensor.shape[0] == 48:
            wide = torch.cat([wide] * 8)
        if "output.dense.weight" in name and "attention" not in name:
            wide = wide[:, : tensor.shape[1]].contiguous()
        tensors[name] = wide.contiguous()
    save_file(tensors, file)
