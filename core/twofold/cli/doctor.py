"""`twofold doctor`: check that a model is what it claims to be and runs correctly here."""

from __future__ import annotations

from dataclasses import asdict

import typer

from twofold.cli import FAILED, show
from twofold.cli.options import JsonOption, embedder_options
from twofold.doctor import examine
from twofold.embedder import Embedder

MARKS = {True: "ok", False: "WRONG", None: ""}


@embedder_options(model_argument=True)
def doctor(embedder: Embedder, as_json: JsonOption = False) -> None:
    """Check a model: files, licence, device, and known vectors.

    The exit code is 1 if a check fails.
    """
    findings = list(examine(embedder))
    if as_json:
        show.as_json([asdict(finding) for finding in findings])
    else:
        rows = ((MARKS[finding.ok], finding.name, finding.detail) for finding in findings)
        show.table(("", "what", "found"), rows)
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(FAILED)
