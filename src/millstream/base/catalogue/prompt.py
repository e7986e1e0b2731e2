from millstream.base.messages import Text

MESSAGES = {
    "file-elsewhere": Text(
        "the model is to read the file {name!r}, but its bytes are not here",
        "模型需要读取文件 {name!r}，但本机没有它的内容",
        "Give the file itself instead of its address: name=@path/to/file",
        "请直接提供文件而不是网址：name=@文件路径",
    ),
    "file-broken": Text(
        "the file {name!r} can't be handed to the model: {problem}",
        "无法把文件 {name!r} 交给模型：{problem}",
        "Give the file itself: name=@path/to/file",
        "请直接提供文件：name=@文件路径",
    ),
}
