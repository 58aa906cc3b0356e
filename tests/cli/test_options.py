"""Every option of an embedder is a flag of the same word, with the same default, on every command that embeds."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import pytest
import typer

from twofold import Embedder, Settings
from twofold.cli.app import COMMANDS, LazyCommands
from twofold.cli.collection import options_of
from twofold.cli.options import embedder_options, given_options, make_embedder
from twofold.demo.asking import MODEL

LOADED: dict[str, Any] = dict(LazyCommands())
OWN = {"demo": {"model": MODEL, "truncate": "end"}}


@pytest.mark.parametrize("command", ["embed", "index", "search", "plot", "doctor", "demo"])
def test_each_command_that_embeds_has_them_all(command: str) -> None:
    parameters = {parameter.name: parameter for parameter in LOADED[command].params}
    for field in fields(Settings):
        parameter = parameters[field.name]
        if field.name == "model" and command == "doctor":
            assert parameter.param_type_name == "argument"
        else:
            assert f"--{field.name.replace('_', '-')}" in parameter.opts
            assert parameter.envvar == f"TWOFOLD_{field.name.upper()}"
        default = None if field.default is MISSING else field.default
        assert parameter.default == OWN.get(command, {}).get(field.name, default)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_says_what_it_is(name: str) -> None:
    command = LOADED[name]
    assert command.help.split("\n")[0] == COMMANDS[name].help
    for parameter in command.params:
        assert parameter.help, (name, parameter.name)


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


def test_only_what_was_given_is_given() -> None:
    seen: list[dict[str, Any]] = []

    @given_options
    def command(word: str, *, given: dict[str, Any]) -> None:
        seen.append({"word": word, **given})

    single = typer.Typer()
    single.command()(command)
    for flags in ("", " --truncate error --dimensions 8"):
        single(f"hello{flags}".split(), standalone_mode=False)
    assert seen == [{"word": "hello"}, {"word": "hello", "truncate": "error", "dimensions": 8}]


def test_none_is_the_bare_model_on_either_side() -> None:
    settings = make_embedder(model="fake:", query_task="none", document_task="topic").settings
    assert (settings.query_task, settings.document_task) == (None, "topic")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"dimensions": 16, "normalize": False},
        {"query_task": None, "document_task": "topic"},
        {"query_instruction": "Say: ", "document_instruction": ""},
    ],
)
def test_a_space_says_the_options_that_make_it(given: dict[str, Any]) -> None:
    space = Embedder("fake:", **given).space
    assert Embedder(**options_of(space)).space == space


def test_a_hosted_space_says_its_provider() -> None:
    space = Embedder("jina:jina-embeddings-v3", dimensions=512, api_key="k").space
    assert Embedder(**options_of(space), api_key="k").space == space
