"""A long text is cut into pieces that join to the same text, at the best place there is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millstream.tools.pieces import margins, split

TEXT = st.text(alphabet=st.one_of(st.characters(), st.sampled_from(" \n\t。.!？,，ab\r\u2028")))


@given(TEXT, st.integers(1, 40))
def test_pieces_join_to_the_text_and_keep_to_the_limit(text: str, limit: int) -> None:
    pieces = split(text, limit)
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= limit for piece in pieces)


@given(TEXT)
def test_margins_are_white_space_and_join_to_the_text(text: str) -> None:
    before, body, after = margins(text)
    assert before + body + after == text
    assert not before.strip()
    assert not after.strip()
    assert body == body.strip()


def test_a_text_within_the_limit_is_one_piece() -> None:
    assert split("One. Two.", 9) == ["One. Two."]
    assert split("", 9) == []


def test_the_best_place_in_the_second_half_is_taken() -> None:
    assert split("aaaa bbbb.\n\ncc. dd ee", 16) == ["aaaa bbbb.\n\n", "cc. dd ee"]
    assert split("aaaa bbbb\ncc. dd ee", 16) == ["aaaa bbbb\n", "cc. dd ee"]
    assert split("aaaa bbbb cc. dd ee ff", 16) == ["aaaa bbbb cc. ", "dd ee ff"]
    assert split("aaaa bbbb cccc dddd", 12) == ["aaaa bbbb ", "cccc dddd"]
    assert split("aaaaaaaaaaaa", 5) == ["aaaaa", "aaaaa", "aa"]


def test_chinese_sentences_need_no_space() -> None:
    assert split("今天天气很好。我们去公园吧！好的", 10) == ["今天天气很好。", "我们去公园吧！好的"]
    assert split("他说：“走吧。”然后走了很远", 10) == ["他说：“走吧。”", "然后走了很远"]


def test_a_decimal_point_is_no_end_of_a_sentence() -> None:
    assert split("costs about 3.14159 dollars", 18) == ["costs about ", "3.14159 dollars"]
