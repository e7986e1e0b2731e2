"""The header of a GGUF file: what it says, and files that lie."""

from __future__ import annotations

import ctypes
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millstream.base import BadInput
from millstream.models import gguf
from models.gguf_files import TENSORS, TINY, gguf_bytes, tiny


def written(folder: Path, data: bytes, name: str = "m.gguf") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# ------------------------------------------------------------------------------- what it says


def test_a_header_says_what_the_model_is(tmp_path: Path) -> None:
    header = gguf.read(written(tmp_path, tiny()))
    assert (header.name, header.architecture, header.licence) == ("Tiny", "llama", "mit")
    assert header.quantization == "Q4_K_M"
    assert header.context_length == 4096
    assert header.block_count == 2
    assert (header.heads, header.kv_heads) == (4, 2)
    assert header.per_layer("attention.head_count_kv") == [2, 1]
    assert header.embedding_length == 64
    assert header.vocabulary == 3
    assert header.chat_template == "{{ messages }}"
    assert (header.shard, header.shards) == (1, 1)


def test_weights_are_summed_from_the_table_of_tensors(tmp_path: Path) -> None:
    header = gguf.read(written(tmp_path, tiny()))
    assert [tensor.type_name for tensor in header.tensors] == ["F32", "Q8_0"]
    assert header.parameters == 64 * 2 + 64 * 4
    assert header.weight_bytes == 64 * 2 * 4 + 64 * 4 // 32 * 34
    assert header.bits_per_weight == 8 * header.weight_bytes / header.parameters


def test_long_lists_are_stepped_over_and_decoded_when_asked_for(tmp_path: Path) -> None:
    header = gguf.read(written(tmp_path, tiny()))
    assert isinstance(header.metadata["tokenizer.ggml.tokens"], gguf.Array)
    assert header.values("tokenizer.ggml.tokens") == ["<s>", "你好", "\udcff\udcfe"]
    assert header.values("tokenizer.ggml.scores") == [0.5, -1.0, 2.0]
    numbers = tiny(long=(9, (4, list(range(5000)))))
    header = gguf.read(written(tmp_path, numbers))
    assert isinstance(header.metadata["long"], gguf.Array)
    assert header.values("long") == list(range(5000))
    assert header.values("general.name") == []


def test_version_2_is_read_like_3(tmp_path: Path) -> None:
    data = gguf_bytes(TINY, TENSORS, version=2, data=784)
    assert gguf.read(written(tmp_path, data)).version == 2


def test_a_file_that_says_no_type_is_called_by_most_of_its_weights(tmp_path: Path) -> None:
    metadata = {name: value for name, value in TINY.items() if name != "general.file_type"}
    data = gguf_bytes(metadata, TENSORS, data=784)
    assert gguf.read(written(tmp_path, data)).quantization == "F32"


async def test_a_header_elsewhere_is_read_by_ranges() -> None:
    """A long vocabulary makes the first look too short; the weights are never asked for."""
    tokens = [f"token-{number:06}" for number in range(70_000)]
    data = tiny(tokenizer__ggml__tokens=(9, (8, tokens)))
    asked = []

    async def fetch(offset: int, length: int) -> bytes:
        asked.append((offset, length))
        return data[offset : offset + length]

    size = len(data) + (8 << 30)
    header = await gguf.read_remote(fetch, file="remote.gguf", size=size)
    assert header.vocabulary == 70_000
    assert asked == [(0, 1 << 20), (1 << 20, 1 << 20)]
    assert header.values("tokenizer.ggml.tokens")[-1] == "token-069999"


