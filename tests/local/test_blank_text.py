"""A blank text of a host's own call, with a real model and with one whose sides differ by a prefix."""

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
