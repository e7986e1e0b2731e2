"""The names of providers brought to one form, and the form of a reference to a key."""

from __future__ import annotations


def provider_name(id: str) -> str:
    """A provider's id as bindings and keys know it.

    Files of 0.1.5 and later say `org/plugin/provider` where older ones say `provider`. Both mean
    the same where plugin and provider are equal, and in the organisation `langgenius`, whose
    providers once were built in (`google` is `langgenius/gemini/google`). Any other id with
    three parts stays whole.
    """
    parts = id.strip().lower().split("/")
    if len(parts) == 3 and (parts[1] == parts[2] or parts[0] == "langgenius"):
        return parts[2]
    return "/".join(parts)


def is_reference(text: str) -> bool:
    """Whether a text says where a key is, instead of being one."""
    kind, _, name = text.partition(":")
    return kind in ("env", "keyring", "credentials") and bool(name)
