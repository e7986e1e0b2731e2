"""The style sheet of a report: light, dark, narrow and on paper.

Eight colours that people with any kind of colour vision tell apart (they differ in lightness from
one to the next), each with a contrast of at least 3:1 against both grounds.
"""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--ground:#fdfdfc;--raised:#f5f5f2;--ink:#1b1f24;--soft:#5d6670;
--hair:#e3e4e0;--rule:#c9ccc8;--accent:#1c5d99;--mark:#eef4fa;
--c0:#1c5d99;--c1:#d9722a;--c2:#0b7a66;--c3:#b65c9f;--c4:#8a6d00;--c5:#4b93cf;--c6:#8c2f2f;
--c7:#717a85;--in:#fff}
@media (prefers-color-scheme:dark){:root{--ground:#14171a;--raised:#1d2125;--ink:#e6e8ea;
--soft:#9aa4ae;--hair:#2a2f35;--rule:#434b54;--accent:#7db8ee;--mark:#1d2a37;
--c0:#7db8ee;--c1:#e28a45;--c2:#4cc2a5;--c3:#d78fc4;--c4:#d6b94c;--c5:#4a86bf;--c6:#e07a72;
--c7:#98a2ad;--in:#101214}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);font:400 1rem/1.6 system-ui,-apple-system,
"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif;overflow-wrap:break-word;
font-variant-numeric:tabular-nums}
:lang(zh) body,body:lang(zh){font-family:system-ui,-apple-system,"PingFang SC","Microsoft YaHei",
"Noto Sans CJK SC","Noto Sans SC","Source Han Sans SC","WenQuanYi Micro Hei",sans-serif;
line-height:1.75}
main,footer{max-width:54rem;margin:0 auto;padding:0 1.5rem}
main{padding-top:3.5rem}
header{margin-bottom:2.5rem}
h1{font-size:1.9rem;line-height:1.2;font-weight:650;letter-spacing:-.015em;margin:0 0 1.25rem;
text-wrap:balance}
:lang(zh) h1,:lang(zh) h2{letter-spacing:0}
h2{font-size:1.2rem;line-height:1.35;font-weight:650;letter-spacing:-.005em;margin:0 0 .9rem}
p{margin:0 0 .9rem;max-width:42rem;white-space:pre-line}
.short{margin:0;padding:0;list-style:none;max-width:42rem}
.short li{font-size:1.125rem;line-height:1.55;margin:0 0 .6rem;padding-left:1rem;
border-left:3px solid var(--accent)}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(10.5rem,1fr));gap:.9rem 1.75rem;
margin:1.75rem 0 0;padding:1.1rem 0;border:solid var(--hair);border-width:1px 0}
.facts div{min-width:0}
.facts dt{font-size:.8125rem;color:var(--soft);line-height:1.4}
.facts dd{margin:0;font-size:.9375rem;line-height:1.45}
nav{margin:1.25rem 0 0;font-size:.875rem;line-height:1.9}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:0 1.25rem;margin:0;padding:0}
a{color:var(--accent);text-decoration:none}
a:hover{text-decoration:underline;text-underline-offset:.2em}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
section{margin:0 0 3rem;scroll-margin-top:1.5rem}
figure{margin:1.5rem 0 2rem}
figcaption{font-size:.9375rem;font-weight:600;margin:0 0 .6rem;line-height:1.45}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.15rem 1.25rem;margin:0 0 .7rem;padding:0;
font-size:.8125rem;line-height:1.5;color:var(--soft)}
.legend li{display:flex;gap:.45rem;min-width:0}
.legend span{min-width:0;overflow-wrap:anywhere}
.legend svg{flex:none;height:12px;margin-top:.22rem}
.scroll{overflow-x:auto;margin:1rem 0 1.5rem}
table{border-collapse:separate;border-spacing:0;font-size:.875rem;line-height:1.4;min-width:100%}
caption{text-align:left;font-weight:600;font-size:.9375rem;padding:0 0 .5rem;caption-side:top}
th,td{padding:.45rem .5rem;text-align:left;vertical-align:top;font-weight:400;
border-bottom:1px solid var(--hair)}
thead th{color:var(--soft);font-size:.8125rem;line-height:1.35;vertical-align:bottom;
border-bottom:1px solid var(--rule)}
thead small{font-weight:400;display:block;font-size:.75rem;white-space:nowrap}
tbody tr:last-child>*{border-bottom-color:var(--rule)}
th:first-child,td:first-child{padding-left:0}
th:last-child,td:last-child{padding-right:0}
.r{text-align:right}td.r,td.k{white-space:nowrap}
td.t{min-width:7rem;overflow-wrap:anywhere}
tbody th{max-width:22rem;overflow-wrap:anywhere}
tbody th.x{min-width:7rem}tbody th:not(.x){white-space:nowrap}
.strong{font-weight:650;color:var(--ink)}
.marked>*{background:var(--mark)}
.marked>:first-child{box-shadow:-.5rem 0 0 var(--mark)}
.marked>:last-child{box-shadow:.5rem 0 0 var(--mark)}
.none{color:var(--soft)}
details{margin:.4rem 0 0;font-size:.875rem}
summary{cursor:pointer;color:var(--soft);width:fit-content}
summary:hover{color:var(--ink)}
details p{color:var(--soft);margin:.5rem 0 0}
figure svg.w,figure svg.n{display:block;height:auto;max-width:100%;overflow:visible}
figure .narrow{display:none}
figure svg text{fill:var(--ink);font:400 12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",
"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;font-variant-numeric:tabular-nums}
figure svg .s{fill:var(--soft)}
figure svg .k{font-size:13px}
figure svg .in{font-size:11px;fill:var(--in)}
figure svg .in.c1,figure svg .in.c5{fill:#101214}
figure svg .p{font-size:11.5px}
figure svg .p{paint-order:stroke;stroke:var(--ground);stroke-width:3px;
stroke-linejoin:round}
.grid{stroke:var(--hair);fill:none}
.axis{stroke:var(--rule);fill:none}
.limit{stroke:var(--ink);stroke-dasharray:2 3;fill:none}
.back{fill:var(--ground);fill-opacity:.85}
.under{stroke:var(--ground);stroke-width:3px;stroke-opacity:.75;fill:none}
.lead{stroke:var(--rule);fill:none}
.l{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round;stroke-linecap:butt}
.l.faint{stroke:var(--soft);stroke-width:1.5}
.m{fill:var(--c);stroke:var(--ground);stroke-width:1}
.m.o{fill:var(--ground);stroke:var(--c);stroke-width:1.8}
.whisker{fill:none;stroke:var(--c);stroke-width:1.2}
.b{fill:var(--c)}
.c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}
.c4{--c:var(--c4)}.c5{--c:var(--c5)}.c6{--c:var(--c6)}.c7{--c:var(--c7)}
footer{padding-top:1rem;padding-bottom:3rem;color:var(--soft);font-size:.8125rem}
@media screen and (max-width:48rem){main{padding-top:2rem}
main,footer{padding-left:1.1rem;padding-right:1.1rem}
h1{font-size:1.5rem}.short li{font-size:1.0625rem}.facts{grid-template-columns:1fr 1fr;
gap:.8rem 1.25rem}figure .wide{display:none}figure .narrow{display:block}
tbody th{position:sticky;left:0;background:var(--ground)}
tbody .marked th{background:var(--mark)}
tbody th.x{max-width:9rem}figure svg.n{width:100%;max-width:30rem}}
@media screen and (max-width:26rem){.facts{grid-template-columns:1fr}}
@page{size:A4;margin:16mm 15mm}
@media print{:root{color-scheme:light;--ground:#fff;--raised:#fff;--ink:#000;--soft:#444;
--hair:#ddd;--rule:#999;--accent:#1c5d99;--mark:#eef4fa;--c0:#1c5d99;--c1:#d9722a;--c2:#0b7a66;
--c3:#b65c9f;--c4:#8a6d00;--c5:#4b93cf;--c6:#8c2f2f;--c7:#717a85;--in:#fff}
body{font-size:10pt;line-height:1.5;-webkit-print-color-adjust:exact;print-color-adjust:exact}
main,footer{max-width:none;padding:0}h1{font-size:18pt}h2{font-size:13pt}
.short li{font-size:11pt}nav,details{display:none}
figure .wide{display:block}figure .narrow{display:none}
figure svg.w{max-height:225mm}
figure,tr,.facts,.short li{break-inside:avoid}h2,figcaption,caption{break-after:avoid}
section{margin-bottom:1.6rem}.scroll{overflow:visible}
table{font-size:8pt;width:100%}thead th{font-size:7.5pt}thead small{font-weight:400;font-size:7pt}
th,td{padding:.25rem .3rem}
tbody th.x{min-width:4rem}td.t{min-width:0}thead{display:table-header-group}
}
""".strip()
