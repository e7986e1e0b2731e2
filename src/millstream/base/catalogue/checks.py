from millstream.base.messages import Text

MESSAGES = {
    "as-is": Text("runs as it is", "可直接运行"),
    "substitute": Text("runs with substitutes", "可用替代品运行"),
    "needs-you": Text("needs you", "需要您处理"),
    "unreadable": Text("cannot be read", "无法读取"),
}
