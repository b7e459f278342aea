"""The style of a report: light or dark as the reader's screen, and suitable for print."""

from pprofplus_tui.charts.palette import DARK, LIGHT, Palette

_LIGHT = {
    "ground": "#fbfaf7",
    "panel": "#f2f1ec",
    "text": "#1f252b",
    "dim": "#5c6670",
    "rule": "#d6d6cf",
    "grid": "#e4e3dd",
    "warn": "#8a5a00",
    "bad": "#b02e0c",
    "good": "#00724f",
}
_DARK = {
    "ground": "#11151a",
    "panel": "#1b222b",
    "text": "#d7dce2",
    "dim": "#8d98a5",
    "rule": "#3a4452",
    "grid": "#252d37",
    "warn": "#e69f00",
    "bad": "#ff7a5c",
    "good": "#3fc28e",
}


def _variables(tones: dict[str, str], palette: Palette) -> str:
    lines = {f"c{index}": colour for index, colour in enumerate(palette.lines)}
    return "".join(f"--{name}:{colour};" for name, colour in {**tones, **lines}.items())


_CLASSES = "".join(
    f".c{index}{{--c:var(--c{index})}}.t{index}{{fill:var(--c{index})}}"
    for index in range(len(DARK.lines))
)

STYLE = (
    f":root{{color-scheme:light dark;{_variables(_LIGHT, LIGHT)}}}"
    f"@media(prefers-color-scheme:dark){{:root{{{_variables(_DARK, DARK)}}}}}"
    # paper is white
    f"@media print{{:root{{color-scheme:light;{_variables(_LIGHT, LIGHT)}--ground:#fff;}}}}"
    + _CLASSES
    + """
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:980px;margin:0 auto;padding:28px 24px 48px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px}
h2{font-size:20px;margin:44px 0 8px;padding-top:18px;border-top:1px solid var(--rule)}
h3{font-size:15px;margin:26px 0 6px}
p{margin:6px 0}
a{color:var(--c0)}
.dim,footer{color:var(--dim)}
.state{font-weight:600}.died{color:var(--bad)}.stalled{color:var(--warn)}.live{color:var(--good)}
.verdict{background:var(--panel);border-left:4px solid var(--rule);padding:10px 14px;margin:14px 0}
.verdict p:first-child{font-weight:600}
.growing{border-color:var(--bad)}.steady,.shrinking{border-color:var(--good)}
.saw-tooth,.not-sure{border-color:var(--c0)}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;vertical-align:top;padding:4px 14px 4px 0;border-bottom:1px solid var(--rule)}
th{color:var(--dim);font-weight:500}
td{overflow-wrap:anywhere}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.number+:not(.number){padding-left:14px}
.time{white-space:nowrap;font-variant-numeric:tabular-nums}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(380px,1fr));gap:0 28px;margin:0}
.facts div{display:flex;gap:10px;border-bottom:1px solid var(--rule);padding:3px 0}
.facts .long{grid-column:1/-1}
dt{color:var(--dim);flex:0 0 118px}
dd{margin:0;overflow-wrap:anywhere}
figure{margin:22px 0 0;break-inside:avoid}
figcaption{display:flex;flex-wrap:wrap;gap:2px 18px;align-items:baseline}
figcaption b{font-weight:600}
svg{display:block;width:100%;height:auto}
svg.key{display:inline-block;width:26px;height:9px;vertical-align:middle;margin-right:6px}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.tick{fill:var(--dim)}
.grid{stroke:var(--grid);fill:none}
.axis{stroke:var(--rule);fill:none}
.mark{stroke:var(--warn);stroke-dasharray:2 3;fill:none}
.marked{fill:var(--warn)}
.line{stroke:var(--c);stroke-width:1.4;stroke-linejoin:round;stroke-linecap:round;fill:none}
.band{fill:var(--c);fill-opacity:.28;stroke:none}
.area{fill:var(--c);fill-opacity:.75;stroke:var(--ground);stroke-width:1}
.d1{stroke-dasharray:7 3}.d2{stroke-dasharray:2 3}.d3{stroke-dasharray:8 3 2 3}
footer{margin-top:44px;padding-top:12px;border-top:1px solid var(--rule);font-size:13px}
@media print{main{max-width:none;padding:0}h2{break-before:auto}body{font-size:11pt}
.verdict,.facts div,tr{break-inside:avoid}*{print-color-adjust:exact}}
"""
)
