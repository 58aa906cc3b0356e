"""Each published layout is exact, natively or in the fallback, or is refused. The table in `docs/local.md` says which.

To write the table: `WRITE_TABLE=1 pytest tests/local/test_families.py -k table`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from support.families import LAYOUTS, attend_both_ways, edit
from twofold import Embedder, ModelError, PromptWarning
from twofold.local.backend import LocalBackend
from twofold.vectors import normalize

PAGE = Path(__file__).parents[2] / "docs" / "local.md"
BEGIN, END = "<!-- written by tests/local/test_families.py -->\n", "<!-- until here -->"
TEXTS = ["How do I remove a directory?", "Berlin", "The keeper counted nine ships before the fog came in.", "fog"]
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Outcome:
    """What Twofold does with a layout: the engine and the largest deviation from the reference, or its refusal."""

    engine: str
    message: str = ""
    deviation: float = 0.0
    warned: str = ""


@cache
def outcome(name: str) -> Outcome:
    """Make the checkpoint, and compare both sides, alone and in batches, with sentence-transformers."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "any-name"
        folder.mkdir()
        LAYOUTS[name].make(folder)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", PromptWarning)
            embedder = Embedder(folder, dtype="float32", device="cpu", truncate="end")
            try:
                native = isinstance(embedder.backend, LocalBackend)
                embedder.embed_query("fog")
            except ModelError as error:
                return Outcome("refused", str(error).replace(str(folder), "FOLDER"))
        warned = " ".join(str(warning.message) for warning in caught)
        return Outcome("native" if native else "fallback", "", _deviation(name, folder, embedder), warned)


def _deviation(name: str, folder: Path, embedder: Embedder) -> float:
    from sentence_transformers import SentenceTransformer

    layout = LAYOUTS[name]
    if layout.convert is not None:
        folder = shutil.copytree(folder, folder.with_name("converted"), dirs_exist_ok=True)
        layout.convert(folder)
    peer = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": "float32"})
    queries = normalize(peer.encode(TEXTS, prompt=layout.query, task="query"))
    documents = normalize(peer.encode(TEXTS, prompt=layout.document, task="document"))
    mine = [
        (embedder.embed_queries(TEXTS), queries),
        (np.stack([embedder.embed_query(text) for text in TEXTS]), queries),
        (embedder.embed_documents(TEXTS), documents),
        (np.concatenate([embedder.embed_documents([text]) for text in TEXTS]), documents),
    ]
    return max(float(np.abs(got - want).max()) for got, want in mine)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_exact_or_is_refused(name: str) -> None:
    found, layout = outcome(name), LAYOUTS[name]
    if found.engine == "refused":
        assert layout.refused
        assert layout.refused in found.message
        assert found.message.startswith("FOLDER ")
    else:
        assert found.deviation < TOLERANCE
        assert bool(found.warned) == layout.unclear


@pytest.mark.parametrize("name", [name for name, layout in LAYOUTS.items() if layout.convert is not None])
@pytest.mark.filterwarnings("ignore::twofold.PromptWarning")
def test_what_a_refusal_advises_works(name: str, tmp_path: Path) -> None:
    """The copy runs, and with `is_causal: false` its vectors are not those of causal attention."""
    layout, folder = LAYOUTS[name], tmp_path / "copy"
    folder.mkdir()
    layout.make(folder)
    assert layout.convert is not None
    layout.convert(folder)
    model = Embedder(folder, dtype="float32", device="cpu", truncate="end")
    assert model.embed_query("fog").shape == (model.dimensions,)
    if layout.convert is not attend_both_ways:
        return
    causal = shutil.copytree(folder, tmp_path / "causal")
    edit(causal / "config.json", is_causal=True, auto_map={})
    other = Embedder(causal, dtype="float32", device="cpu").embed_query("fog")
    assert not np.allclose(model.embed_query("fog"), other, atol=1e-3)


def test_the_table_is_up_to_date() -> None:
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    written = f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"
    if os.environ.get("WRITE_TABLE"):
        PAGE.write_text(written, "utf-8")
        return
    assert page == written, "to write it: WRITE_TABLE=1 pytest tests/local/test_families.py -k table"


def table() -> str:
    runs = {"native": "Twofold's encoder", "fallback": "sentence-transformers", "refused": "refused"}
    found = {name: outcome(name) for name in LAYOUTS}
    lines = ["| layout | published models | runs in |", "| --- | --- | --- |"]
    asks = "; choose `query_task` and `document_task`"
    lines += [
        f"| {name} | {LAYOUTS[name].published} | {runs[one.engine]}{asks if one.warned else ''} |"
        for name, one in found.items()
    ]
    lines += ["", "| refused layout | the message |", "| --- | --- |"]
    lines += [
        f"| {name} | {one.message.replace('FOLDER', 'It')} |" for name, one in found.items() if one.engine == "refused"
    ]
    return "\n".join(lines) + "\n"
