"""The commands, one file each."""

from __future__ import annotations

import typer

from twofold.cli.demo import demo
from twofold.cli.doctor import doctor
from twofold.cli.embed import embed
from twofold.cli.index import index
from twofold.cli.models import models
from twofold.cli.search import search

app = typer.Typer(
    name="twofold",
    help="One embedder with two sides, query and document, plugged into every vector store.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (embed, index, search, models, doctor, demo):
    app.command()(command)
