"""Memory during loading: the peak is little more than the loaded weights, and unconverted tensors stay mapped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LOAD = """
import json, os, pathlib, sys, torch
from twofold.local import kernels
from twofold.local.files.checkpoint import Checkpoint
from twofold.local.int8 import largest
from twofold.local.packing import Batch

def memory(*names):
    fields = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    return [int(fields[name].split()[0]) * 1024 for name in names]

def load(held):
    dtype, int8 = (torch.bfloat16, True) if held == "int8" else (getattr(torch, held), False)
    largest(), kernels.packing_works(dtype)  # exclude what oneDNN itself allocates
    samples = [(None, Batch(torch.arange(300), [100, 100, 100]))]
    resident, anonymous = memory("VmRSS", "RssAnon")
    encoder = Checkpoint.read(pathlib.Path(sys.argv[1])).load(torch.device("cpu"), dtype, int8=int8, samples=samples)
    for tensor in encoder.tensors():
        if not tensor.is_mkldnn:
            tensor.flatten()[::512].sum()  # mapped pages count only after they are touched
    peak, copied = memory("VmHWM", "RssAnon")
    print(json.dumps([encoder.nbytes, peak - resident, copied - anonymous]), flush=True)

for held in sys.argv[2:]:  # each in its own process, which need not import torch again
    if not (child := os.fork()):
        load(held)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, held
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 250 MB in float32. About 10 MB of any peak are torch's own code."""
    from transformers import BertConfig, BertModel

    place = tmp_path_factory.mktemp("large")
    BertModel(BertConfig(vocab_size=8000, hidden_size=768, num_hidden_layers=8)).save_pretrained(place)
    return place


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_the_peak_is_within_1_3_of_what_is_held(folder: Path) -> None:
    """In float32, the stored dtype, the word table stays mapped."""
    copied_at_most = {"float32": 1.1, "bfloat16": 1.2, "int8": 2.0}
    command = [sys.executable, "-c", LOAD, str(folder), *copied_at_most]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for (dtype, most), line in zip(copied_at_most.items(), done.stdout.splitlines(), strict=True):
        held, peak, copied = json.loads(line)
        assert held > 25e6, dtype
        layer = 28e6 if dtype == "int8" else 0  # int8 needs a float32 layer and the samples' activations
        assert peak <= 1.3 * held + 2 * layer, dtype
        assert copied <= most * held, dtype
