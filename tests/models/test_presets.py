"""What a provider's name in an app file means."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from millstream.base import BadInput, NotHere, Secret
from millstream.home import Endpoint
from millstream.models.presets import (
    ALIASES,
    PRESETS,
    address,
    preset,
    takes_images,
    target,
    with_path,
)


@pytest.mark.parametrize(
    ("id", "provider"),
    [
        ("openai", "openai"),
        ("langgenius/openai/openai", "openai"),
        ("azure_openai", "azure_openai"),
        ("langgenius/azure_openai/azure_openai", "azure_openai"),
        ("google", "gemini"),
        ("langgenius/gemini/google", "gemini"),
        ("tongyi", "tongyi"),
        ("langgenius/tongyi/tongyi", "tongyi"),
        ("qwen", "tongyi"),
        ("dashscope", "tongyi"),
        ("volcengine_maas", "volcengine_maas"),
        ("moonshot", "moonshot"),
        ("zhipuai", "zhipuai"),
        ("deepseek", "deepseek"),
        ("siliconflow", "siliconflow"),
        ("minimax", "minimax"),
        ("openrouter", "openrouter"),
        ("ollama", "ollama"),
        ("langgenius/openai_api_compatible/openai_api_compatible", "openai_api_compatible"),
        ("xinference", "xinference"),
        ("localai", "localai"),
        ("gpustack", "gpustack"),
        ("lmstudio", "lmstudio"),
        ("vllm", "vllm"),
    ],
)
def test_ids_of_app_files(id: str, provider: str) -> None:
    found = preset(id)
    assert found is not None
    assert found.provider == provider


def test_the_table_is_sound() -> None:
    assert set(ALIASES.values()) <= set(PRESETS)
    assert not set(ALIASES) & set(PRESETS)
    for found in PRESETS.values():
        parts = urlsplit(found.base_url)
        assert parts.scheme == ("http" if found.local else "https") or not found.base_url
        assert not found.base_url.endswith("/")


def test_a_target_has_all_that_a_call_needs() -> None:
    found = target("langgenius/deepseek/deepseek", "deepseek-chat", key=Secret("k"), environ={})
    assert str(found) == "deepseek/deepseek-chat"
    assert found.base_url == "https://api.deepseek.com"
    assert found.quirks.schema == "json_object"
    assert found.setting == "DEEPSEEK_API_KEY"
    assert not found.images


def test_addresses_of_the_environment_and_of_ones_own() -> None:
    environ = {"OPENAI_BASE_URL": "http://gateway/v1/", "OPENAI_API_VERSION": "2025-01-01"}
    assert target("openai", "gpt-4o", environ=environ).base_url == "http://gateway/v1"
    assert (
        target("openai", "gpt-4o", base_url="http://b/v1", environ=environ).base_url
        == "http://b/v1"
    )
    environ |= {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/"}
    azure = target("azure_openai", "gpt-4o", environ=environ)
    assert azure.protocol == "azure"
    assert azure.base_url == "https://me.openai.azure.com"
    assert azure.options == {"api_version": "2025-01-01"}


def test_a_server_of_ones_own() -> None:
    options = {
        "quirks": {"schema": "none", "completions": True},
        "images": "true",
        "headers": {"A": "b"},
    }
    found = target("my-box", "big", base_url="http://box:8000/v1", options=options, environ={})
    assert (found.protocol, found.provider) == ("openai", "my-box")
    assert found.quirks.schema == "none"
    assert found.quirks.completions
    assert found.images
    assert found.options == {"headers": {"A": "b"}}


@pytest.mark.parametrize(
    "options", [{"quirks": {"schema": "perhaps"}}, {"quirks": 3}, {"images": "perhaps"}]
)
def test_options_that_are_not_right(options: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as raised:
        target("openai", "gpt-4o", options=options, environ={})
    assert str(raised.value).startswith("an option of openai is not right: ")


@pytest.mark.parametrize(
    ("provider", "says"),
    [
        ("bedrock", "nothing is known here of the provider 'bedrock' that 'm' belongs to"),
        ("openai_api_compatible", "openai_api_compatible/m has no address"),
        ("azure_openai", "azure_openai/m has no address: every Azure resource has its own"),
    ],
)
def test_what_is_not_known_says_what_to_do(provider: str, says: str) -> None:
    with pytest.raises(NotHere) as raised:
        target(provider, "m", environ={})
    assert str(raised.value).startswith(says)
    assert f"--bind {provider}/m=PROVIDER/NAME" in raised.value.next_step


@pytest.mark.parametrize(
    ("name", "sees"),
    [
        ("gpt-4o-mini", True),
        ("gpt-4.1", True),
        ("o3", True),
        ("claude-sonnet-4-5", True),
        ("claude-3-haiku-20240307", True),
        ("gemini-2.5-flash", True),
        ("qwen2.5vl:7b", True),
        ("qwen-vl-max", True),
        ("Qwen/Qwen2.5-VL-7B-Instruct", True),
        ("gemma3:4b", True),
        ("llava:13b", True),
        ("glm-4v-plus", True),
        ("gpt-4", False),
        ("gpt-3.5-turbo", False),
        ("deepseek-chat", False),
        ("qwen3:8b", False),
        ("glm-4-plus", False),
        ("smollm2-135m-instruct", False),
        ("llama3.1:8b", False),
        ("mistral-nemo", False),
    ],
)
def test_models_that_take_images(name: str, sees: bool) -> None:
    assert takes_images(name) is sees


def test_models_without_chat() -> None:
    assert target("openai", "gpt-3.5-turbo-instruct", environ={}).quirks.completions
    assert not target("openai", "gpt-3.5-turbo", environ={}).quirks.completions


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("http://box:8000", "http://box:8000/v1"),
        ("http://box:8000/", "http://box:8000/v1"),
        ("http://box:8000/v1", "http://box:8000/v1"),
        ("http://box/api/v2", "http://box/api/v2"),
        ("https://api.deepseek.com", "https://api.deepseek.com"),  # whose own has no path
    ],
)
def test_the_path_that_is_meant(url: str, meant: str) -> None:
    assert with_path(url) == meant
    assert address(Endpoint("box", url)) == meant
    assert address(Endpoint("box", url, protocol="ollama")) == url