async def test_a_file_elsewhere_that_ends_in_its_header() -> None:
    data = tiny()[:300]

    async def fetch(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    with pytest.raises(BadInput, match=r"remote\.gguf ends in the middle of its header"):
        await gguf.read_remote(fetch, file="remote.gguf")


def test_tensor_types_are_those_of_the_runtime() -> None:
    """Names and block sizes as the pinned llama.cpp has them."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="the extra `local` is not installed")
    library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    library.ggml_type_name.restype = ctypes.c_char_p
    library.ggml_type_size.restype = ctypes.c_size_t
    library.ggml_blck_size.restype = ctypes.c_int64
    known = {
        number: (
            library.ggml_type_name(number).decode().upper(),
            library.ggml_blck_size(number),
            library.ggml_type_size(number),
        )
        for number in range(int(xllamacpp.ggml_type.GGML_TYPE_COUNT))
        if library.ggml_type_size(number)
    }
    ours = {n: (kind.name, kind.block, kind.size) for n, kind in gguf.TYPES.items()}
    assert ours == known


@pytest.mark.model
def test_the_packaged_model(packaged_model: Path) -> None:
    header = gguf.read(packaged_model)
    assert header.architecture == "llama"
    assert header.licence == "apache-2.0"
    assert header.quantization == "Q4_1"
    assert header.parameters == 134_515_008
    assert (header.context_length, header.block_count) == (8192, 30)
    assert (header.heads, header.kv_heads, header.vocabulary) == (9, 3, 49152)
    assert round(header.weight_bytes / 2**20, 2) == 92.10  # as llama.cpp reports it
    assert header.values("tokenizer.ggml.tokens")[1] == "<|im_start|>"


# --------------------------------------------------------------------------------- several files


def test_the_parts_of_a_model_are_found_by_any_of_them(tmp_path: Path) -> None:
    paths = [written(tmp_path, tiny(), f"big-{i:05}-of-00003.gguf") for i in (1, 2, 3)]
    assert gguf.shard_paths(paths[1]) == paths
    assert gguf.shard_paths(written(tmp_path, tiny())) == [tmp_path / "m.gguf"]


def test_parts_that_are_missing_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, tiny(), "big-00002-of-00003.gguf")
    with pytest.raises(BadInput) as caught:
        gguf.shard_paths(path)
    assert str(caught.value) == (
        "big-00002-of-00003.gguf is part 2 of a model in 3 files; parts that are missing: "
        "big-00001-of-00003.gguf, big-00003-of-00003.gguf"
    )


def test_a_part_says_which_it_is(tmp_path: Path) -> None:
    data = tiny(split__no=(2, 1), split__count=(2, 3))
    header = gguf.read(written(tmp_path, data))
    assert (header.shard, header.shards) == (2, 3)


# --------------------------------------------------------------------------------- files that lie


def test_what_is_no_model(tmp_path: Path) -> None:
    for data, message in [
        (b"", "m.gguf is empty"),
        (
            b"PK\x03\x04" + bytes(64),
            "m.gguf is not a GGUF model file: it begins with 'PK\\x03\\x04'",
        ),
        (b"GG", "m.gguf is not a GGUF model file: it begins with 'GG'"),
        (tiny()[:4] + struct.pack("<I", 1) + tiny()[8:], "version 1; versions 2 and 3 are read"),
        (tiny()[:4] + struct.pack("<I", 4) + tiny()[8:], "version 4; versions 2 and 3 are read"),
        (tiny()[:4] + struct.pack(">I", 3) + tiny()[8:], "was made for big-endian machines"),
    ]:
        with pytest.raises(BadInput) as caught:
            gguf.read(written(tmp_path, data))
        assert message in str(caught.value)
        assert caught.value.next_step
        assert ("newer Millstream" in caught.value.next_step) == ("version 4" in message)
        assert ("newer conversion" in caught.value.next_step) == ("version 1" in message)
    with pytest.raises(BadInput, match="there is no file"):
        gguf.read(tmp_path / "none.gguf")


def test_an_incomplete_file_says_how_much_is_missing(tmp_path: Path) -> None:
    data = tiny()
    with pytest.raises(BadInput) as caught:
        gguf.read(written(tmp_path, data[:-1]))
    assert str(caught.value) == (
        f"m.gguf is incomplete: it has {len(data) - 1} bytes, and its weights end at {len(data)}"
    )
    assert caught.value.next_step == "Fetch the file again: millstream models pull NAME"


def test_every_shorter_file_is_refused(tmp_path: Path) -> None:
    data = tiny()
    for length in range(len(data)):
        with pytest.raises(BadInput):
            gguf.read_ranges(
                lambda offset, count, length=length: data[:length][offset : offset + count],
                file="m.gguf",
                size=length,
            )


HUGE = struct.pack("<Q", 2**63)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (gguf_bytes({"a": (4, 1)}).replace(struct.pack("<QQ", 0, 1), HUGE + HUGE), "a count of"),
        (gguf_bytes({"k" * 70_000: (4, 1)}), "a name of 70000 bytes"),
        (gguf_bytes({"a": (4, 1)}).replace(b"a\x04", b"\xff\x04"), "a name that is not UTF-8"),
        (gguf_bytes({"a": (4, 1)}).replace(b"a\x04", b"a\x63"), "unknown value type 99"),
        (gguf_bytes({"a": (9, (4, [1]))}).replace(b"a\x09\0\0\0\x04", b"a\x09\0\0\0\x09"), "lists"),
        (tiny(general__alignment=(4, 3)), "an alignment of 3"),
        (tiny(general__alignment=(4, 0)), "an alignment of 0"),
        (tiny(general__alignment=(8, "x")), "an alignment of x"),
        (gguf_bytes({}, [("t", (2,) * 5, 0, 0)]), "tensor 't' has the shape 5 × …"),
        (gguf_bytes({}, [("t", (0, 4), 0, 0)]), "tensor 't' has the shape 0 × 4"),
        (gguf_bytes({}, [("t", (2**40, 2**40), 0, 0)]), "has the shape"),
        (gguf_bytes({}, [("t", (33,), 8, 0)]), "rows of 33, no multiple of 32"),
        (gguf_bytes({}, [("t", (32,), 8, 7)], data=64), "tensor 't' lies at byte 7"),
        (gguf_bytes({}, [("t", (32,), 8, 2**60)]), "lies at byte"),
        (gguf_bytes({}, [("t", (32,), 8, 0)] * 2, data=64), "'t' is there twice"),
    ],
)
def test_a_damaged_header(tmp_path: Path, data: bytes, problem: str) -> None:
    with pytest.raises(BadInput) as caught:
        gguf.read(written(tmp_path, data))
    assert problem in str(caught.value)


def test_a_key_that_is_there_twice(tmp_path: Path) -> None:
    once = gguf_bytes({"a": (4, 1), "b": (4, 1)})
    with pytest.raises(BadInput, match="'a' is there twice"):
        gguf.read(written(tmp_path, once.replace(b"b\x04", b"a\x04")))


def test_a_list_that_claims_more_than_the_file_has(tmp_path: Path) -> None:
    data = gguf_bytes({"a": (9, (4, [1, 2]))})
    lying = data.replace(struct.pack("<IQ", 4, 2), struct.pack("<IQ", 4, 2**20))
    with pytest.raises(BadInput, match="ends in the middle of its header"):
        gguf.read(written(tmp_path, lying))


def test_numbers_of_the_wrong_kind_are_no_numbers(tmp_path: Path) -> None:
    data = tiny(
        llama__context_length=(8, "long"),
        llama__block_count=(5, -1),
        llama__embedding_length=(7, True),
        tokenizer__ggml__tokens=(4, 7),
    )
    header = gguf.read(written(tmp_path, data))
    assert header.context_length is None
    assert header.block_count is None
    assert header.embedding_length is None
    assert header.vocabulary is None


def test_a_number_of_layers_that_would_fill_the_memory(tmp_path: Path) -> None:
    header = gguf.read(written(tmp_path, tiny(llama__block_count=(4, 2**32 - 1))))
    assert header.block_count is None
    assert header.per_layer("attention.head_count_kv") == []


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(st.integers(0, len(tiny()) - 1), st.integers(0, 255)), min_size=1, max_size=8
    )
)
def test_any_damage_is_an_error_or_harmless(changes: list[tuple[int, int]]) -> None:
    data = bytearray(tiny())
    for position, value in changes:
        data[position] = value
    whole = bytes(data)
    _everything(whole)


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_any_bytes_after_the_magic(data: bytes) -> None:
    whole = b"GGUF\x03\0\0\0" + data
    _everything(whole)


def _everything(data: bytes) -> None:
    """Read a header and all that it says; only BadInput may come of it."""
    with suppress(BadInput):
        header = gguf.read_ranges(
            lambda offset, count: data[offset : offset + count], file="m", size=len(data)
        )
        for name in dir(gguf.Header):
            if isinstance(getattr(gguf.Header, name), property):
                getattr(header, name)
        assert header.weight_bytes >= 0
        header.per_layer("attention.head_count_kv")
        for key in header.metadata:
            header.values(key)


# What stands where in a small file: counts, lengths and types that a liar would change.
NUMBERS = st.one_of(
    st.sampled_from([0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**48, 2**63 - 1, 2**63, 2**64 - 1]),
    st.integers(0, 2**64 - 1),
)


@settings(max_examples=400)
@given(st.integers(4, len(tiny()) - 8), NUMBERS, st.sampled_from(["<Q", "<I"]))
def test_absurd_numbers_anywhere(position: int, number: int, form: str) -> None:
    """Counts, lengths, dimensions, types and offsets of every absurd size, without and with
    the size of the file being known."""
    data = bytearray(tiny())
    struct.pack_into(form, data, position, number % (1 << (8 * struct.calcsize(form))))
    _everything(bytes(data))
    with suppress(BadInput):
        gguf.read_ranges(lambda at, count: bytes(data[at : at + count]), file="m")


@settings(max_examples=100)
@given(st.integers(0, len(tiny())), st.integers(0, len(tiny())), st.integers(0, len(tiny())))
def test_pieces_cut_out_and_put_elsewhere(start: int, end: int, place: int) -> None:
    data = tiny()
    _everything(data[:place] + data[start:end] + data[place:])
    _everything(data[:start] + data[end:])


def test_counts_that_would_fill_the_memory() -> None:
    """A header that says it has a million tensors, in a file that is large enough for them."""
    for tensors, keys in ((2**19, 0), (0, 2**17), (2**63, 0), (0, 2**64 - 1)):
        data = b"GGUF" + struct.pack("<IQQ", 3, tensors, keys)
        asked = []

        def ranges(at: int, count: int, data: bytes = data) -> bytes:
            asked.append(count)  # noqa: B023
            return (data + bytes(count))[at : at + count]

        with pytest.raises(BadInput, match="damaged"):
            gguf.read_ranges(ranges, file="m", size=1 << 50)
        assert sum(asked) < 1 << 20


def test_tensors_on_top_of_one_another_are_counted_as_they_are(tmp_path: Path) -> None:
    """All at one place: nothing runs in circles, and the sum is what the table says."""
    tensors = [(f"blk.{n}.a.weight", (32, 2), 0, 0) for n in range(100)]
    header = gguf.read(written(tmp_path, gguf_bytes(TINY, tensors, data=256)))
    assert header.weight_bytes == 100 * 256
    far = [("a.weight", (32, 2), 0, 2**47)]
    with pytest.raises(BadInput):
        gguf.read(written(tmp_path, gguf_bytes(TINY, far, data=256)))


def test_a_source_of_bytes_that_gives_too_much_or_nothing() -> None:
    data = tiny()
    for ranges in (
        lambda at, count: b"",
        lambda at, count: data[at : at + 1],
        lambda at, count: data[at:],
    ):
        with suppress(BadInput):
            gguf.read_ranges(ranges, file="m", size=len(data))
