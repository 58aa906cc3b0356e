"""The CI configuration matches the project's metadata."""

from __future__ import annotations

import tomllib
from typing import Any

import yaml

from support.bare import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CI: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]


def test_every_python_that_is_promised_is_tried() -> None:
    prefix = "Programming Language :: Python :: "
    promised = {line.removeprefix(prefix) for line in PROJECT["classifiers"] if line.startswith(prefix)}
    tried = CI["pinned"]["strategy"]["matrix"]["python"]
    assert promised <= set(tried)
    assert f">={tried[0]}" == PROJECT["requires-python"]
