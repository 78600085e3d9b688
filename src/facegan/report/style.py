"""How the page looks, wide or narrow, by day or by night."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f7f6f3; --card: #ffffff; --ink: #1c1c21; --muted: #6a6a75; --hair: #e6e3dd;
  --accent: #2b5fd0; --good: #12805f; --code: #f1efea;
  --curve-0: #2b5fd0; --curve-1: #d4541b; --curve-2: #12805f; --curve-3: #9a3cae;
  --curve-4: #a67c00; --curve-5: #c42d5b; --curve-6: #2f8196; --curve-7: #6a6a75;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #131316; --card: #1c1c21; --ink: #ececf1; --muted: #a0a0ac; --hair: #32323b;
    --accent: #7aa7ff; --good: #4fd1a8; --code: #26262d;
    --curve-0: #7aa7ff; --curve-1: #ff9868; --curve-2: #4fd1a8; --curve-3: #d990e8;
    --curve-4: #e5c04c; --curve-5: #ff86a8; --curve-6: #77cde4; --curve-7: #b2b2be;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 70rem;
  background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
h1 { font-size: 2.1rem; line-height: 1.2; margin: 0; letter-spacing: -0.02em; }
h2 { font-size: 1.25rem; margin: 0 0 0.5rem; letter-spacing: -0.01em; }
h3 { font-size: 0.95rem; margin: 0 0 0.4rem; }
p { margin: 0 0 1rem; }
figure { margin: 0; }
img { display: block; max-width: 100%; border-radius: 4px; }
img.pixels { image-rendering: pixelated; }
.muted, figcaption, section > p { color: var(--muted); }
section > p { max-width: 46rem; }
figcaption { font-size: 0.85rem; margin-top: 0.4rem; }
section, .tiles > div {
  background: var(--card); border: 1px solid var(--hair); border-radius: 12px;
}
section { padding: 1.5rem; margin-top: 1.25rem; }
section > :last-child { margin-bottom: 0; }
section > p.absent, p.absent {
  color: var(--muted); border-left: 3px solid var(--hair); padding-left: 0.8rem; margin: 0.5rem 0;
}
header p { margin: 0.35rem 0 1.25rem; color: var(--muted); overflow-wrap: anywhere; }
.state { color: var(--accent); font-weight: 600; }
.state.finished { color: var(--good); }
.tiles { display: grid; gap: 0.75rem; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); }
.tiles > div { padding: 0.8rem 1rem; }
.tiles dt { font-size: 0.8rem; color: var(--muted); }
.tiles dd { margin: 0; font-size: 1.3rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.faces { display: grid; grid-template-columns: repeat(8, 1fr); gap: 4px; }
.faces img, .way img, .pair img, .near img, .frame img { width: 100%; }
.charts, .pair, .tables { display: grid; gap: 1.5rem; }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.pair { grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); }
.tables { grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); }
.chart svg { display: block; width: 100%; height: auto; overflow: visible; }
.chart text { font-size: 13px; fill: var(--muted); font-variant-numeric: tabular-nums; }
.chart .end { text-anchor: end; } .chart .mid { text-anchor: middle; }
.chart .hair { stroke: var(--hair); }
.chart polyline { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.chart circle { stroke: var(--card); stroke-width: 1; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; margin: 0 0 0.5rem; padding: 0; }
.legend { list-style: none; font-size: 0.85rem; color: var(--muted); }
.legend i { display: inline-block; width: 0.75rem; height: 0.75rem; border-radius: 3px; }
.legend i { margin-right: 0.4rem; vertical-align: -0.05rem; }
.legend b { color: var(--ink); font-variant-numeric: tabular-nums; }
.moments input { position: absolute; opacity: 0; pointer-events: none; }
.strip { display: flex; gap: 6px; overflow-x: auto; padding: 2px 2px 0.5rem; }
.strip label { flex: 1 0 3.2rem; cursor: pointer; text-align: center; font-size: 0.8rem; }
.strip label { color: var(--muted); border-bottom: 3px solid transparent; }
.strip label img { width: 100%; margin-bottom: 0.2rem; }
.strip label:hover { color: var(--ink); }
.frame { display: none; max-width: 34rem; margin: 0.75rem auto 0; }
.way { display: grid; gap: 0.9rem; }
.near { display: grid; grid-template-columns: repeat(8, 1fr); gap: 1rem 0.75rem; }
.near figure { display: grid; gap: 4px; align-content: start; }
.near .fake { outline: 3px solid var(--accent); outline-offset: -1px; margin-bottom: 6px; }
.near figcaption { margin: 0; text-align: center; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-size: 0.88rem; }
td, th { padding: 0.25rem 0; text-align: left; border-bottom: 1px solid var(--hair); }
th { font-weight: 400; color: var(--muted); padding-right: 1rem; vertical-align: top; }
th { min-width: 40%; }
.figures th { min-width: 0; }
.figures th[scope=col] { text-align: right; padding-right: 0; }
td { overflow-wrap: anywhere; text-align: right; font-variant-numeric: tabular-nums; }
code { font: 0.85rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: 0.2rem 0 1rem; padding: 0.7rem 0.9rem; border-radius: 8px; }
pre { background: var(--code); white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  body { padding: 1.25rem 0.75rem 2rem; }
  section { padding: 1.1rem 1rem; }
  h1 { font-size: 1.6rem; }
  .tiles dd { font-size: 1.1rem; }
  .faces { gap: 2px; }
  .near { grid-template-columns: repeat(4, 1fr); }
  .strip { gap: 3px; }
  .strip label { flex-basis: 2rem; font-size: 0.72rem; }
}
@media print { section { break-inside: avoid; } }
"""


def style_of_moments(count: int) -> str:
    """The rules by which choosing a moment shows its grid: no script needed."""
    frames = ", ".join(f"#moment-{k}:checked ~ .frames .frame-{k}" for k in range(count))
    labels = ", ".join(f"#moment-{k}:checked ~ .strip .label-{k}" for k in range(count))
    focused = ", ".join(f"#moment-{k}:focus-visible ~ .strip .label-{k}" for k in range(count))
    return (
        f"{frames} {{ display: block; }}\n"
        f"{labels} {{ color: var(--ink); border-color: var(--accent); }}\n"
        f"{focused} {{ outline: 2px solid var(--accent); }}\n"
    )
