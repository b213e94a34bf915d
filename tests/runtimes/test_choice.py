"""auto takes docker where it can be had, else embedded, and says why; a named runtime is never exchanged."""

from __future__ import annotations

from typing import Any

import pytest

from tfs_workflow.config.types import Config
from tfs_workflow.errors import FetchFailedError, ToolMissingError
from tfs_workflow.runtimes.choice import choose
from tfs_workflow.runtimes.kinds import DOCKER, runtime_kind
from tfs_workflow.runtimes.own_keys import refused_keys

MODELS = {"m": {"source": [{"bundled": "half_plus_two"}]}}


def config(**values: Any) -> Config:
    return Config.model_validate({"project": "lab", "models": MODELS, **values})


def no_engine() -> str:
    raise ToolMissingError("no Docker engine answers", fix="start Docker")


def no_image() -> str:
    raise FetchFailedError("no such image", where="tensorflow/serving:nope")


def test_auto_takes_docker_where_it_has_the_image() -> None:
    choice = choose(config(), lambda: "sha256:abc")
    assert (choice.runtime, choice.image_digest) == ("docker", "sha256:abc")


@pytest.mark.parametrize(("obstacle", "words"), [(no_engine, "no Docker engine"), (no_image, "no such image")])
def test_auto_falls_back_to_embedded_and_says_what_was_in_the_way(obstacle: Any, words: str) -> None:
    choice = choose(config(), obstacle)
    assert choice.runtime == "embedded"
    assert words in choice.reason


@pytest.mark.parametrize("obstacle", [no_engine, no_image])
def test_docker_by_name_is_not_exchanged_for_another(obstacle: Any) -> None:
    with pytest.raises((ToolMissingError, FetchFailedError)):
        choose(config(runtime="docker"), obstacle)


def test_embedded_by_name_asks_no_engine() -> None:
    assert choose(config(runtime="embedded"), no_engine).runtime == "embedded"


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ({"tls": {"certificate": "c", "key": "k"}, "token_file": "t"}, "it alone has server.tls and server.token_file"),
        ({"fronts": 1}, "it alone has server.fronts"),
    ],
)
def test_auto_takes_embedded_for_what_docker_cannot_have(server: dict[str, Any], words: str) -> None:
    choice = choose(config(server=server), no_engine)
    assert (choice.runtime, choice.reason) == ("embedded", words)


def test_our_own_image_can_have_fronts_and_no_files() -> None:
    image = "registry.example.com/modelserver:1"
    fronts = config(server={"fronts": 1, "image": image})
    assert choose(fronts, lambda: "sha256:abc").runtime == "docker"
    assert not list(refused_keys(fronts, runtime_kind("docker")))
    ((key, why, fix),) = refused_keys(config(runtime="docker", server={"token_file": "t", "image": image}), DOCKER)
    assert key == "server.token_file"
    assert "a container of this tool has no file for it" in why
    assert "set runtime: embedded" in fix


def test_native_by_name_needs_its_binary() -> None:
    with pytest.raises(ToolMissingError, match="no_such_server"):
        choose(config(runtime="native", server={"native_binary": "no_such_server"}), no_engine)
