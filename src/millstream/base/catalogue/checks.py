from millstream.base.messages import Text

MESSAGES = {
    "as-is": Text("runs as it is", "可直接运行"),
    "substitute": Text("runs with substitutes", "可用替代品运行"),
    "needs-you": Text("needs you", "需要您处理"),
    "unreadable": Text("cannot be read", "无法读取"),
    "mode-not-yet": Text(
        "this version of Millstream cannot run apps of the mode {mode} yet",
        "此版本的 Millstream 暂不能运行 {mode} 模式的应用",
        "Apps of the modes workflow and advanced-chat run; this file is read and kept whole.",
        "workflow 和 advanced-chat 模式的应用可以运行；此文件会被完整读取和保留。",
    ),
    "nothing-chosen": Text(
        "no variable is chosen here",
        "这里没有选择变量",
        "Choose one in the node.",
        "请在节点中选择一个变量。",
    ),
    "no-node": Text(
        "nothing in the app gives {name}",
        "应用中没有任何节点输出 {name}",
        "Choose a variable of a node that is in the app.",
        "请选择应用中已有节点的变量。",
    ),
    "no-output": Text(
        "there is no {name}",
        "没有 {name}",
        "There are: {known}.",
        "已有的有：{known}。",
    ),
    "not-a-reference": Text(
        "{reference} stays as it is written",
        "{reference} 不会被替换，将原样保留",
        "In a reference an id holds letters, digits and `_` only, a name at most 30 of them, and "
        "there are no spaces. Rename what it names, or choose the variable anew.",
        "引用中的节点 ID 只能含字母、数字和 `_`，变量名最长 30 个字符，且不能有空格。"
        "请给节点或变量改名，或重新选择变量。",
    ),
    "not-before": Text(
        "{name} is read, but its node does not come before this one",
        "读取了 {name}，但它的节点不在此节点之前",
        "Connect the two, or read something that is ready by then.",
        "请把两者连接起来，或读取此时已有的变量。",
    ),
    "wrong-type": Text(
        "{name} is {given}, but this takes {wanted}",
        "{name} 的类型是 {given}，但这里需要 {wanted}",
        "Choose another variable, or convert it in a code node.",
        "请选择其他变量，或用代码节点转换。",
    ),
    "no-moderation": Text(
        "the app switches on the avoidance of sensitive words, which this version does not apply",
        "该应用开启了敏感词规避，但当前版本不会执行它",
        "Texts go in and out unchecked; check them in the app itself if you rely on it.",
        "输入和输出不会被检查；如果依赖该功能，请在应用内自行检查。",
    ),
}
