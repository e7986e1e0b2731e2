"""Which model to take: one that fits, is good for the app, with its reasons."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.speeds import calibrated
from millstream.base import set_language
from millstream.lab.hardware import Gpu, Machine, Speed
from millstream.lab.recommend import QUICK, Choice, Needs, recommend
from millstream.models.recommended import by_name

GB = 10**9


def machine(free: float | None, *gpus: Gpu, usable: tuple[str, ...] = ()) -> Machine:
    return Machine("a processor", 8, 128 * GB, None if free is None else int(free), gpus, usable)


def speed(bandwidth: float) -> Speed:
    """A machine by the bytes that it reads in a second."""
    return calibrated(("F16", "Q8_0", "Q6_K", "Q4_K", "Q4_1"), decode=bandwidth, prefill=1e12)


def reasons(choice: Choice) -> list[str]:
    return [advice.key.removeprefix("lab.why-") for advice in choice.why]


def names(choices: list[Choice]) -> list[str]:
    return [choice.name for choice in choices]


@pytest.mark.parametrize(
    ("free", "best"),
    [
        (1, "smollm2"),
        (2.6, "qwen3-0.6b"),
        (4.5, "qwen3-1.7b"),
        (7, "qwen3-4b"),
        (12, "qwen3-8b"),
        (20, "qwen3-14b"),
        (40, "qwen3-30b-a3b"),
        (45, "qwen3-32b"),
        (96, "qwen2.5-72b"),
    ],
)
def test_the_best_that_fits(free: float, best: str) -> None:
    """Its size is calculated; the list of models has it written down by hand."""
    found = recommend(machine(free * GB))[0]
    known = by_name("smollm2:135m" if best == "smollm2" else best)
    assert known is not None
    assert found.name == best
    assert reasons(found)[0] == "best"
    assert found.size == pytest.approx(known.size * GB, rel=0.12)
    assert found.size < found.memory <= 0.85 * free * GB
    assert (found.quantization, found.licence) == (known.quantization, known.licence)
    assert found.context == 8192


def test_one_that_is_quick_is_in_the_list_too() -> None:
    """At 20 GB/s 14 billion weights in 9 GB come twice a second; four billion eight times."""
    found = recommend(machine(20 * GB), speed(21e9))
    assert names(found) == ["qwen3-14b", "qwen3-4b", "qwen3-0.6b"]
    assert [reasons(choice)[0] for choice in found] == ["best", "fast", "small"]
    best, quick, small = (choice.pace.decode for choice in found if choice.pace)
    assert best < QUICK <= quick < small


def test_the_best_may_be_quick() -> None:
    found = recommend(machine(20 * GB), speed(200e9))
    assert names(found) == ["qwen3-14b", "qwen3-0.6b"]
    assert reasons(found[0]) == ["best"]


def test_experts_are_quick() -> None:
    """A token takes three of thirty billion weights."""
    found = recommend(machine(40 * GB), speed(21e9))
    assert found[0].name == "qwen3-30b-a3b"
    assert "experts" in reasons(found[0])
    assert found[0].pace is not None
    assert found[0].pace.decode >= QUICK
    texts = [advice.text for advice in found[0].why]
    assert "a token takes 3.0 of its 31 billion weights" in texts


def test_without_a_calibration_nothing_is_quick() -> None:
    found = recommend(machine(20 * GB))
    assert names(found) == ["qwen3-14b", "qwen3-0.6b"]
    assert all(choice.pace is None for choice in found)


def test_a_card_counts_if_it_can_be_used() -> None:
    card = Gpu("a card", "cuda", 40 * GB, 38 * GB)
    assert recommend(machine(4.5 * GB, card))[0].name == "qwen3-1.7b"
    assert recommend(machine(4.5 * GB, card, usable=("cuda",)))[0].name == "qwen3-30b-a3b"


def test_an_app_in_chinese_gets_no_model_that_writes_english_only() -> None:
    assert names(recommend(machine(1 * GB))) == ["smollm2"]
    assert "english" in reasons(recommend(machine(1 * GB))[0])
    assert recommend(machine(1 * GB), needs=Needs(chinese=True)) == []
    found = recommend(machine(16 * GB), needs=Needs(chinese=True))
    assert all("zh" in choice.languages for choice in found)


def test_an_app_that_needs_a_long_context() -> None:
    """Models that were trained for less are left out, and the list says so."""
    found = recommend(machine(100 * GB), needs=Needs(context=40000))
    assert found[0].name == "qwen3-32b"  # the larger one knows 32,768
    assert found[0].context == 40000
    assert [advice.text for advice in found[0].why] == [
        "the best that fits with room to spare",
        "models made for less than the 40,000 tokens that the app needs are left out",
    ]
    short = recommend(machine(64 * GB), needs=Needs(context=8192))
    assert not any("context" in reasons(choice) for choice in short)
    assert recommend(machine(640 * GB), needs=Needs(context=100_000)) == []
    # More context takes more memory, which leaves room for less.
    less = recommend(machine(20 * GB), needs=Needs(context=40000))
    assert less[0].parameters < recommend(machine(20 * GB))[0].parameters


@pytest.mark.parametrize("free", [0, 1e8, 1.5e8])
def test_nothing_fits(free: float) -> None:
    assert recommend(machine(free)) == []


def test_a_system_that_does_not_say_what_is_free() -> None:
    found = recommend(machine(None))
    assert found[0].name == "qwen3-1.7b"
    assert recommend(machine(4 << 30)) == found


@pytest.mark.parametrize(
    ("shelf", "here"),
    [
        (["Qwen3-14B-Q4_K_M"], ["qwen3-14b"]),
        (["qwen3-0.6b-q8_0", "other"], ["qwen3-0.6b"]),
        (["Qwen3-1"], []),
        ([], []),
    ],
)
def test_what_is_on_this_machine_already(shelf: list[str], here: list[str]) -> None:
    found = recommend(machine(20 * GB), shelf=shelf)
    assert [choice.name for choice in found if choice.here] == here
    assert [choice.name for choice in found if "here" in reasons(choice)] == here


def test_the_packaged_model_is_known_on_the_shelf() -> None:
    from millstream.models import packaged

    (found,) = recommend(machine(1 * GB), shelf=[packaged.NAME])
    assert (found.name, found.here) == ("smollm2", True)


def test_reasons_in_chinese() -> None:
    set_language("zh")
    found = recommend(machine(40 * GB), speed(21e9), Needs(chinese=True), shelf=["qwen3-30b-a3b"])
    assert [advice.text for advice in found[0].why] == [
        "内存充裕范围内效果最好",
        "本机已有",
        "每个 token 只用到 31B 权重中的 3.0B",
    ]


@settings(max_examples=8)
@given(
    free=st.integers(0, 100 * GB),
    more=st.integers(0, 50 * GB),
    context=st.integers(1, 50_000),
    chinese=st.booleans(),
)
def test_more_memory_never_gives_a_worse_list(
    free: int, more: int, context: int, chinese: bool
) -> None:
    needs = Needs(context, chinese)
    one, other = (recommend(machine(f), needs=needs) for f in (free, free + more))
    assert len(one) <= 3
    assert len({choice.name for choice in one}) == len(one)
    assert names(one) == names(sorted(one, key=lambda choice: -choice.parameters))
    assert all(choice.memory <= 0.85 * free for choice in one)
    if one:
        assert other[0].parameters >= one[0].parameters
        assert msgspec.json.encode(one)
