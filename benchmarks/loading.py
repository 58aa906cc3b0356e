"""Peak memory during loading, relative to the loaded weights. Each case runs in a separate process. Linux only.

    python benchmarks/loading.py

The checkpoints are random: BERT's size in BERT's and jina-embeddings-v3's original layouts, and v3 at its full size,
each stored in one dtype and loaded in another. The peak is the highest resident memory of the process, including pages
mapped from the file, minus its memory after the imports. All pages of the weights are touched before the measurement,
because mapped pages count only then.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peers.checkpoints import BERT_BASE, V3_VOCABULARY, VOCABULARY, make, v3

from twofold.local import kernels
from twofold.local.files.checkpoint import Checkpoint
from twofold.local.int8 import largest
from twofold.local.packing import Batch

if TYPE_CHECKING:
    from peers.checkpoints import Shape

LIMIT = 1.3
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Case:
    """A checkpoint's layout, the dtype in its file, and the dtype in memory."""

    family: str
    stored: str
    held: str
    int8: bool = False
    shape: Shape = BERT_BASE

    @property
    def name(self) -> str:
        size = "" if self.shape is BERT_BASE else " at its own size"
        return f"{self.family}{size} {self.stored} -> {'int8' if self.int8 else self.held}"

    def make(self, place: Path) -> Path:
        """Write the checkpoint into a new folder."""
        words = VOCABULARY if self.shape is BERT_BASE else V3_VOCABULARY
        return make(place / "checkpoint", self.family, getattr(torch, self.stored), self.shape, words)


V3 = v3(24)
CASES = (
    Case("bert", "float32", "float32"),
    Case("bert", "float32", "bfloat16"),
    Case("bert", "float32", "bfloat16", int8=True),
    Case("bert", "bfloat16", "float32"),
    Case("bert", "bfloat16", "bfloat16"),
    Case("jina-v3", "bfloat16", "bfloat16"),
    Case("jina-v3", "bfloat16", "float32"),
    Case("jina-v3", "bfloat16", "bfloat16", int8=True),
    Case("jina-v3", "float32", "float32"),
    Case("jina-v3", "bfloat16", "bfloat16", shape=V3),
    Case("jina-v3", "bfloat16", "float32", shape=V3),
    Case("jina-v3", "bfloat16", "bfloat16", int8=True, shape=V3),
)


def memory(*names: str) -> list[int]:
    """Fields of this process's status, in bytes."""
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return [int(fields[name].split()[0]) * 1024 for name in names]


def load(folder: str, held: str, int8: bool) -> None:
    """Load, touch all pages, and print in bytes: loaded weights, peak, mapped, anonymous."""
    dtype = getattr(torch, held)
    largest(), kernels.packing_works(dtype)  # exclude what oneDNN itself allocates
    samples = [(None, Batch(torch.arange(600), [100] * 6))]
    before = memory("VmRSS", "RssFile", "RssAnon")
    encoder = Checkpoint.read(Path(folder)).load(torch.device("cpu"), dtype, int8=int8, samples=samples)
    for tensor in encoder.tensors():
        if not tensor.is_mkldnn:  # packed weights were touched when they were written
            tensor.flatten()[:: 1024 // tensor.element_size()].sum()
    after = memory("VmHWM", "RssFile", "RssAnon")
    print(json.dumps([encoder.nbytes, *(now - then for now, then in zip(after, before, strict=True))]))


def measure(folder: Path, case: Case) -> list[int]:
    """The output of `load` in a separate process."""
    command = [sys.executable, __file__, "--folder", str(folder), "--held", case.held, *["--int8"] * case.int8]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    numbers: list[int] = json.loads(done.stdout)
    return numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--held", help=argparse.SUPPRESS)
    parser.add_argument("--int8", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        load(options.folder, options.held, options.int8)
        return
    if not STATUS.exists():
        print("peak memory is read from /proc, which this system lacks")
        return
    worst = 0.0
    for _, cases in groupby(CASES, lambda case: (case.family, case.stored, case.shape)):
        same = list(cases)
        with tempfile.TemporaryDirectory() as place:
            folder = same[0].make(Path(place))
            for case in same:
                held, peak, mapped, anonymous = (number / 2**20 for number in measure(folder, case))
                worst = max(worst, peak / held)
                print(
                    f"{case.name}: peak {peak / held:.2f} x the loaded weights "
                    f"({held:,.0f} MiB; mapped from the file {mapped:,.0f}, copied {anonymous:,.0f})"
                )
    print(f"at most {worst:.2f} x; the aim is {LIMIT} x")


if __name__ == "__main__":
    main()
