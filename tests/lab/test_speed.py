"""How fast a model should be, by hand: a machine with round numbers, models with known sums."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import zoo
from millstream.lab.hardware import Rate, Speed
from millstream.lab.speed import Attention, Matrices, Work, predict, work
from millstream.models import gguf
from millstream.models.footprint import Use
from millstream.models.gguf import Tensor
from millstream.models.shape import shape


def machine(threads: int = 1, times: float = 1.0, row: float = 0.0, matrix: float = 0.0) -> Speed:
    """A byte costs a nanosecond, an operation 0.1; a row of a matrix `row` nanoseconds more, and
    each matrix `matrix`, of which large ones show nothing."""

    def rate(what: str, type: str, width: int, cost: float) -> Rate:
        done = times * 1e9 / cost
        return Rate(what, type, width, threads, done, done, spread=0.1, share=1.0, turns=3)

    rates = []
    for name, size in (("F16", 2.0), ("Q4_0", 0.5625)):
        for width in (512, 4096):
            rates.append(rate("decode", name, width, 1 + row / (width * size)))
            if width == 512:
                whole = width * width * size
                rates.append(rate("small", name, width, 1 + row / (width * size) + matrix / whole))
            rates.append(rate("prefill", name, width, 0.1 + row / (width * 2 * 128)))
    rates += [rate("attend-token", "F16", 64, 0.8), rate("attend-prompt", "F16", 64, 0.1)]
    rates += [rate("rows", "F32", 2048, 2.0), rate("node", "F32", 64, 1000.0)]
    return Speed(0.0, 10.0, "p", "l", tuple(rates))


SMALL = Work(
    layers={"F16": Matrices(2_000_000, 1_000_000, 1000, 7)},
    head={"F16": Matrices(400_000, 200_000, 200, 1)},
    attends=(Attention(window=0, operations=1000, bytes=600),),
    numbers=5000,
    nodes=100,
)


def test_a_token_by_hand() -> None:
    """2.4 MB of weights at a nanosecond a byte, 100 nodes at a microsecond, 5,000 numbers at two
    nanoseconds; attention at depth 500: 500,000 operations at 0.8."""
    pace = predict(SMALL, machine(), Use(context=4096), depth=500)
    assert 1e9 / pace.decode == pytest.approx(2_400_000 + 100_000 + 10_000 + 400_000)
    assert pace.decode_bound == pytest.approx(1e9 / (2_400_000 + 300_000))


def test_a_prompt_by_hand() -> None:
    """Two operations a weight at 0.1 ns, without the head; attention at half the depth; nodes
    shared by the tokens of a batch."""
    pace = predict(SMALL, machine(), Use(context=4096, batch=100), prompt=1000)
    attention = 1000 * 500 * 0.1
    assert 1e9 / pace.prefill == pytest.approx(200_000 + 10_000 + 1_000 + attention)


def test_a_prompt_behind_others_attends_to_them() -> None:
    """Each of its tokens to all 4,096 before it, beside half of the prompt."""
    alone, behind = (
        predict(SMALL, machine(), Use(context=8192, batch=100), prompt=1000, before=before)
        for before in (0, 4096)
    )
    assert 1e9 / behind.prefill - 1e9 / alone.prefill == pytest.approx(4096 * 1000 * 0.1)
    assert behind.prefill_bound < alone.prefill_bound
    assert behind.decode == alone.decode


def test_rows_cost_beside_their_bytes() -> None:
    plain, slow = (predict(SMALL, machine(row=row), Use()) for row in (0.0, 10.0))
    assert 1e9 / slow.decode - 1e9 / plain.decode == pytest.approx(1200 * 10, rel=1e-3)


@given(st.floats(0, 50), st.floats(0, 20_000))
def test_a_matrix_costs_beside_its_rows(row: float, matrix: float) -> None:
    """Eight of them for a token; of a prompt that is read together nothing is seen."""
    plain, slow = (predict(SMALL, machine(row=row, matrix=m), Use()) for m in (0.0, matrix))
    assert 1e9 / slow.decode - 1e9 / plain.decode == pytest.approx(8 * matrix, abs=1e-3)
    assert slow.prefill == plain.prefill


def test_small_matrices_that_were_fast_by_chance_are_no_gain() -> None:
    lucky = [
        msgspec.structs.replace(rate, rate=2 * rate.rate) if rate.what == "small" else rate
        for rate in machine().rates
    ]
    lucky_one = msgspec.structs.replace(machine(), rates=tuple(lucky))
    assert predict(SMALL, lucky_one, Use()).decode == predict(SMALL, machine(), Use()).decode


def test_a_type_that_was_not_measured_takes_the_nearest() -> None:
    near = msgspec.structs.replace(SMALL, layers={"Q5_K": SMALL.layers["F16"]}, head={})
    same = msgspec.structs.replace(SMALL, layers={"Q4_0": SMALL.layers["F16"]}, head={})
    assert predict(near, machine(), Use()).decode == predict(same, machine(), Use()).decode


def test_the_best_number_of_threads() -> None:
    one, two = machine(1), machine(2, times=1.7)
    both = msgspec.structs.replace(one, rates=(*one.rates, *two.rates))
    assert predict(SMALL, both, Use()).threads == 2
    slow = msgspec.structs.replace(one, rates=(*one.rates, *machine(2, times=0.4).rates))
    assert predict(SMALL, slow, Use()).threads == 1
    assert predict(SMALL, both.on(1), Use()).threads == 1


def test_noise_is_told() -> None:
    quiet = predict(SMALL, machine(), Use())
    assert (quiet.noisy, quiet.share) == (False, 1.0)
    rates = [msgspec.structs.replace(rate, share=0.5) for rate in machine().rates]
    noisy = predict(SMALL, msgspec.structs.replace(machine(), rates=tuple(rates)), Use())
    assert (noisy.noisy, noisy.share) == (True, 0.5)
    assert noisy.decode == quiet.decode  # of the machine when it is quiet


@given(st.integers(0, 100_000), st.integers(0, 100_000), st.floats(0, 50))
def test_deeper_is_never_faster(near: int, far: int, row: float) -> None:
    near, far = sorted((near, far))
    some = [predict(SMALL, machine(row=row), Use(), depth=d, prompt=d + 256) for d in (near, far)]
    assert some[0].decode >= some[1].decode
    assert some[0].prefill >= some[1].prefill * 0.999
    assert all(pace.decode <= pace.decode_bound * 1.001 for pace in some)


# --------------------------------------------------------------------------- what a model has to do


def of(name: str, type: int = zoo.F16) -> Work:
    data = zoo.header_bytes(name, type)
    header = gguf.read_ranges(lambda at, n: data[at : at + n], file=name)
    return work(header.tensors, shape(header))


@pytest.fixture(scope="module", autouse=True)
def _library() -> None:
    pytest.importorskip("xllamacpp", reason="the headers are made with llama.cpp")


def test_the_weights_of_a_token() -> None:
    """Four layers of 256 × (256 + 64 + 64 + 256 + 3 · 768), and the head."""
    todo = of("llama-gqa")
    layers = 4 * 256 * (2 * 256 + 2 * 64 + 3 * 768)
    assert todo.layers["F16"].weights == layers
    assert todo.layers["F16"].rows == 4 * (2 * 256 + 2 * 64 + 2 * 768 + 256)
    assert todo.layers["F16"].count == 4 * 7
    assert todo.head["F16"].weights == 256 * zoo.VOCABULARY
    assert todo.attends == (Attention(0, 4 * 2 * 8 * (32 + 32), 4 * 2 * (64 + 64), heads=8),)
    assert todo.operations(100) == 2 * (layers + 256 * zoo.VOCABULARY) + 100 * 4 * 2 * 8 * 64


def test_embeddings_are_looked_up_unless_they_are_the_head() -> None:
    assert of("llama-tied").head == of("llama-gqa").head
    assert of("llama-tied").bytes == of("llama-gqa").bytes


def test_of_experts_only_those_that_a_token_takes() -> None:
    """Two of eight, and the router that chooses them."""
    layer = 256 * (2 * 256 + 2 * 64) + 2 * 3 * 256 * 768
    todo = of("mixtral")
    assert todo.layers["F16"].weights == 4 * layer
    assert todo.layers["F16"].count == 4 * (4 + 2 * 3)
    assert todo.layers["F32"].weights == 4 * 256 * 8


def test_experts_read_their_tokens_one_by_one() -> None:
    """As many operations as a dense layer's, but at the speed of single tokens."""
    part = SMALL.layers["F16"]
    experts = msgspec.structs.replace(SMALL, experts={"F16": part})
    some = [predict(each, machine(), Use(context=4096, batch=100)) for each in (SMALL, experts)]
    more = 1e9 / some[1].prefill - 1e9 / some[0].prefill
    assert more == pytest.approx(part.bytes - 0.1 * 2 * part.weights)
    assert some[0].decode == some[1].decode


