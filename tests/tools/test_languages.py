"""Language codes are taken in any case, in Dify's spelling and in Google's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream.tools.languages import LANGUAGES, find_language


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("zh-cn", "zh-CN"),
        ("ZH_CN", "zh-CN"),
        ("zh-Hans", "zh-CN"),
        ("zh-tw", "zh-TW"),
        ("zh-Hant", "zh-TW"),
        ("zh", "zh-CN"),
        ("en", "en"),
        ("EN", "en"),
        ("pt-br", "pt-BR"),
        ("iw", "iw"),
        ("he", "iw"),
        ("my", "ms"),  # Malay in Dify's list, Burmese for Google
        ("French", "fr"),
        ("中文", "zh-CN"),
        ("sw", "sw"),  # not in the list, a code all the same
        ("sr-latn", "sr-Latn"),
        ("es-419", "es-419"),
    ],
)
def test_codes(word: str, code: str) -> None:
    language = find_language(word)
    assert language is not None
    assert language.code == code


@pytest.mark.parametrize("word", ["", "custom", "x", "en; rm -rf", "en&tl=fr", "klingonese", "<b>"])
def test_what_is_no_code(word: str) -> None:
    assert find_language(word) is None


@given(st.text())
def test_any_word_is_a_safe_code_or_none(word: str) -> None:
    language = find_language(word)
    assert language is None or language.code.replace("-", "").isalnum()


def test_every_listed_language_has_a_name_and_a_phrase() -> None:
    assert all(language.name and language.thanks for language in LANGUAGES)
    assert len({language.code for language in LANGUAGES}) == len(LANGUAGES) == 45
