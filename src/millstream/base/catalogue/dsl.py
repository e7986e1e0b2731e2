from millstream.base.messages import Text

_EXPORT_EN = "Export the app again as a DSL file and use that."
_EXPORT_ZH = "请重新将应用导出为 DSL 文件后再使用。"

MESSAGES = {
    # ---------------------------------------------------------------- the file itself
    "no-file": Text(
        "there is no such file",
        "找不到该文件",
        "Check the path; `ls` shows what is there.",
        "请检查路径；可用 `ls` 查看目录内容。",
    ),
    "folder": Text(
        "this is a folder, not an app file",
        "这是一个文件夹，不是应用文件",
        "Name one file in it, or check all of them: `millstream check FOLDER`.",
        "请指定其中的一个文件，或检查全部文件：`millstream check 文件夹`。",
    ),
    "unreadable": Text(
        "the file cannot be read: {reason}",
        "无法读取该文件：{reason}",
        "Check the path and the permissions of the file.",
        "请检查路径和文件权限。",
    ),
    "empty": Text(
        "the file is empty",
        "文件是空的",
        _EXPORT_EN,
        _EXPORT_ZH,
    ),
    "binary": Text(
        "this is not a text file",
        "这不是文本文件",
        "An app file is YAML or JSON text. If this is an archive, unpack it first.",
        "应用文件是 YAML 或 JSON 文本。如果这是压缩包，请先解压。",
    ),
    "encoding": Text(
        "the text is not valid {encoding}",
        "文本不是有效的 {encoding} 编码",
        "Save the file as UTF-8, for example: `iconv -f GB18030 -t UTF-8 FILE > NEW`.",
        "请将文件另存为 UTF-8，例如：`iconv -f GB18030 -t UTF-8 文件 > 新文件`。",
    ),
    "control": Text(
        "the text has a control character ({name}), which YAML does not allow",
        "文本中有 YAML 不允许的控制字符（{name}）",
        'Delete it, or write it as an escape inside double quotes, such as "\\x1b".',
        '请删除它，或在双引号中写成转义形式，例如 "\\x1b"。',
    ),
    "web-page": Text(
        "this is a web page, not an app file",
        "这是网页，不是应用文件",
        "Download the file itself; on a code host that is the link called Raw.",
        "请下载文件本身；在代码托管网站上通常是 “Raw” 链接。",
    ),
    # ------------------------------------------------------------------------- not YAML
    "not-yaml": Text(
        "this is not valid YAML: {problem}",
        "这不是有效的 YAML：{problem}",
        "Look at this line and the one before it. " + _EXPORT_EN,
        "请检查这一行和上一行。" + _EXPORT_ZH,
    ),
    "yaml-tab": Text(
        "this is not valid YAML: a tab stands where only spaces may",
        "这不是有效的 YAML：只能用空格的地方出现了制表符",
        "Replace the tab by spaces; YAML indents with spaces only.",
        "请把制表符换成空格；YAML 只能用空格缩进。",
    ),
    "yaml-colon": Text(
        "this is not valid YAML: a colon inside of a text, a line above that lacks its colon, "
        "or a line indented too far",
        "这不是有效的 YAML：文本中含有冒号、上一行缺少冒号，或该行缩进过多",
        'Put the text in quotes, as in `title: "Step 1: ask"`, or align the line with those '
        "above it.",
        '请给文本加引号，例如 `title: "步骤 1: 提问"`，或让该行与上方各行对齐。',
    ),
    "yaml-no-colon": Text(
        "this is not valid YAML: a line is neither `key: value` nor a part of the text above it",
        "这不是有效的 YAML：该行既不是 `键: 值`，也不属于上方的文本",
        "Put a space after the colon, or indent the line if it belongs to the text above it.",
        "请在冒号后加一个空格；如果该行属于上方的文本，请增加缩进。",
    ),
    "yaml-cut-off": Text(
        "this is not valid YAML: the file seems to be cut off here",
        "这不是有效的 YAML：文件似乎在此处被截断",
        "Download or copy the whole file again. " + _EXPORT_EN,
        "请重新下载或复制完整的文件。" + _EXPORT_ZH,
    ),
    "conflict": Text(
        "the file holds marks of a version conflict (<<<<<<<, =======, >>>>>>>)",
        "文件中有版本冲突标记（<<<<<<<、=======、>>>>>>>）",
        "Decide for one of the two versions and delete these lines.",
        "请保留其中一个版本，并删除这些标记行。",
    ),
    "yaml-quote": Text(
        "this is not valid YAML: a quotation mark opens here and is never closed",
        "这不是有效的 YAML：此处的引号没有闭合",
        "Close the quotation mark. Inside single quotes an apostrophe is written twice: ''.",
        "请补上闭合的引号。单引号文本中的撇号要写两次：''。",
    ),
    "yaml-escape": Text(
        "this is not valid YAML: an unknown escape after a backslash inside double quotes",
        "这不是有效的 YAML：双引号中的反斜杠后是未知的转义字符",
        "Write the backslash twice, or use single quotes, where it has no meaning.",
        "请把反斜杠写两次，或改用单引号（其中反斜杠没有特殊含义）。",
    ),
    "yaml-bracket": Text(
        "this is not valid YAML: the bracket that opens in line {opened} is not closed properly",
        "这不是有效的 YAML：第 {opened} 行的括号没有正确闭合",
        "Close the bracket, or put the value in quotes if it is a text that begins with one, "
        'as in `text: "[draft] …"`.',
        '请闭合括号；如果值是以括号开头的文本，请加引号，例如 `text: "[草稿] …"`。',
    ),
    "yaml-character": Text(
        "this is not valid YAML: a value without quotes cannot begin with {character}",
        "这不是有效的 YAML：不加引号的值不能以 {character} 开头",
        'Put the value in quotes, as in `text: "{character} …"`.',
        '请给该值加引号，例如 `text: "{character} …"`。',
    ),
    "yaml-layout": Text(
        "this is not valid YAML: this line does not fit the block that began in line {began}",
        "这不是有效的 YAML：该行与第 {began} 行开始的块不匹配",
        "Align the line with its neighbours.",
        "请让该行与相邻各行对齐。",
    ),
    "yaml-goes-on": Text(
        "this is not valid YAML: the value goes on after its closing quotation mark or bracket",
        "这不是有效的 YAML：引号或括号闭合后还有内容",
        "Put quotes around the whole value; inside single quotes an apostrophe is written "
        "twice: ''.",
        "请用引号把整个值括起来；单引号文本中的撇号要写两次：''。",
    ),
    "container-key": Text(
        "a list or a mapping stands where a key is wanted",
        "此处应为键，却出现了列表或映射",
        'Put a text that begins with a brace in quotes, as in `value: "{{{{ name }}}}"`.',
        '以花括号开头的文本请加引号，例如 `value: "{{{{ name }}}}"`。',
    ),
    "tag": Text(
        "the YAML tag {tag} is not known",
        "未知的 YAML 标签 {tag}",
        'Put the value in quotes if it is a text that begins with "!".',
        "如果值是以 “!” 开头的文本，请加引号。",
    ),
    "merge": Text(
        "`<<` wants a mapping to merge",
        "`<<` 后面必须是要合并的映射",
        "Name a mapping after `<<`, or put the key in quotes.",
        "请在 `<<` 后引用一个映射，或给该键加引号。",
    ),
    "no-anchor": Text(
        "*{name} refers to something that is not in the file",
        "*{name} 引用的内容不在文件中",
        "Put the value in quotes if it is a text that begins with an asterisk.",
        "如果值是以星号开头的文本，请加引号。",
    ),
    "alias-loop": Text(
        "*{name} refers to something that contains itself",
        "*{name} 引用了包含自身的内容",
        _EXPORT_EN,
        _EXPORT_ZH,
    ),
    "alias-bomb": Text(
        "the aliases of this file stand for more than {limit} entries: it would fill the memory",
        "文件中的别名展开后超过 {limit} 项，会耗尽内存",
        "Do not use this file unless you know where it comes from.",
        "除非清楚其来源，否则请不要使用该文件。",
    ),
    "too-deep": Text(
        "the file is nested deeper than {limit} levels",
        "文件嵌套超过 {limit} 层",
        _EXPORT_EN,
        _EXPORT_ZH,
    ),
    "documents": Text(
        "the file has several documents; the second one begins here",
        "文件包含多个文档，第二个从此处开始",
        "Put each app in a file of its own, or delete the line `---` in between.",
        "请将每个应用放在单独的文件中，或删除中间的 `---` 行。",
    ),
    "repeated-key": Text(
        "the key {key!r} is already in line {first}; the later one counts",
        "键 {key!r} 已在第 {first} 行出现过；以后一个为准",
        "Delete one of the two lines.",
        "请删除其中一行。",
    ),
    # ------------------------------------------------------------------- not an app file
    "not-mapping": Text(
        "this is not an app file: keys with values are wanted, given is {given}",
        "这不是应用文件：内容应为键值映射，实际为 {given}",
        _EXPORT_EN,
        _EXPORT_ZH,
    ),
    "not-an-app": Text(
        "this is not an app file: it has no `app`, `workflow`, `graph` or `model_config`; "
        "it begins with: {keys}",
        "这不是应用文件：没有 `app`、`workflow`、`graph` 或 `model_config`；开头的键为：{keys}",
        _EXPORT_EN,
        _EXPORT_ZH,
    ),
    "no-graph": Text(
        "an app of mode {mode} needs a `workflow` with a `graph`; there is none",
        "{mode} 模式的应用需要含有 `graph` 的 `workflow`，但文件中没有",
        _EXPORT_EN,
        _EXPORT_ZH,
    ),
    "unknown-mode": Text(
        "the mode {mode!r} is not known; the file is taken as {taken}",
        "未知的模式 {mode!r}；按 {taken} 处理",
        "Set `app.mode` to workflow, advanced-chat, chat, agent-chat, completion or agent.",
        "请将 `app.mode` 设为 workflow、advanced-chat、chat、agent-chat、completion 或 agent。",
    ),
    "not-a-list": Text(
        "`{key}` must be a list; here it is a {given}",
        "`{key}` 必须是列表，此处为 {given}",
        _EXPORT_EN,
        _EXPORT_ZH,
    ),
    "item": Text(
        "an entry of `{key}` must be a mapping; here it is a {given}",
        "`{key}` 中的每一项必须是映射，此处为 {given}",
        "Correct or delete the entry.",
        "请更正或删除该项。",
    ),
    "node-without-id": Text(
        "a node has no id",
        "有节点缺少 id",
        "Give it an `id` that no other node has.",
        "请为其添加唯一的 `id`。",
    ),
    "node-without-type": Text(
        "the node has no `data.type`",
        "节点缺少 `data.type`",
        "Say in `data.type` what it is, such as llm or code.",
        "请在 `data.type` 中写明节点类型，例如 llm 或 code。",
    ),
    "unknown-node-type": Text(
        "the node type {type!r} is not known",
        "未知的节点类型 {type!r}",
        "Check its spelling. A newer Millstream may know it, if it is a newer type.",
        "请检查拼写。如果是较新的类型，较新的 Millstream 可能支持。",
    ),
    "field": Text(
        "the value does not fit: wanted is {wanted}, given is {given}",
        "此处应为 {wanted}，实际为 {given}",
        "Correct the value, or set it anew in the editor and export again.",
        "请更正该值，或在编辑器中重新设置后导出。",
    ),
    "field-missing": Text(
        "the node lacks a value that it cannot do without: wanted is {wanted}",
        "该节点缺少必需的值：应为 {wanted}",
        "Add the value, or set it in the editor and export again.",
        "请补上该值，或在编辑器中设置后重新导出。",
    ),
    "no-such-container": Text(
        "the node is said to be inside of {id!r}, which is no iteration or loop of this app; "
        "it is taken as standing outside",
        "该节点标注在 {id!r} 内，但应用中没有这样的迭代或循环；按位于外层处理",
        "Delete the node's `parentId`, or name the container that it belongs to.",
        "请删除该节点的 `parentId`，或改为它所属的容器。",
    ),
    "container-loop": Text(
        "the node's container is inside of itself; the node is taken as standing outside",
        "该节点所属的容器包含了自身；按位于外层处理",
        "Correct the `parentId` of the containers.",
        "请更正各容器的 `parentId`。",
    ),
    "containers-too-deep": Text(
        "containers are nested deeper than {limit} levels",
        "容器嵌套超过 {limit} 层",
        "Draw the app with fewer containers inside of each other.",
        "请减少容器的嵌套层数。",
    ),
    "edge-without-end": Text(
        "an edge lacks its `source` or `target`; it is ignored",
        "有连线缺少 `source` 或 `target`，已忽略",
        "Delete the edge, or say which nodes it connects.",
        "请删除该连线，或写明它连接的节点。",
    ),
    "variable-without-name": Text(
        "a variable has no name",
        "有变量缺少名称",
        "Give it a `name`, or delete it.",
        "请为其添加 `name`，或将其删除。",
    ),
    "variable-type": Text(
        "the value of the variable {name!r} does not fit: wanted is {wanted}, given is {given}",
        "变量 {name!r} 的值应为 {wanted}，实际为 {given}",
        "Change its `value` or its `value_type`.",
        "请修改其 `value` 或 `value_type`。",
    ),
    # ------------------------------------------------------------------------ structure
    "duplicate-node-id": Text(
        "two nodes have the id {id!r}; the other one is in line {first}",
        "有两个节点的 id 都是 {id!r}；另一个在第 {first} 行",
        "Give one of the two another id, and change its edges and references.",
        "请为其中一个节点更换 id，并修改相应的连线和引用。",
    ),
    "duplicate-edge-id": Text(
        "the id {id!r} is already that of another edge (line {first})",
        "连线 id {id!r} 与第 {first} 行的连线重复",
        "Delete one of the two edges, or give it another id.",
        "请删除其中一条连线，或为其更换 id。",
    ),
    "edge-to-nowhere": Text(
        "the edge has an end at the node {id!r}, which is not there; it is ignored",
        "连线的一端是不存在的节点 {id!r}，已忽略",
        "Delete the edge, or connect it to a node.",
        "请删除该连线，或将其连接到已有的节点。",
    ),
    "edge-across": Text(
        "the edge from {source!r} to {target!r} crosses the border of a container; it is ignored",
        "从 {source!r} 到 {target!r} 的连线跨越了容器边界，已忽略",
        "Connect nodes inside of the same iteration or loop only; what is inside is read "
        "through the container's output.",
        "只能连接同一迭代或循环内的节点；内部结果请通过容器的输出读取。",
    ),
    "no-fail-branch": Text(
        "the edge to {target!r} is for failures of {source!r}, which has no fail branch: it is "
        "taken like any other edge",
        "到 {target!r} 的连线用于 {source!r} 出错时，但该节点未启用失败分支：会按普通连线执行",
        "Give the node the error strategy `fail-branch`, or delete the edge.",
        "请将该节点的错误处理设为 `fail-branch`，或删除该连线。",
    ),
    "no-such-handle": Text(
        "the edge to {target!r} is never taken: it leaves {source!r} by {handle!r}, a way out that "
        "it does not have; it has: {known}",
        "到 {target!r} 的连线不会生效：它使用了 {source!r} 没有的出口 {handle!r}；"
        "它的出口有：{known}",
        "Delete the edge and draw it anew from the right way out.",
        "请删除该连线，并从正确的出口重新连接。",
    ),
    "duplicate-handle": Text(
        "two cases, classes or actions of the node have the id {id!r}; only the first is taken",
        "该节点的两个分支、分类或操作使用了相同的 id {id!r}；只有第一个有效",
        "Give each of them an id of its own, and draw their edges anew.",
        "请为它们设置不同的 id，并重新连接连线。",
    ),
    "no-start": Text(
        "the app has no node to start with",
        "应用没有开始节点",
        "Add a start node and connect it.",
        "请添加开始节点并连接。",
    ),
    "several-starts": Text(
        "the app begins at {first!r}; what follows this other start does not run",
        "应用从 {first!r} 开始；此处另一个开始节点之后的内容不会运行",
        "Delete one of the start nodes.",
        "请删除多余的开始节点。",
    ),
    "empty-container": Text(
        "the container has no nodes inside",
        "该容器内没有节点",
        "Add nodes to it, or delete it.",
        "请在其中添加节点，或将其删除。",
    ),
    "container-without-start": Text(
        "none of the nodes inside of the container is its start",
        "容器内没有开始节点",
        "Set `start_node_id` to the id of the child with which it begins.",
        "请将 `start_node_id` 设为容器内起始节点的 id。",
    ),
    "no-such-start": Text(
        "the container says that it begins at {id!r}, which is not inside of it; "
        "it begins at {taken!r}",
        "容器声明从 {id!r} 开始，但其中没有该节点；改为从 {taken!r} 开始",
        "Set `start_node_id` to the id of the child with which it begins.",
        "请将 `start_node_id` 设为容器内起始节点的 id。",
    ),
    "unreachable": Text(
        "no edge leads here from the start; the node never runs",
        "从开始节点无法到达该节点，它不会运行",
        "Connect the node, or delete it.",
        "请连接该节点，或将其删除。",
    ),
    "cycle": Text(
        "the edges lead round in a circle: {nodes}",
        "连线形成了环：{nodes}",
        "Delete one of these edges; what repeats belongs into an iteration or a loop.",
        "请删除其中一条连线；需要重复执行的内容应放入迭代或循环节点。",
    ),
}
