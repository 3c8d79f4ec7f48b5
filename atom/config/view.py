"""Typed views of config: each shelf reads the keys it needs as attributes.

A view is a frozen dataclass; its field `is_signup` is the key `config_is_signup`. A
misspelt field fails when the view is built, at start; a misspelt attribute in mypy.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

View = TypeVar("View", bound="DataclassInstance")


def view(kind: type[View], config: Mapping[str, Any]) -> View:
    """Build a view of config.

    Raises:
        KeyError: when a field is not a key of config.
    """
    return kind(**{one.name: config[f"config_{one.name}"] for one in fields(kind)})
