"""A blank text of a host's own call, with a real model and with one whose sides differ by a prefix."""

import json
from pathlib import Path

import numpy as np
import pytest

from twofold import Embedder
from twofold.adapters import embed_texts


@pytest.mark.filterwarnings("ignore::twofold.BlankWarning")
def test_the_real_model_embeds_the_empty_text(minilm: str) -> None:
    embedder = Embedder(minilm)
    rows = embed_texts(embedder, "document", ["tea", "", "\u200b"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(rows[1], rows[2])
    sided = embedder.with_options(document_instruction="passage: ", query_instruction="query: ")
    query, document = embed_texts(sided, "query", [""]), embed_texts(sided, "document", [""])
    assert not np.allclose(query, document)
    np.testing.assert_allclose(document[0], embedder.embed_documents(["passage: "])[0], atol=1e-5)


@pytest.mark.filterwarnings("ignore::twofold.BlankWarning")
def test_a_model_without_special_tokens_embeds_a_full_stop_instead(minilm: str, tmp_path: Path) -> None:
    for part in Path(minilm).iterdir():
        (tmp_path / part.name).symlink_to(part)
    file = tmp_path / "tokenizer.json"
    tokenizer = {**json.loads(file.read_text()), "post_processor": None}
    file.unlink()
    file.write_text(json.dumps(tokenizer))
    embedder = Embedder(tmp_path, dtype="float32")
    stop, fog = embedder.embed_documents([".", "fog"])
    assert embedder.count_tokens(["\u0301", "."]) == [0, 1]
    np.testing.assert_allclose(embed_texts(embedder, "document", ["", "fog"]), [stop, fog], atol=1e-5)
    np.testing.assert_allclose(embedder.embed_documents(["\u0301", "fog"]), [stop, fog], atol=1e-5)
    np.testing.assert_allclose(embedder.embed_chunks(["\u0301", "\ufe0f"]), [stop, stop], atol=1e-5)
