from millstream.base.messages import Text

_AGAIN = "Fetch the file again: millstream models pull NAME"
_AGAIN_ZH = "请重新获取该文件：millstream models pull 名称"

_VERSION = "{file} is a GGUF file of version {version}; versions 2 and 3 are read"
_VERSION_ZH = "{file} 是版本 {version} 的 GGUF 文件；目前支持版本 2 和 3"

MESSAGES = {
    "not-gguf": Text(
        "{file} is not a GGUF model file: it begins with {begin}",
        "{file} 不是 GGUF 模型文件：开头为 {begin}",
        "Models kept here are GGUF files. One that runs: millstream models pull smollm2",
        "本机模型须为 GGUF 文件。可直接使用：millstream models pull smollm2",
    ),
    "empty": Text(
        "{file} is empty",
        "{file} 是空文件",
        _AGAIN,
        _AGAIN_ZH,
    ),
    "unreadable": Text(
        "{file} cannot be read: {reason}",
        "无法读取 {file}：{reason}",
        "Look whether it is a file, and one that you may read.",
        "请检查它是否为文件，以及是否有读取权限。",
    ),
    "missing": Text(
        "there is no file {file}",
        "文件 {file} 不存在",
        "See which models are here: millstream models",
        "查看本机已有的模型：millstream models",
    ),
    "old-version": Text(
        _VERSION,
        _VERSION_ZH,
        "Take a newer conversion of the same model.",
        "请换用该模型较新的转换文件。",
    ),
    "new-version": Text(
        _VERSION,
        _VERSION_ZH,
        "A newer Millstream may read it: update it, or take a conversion of version 3 meanwhile.",
        "较新的 Millstream 可能支持：请更新，或暂时换用版本 3 的转换文件。",
    ),
    "big-endian": Text(
        "{file} was made for big-endian machines, which llama.cpp does not load here",
        "{file} 是为大端序机器制作的，本机无法加载",
        "Take the ordinary file of the same model.",
        "请换用该模型的普通（小端序）文件。",
    ),
    "truncated-header": Text(
        "{file} ends in the middle of its header, after {size} bytes",
        "{file} 在文件头中途结束（共 {size} 字节）",
        _AGAIN,
        _AGAIN_ZH,
    ),
    "truncated": Text(
        "{file} is incomplete: it has {size} bytes, and its weights end at {needed}",
        "{file} 不完整：实际 {size} 字节，权重应到第 {needed} 字节",
        _AGAIN,
        _AGAIN_ZH,
    ),
    "damaged": Text(
        "the header of {file} is damaged at byte {offset}: {problem}",
        "{file} 的文件头在第 {offset} 字节处损坏：{problem}",
        _AGAIN,
        _AGAIN_ZH,
    ),
    "shard": Text(
        "{file} is part {number} of a model in {count} files; parts that are missing: {missing}",
        "{file} 是一个模型的第 {number} 个分片（共 {count} 个）；缺少：{missing}",
        "Fetch the missing parts into the same folder and give the first one.",
        "请把缺少的分片放到同一文件夹，并指定第一个分片。",
    ),
    # What is wrong in a damaged header.
    "key-length": Text("a name of {length} bytes", "名称长达 {length} 字节"),
    "text-length": Text("a text of {length} bytes", "文本长达 {length} 字节"),
    "not-text": Text("a name that is not UTF-8", "名称不是 UTF-8"),
    "value-type": Text("unknown value type {type}", "未知的值类型 {type}"),
    "nested": Text("a list of lists", "列表中嵌套列表"),
    "twice": Text("{name!r} is there twice", "{name!r} 出现了两次"),
    "count": Text("a count of {count}", "数量为 {count}"),
    "dimensions": Text("tensor {name!r} has the shape {shape}", "张量 {name!r} 的形状为 {shape}"),
    "row": Text(
        "tensor {name!r} of type {type} has rows of {length}, no multiple of {block}",
        "类型为 {type} 的张量 {name!r} 每行 {length} 个元素，不是 {block} 的倍数",
    ),
    "alignment": Text("an alignment of {value}", "对齐值为 {value}"),
    "place": Text("tensor {name!r} lies at byte {offset}", "张量 {name!r} 位于第 {offset} 字节"),
}
