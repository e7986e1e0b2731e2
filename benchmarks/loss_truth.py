"""`millstream loss` beside llama.cpp's own `llama-perplexity`, on the same files and text.

    python benchmarks/loss_truth.py LLAMA_PERPLEXITY BASE.gguf QUANT.gguf … [--chunks 6]

No package brings the tool ready made. The source distribution of llama-cpp-python has llama.cpp's
source in it, from which it can be built in some minutes (cmake and a compiler):

    pip download --no-deps --no-binary :all: llama-cpp-python && tar xzf llama_cpp_python-*.tar.gz
    cmake -S llama_cpp_python-*/vendor/llama.cpp -B build -DCMAKE_BUILD_TYPE=Release \\
        -DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON \\
        -DLLAMA_BUILD_SERVER=OFF -DBUILD_SHARED_LIBS=OFF
    cmake --build build --target llama-perplexity

The flags are those of the wheel that Millstream uses: with others the processor's own instructions
sum in another order. Prints a Markdown table; the difference is ours less the tool's.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import tempfile
from pathlib import Path

from millstream.lab import texts
from millstream.lab.loss import Model, Options, Text, measure

LINES = {  # what the tool prints, and where it is in ours
    "perplexity": r"Mean PPL\(Q\)\s*: *([\d.]+) ± *([\d.]+)",
    "ln ratio": r"Mean ln\(PPL\(Q\)/PPL\(base\)\) *: *(-?[\d.]+) ± *([\d.]+)",
    "mean KLD": r"Mean +KLD: *(-?[\d.]+) ± *([\d.]+)",
    "median KLD": r"Median +KLD: *(-?[\d.]+)",
    "99 % KLD": r"99\.0% +KLD: *(-?[\d.]+)",
    "99.9 % KLD": r"99\.9% +KLD: *(-?[\d.]+)",
    "max KLD": r"Maximum KLD: *(-?[\d.]+)",
    "mean Δp %": r"Mean +Δp: *(-?[\d.]+) ± *([\d.]+)",
    "RMS Δp %": r"RMS Δp +: *(-?[\d.]+) ± *([\d.]+)",
    "same top %": r"Same top p: *(-?[\d.]+) ± *([\d.]+)",
}


def theirs(tool: str, base: Path, quants: list[Path], text: Path, args: list[str]) -> list[str]:
    """What the tool prints for each model."""
    said = []
    with tempfile.TemporaryDirectory() as folder:
        logits = str(Path(folder, "base.kld"))
        first = [tool, "-m", str(base), "-f", str(text), "--kl-divergence-base", logits, *args]
        subprocess.run(first, check=True, capture_output=True)
        for quant in quants:
            words = [tool, "-m", str(quant), "--kl-divergence", "--kl-divergence-base", logits]
            done = subprocess.run([*words, *args], check=True, capture_output=True, text=True)
            said.append(done.stdout + done.stderr)
    return said


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("base", type=Path)
    parser.add_argument("quants", type=Path, nargs="+")
    parser.add_argument("--chunks", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    text = texts.text("en")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(text)
        file.flush()
        options = ["-c", "512", "-b", "512", "-ub", "128", "-t", str(args.threads)]
        options += ["--chunks", str(args.chunks)]
        said = theirs(args.tool, args.base, args.quants, Path(file.name), options)
    models = [Model.of(path) for path in (args.base, *args.quants)]
    wanted = Options(chunks=args.chunks, threads=args.threads, languages=())
    ours = asyncio.run(measure(models[0], models[1:], [Text("en", text)], wanted))
    print("| model | figure | llama-perplexity | millstream | difference |")
    print("| --- | --- | --- | --- | --- |")
    for words, quant in zip(said, ours.quants, strict=True):
        whole = quant.whole
        assert whole is not None
        found = {
            "perplexity": (whole.perplexity.value, whole.perplexity.error),
            "ln ratio": (whole.log_ratio.value, whole.log_ratio.error),
            "mean KLD": (whole.kld.value, whole.kld.error),
            "median KLD": (whole.percentiles["50"],),
            "99 % KLD": (whole.percentiles["99"],),
            "99.9 % KLD": (whole.percentiles["99.9"],),
            "max KLD": (whole.percentiles["100"],),
            "mean Δp %": (100 * whole.delta_mean.value, 100 * whole.delta_mean.error),
            "RMS Δp %": (100 * whole.delta_rms.value, 100 * whole.delta_rms.error),
            "same top %": (100 * whole.same_top.value, 100 * whole.same_top.error),
        }
        for name, pattern in LINES.items():
            match = re.search(pattern, words)
            assert match, f"{name} is not in what the tool says:\n{words[-2000:]}"
            tool = [float(number) for number in match.groups()]
            mine = [f"{value:.6f}" for value in found[name][: len(tool)]]
            away = f"{found[name][0] - tool[0]:+.6f}"
            row = (quant.type, name, " ± ".join(match.groups()), " ± ".join(mine), away)
            print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
