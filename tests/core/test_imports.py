"""`import twofold` is light: numpy and the standard library, whatever else is installed."""

import subprocess
import sys

PROBE = """
import sys
before = set(sys.modules)
import numpy
with_numpy = set(sys.modules)
import twofold
embedder = twofold.Embedder("jinaai/jina-embeddings-v3", dimensions=512)
hosted = twofold.Embedder("jina:jina-embeddings-v3", api_key="x")
repr(embedder), repr(hosted)
new = {name.split(".")[0] for name in set(sys.modules) - before - with_numpy}
print(sorted(new - sys.stdlib_module_names - {"twofold", "numpy"}))
print(sorted(name for name in sys.modules if name.startswith("twofold.local")))
"""


def test_importing_and_making_an_embedder_loads_nothing_optional() -> None:
    run = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["[]", "[]"]
