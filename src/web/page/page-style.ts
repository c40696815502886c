/** The page's only style. Its hash is in the content security policy. */
export const pageStyle = `
:root {
  color-scheme: light dark;
  --ground: #f5f6f4; --card: #ffffff; --ink: #18201c; --soft: #59645e; --line: #e2e6e2; --track: #e8ebe8; --code: #f0f2ef;
  --good: #18714a; --busy: #2463a6; --waiting: #85590a; --bad: #b32b22; --split: #7340a8; --calm: #59645e;
  --size: #b9c9c0; --newest: #18714a; --records: #2463a6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #101412; --card: #181d1a; --ink: #e6ebe7; --soft: #9aa69f; --line: #29302c; --track: #29302c; --code: #212824;
    --good: #62d29c; --busy: #84b9f4; --waiting: #e3b75d; --bad: #ff8d82; --split: #c8a1f2; --calm: #9aa69f;
    --size: #3c4a43; --newest: #4fb886; --records: #84b9f4;
  }
}
.good { --tone: var(--good); } .busy { --tone: var(--busy); } .waiting { --tone: var(--waiting); }
.bad { --tone: var(--bad); } .split { --tone: var(--split); } .calm { --tone: var(--calm); }
* { box-sizing: border-box; margin: 0; }
html { -webkit-text-size-adjust: 100%; }
body {
  background: var(--ground); color: var(--ink); padding: 1.25rem 1.25rem 3rem;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
header, main, footer { max-width: 62rem; margin-inline: auto; }
header { display: flex; justify-content: space-between; gap: 1rem; padding-block: .25rem 1rem; color: var(--soft); font-size: .9rem; }
.brand { font-weight: 650; color: var(--ink); letter-spacing: -.01em; }
.host { overflow-wrap: anywhere; }
main { display: grid; gap: 1rem; }
main { grid-template-columns: minmax(0, 1fr); }
main > *, .columns > *, .cards > * { min-width: 0; }
h2 { font-size: .8rem; font-weight: 600; color: var(--soft); letter-spacing: .02em; }
h3 { font-size: .85rem; font-weight: 600; margin-top: 1.1rem; }
p, li, dd { overflow-wrap: anywhere; }
.note, .utc { color: var(--soft); font-size: .875rem; }
.utc { white-space: nowrap; }
time { text-decoration: none; }
code { font: .84em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
pre { background: var(--code); border-radius: .5rem; padding: .7rem .9rem; margin-block: .5rem .9rem; white-space: pre-wrap; }
a { color: inherit; text-underline-offset: .2em; text-decoration-color: var(--soft); }
a:focus-visible { outline: 2px solid var(--busy); outline-offset: 3px; border-radius: 2px; }
.summary {
  display: flex; gap: 1.4rem; align-items: flex-start; padding: 2rem 1.9rem; border-radius: 1.1rem;
  background: color-mix(in srgb, var(--tone) 9%, var(--card));
  border: 1px solid color-mix(in srgb, var(--tone) 26%, var(--card));
}
.summary > div { min-width: 0; }
.summary h1 {
  font-size: clamp(1.5rem, 1rem + 2.6vw, 2.4rem); line-height: 1.15; font-weight: 650; letter-spacing: -.022em;
  text-wrap: balance; overflow-wrap: anywhere;
}
.word { white-space: nowrap; }
.summary p { margin-top: .55rem; max-width: 44rem; }
.icon { flex: none; width: clamp(2.4rem, 6vw, 3.4rem); height: auto; fill: none; stroke-linecap: round; stroke-linejoin: round; }
.icon circle { fill: var(--tone); }
.icon path { stroke: var(--card); stroke-width: 2; }
.remedy { padding-left: .9rem; border-left: 3px solid var(--tone, var(--waiting)); font-weight: 550; }
.panel, .card { background: var(--card); border: 1px solid var(--line); border-radius: .9rem; padding: 1.2rem 1.35rem; }
.panel > * + * { margin-top: .6rem; }
.panel.split { border-color: color-mix(in srgb, var(--split) 40%, var(--card)); }
.panel ul { padding-left: 1.2rem; }
.panel.split pre { margin-bottom: 0; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 16rem), 1fr)); }
.value { font-size: 1.5rem; line-height: 1.3; font-weight: 620; letter-spacing: -.015em; margin-block: .15rem .3rem; }
.columns { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.bar { display: block; width: 100%; height: .5rem; border-radius: .25rem; margin-block: .35rem .45rem; }
.bar .track { fill: var(--track); }
.bar .fill { fill: var(--soft); }
.bar.tone .fill { fill: var(--tone); }
.bar.bad .fill { fill: var(--bad); }
figure { margin-top: 1rem; }
.chart { display: block; width: 100%; height: 9.5rem; }
.ground { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke; }
.older { fill: var(--size); } .own { fill: var(--newest); } rect.tip { fill: var(--split); }
.chart rect:hover { opacity: .75; }
.line, .dots { fill: none; stroke: var(--records); vector-effect: non-scaling-stroke; stroke-linejoin: round; stroke-linecap: round; pointer-events: none; }
.line { stroke-width: 1.75; opacity: .75; }
.dots { stroke-width: 5; }
.rhythm { display: block; width: 100%; height: .6rem; margin-top: .7rem; }
.ticks { stroke: var(--soft); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.axis { display: flex; justify-content: space-between; color: var(--soft); font-size: .8rem; margin-top: .15rem; }
figcaption { display: flex; flex-wrap: wrap; gap: .3rem 1.3rem; color: var(--soft); font-size: .85rem; margin-top: .6rem; }
.key::before { content: ""; display: inline-block; width: .7rem; height: .7rem; border-radius: .15rem; margin-right: .45rem; background: var(--size); }
.key.own::before { background: var(--newest); }
.key.records::before { background: var(--records); border-radius: 50%; width: .55rem; height: .55rem; }
.key.tip::before { background: var(--split); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: .8rem; }
th, td { padding: .45rem .9rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: baseline; }
tr:last-child td { border-bottom: 0; }
td, td code { white-space: nowrap; }
.number { text-align: right; }
td.host { max-width: 14rem; overflow: hidden; text-overflow: ellipsis; }
.mark { display: inline-block; font-size: .75rem; line-height: 1.35; padding: .05rem .45rem; border-radius: 1rem; background: var(--code); color: var(--soft); white-space: nowrap; }
.mark.tip { background: color-mix(in srgb, var(--split) 16%, var(--card)); color: var(--split); }
dl { display: grid; grid-template-columns: auto 1fr; gap: .4rem 1.2rem; font-size: .95rem; }
dt { color: var(--soft); }
dd { min-width: 0; }
.copies { list-style: none; padding: 0 !important; font-size: .9rem; }
.copies li { display: flex; justify-content: space-between; gap: 1rem; padding-block: .15rem; }
.copies span { white-space: nowrap; }
.events { list-style: none; padding: 0; font-size: .92rem; }
.events li { display: grid; grid-template-columns: 16rem 1fr; gap: 0 1.5rem; padding-block: .42rem; border-top: 1px solid var(--line); }
.events li:first-child { border-top: 0; }
.when { color: var(--soft); display: flex; justify-content: space-between; gap: 1rem; }
.what { overflow-wrap: anywhere; min-width: 0; }
.events .error .what { color: var(--bad); } .events .warn .what { color: var(--waiting); }
.message { overflow-wrap: anywhere; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
footer { color: var(--soft); font-size: .85rem; margin-top: 1.5rem; display: flex; flex-wrap: wrap; justify-content: space-between; gap: .2rem 1.5rem; }
@media (max-width: 40rem) {
  body { padding: .9rem .9rem 2.5rem; }
  .summary { padding: 1.35rem 1.2rem; gap: 1rem; }
  .panel, .card { padding: 1rem 1.1rem; }
  .events li { grid-template-columns: 1fr; }
  .chart { height: 8rem; }
}
@media (prefers-contrast: more) { :root { --soft: var(--ink); --line: currentcolor; } }
`;
