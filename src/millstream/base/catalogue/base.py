from millstream.base.messages import Text

MESSAGES = {
    "line": Text("line {line}", "第 {line} 行"),
    "node": Text("node {node}", "节点 {node}"),
    "item": Text("in {item}", "位于 {item}"),
    "unexpected": Text(
        "unexpected error: {problem}",
        "意外错误：{problem}",
        "This is a fault of Millstream. Run again with MILLSTREAM_DEBUG=1 to see where, "
        "and please report it.",
        "这是 Millstream 自身的缺陷。请设置 MILLSTREAM_DEBUG=1 重新运行以查看位置，并向我们反馈。",
    ),
}