def test_windows_do_not_read_further_back() -> None:
    """Five layers of six that see 512 tokens: what they read stops growing."""
    todo = of("gemma3")
    one = todo.attention(1000) - todo.attention(999)
    before = todo.attention(500) - todo.attention(499)
    assert before == 6 * one == 6 * 2 * 8 * 64


@pytest.mark.parametrize(
    ("depth", "threads", "times"),
    [
        (128, 1, 1),
        (128, 2, 2 * 6 / 9),  # nine heads in pieces of two, three pieces for one of the threads
        (128, 4, 4 * 3 / 9),
        (260, 2, 2 * 256 / 260),  # of 512 cells each has half, and 260 are in use
        (1000, 2, 2 * 512 / 1000),
        (1000, 8, 8 * 128 / 1000),
        (4096, 2, 2 * 2176 / 4096),
        (0.5, 2, 1),
    ],
)
def test_threads_wait_for_the_one_with_the_most_to_attend_to(
    depth: float, threads: int, times: float
) -> None:
    each = Attention(window=0, operations=1000, bytes=600, heads=9)
    assert each.uneven(depth, threads) == pytest.approx(times)
    windowed = Attention(window=200, operations=1000, bytes=600, heads=9)
    assert windowed.uneven(depth, threads) == pytest.approx(each.uneven(min(depth, 200), threads))


@given(st.floats(0, 1e6), st.integers(1, 64), st.integers(1, 128), st.sampled_from([0, 128, 1024]))
def test_no_thread_does_more_than_all_of_it(
    depth: float, threads: int, heads: int, window: int
) -> None:
    each = Attention(window, 1000, 600, heads)
    assert 1 - 1e-9 <= each.uneven(depth, threads) <= threads
    work = msgspec.structs.replace(SMALL, attends=(each,))
    assert work.attending(depth, threads) >= work.attention(depth) * (1 - 1e-9)
    for tokens in (1, 64, 100, 512):
        assert 1 <= each.torn(tokens, threads) <= max(1, tokens)


def test_matrices_of_nothing() -> None:
    tensors = [Tensor("blk.0.attn_q.bias", (64,), 0, 0, 256)]
    todo = work(tensors, shape(gguf.read_ranges(_header, file="x")))
    assert (todo.bytes, todo.operations(10)) == (0, 0)


def _header(at: int, count: int) -> bytes:
    from models.gguf_files import gguf_bytes

    return gguf_bytes({"general.architecture": (8, "x")})[at : at + count]
