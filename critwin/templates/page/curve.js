// ---- the curve ----

const DASHES = ["", "7 4", "2 3", "9 3 2 3", "4 2", "1 2"];
const ROOM = { left: 44, right: 10, top: 18, bottom: 34 };
const AROUND = 40; // tokens on both sides of the chosen one, where the curve shows its neighbourhood
const chart = { x: null, y: null, low: 0, high: 1 };

function curveBox(original) {
  const box = make("div", { class: "chart" }, [draw("svg", { id: "curve", role: "group", "aria-label": `probability of each label over the ${unit}` })]);
  new ResizeObserver(() => { if (find("curve") === box.firstChild) drawCurve(); }).observe(box);
  return box;
}

function drawCurve() {
  const { original } = state, svg = find("curve");
  if (!svg) return;
  const width = svg.parentNode.clientWidth, height = svg.parentNode.clientHeight;
  if (width < 2 * ROOM.left || height < 2 * ROOM.bottom) return; // not laid out
  const { length } = original;
  chart.low = state.near ? Math.max(0, state.at - AROUND) : 0;
  chart.high = state.near ? Math.min(length, state.at + AROUND) : length;
  chart.x = (position) => ((position - chart.low) / (chart.high - chart.low)) * (width - ROOM.left - ROOM.right);
  chart.y = (share) => (1 - share) * (height - ROOM.top - ROOM.bottom);
  const { x, y } = chart;
  const inner = draw("svg", {
    x: ROOM.left, y: ROOM.top, width: width - ROOM.left - ROOM.right, height: height - ROOM.top - ROOM.bottom, class: "plot",
  }, [...frames(original), ...choices(original), ...original.curves.flatMap((curve, i) => lines(original, curve, i)).reverse()]);
  const focused = document.activeElement?.id === "slider";
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(...axes(x, y), inner, ...slider(original, width, height));
  if (focused) find("slider").focus();
  point(state.at);
}

function axes(x, y) {
  const shares = [0, 0.5, 1].flatMap((share) => [
    draw("line", { class: "grid", x1: ROOM.left, x2: ROOM.left + x(chart.high), y1: ROOM.top + y(share), y2: ROOM.top + y(share) }),
    draw("text", { x: ROOM.left - 6, y: ROOM.top + y(share) + 4, "text-anchor": "end", text: percent(share) }),
  ]);
  const marks = ticks(chart.low, chart.high, x(chart.high) / 75).map((tick) => draw("text", {
    x: ROOM.left + x(tick), y: ROOM.top + y(0) + 15, "text-anchor": "middle", text: tick,
  }));
  return [...shares, ...marks, draw("text", { x: ROOM.left + x(chart.high) / 2, y: ROOM.top + y(0) + 30, "text-anchor": "middle", text: unit })];
}

function ticks(low, high, count) {
  const rough = (high - low) / Math.max(count, 2);
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const size = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough) ?? 1;
  const first = Math.ceil(low / size);
  return Array.from({ length: Math.max(0, Math.floor(high / size) - first + 1) }, (_, i) => (first + i) * size);
}

// Frames as wide as a hair are still seen: they are given three pixels.
function frames(original) {
  const { x, y } = chart;
  return original.windows.map((w) => {
    const wide = Math.max(3, x(w.end) - x(w.start));
    return draw("rect", { class: "window", x: (x(w.start) + x(w.end) - wide) / 2, width: wide, y: 0, height: y(0) });
  });
}

// How much of a choice each token was: a mark at the axis, as high as its surprisal.
function choices(original) {
  const { x, y } = chart;
  const path = original.surprisal.map((value, i) => {
    const high = 14 * Math.min(1, (value ?? 0) / 300);
    return high < 1 ? "" : `M${x(i + 0.5).toFixed(1)} ${y(0)}v${-high.toFixed(1)}`;
  });
  return [draw("path", { class: "choices", d: path.join("") })];
}

function lines(original, curve, number) {
  const { x, y } = chart;
  const at = (values) => values.map((value, i) => `${x(positionOf(original, i)).toFixed(1)},${y(value / 1000).toFixed(1)}`);
  const color = `var(--c${number})`;
  const made = [draw("polyline", {
    class: curve.own ? "line own" : "line", points: at(curve.p).join(" "), style: `stroke: ${color}`, "stroke-dasharray": DASHES[number],
  })];
  if (!curve.own) return made;
  if (original.stops !== null && original.stops.length < 60) {
    made.unshift(...curve.p.map((value, i) => draw("circle", { cx: x(positionOf(original, i)), cy: y(value / 1000), r: 3, style: `fill: ${color}` })));
  }
  made.push(draw("polygon", { class: "band", points: [...at(curve.upper), ...at(curve.lower).reverse()].join(" "), style: `fill: ${color}` }));
  return made;
}

