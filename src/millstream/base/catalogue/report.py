from millstream.base.messages import Text

MESSAGES = {
    "contents": Text("Contents", "目录"),
    "summary": Text("In short", "要点"),
    "numbers": Text("The numbers of this chart", "图表数据"),
    "numbers-some": Text(
        "{shown} of {count} points; the chart has them all.",
        "此处列出 {count} 个点中的 {shown} 个，图中为全部。",
    ),
    "total": Text("together", "合计"),
    "spread": Text("±", "±"),
    "series": Text("series", "系列"),
    "label": Text("point", "点"),
    "nothing": Text("There is nothing to draw here.", "没有可绘制的数据。"),
    "not-drawn": Text(
        "{count} points have no place on a logarithmic axis and are in the table only.",
        "有 {count} 个点无法放在对数坐标轴上，仅列于表中。",
    ),
    "bars-about": Text(
        "Bars of {parts}. {bars}",
        "由{parts}组成的条形图。{bars}",
    ),
    "plot-about": Text(
        "{y} by {x}. {series}",
        "{y}随{x}的变化。{series}",
    ),
    "series-about": Text(
        "{name}: {first} at {start}, {last} at {end}.",
        "{name}：在 {start} 处为 {first}，在 {end} 处为 {last}。",
    ),
    "log": Text("{title}, log scale", "{title}，对数坐标"),
    "axis": Text("{title} ({unit})", "{title}（{unit}）"),
    "beyond": Text("{name}: {value}, beyond the right edge", "{name}：{value}，超出右侧边缘"),
    "footer": Text(
        "Made by Millstream {version}. This file is complete in itself and asks nothing of any "
        "network.",
        "由 Millstream {version} 生成。本文件自成一体，不访问任何网络。",
    ),
    "unit-tokens": Text("{number} tokens/s", "{number} token/秒"),
    "unit-tokens-bare": Text("tokens/s", "token/秒"),
    "unit-nats": Text("nats", "纳特"),
    "minutes": Text("{minutes} min {seconds} s", "{minutes} 分 {seconds} 秒"),
    "hours": Text("{hours} h {minutes} min", "{hours} 小时 {minutes} 分"),
    "cannot-write": Text(
        "the report {file} cannot be written: {reason}",
        "无法写入报告 {file}：{reason}",
        "Name another file by --report, in a folder that is there and that you may write to.",
        "请用 --report 指定另一个文件，其所在文件夹须已存在且可写。",
    ),
    "not-a-report": Text(
        "{file} is no report of Millstream, and is not replaced by one",
        "{file} 不是 Millstream 的报告，不会被报告覆盖",
        "Name another file by --report, or remove this one first.",
        "请用 --report 指定另一个文件，或先删除该文件。",
    ),
}
