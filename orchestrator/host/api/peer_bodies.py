"""What callers may send about a peer: to add it, to change it, to end what runs there."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from ...core.models.credentials import headers_of
from ...errors import ConfigError
from .bodies import Body, Flag, Tags, Text, must


def _readable(credentials: Any) -> Any:
    if credentials is not None:
        headers_of(credentials)  # says what is wrong with it
    return credentials


def _way(*names: str, required: bool = True) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": list(names) if required else [],
        "additionalProperties": False,
    }


_WAYS = {
    "oneOf": [
        _way("bearer"),
        _way("user", "password", required=False),
        _way("cookie"),
        {
            "type": "object",
            "properties": {"headers": {"type": "object", "additionalProperties": {"type": "string"}}},
            "required": ["headers"],
            "additionalProperties": False,
        },
        {**_way("header", "value"), "required": ["value"]},
        {"type": "null"},
    ],
    "description": "Sent with every request to the peer; never told again. null takes it away.",
}
Certificates = Annotated[str, must('must be text: a CA file\'s content, a fingerprint, or "" for neither.')]


class PeerChanges(Body):
    """Those of its fields that a request names are changed."""

    name: Text = ""
    url: Text = ""
    tags: Tags = Field(default_factory=list)
    enabled: Flag = True
    draining: Flag = False
    credentials: Annotated[Any, AfterValidator(_readable), WithJsonSchema(_WAYS)] = None
    tls: Certificates = Field(
        default="",
        description='Whom its certificate has to come from: a CA file (PEM), or "sha256:" and its digits.',
    )
    exclusive: Flag = Field(default=False, description="Only jobs that name it, or one of its tags.")
    only_idle: Flag = Field(default=False, description="Only while nobody else's prompt is there.")
    hours: Text = Field(default="", description='When jobs may begin there, like "22:00-07:00"; "": always.')
    relay_events: Flag = Field(
        default=False, description="Its node packs may tell the page events of their own."
    )

    def given(self) -> dict[str, Any]:
        """The fields that the request names, for PeerBook."""
        found = self.model_dump(exclude_unset=True)
        return {**found, "tags": tuple(found["tags"])} if "tags" in found else found


class NewPeer(PeerChanges):
    """A peer's address, and whatever else is known of it."""

    url: Text = Field(
        description="the address of the peer, like http://192.168.1.20:8188.",
        json_schema_extra={"minLength": 1},
    )
    draining: Flag = Field(
        default=False, description="Only false: a new one has no jobs.", json_schema_extra={"const": False}
    )

    def given(self) -> dict[str, Any]:
        """The arguments of PeerBook.add.

        Raises:
            ConfigError: it would be draining.
        """
        found = super().given()
        if found.pop("draining", False):
            raise ConfigError('A new peer cannot be draining. Add it with "enabled": false instead.')
        return {"name": "", **found}


class Interruption(Body):
    """What to end on a peer; without anything said, our job."""

    foreign: Flag = Field(default=False, description="Also a prompt that somebody else sent.")
    prompt_id: Text = Field(default="", description="Only if it is this one that runs.")
