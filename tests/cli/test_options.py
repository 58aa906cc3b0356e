"""Every option of an embedder is a flag of the same word, with the same default, on every command that embeds."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import pytest
import typer

from twofold import Embedder, Settings
from twofold.cli.app import app
from twofold.cli.options import embedder_options, make_embedder
from twofold.demo.asking import MODEL

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined] # it is a group
OWN = {"demo": {"model": MODEL, "truncate": "end"}}


@pytest.mark.parametrize("command", ["embed", "index", "search", "doctor", "demo"])
def test_each_command_that_embeds_has_them_all(command: str) -> None:
    parameters = {parameter.name: parameter for parameter in COMMANDS[command].params}
    for field in fields(Settings):
        parameter = parameters[field.name]
        if field.name == "model" and command == "doctor":
            assert parameter.param_type_name == "argument"
        else:
            assert f"--{field.name.replace('_', '-')}" in parameter.opts
        default = None if field.default is MISSING else field.default
        assert parameter.default == OWN.get(command, {}).get(field.name, default)


def test_every_command_and_every_option_says_what_it_is() -> None:
    assert sorted(COMMANDS) == ["demo", "doctor", "embed", "index", "models", "search"]
    for command in COMMANDS.values():
        assert command.help
        for parameter in command.params:
            assert parameter.help, (command.name, parameter.name)


def test_the_values_reach_the_embedder() -> None:
    made: list[Embedder] = []

    @embedder_options()
    def command(word: str, *, embedder: Embedder) -> None:
        assert word == "hello"
        made.append(embedder)

    single = typer.Typer()
    single.command()(command)
    given = "hello --model fake: --dimensions 8 --query-task topic --document-task none --no-normalize --truncate end"
    given += " --batch-tokens 99 --late-window 64 --late-overlap 8 --device cpu --dtype float32 --revision main"
    given += " --api-key-env MY_KEY --base-url http://127.0.0.1:1 --timeout 2.5 --concurrency 2 --encoding float"
    single(given.split(), standalone_mode=False)
    assert made[0].settings == Settings(
        model="fake:",
        dimensions=8,
        query_task="topic",
        document_task=None,
        normalize=False,
        truncate="end",
        batch_tokens=99,
        late_window=64,
        late_overlap=8,
        device="cpu",
        dtype="float32",
        revision="main",
        api_key_env="MY_KEY",
        base_url="http://127.0.0.1:1",
        timeout=2.5,
        concurrency=2,
        encoding="float",
    )


def test_none_is_the_bare_model_on_either_side() -> None:
    settings = make_embedder(model="fake:", query_task="none", document_task="topic").settings
    assert (settings.query_task, settings.document_task) == (None, "topic")
