"""`millstream fit` and `millstream models recommend`, as a person and as a script uses them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from canned import edges, end, start
from cli.parts import Run, Write, llm
from cli.person import Person
from lab.configs import llama as llama_config
from lab.models import llama
from lab.test_names import llama_weights, weights

QUICK = ("--no-speed",)
CONFIG = llama_config(64, 2, 128, 4, 2, 100, 512)
DOUBTS = ("no weights", "fewer weights", "is not known")


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    return llama(tmp_path / "tiny-F16.gguf").name


def test_a_size_alone_says_what_such_a_model_takes(millstream: Run) -> None:
    done = millstream("fit", "7b", *QUICK)
    assert done.stdout.startswith("7b\n  llama, 7.25 billion weights, F16, 16.00 bits each\n")
    assert "7b is a size, not a model: these are the figures of a model shaped like" in done.stdout
    table, reasons = done.stdout.split("\nFallbacks; why the rule of thumb differs\n")
    lines = {line.split()[0]: line for line in table.splitlines() if line.strip()}
    assert "28.0 GB, 40.0 GB–50.0 GB" in lines["FP32"]
    assert "14.0 GB, 16.8 GB–19.6 GB" in lines["FP16"]
    assert "7.0 GB, 8.4 GB–9.8 GB" in lines["INT8"]
    assert "3.5 GB, 4.2 GB–4.9 GB" in lines["INT4"]
    lines = {line.split()[0]: line for line in reasons.splitlines() if line.strip()}
    assert "it has 7.25 billion weights, not 7" in lines["INT8"]
    assert "8.30 bits a weight, not 8" in lines["INT8"]
    assert "8 heads for 32 (GQA)" in done.stdout
    assert done.stderr == ""


def test_a_file_is_itemised_and_its_sums_are_those_of_its_parts(millstream: Run, tiny: str) -> None:
    done = millstream("fit", tiny, "--json", *QUICK)
    assert done.returncode == 0, done.stderr
    (made,) = json.loads(done.stdout)["models"]
    memory = made["memory"]
    assert memory["total"] == sum(size for name, size in memory.items() if name != "total")
    assert sum(part["size"] for part in made["parts"]) == memory["weights"]
    assert sum(layers["keys"] + layers["values"] for layers in made["layers"]) == memory["cache"]
    assert made["exact"]
    assert made["use"]["context"] == 512  # no more than the model was made for


def test_small_models_have_small_numbers(millstream: Run, tmp_path: Path) -> None:
    (tmp_path / "st").mkdir()
    (tmp_path / "st" / "config.json").write_text(json.dumps(CONFIG))
    done = millstream("fit", "st", *QUICK)
    assert "llama, 86.8 thousand weights" in done.stdout
    assert "320 weights" in done.stdout
    assert "0.0 million" not in done.stdout
    assert "llama，86.8k 个权重" in millstream("--lang", "zh", "fit", "st", *QUICK).stdout


@pytest.mark.slow
def test_llama_cpp_says_the_same(millstream: Run, tiny: str) -> None:
    done = millstream("fit", tiny, "--measure", "--json", "--slots", "3", *QUICK)
    assert done.returncode == 0, done.stderr
    (made,) = json.loads(done.stdout)["models"]
    said, memory = made["measured"], made["memory"]
    assert sum(said["weights"].values()) == memory["weights"] + memory["repack"]
    assert said["cache"] == memory["cache"]


def test_a_model_that_does_not_fit_is_said_by_the_exit_code_and_with_a_way_out(
    millstream: Run,
) -> None:
    done = millstream("fit", "405b", *QUICK)
    assert done.returncode == 3
    assert "✗ it does not fit: " in done.stdout
    assert " × 0" not in done.stdout


def test_a_model_for_a_short_context_has_as_many_calls_as_its_table_says(
    millstream: Run, tiny: str
) -> None:
    done = millstream("fit", tiny, "-s", "3", *QUICK)
    assert "1 × 512 · 2 × 512 · 3 × 512 · 4 × 512 · 8 × 512" in done.stdout
    assert "it fits: 8 at once, each call with up to 512 tokens of context" in done.stdout


def test_several_models_stand_side_by_side(millstream: Run, tiny: str) -> None:
    done = millstream("fit", tiny, "0.6b", *QUICK)
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()[1:4]
    assert head.split()[:2] == ["model", "quantization"]
    assert [row.split()[0] for row in rows] == ["tiny-F16", "0.6b"]


def test_notes_of_several_models_are_told_by_their_names(
    millstream: Run, tiny: str, tmp_path: Path
) -> None:
    whole = (tmp_path / tiny).read_bytes()
    (tmp_path / "odd.gguf").write_bytes(whole.replace(b"llama", b"xlama", 1))
    done = millstream("fit", tiny, "odd.gguf", "7b", "--report", "fit.html", *QUICK)
    assert "! tiny-F16: the model was made for 512 tokens of context; 8,192" in done.stdout
    assert "! odd: the llama.cpp in use does not know the architecture 'xlama'" in done.stdout
    assert "! 7b: 7b is a size, not a model" in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("  tiny-F16 "))
    assert " 512 " in row
    page = (tmp_path / "fit.html").read_text()
    assert "tiny-F16: 1 × 512 tokens of context" in page
    assert "7b: 1 × 8,192 tokens of context" in page
    millstream("fit", "7b", "8b", "--report", "fit.html", *QUICK)
    page = (tmp_path / "fit.html").read_text()
    assert page.count("1 × 8,192 tokens of context, cache") == 1


def test_what_training_takes(millstream: Run) -> None:
    data = {}
    for method in ("full", "lora", "qlora"):
        done = millstream("fit", "7b", "--train", method, "--json", *QUICK)
        (made,) = json.loads(done.stdout)["models"]
        data[method] = made["training"]
    assert data["full"]["total"] > 16 * 7.2e9
    assert data["full"]["total"] > data["lora"]["total"] > data["qlora"]["total"]
    done = millstream("fit", "7b", "--train", "qlora", *QUICK)
    assert "Training – qlora: " in done.stdout


def test_training_that_does_not_fit(millstream: Run) -> None:
    done = millstream("fit", "405b", "--train", "full", *QUICK)
    assert done.returncode == 3
    assert "✗ training (full) does not fit: it takes " in done.stdout
    done = millstream("fit", "0.6b", "--train", "lora", *QUICK)
    assert "✓ training (lora) fits: it takes " in done.stdout


def test_an_architecture_that_nobody_knows(millstream: Run, tiny: str, tmp_path: Path) -> None:
    file = tmp_path / tiny
    file.write_bytes(file.read_bytes().replace(b"llama", b"xlama", 1))
    done = millstream("fit", tiny, *QUICK)
    assert "whether it fits is not known" in done.stdout
    assert "✓ it fits" not in done.stdout
    assert "longest context" not in done.stdout
    assert "does not know the architecture 'xlama' and will refuse this file" in done.stdout
    assert "does not know the architecture" not in millstream("fit", "0.6b", *QUICK).stdout


@pytest.mark.parametrize("name", ["model.gguf", "config.json"])
def test_another_name_for_a_known_shape(millstream: Run, tmp_path: Path, name: str) -> None:
    """All keys are there, so that it has a sum; that llama.cpp refuses it is told."""
    whole = llama(tmp_path / "model.gguf").read_bytes()
    (tmp_path / "model.gguf").write_bytes(whole.replace(b"llama", b"xlama"))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"model_type": "xlama"}))
    table = weights({"model.embed_tokens.weight": (100, 64)}, "F16")
    (tmp_path / "model.safetensors").write_bytes(table)
    done = millstream("fit", name if name.endswith("gguf") else "model.safetensors", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "'xlama'" in done.stdout
    assert "plain transformer" in done.stdout


def test_weights_that_are_not_beside_their_config(millstream: Run, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    few = {name: shape for name, shape in llama_weights().items() if "mlp" not in name}
    for data, said in (
        (None, "there are no weights beside the config.json"),
        (weights(few, "F16"), "fewer weights than it speaks of"),
        (weights({"a.weight": (4, 4)}, "F4"), "'a.weight' has the type F4, which is not known"),
        (weights(llama_weights(), "F16"), ""),
    ):
        if data is not None:
            (folder / "model.safetensors").write_bytes(data)
        (told,) = json.loads(millstream("fit", "model", "--json", *QUICK).stdout)["models"]
        words = [each["text"] for each in told["notes"]]
        words = [each for each in words if any(part in each for part in DOUBTS)]
        assert len(words) == bool(said), words
        assert said in "".join(words)
    for name in ("model/config.json", "torch"):  # no weights are asked for, or others are there
        (tmp_path / "torch").mkdir(exist_ok=True)
        (tmp_path / "torch/config.json").write_text(json.dumps(CONFIG))
        (tmp_path / "torch/pytorch_model.bin").write_bytes(b"x")
        done = millstream("fit", name, *QUICK)
        assert done.returncode == 0, done.stderr
        assert "weights beside the config.json" not in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"blk.1.ffn_up.weight", b"blk.1.ffn_uq.weight", "blk.1.ffn_up.weight"),
        (
            b"llama.attention.head_count",
            b"llama.attention.head_coumt",
            "llama.attention.head_count",
        ),
    ],
)
def test_a_file_that_llama_cpp_will_refuse(
    millstream: Run, tiny: str, tmp_path: Path, old: bytes, new: bytes, said: str
) -> None:
    file = tmp_path / tiny
    file.write_bytes(file.read_bytes().replace(old, new))
    done = millstream("fit", tiny, *QUICK)
    assert "llama.cpp will refuse this file; it lacks" in done.stdout + done.stderr
    assert said in done.stdout + done.stderr


def test_the_report_is_one_file(millstream: Run, tiny: str, tmp_path: Path) -> None:
    done = millstream("fit", tiny, "--report", "fit.html", *QUICK)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "fit.html").read_text()
    assert "<svg" in page
    assert "tiny-F16" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    chinese = millstream("--lang", "zh", "fit", tiny, "--report", "zh.html", *QUICK)
    assert "各种精度" in chinese.stdout
    assert 'lang="zh-Hans"' in (tmp_path / "zh.html").read_text()


BAD = {
    "nothing": ((), "no model and no app to look at"),
    "no such file": (("nowhere.gguf",), "nowhere.gguf"),
    "no model": (("what is this",), "'what is this' is no model that can be looked at"),
    "no context": (("7b", "--context", "0"), "--context takes a number from 1 on; '0' is not"),
    "no number": (("7b", "--slots", "many"), "--slots"),
    "a result without an app": (("7b", "--result", "r.json"), "--result goes with --for APP.yml"),
    "items without an app": (("7b", "--items", "8"), "--items goes with --for APP.yml"),
    "an empty input": (("7b", "--query", ""), "--query goes with --for APP.yml"),
    "a sequence without training": (("7b", "--sequence", "9"), "--sequence goes with --train"),
    "an optimizer alone": (("7b", "--optimizer", "sgd"), "--optimizer goes with --train METHOD"),
    "a rank of nothing": (
        ("7b", "--train", "full", "--rank", "8"),
        "--rank goes with --train lora",
    ),
    "no sequence": (("7b", "--train", "full", "--sequence", "0"), "--sequence takes a number"),
    "training of an app": (
        ("7b", "--for", "a.yml", "--train", "lora"),
        "--train and --for exclude each other",
    ),
    "two results": (
        ("7b", "--for", "a.yml", "--run", "--result", "r.json"),
        "--result and --run exclude each other",
    ),
    "an unknown type": (("7b", "--keys", "Q9"), "--keys"),
    "no folder": (("7b", "--report", "no/where.html"), "no/where.html"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(millstream: Run, name: str) -> None:
    words, message = BAD[name]
    done = millstream("fit", *words, *QUICK)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GGUF\x03\0\0\0", "broken.gguf"),
        (b"PK\x03\x04zip", "broken.gguf is not a GGUF model file: it begins with 'PK"),
        (b"", "broken.gguf is empty"),
    ],
)
def test_damaged_files(millstream: Run, tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "broken.gguf").write_bytes(data)
    done = millstream("fit", "broken.gguf", *QUICK)
    assert done.returncode == 2
    assert message in done.stderr
    assert (tmp_path / "broken.gguf").read_bytes() == data


def test_a_plan_for_an_app_on_a_model_that_is_not_here(millstream: Run, speaks: str) -> None:
    done = millstream("fit", "7b", "--for", speaks, *QUICK)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Plan of ")
    assert "7b: F16, 1 × 8,192 tokens" in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.strip().startswith("Polish"))
    assert row.split()[1:3] == ["7b", "1"]


def test_an_app_whose_model_is_not_here_says_what_would_help(millstream: Run, speaks: str) -> None:
    done = millstream("fit", "--for", speaks, *QUICK)
    assert done.returncode == 3
    assert "OPENAI_API_KEY" in done.stderr


def test_a_plan_is_scored_against_a_run(millstream: Run, speaks: str, tmp_path: Path) -> None:
    node = {
        "name": "llm", "id": "llm", "type": "llm", "title": "Polish", "status": "succeeded",
        "elapsed": 2.0, "usage": {"prompt_tokens": 40, "completion_tokens": 20, "latency": 2.0},
    }  # fmt: skip
    (tmp_path / "result.json").write_text(json.dumps({"status": "succeeded", "nodes": [node]}))
    done = millstream("fit", "7b", "--for", speaks, "--result", "result.json", "--json", *QUICK)
    assert done.returncode == 0, done.stderr
    (plan,) = json.loads(done.stdout)["plans"]
    (scored,) = plan["score"]["nodes"]
    assert (scored["prompt_was"], scored["output_was"], scored["took"]) == (40, 20, 2.0)
    other = {"status": "succeeded", "nodes": [{**node, "id": "another"}]}
    (tmp_path / "result.json").write_text(json.dumps(other))
    done = millstream("fit", "7b", "--for", speaks, "--result", "result.json", *QUICK)
    assert done.returncode == 2
    assert "that asks a model ran in result.json" in done.stderr
    assert done.stdout == ""
    (tmp_path / "result.json").write_text("[]")
    done = millstream("fit", "7b", "--for", speaks, "--result", "result.json", *QUICK)
    assert done.returncode == 2
    assert "result.json is not the result of a run" in done.stderr


@pytest.mark.model
@pytest.mark.slow
def test_an_app_is_planned_run_and_scored(
    millstream: Run, speaks: str, packaged_model: Path, tmp_path: Path
) -> None:
    shutil.copyfile(packaged_model, tmp_path / "small.gguf")
    (tmp_path / "in.json").write_text('{"name": "hello"}')
    done = millstream(
        "fit", "small.gguf", "--for", speaks, "--run", "--input", "in.json", "--json", *QUICK
    )
    assert done.returncode == 0, done.stderr
    (plan,) = json.loads(done.stdout)["plans"]
    assert plan["score"]["nodes"][0]["output_was"] > 0
    was, planned = plan["score"]["peak_was"], plan["score"]["peak"]
    assert 0.5 * planned < was < 1.2 * planned


def test_recommended_models_have_reasons_and_a_command(millstream: Run, write: Write) -> None:
    done = millstream("models", "recommend", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "the best that fits with room to spare" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("→ millstream models pull ")
    nodes = [start("name"), llm(text="请润色：{{#start.name#}}"), end(text="llm.text")]
    app = write("zh.yml", nodes, edges("start>llm", "llm>end")).name
    done = millstream("models", "recommend", "--for", app, "--json", *QUICK)
    found = json.loads(done.stdout)["models"]
    names = [each["name"] for each in found]
    assert names
    assert found[0]["why"][0]["text"] == "the best that fits with room to spare"
    assert "smollm2" not in names


def test_a_person_sees_what_is_being_done(person: object) -> None:
    somebody: Person = person("fit", "7b", *QUICK, columns=60)  # type: ignore[operator]
    assert somebody.wait() == 0
    assert "On this machine" in somebody.screen


def test_quantized_values_need_flash_attention(millstream: Run, tiny: str) -> None:
    done = millstream("fit", tiny, "--values", "Q8_0", "--no-flash", *QUICK)
    assert done.returncode == 2
    assert "with flash attention only" in done.stderr
