"""Where a model may come from: the source types of the YAML, each recognized by the one key that only it has.

The key is the type: `git:` starts a git source. A `type:` key beside it would say the same thing twice and could
contradict it. Where no key fits, the nearest one is taken as meant, so that an error names the misspelt key and not
all alternatives.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from tfs_workflow.config import values as value
from tfs_workflow.config.introspection import suggestion
from tfs_workflow.config.problems import EXPECTED, refusal

SOURCE_KEYS = ("git", "archive", "directory", "store", "bundled")


class Frozen(BaseModel):
    """A value that is checked once and never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class GitSource(Frozen):
    """A directory in a git repository."""

    git: value.GitUrl = Field(description="Repository address: https, ssh, git or file.")
    ref: value.GitRef = Field(default="HEAD", description="Branch, tag or full commit.")
    path: value.InnerPath = Field(default=".", description="The model's base path inside the repository.")


class ArchiveSource(Frozen):
    """A tar or zip archive over http or https, or on this machine."""

    archive: value.ArchiveAddress = Field(
        description="Address or path of a .tar, .tar.gz, .tar.xz, .tar.bz2 or .zip file; relative to the YAML file."
    )
    sha256: value.Sha256 | None = Field(
        default=None,
        description="Digest that the archive must have, lower-case hexadecimal; else only the lock pins it.",
    )
    path: value.InnerPath = Field(default=".", description="The model's base path inside the archive.")


class DirectorySource(Frozen):
    """A directory on this machine, served in place."""

    directory: str = Field(min_length=1, description="Base path; relative to the YAML file.")


class StoreSource(Frozen):
    """A directory in an object store, or a model repository of the Hugging Face Hub."""

    store: value.StoreAddress = Field(
        description="s3://bucket/path, gs://bucket/path or hf://owner/name@revision/path; needs the extra s3, gs or hf."
    )


class BundledSource(Frozen):
    """A model that ships with the package."""

    bundled: Literal["half_plus_two"] = Field(description="Name of the bundled model.")


def _source_kind(source: Any) -> str | None:
    """The one source that a mapping's keys mean, a misspelt key included."""
    if isinstance(source, Frozen):
        return f"{type(source).__name__.removesuffix('Source').lower()} source"
    if not isinstance(source, dict):
        return None
    named = [key for key in SOURCE_KEYS if key in source]
    named = named or [key for key in map(_meant_source_key, source) if key]
    # Two keys of sources in one mapping mean neither: then the message names them all.
    return f"{named[0]} source" if len(named) == 1 else None


def _meant_source_key(key: str) -> str:
    return suggestion(key, list(SOURCE_KEYS))


Source = Annotated[
    Annotated[GitSource, Tag("git source")]
    | Annotated[ArchiveSource, Tag("archive source")]
    | Annotated[DirectorySource, Tag("directory source")]
    | Annotated[StoreSource, Tag("store source")]
    | Annotated[BundledSource, Tag("bundled source")],
    Discriminator(
        _source_kind,
        custom_error_type=EXPECTED,
        custom_error_message="a mapping with exactly one of the keys git, archive, directory, store and bundled",
    ),
]


def _as_list(sources: Any) -> Any:
    if sources == []:
        raise refusal([((), "expected a source or a list of sources, got an empty list")])
    return sources if isinstance(sources, (list, tuple)) else [sources]


Sources = Annotated[
    tuple[Source, ...],
    Field(strict=False),
    BeforeValidator(_as_list, json_schema_input_type=Source | Annotated[list[Source], Field(min_length=1)]),
]
