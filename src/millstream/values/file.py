"""A file as a value: what is known about it, never its bytes.

The bytes are behind the `files` port of the engine; a value only says where they are.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

FileType = Literal["image", "document", "audio", "video", "custom"]
Transfer = Literal["remote_url", "local_file", "tool_file", "datasource_file"]

MARK = "dify_model_identity"
MARK_VALUE = "__dify__file__"

# The attributes that a selector or a condition may ask for.
ATTRIBUTES = (
    "type",
    "size",
    "name",
    "mime_type",
    "transfer_method",
    "url",
    "extension",
    "related_id",
)


class File(msgspec.Struct, frozen=True, omit_defaults=True, tag_field=MARK, tag=MARK_VALUE):
    """A file given to an app or made by a node. In JSON it carries the DSL's marker, by which it
    is known as a file again.

    url: http(s) address, or `file:///…` for one on this machine. size: bytes, -1 if unknown.
    extension: with its dot. related_id: the id under which a store keeps it.
    """

    type: FileType
    transfer_method: Transfer
    name: str = ""
    url: str = ""
    mime_type: str = ""
    extension: str = ""
    size: int = -1
    related_id: str = ""

    def attribute(self, name: str) -> Any:
        """The value of a DSL file attribute; None for a name that files do not have."""
        return getattr(self, name) if name in ATTRIBUTES else None

    def as_dict(self) -> dict[str, Any]:
        """The mapping by which the DSL knows a file, marker included."""
        return {MARK: MARK_VALUE, **{name: getattr(self, name) for name in ATTRIBUTES}}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> File:
        """A file from its mapping, or from an API input (`upload_file_id` for `related_id`)."""
        kind: Any = value.get("type")
        return cls(
            type=kind if kind in get_args(FileType) else "custom",
            transfer_method=value.get("transfer_method") or "remote_url",
            name=str(value.get("name") or value.get("filename") or ""),
            url=str(value.get("url") or value.get("remote_url") or ""),
            mime_type=str(value.get("mime_type") or ""),
            extension=str(value.get("extension") or ""),
            size=int(value["size"]) if isinstance(value.get("size"), int) else -1,
            related_id=str(value.get("related_id") or value.get("upload_file_id") or ""),
        )
