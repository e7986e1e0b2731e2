from millstream.base.messages import Text

_OPT_IN = (
    "If you trust the app, run its code without that protection: MILLSTREAM_SANDBOX=unconfined, "
    "or the setting sandbox.unconfined."
)
_OPT_IN_ZH = (
    "如果你信任该应用，可以不加保护地运行其代码：设置环境变量 MILLSTREAM_SANDBOX=unconfined，"
    "或设置 sandbox.unconfined。"
)

MESSAGES = {
    # ------------------------------------------------------------------- what the code did
    "raised": Text(
        "the code raised {type}: {problem}",
        "代码抛出异常 {type}：{problem}",
        "Correct the code on that line, or check the inputs that it was given.",
        "请修改这一行代码，或检查传入的值。",
    ),
    "raised-silently": Text(
        "the code raised {type}",
        "代码抛出异常 {type}",
        "Correct the code on that line, or check the inputs that it was given.",
        "请修改这一行代码，或检查传入的值。",
    ),
    "syntax": Text(
        "the code cannot be read: {problem}",
        "代码有语法错误：{problem}",
        "Correct the code on that line.",
        "请修改这一行代码。",
    ),
    "no-main": Text(
        "the code has no function main",
        "代码中没有函数 main",
        "Define a function main that takes the node's inputs and returns an object.",
        "请定义函数 main，接收节点的输入变量并返回一个对象。",
    ),
    "arguments": Text(
        "the inputs do not fit the parameters of main: {problem}",
        "传入的变量与 main 的参数不符：{problem}",
        "Give the node's inputs the names that main has for its parameters.",
        "请让节点的输入变量与 main 的参数同名。",
    ),
    "inputs": Text(
        "the inputs cannot be handed over as JSON: {problem}",
        "无法以 JSON 形式传递输入：{problem}",
        "Give the node texts, numbers, booleans, lists and objects only.",
        "请只向节点传入文本、数字、布尔值、列表和对象。",
    ),
    "not-json": Text(
        "main returned something that JSON cannot hold: {what}",
        "main 返回了 JSON 无法表示的内容：{what}",
        "Return texts, numbers, booleans, null, lists and objects only; convert the rest, for "
        "example with str() or list().",
        "只能返回文本、数字、布尔值、null、列表和对象；其他内容请先转换，例如用 str() 或 list()。",
    ),
    "type": Text("a value of type {type}", "类型为 {type} 的值"),
    "key": Text("a key of type {type}", "类型为 {type} 的键"),
    "nested": Text("lists and objects nested too deeply", "嵌套过深的列表或对象"),
    "half-character": Text(
        "a text with half a character in it (a lone surrogate)", "含有残缺字符（孤立代理项）的文本"
    ),
    "huge-number": Text("a number of more than 4300 digits", "超过 4300 位的数字"),
    "undefined": Text("undefined", "undefined"),
    "no-packages": Text(
        "the code needs the package {package}; code can import the standard library only",
        "代码需要软件包 {package}，但目前只能导入标准库",
        "Make an environment for code, install the package there, and name it in the setting "
        "sandbox.packages: python -m venv code-env && code-env/bin/pip install {package}",
        "请为代码建一个虚拟环境，在其中安装该软件包，并把路径填入设置 sandbox.packages："
        "python -m venv code-env && code-env/bin/pip install {package}",
    ),
    "no-package": Text(
        "the code needs the package {package}, which is not in {path}",
        "代码需要软件包 {package}，但 {path} 中没有",
        "Install it there: {path}/bin/pip install {package}",
        "请安装：{path}/bin/pip install {package}",
    ),
    "network": Text(
        "the code wanted to use the network, which code cannot ({problem})",
        "代码试图访问网络，但代码节点不能访问网络（{problem}）",
        "Give it what it needs as an input of the app: text=@page.html reads a file.",
        "请把所需内容作为应用的输入：text=@page.html 会读取文件。",
    ),
    # -------------------------------------------------------------------------- limits
    "time-limit": Text(
        "it was stopped after {limit} s, which is as long as sandbox.seconds allows",
        "运行 {limit} 秒后被终止，这是 sandbox.seconds 允许的时长",
        "Make it faster, or raise the setting sandbox.seconds.",
        "请优化代码，或调高设置 sandbox.seconds。",
    ),
    "memory-limit": Text(
        "it needed more memory than the {limit} MB that sandbox.memory_mb allows",
        "所需内存超过了 sandbox.memory_mb 允许的 {limit} MB",
        "Let it keep less at a time, or raise the setting sandbox.memory_mb.",
        "请减少同时占用的数据，或调高设置 sandbox.memory_mb。",
    ),
    "output-limit": Text(
        "it returned and printed more than the {limit} MB that sandbox.output_mb allows",
        "返回和打印的内容超过了 sandbox.output_mb 允许的 {limit} MB",
        "Let it return or print less, or raise the setting sandbox.output_mb.",
        "请减少返回或打印的内容，或调高设置 sandbox.output_mb。",
    ),
    "scratch-limit": Text(
        "it wrote more files than fit into the {limit} MB that sandbox.scratch_mb allows",
        "写入的文件超过了 sandbox.scratch_mb 允许的 {limit} MB",
        "Let it write less, or raise the setting sandbox.scratch_mb.",
        "请减少写入的文件，或调高设置 sandbox.scratch_mb。",
    ),
    "too-many-threads": Text(
        "the code started more than 128 threads",
        "代码启动的线程超过了 128 个",
        "Let a pool of fewer threads do the work.",
        "请改用线程数较少的线程池。",
    ),
    # -------------------------------------------------------------- ends without an answer
    "no-result": Text(
        "the code ended its process instead of returning from main",
        "代码直接结束了进程，没有从 main 返回",
        "Return from main; do not call os._exit.",
        "请从 main 返回结果，不要调用 os._exit。",
    ),
    "killed": Text(
        "the process of the code was killed by {signal}",
        "运行代码的进程被信号 {signal} 终止",
        "SIGKILL usually means that the machine ran out of memory, SIGSEGV that a package crashed.",
        "SIGKILL 通常表示机器内存耗尽；SIGSEGV 表示某个软件包崩溃。",
    ),
    "zygote-killed": Text(
        "the sandbox was ended from outside while the code was running",
        "代码运行时沙箱被外部终止",
        "Run it again; the sandbox starts anew by itself.",
        "请重新运行，沙箱会自动重启。",
    ),
    "garbled": Text(
        "the code disturbed the channel by which its result is read",
        "代码干扰了返回结果的通道",
        "Let the code write to files of its own only, and return its result from main.",
        "请让代码只写入自己的文件，并从 main 返回结果。",
    ),
    # --------------------------------------------------------------------- not here
    "unknown-language": Text(
        "code in {language!r} cannot be run; python3 and javascript can",
        "无法运行 {language!r} 代码，仅支持 python3 和 javascript",
        "Write the node in one of these languages.",
        "请用其中一种语言编写该节点。",
    ),
    "no-javascript": Text(
        "JavaScript needs the package quickjs-ng, which is not installed",
        "运行 JavaScript 需要软件包 quickjs-ng，但尚未安装",
        "pip install 'millstream[javascript]'",
        "pip install 'millstream[javascript]'",
    ),
    "no-environment": Text(
        "the setting sandbox.packages names {path}, which is not there",
        "设置 sandbox.packages 指向的 {path} 不存在",
        "Make it: python -m venv {path}",
        "请创建：python -m venv {path}",
    ),
    "no-python": Text(
        "the interpreter for code, {path}, cannot be started: {problem}",
        "无法启动运行代码的解释器 {path}：{problem}",
        "Make the environment named in sandbox.packages anew.",
        "请重新创建 sandbox.packages 指定的环境。",
    ),
    "no-start": Text(
        "the sandbox could not be started: {problem}",
        "无法启动沙箱：{problem}",
        "If the setting sandbox.packages names an environment, check that its Python is 3.11 or "
        "newer and works.",
        "如果设置了 sandbox.packages，请检查其中的 Python 是否为 3.11 或更高版本并能正常运行。",
    ),
    "no-child": Text(
        "the machine had nothing left to run the code with: {problem}",
        "系统资源不足，无法运行代码：{problem}",
        "Run it again when less is going on, or make room: processes, memory, or disk in the "
        "folder for temporary files.",
        "请在负载较低时重试，或释放资源：进程数、内存，或临时目录的磁盘空间。",
    ),
    "no-reason": Text("it ended without a word", "没有给出原因就退出了"),
    "no-linux": Text(
        "code can be locked in on Linux only, and this is {detail}",
        "只有 Linux 能隔离代码，而当前系统是 {detail}",
        "Run Millstream in a Linux container. " + _OPT_IN,
        "请在 Linux 容器中运行 Millstream。" + _OPT_IN_ZH,
    ),
    "no-fork": Text(
        "code cannot be run on {detail}",
        "无法在 {detail} 上运行代码",
        "Run Millstream in a Linux container or in WSL.",
        "请在 Linux 容器或 WSL 中运行 Millstream。",
    ),
    "no-processor": Text(
        "code can be locked in on x86-64 and aarch64 only, and this machine is {detail}",
        "只有 x86-64 和 aarch64 能隔离代码，而本机是 {detail}",
        _OPT_IN,
        _OPT_IN_ZH,
    ),
    "no-landlock": Text(
        "this kernel has no Landlock to keep code away from files ({detail})",
        "当前内核没有 Landlock，无法阻止代码访问文件（{detail}）",
        "Use a kernel of 5.13 or newer with Landlock enabled (lsm=landlock,…), and a container "
        "that allows it. " + _OPT_IN,
        "请使用 5.13 或更高版本且启用了 Landlock（lsm=landlock,…）的内核，并确认容器允许使用它。"
        + _OPT_IN_ZH,
    ),
    "no-seccomp": Text(
        "this kernel has no seccomp to keep code away from the system ({detail})",
        "当前内核没有 seccomp，无法阻止代码使用系统功能（{detail}）",
        "Use a kernel with seccomp filters, and a container that allows them. " + _OPT_IN,
        "请使用支持 seccomp 过滤器的内核，并确认容器允许使用它。" + _OPT_IN_ZH,
    ),
    "no-lock": Text(
        "the process for the code could not be locked in: {detail}",
        "无法隔离运行代码的进程：{detail}",
        _OPT_IN,
        _OPT_IN_ZH,
    ),
    "unconfined": Text(
        "code runs without protection: it can read your files and use the network",
        "代码在无保护状态下运行：可以读取你的文件并访问网络",
    ),
}