// The whole width is one control: the pointer and the arrow keys go through tokens, or levels.
function slider(original, width, height) {
  const hit = draw("rect", {
    class: "hit", id: "slider", tabindex: 0, role: "slider", "aria-label": unit, "aria-valuemin": byTokens ? 1 : 0,
    "aria-valuemax": original.length, x: ROOM.left, y: 2, width: width - ROOM.left - ROOM.right, height: height - 16,
  });
  const place = (event) => {
    const box = hit.getBoundingClientRect();
    const share = clamp((event.clientX - box.left) / box.width, 0, 1);
    const kept = chart.low + share * (chart.high - chart.low);
    if (byTokens) return clamp(Math.ceil(kept) - 1, 0, original.length - 1);
    return original.stops === null ? Math.round(kept) : original.stops.reduce((a, b) => (Math.abs(b - kept) < Math.abs(a - kept) ? b : a));
  };
  hit.addEventListener("mousemove", (event) => { const at = place(event); hover(at); if (find(`t${at}`)) within(find("text"), find(`t${at}`)); });
  hit.addEventListener("mouseleave", () => hover(null));
  hit.addEventListener("click", (event) => pin(place(event)));
  hit.addEventListener("keydown", (event) => {
    if (byTokens) { step(event); return; }
    const stop = stopBefore(original, state.at), last = own(original).p.length - 1;
    const next = { ArrowRight: stop + 1, ArrowUp: stop + 1, ArrowLeft: stop - 1, ArrowDown: stop - 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape") find("list").focus();
    else if (event.key === "Enter") find("token").focus();
    else if (next === undefined) return;
    else pin(positionOf(original, clamp(next, 0, last)));
    event.preventDefault();
  });
  return [draw("rect", { class: "column", id: "column", y: ROOM.top, height: height - ROOM.top - ROOM.bottom }), draw("circle", { class: "dot", id: "dot", r: 4.5 }), hit];
}

// Put the cursor on a token, or a level, and say what is there.
function point(at) {
  const { original } = state, curve = own(original);
  find("readout").textContent = told(original, at);
  if (!curve || !chart.x || !find("column")) return;
  const kept = byTokens ? at + 1 : at;
  const wide = byTokens ? Math.max(2, chart.x(kept) - chart.x(at)) : 2;
  const column = find("column");
  column.setAttribute("x", ROOM.left + chart.x(kept) - wide);
  column.setAttribute("width", wide);
  find("slider").setAttribute("aria-valuenow", kept);
  find("slider").setAttribute("aria-valuetext", told(original, at));
  const value = probability(original, curve, kept);
  const inside = value !== null && kept >= chart.low && kept <= chart.high;
  find("dot").setAttribute("cx", inside ? ROOM.left + chart.x(kept) : -99);
  find("dot").setAttribute("cy", ROOM.top + chart.y(value ?? 0));
}

function told(original, at) {
  const curve = own(original), kept = byTokens ? at + 1 : at;
  const what = byTokens ? `token ${at + 1} of ${original.length}, ${quoted(original.tokens[at])}` : `${at} of ${original.length} steps taken`;
  const stop = curve ? stopBefore(original, kept) : -1;
  if (stop < 0) return what;
  const cut = positionOf(original, stop);
  if (cut === original.length) return `${what}: the whole ${NOUN}`;
  const where = cut !== kept ? `at the last cut, ${cut} kept` : byTokens ? "with it kept" : "from there";
  const interval = `[${percent(curve.lower[stop] / 1000)}, ${percent(curve.upper[stop] / 1000)}]`;
  const draws = counted(curve.trials[stop], byForks(original) ? "fork" : "resample");
  const trials = curve.trials[stop] > 0 ? draws : "nothing was drawn after it";
  const unscored = curve.unscored[stop] > 0 ? `, ${percent(curve.unscored[stop] / 1000)} unscored` : "";
  return `${what}: ${percent(curve.p[stop] / 1000)} ${interval} agree ${where} (${trials}${unscored})`;
}
