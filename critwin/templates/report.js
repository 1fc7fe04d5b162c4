"use strict";
// Model text reaches the page as text only: every node below is made by `make` or `draw`.

const originals = JSON.parse(document.getElementById("data").textContent).originals;
const find = (id) => document.getElementById(id);
const state = { shown: [], chosen: null, position: null, common: 0 };

function make(tag, properties = {}, children = []) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") node.textContent = value;
    else if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function draw(tag, attributes = {}, children = []) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const percent = (share) => `${Math.round(100 * share)} %`;
const signed = (change) => (change === null ? "" : `${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(2)}`);
const own = (original) => original.curves.find((curve) => curve.own);
const byForks = (original) => original.estimator === "forks";

function verdict(original) {
  if (original.unscored) return "unscored";
  return original.correct === null ? "unknown" : original.correct ? "right" : "wrong";
}

const MARKS = { right: "✓", wrong: "✗", unscored: "?", unknown: "·" };
const WORDS = { right: "right", wrong: "wrong", unscored: "unscored", unknown: "no verdict" };

// ---- the list ----

function matches(original) {
  const wanted = find("verdict").value;
  if (wanted !== "all" && verdict(original) !== wanted) return false;
  if (find("windowed").checked && original.windows.length === 0) return false;
  const words = find("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => original.haystack.includes(word));
}

function ordered(list) {
  const order = find("order").value;
  const start = (original) => (own(original) ? own(original).agreement[0] : 2);
  if (order === "jump") return list.sort((a, b) => (b.jump ?? -2) - (a.jump ?? -2));
  if (order === "start") return list.sort((a, b) => start(a) - start(b));
  return list;
}

function entry(original) {
  const kind = verdict(original);
  const flag = original.windows.length ? " has a window," : "";
  return make("li", {}, [
    make("button", {
      type: "button",
      "data-id": original.id,
      title: original.id,
      "aria-label": `${original.id}, ${WORDS[kind]}, answer ${original.label},${flag} jump ${signed(original.jump)}`,
      on: { click: () => choose(original, true), keydown: walk },
    }, [
      make("span", { class: kind, text: MARKS[kind] }),
      make("span", { class: "name", text: `${original.label}  ·  ${original.id.slice(state.common)}` }),
      make("span", { class: "jump" }, [
        make("span", { class: "flag", text: original.windows.length ? "▮ " : "" }),
        signed(original.jump),
      ]),
    ]),
  ]);
}

function walk(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const buttons = [...find("list").querySelectorAll("button")];
  const next = buttons[buttons.indexOf(event.currentTarget) + step];
  if (next) next.focus();
}

function list() {
  state.shown = ordered(originals.filter(matches));
  find("list").replaceChildren(...state.shown.map(entry));
  find("shown").textContent = `${state.shown.length} of ${originals.length} answers`;
  mark();
}

function mark() {
  for (const button of find("list").querySelectorAll("button")) {
    const current = state.chosen !== null && button.dataset.id === state.chosen.id;
    button.setAttribute("aria-current", String(current));
  }
}

// ---- one original ----

function choose(original, moved) {
  state.chosen = original;
  state.position = visited(original, beginning(original));
  mark();
  const detail = find("detail");
  detail.replaceChildren(...described(original));
  hold(state.position);
  if (moved && matchMedia("(max-width: 46rem)").matches) {
    detail.focus({ preventScroll: true });
    detail.scrollIntoView();
  }
}

// Where to look first: at the forked token with the largest jump, in the first window if there is one.
function beginning(original) {
  const [window] = original.windows;
  const inside = Object.keys(original.forked).map(Number).filter((at) => !window || (window.start <= at && at < window.end));
  inside.sort((a, b) => Math.abs(original.forked[b].jump) - Math.abs(original.forked[a].jump));
  return inside[0] ?? window?.start ?? 0;
}

// The last cut that keeps no more than `position`, so that there are resamples to show.
function visited(original, position) {
  if (original.everywhere) return position;
  const cuts = own(original)?.position ?? [0];
  return cuts.filter((cut) => cut <= position).at(-1) ?? cuts[0];
}

function described(original) {
  const kind = verdict(original);
  const chip = (name, value, style = "") => make("span", {}, [`${name} `, make("b", { class: style, text: value })]);
  const parts = [
    make("h3", { text: original.id }),
    make("p", { class: "question", text: original.prompt }),
    make("div", { class: "chips" }, [
      chip("answer", original.label, kind),
      chip("truth", original.truth ?? "none"),
      chip("verdict", WORDS[kind], kind),
      chip("tokens", String(original.tokens.length)),
      chip("ended by", original.finish ?? "unknown"),
      ...(original.certain ? [chip("windows", original.certain)] : []),
    ]),
    answer(original),
    make("p", { class: "key" }, [
      "surprisal 0 ", make("i"), " 4 nats or more · ", make("u", { text: "window" }),
      " · faded: not kept at the chosen cut",
      byForks(original) ? " · underlined: the token that was made another one" : "",
    ]),
  ];
  if (own(original)) {
    parts.push(
      make("h3", { text: "Where resamples end, over the tokens kept" }), chart(original), legend(original),
      make("div", { id: "draws", "aria-live": "polite" }), ...deciding(original),
    );
  } else parts.push(make("p", { text: "This answer was not resampled." }));
  return parts;
}

function answer(original) {
  const box = make("div", { class: "answer" });
  box.addEventListener("click", (event) => {
    const token = event.target.closest(".token");
    if (!token) return;
    state.position = visited(original, Number(token.dataset.index));
    hold(state.position);
  });
  let inside = null;
  original.tokens.forEach((text, index) => {
    const surprisal = original.surprisal[index];
    const special = /^<\|?[^<>\s]*\|?>$/.test(text);
    const token = make("span", {
      class: special ? "token special" : "token",
      text,
      "data-index": index,
      title: `token ${index + 1}: ${surprisal === null ? "unknown" : surprisal.toFixed(2)} nats`,
    });
    const heat = 0.55 * Math.min(1, (surprisal ?? 0) / 4);
    if (heat > 0.01) token.style.backgroundColor = `rgba(var(--heat), ${heat.toFixed(3)})`;
    const window = original.windows.find((w) => w.start <= index && index < w.end);
    if (window && inside?.window !== window) {
      const name = `window, jump ${signed(window.jump)}`;
      inside = { window, node: make("span", { class: "window", role: "group", "aria-label": name }) };
      box.append(inside.node);
    }
    (window ? inside.node : box).append(token);
  });
  return box;
}

// ---- the curve ----

const FRAME = { width: 720, height: 300, left: 52, right: 14, top: 24, bottom: 42 };
const DASHES = ["", "7 4", "2 3", "9 3 2 3", "4 2", "1 2"];

function chart(original) {
  const narrow = matchMedia("(max-width: 46rem)").matches;
  const frame = narrow ? { ...FRAME, width: 460, height: 320 } : FRAME;
  const length = original.tokens.length;
  const x = (position) => frame.left + (position / length) * (frame.width - frame.left - frame.right);
  const y = (share) => frame.top + (1 - share) * (frame.height - frame.top - frame.bottom);
  const svg = draw("svg", {
    viewBox: `0 0 ${frame.width} ${frame.height}`, role: "group",
    "aria-label": "Share of resamples that end in each answer, over the tokens kept",
  });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(draw("line", { class: "grid", x1: x(0), x2: x(length), y1: y(share), y2: y(share) }));
    svg.append(draw("text", { x: x(0) - 7, y: y(share) + 4, "text-anchor": "end", text: percent(share) }));
  }
  for (const tick of ticks(length, narrow ? 4 : 8)) {
    svg.append(draw("text", { x: x(tick), y: y(0) + 18, "text-anchor": "middle", text: tick }));
  }
  svg.append(draw("text", { x: (x(0) + x(length)) / 2, y: frame.height - 4, "text-anchor": "middle", text: "tokens kept" }));
  for (const window of original.windows) {
    const middle = Math.min(Math.max((x(window.start) + x(window.end)) / 2, x(0) + 85), x(length) - 85);
    const interval = `${signed(window.jump)} [${window.lower.toFixed(2)}, ${window.upper.toFixed(2)}]`;
    svg.append(
      draw("rect", { class: "shade", x: x(window.start), width: x(window.end) - x(window.start), y: y(1), height: y(0) - y(1) }),
      draw("text", { x: middle, y: y(1) - 8, "text-anchor": "middle", text: `window ${interval}` }),
    );
  }
  const cursor = draw("line", { class: "cursor", id: "cursor", y1: y(1), y2: y(0) });
  cursor.place = (position) => { cursor.setAttribute("x1", x(position)); cursor.setAttribute("x2", x(position)); };
  svg.append(cursor);
  original.curves.forEach((curve, index) => svg.append(...line(curve, index, x, y)));
  if (original.everywhere) svg.append(...choices(original, x, y), ...slider(original, x, y));
  else svg.append(...points(original, x, y));
  return svg;
}

function ticks(length, count) {
  const rough = length / count;
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? 1;
  return Array.from({ length: Math.floor(length / step) + 1 }, (_, index) => index * step);
}

function line(curve, index, x, y) {
  const at = (values) => curve.position.map((position, i) => `${x(position)},${y(values[i])}`);
  const color = `var(--c${index % DASHES.length})`;
  const parts = [];
  if (curve.own) {
    const outline = [...at(curve.upper), ...at(curve.lower).reverse()].join(" ");
    parts.push(draw("polygon", { class: "band", points: outline, style: `fill: ${color}` }));
  }
  parts.push(draw("polyline", {
    class: "curve", points: at(curve.agreement).join(" "),
    style: `stroke: ${color}`, "stroke-dasharray": DASHES[index % DASHES.length],
  }));
  return parts;
}

function points(original, x, y) {
  const curve = own(original);
  return curve.position.map((position, i) => {
    const point = draw("g", { class: "point", tabindex: 0, role: "button", "data-position": position, "aria-label": told(original, position) }, [
      draw("title", { text: told(original, position) }),
      draw("rect", { class: "hit", x: x(position) - 11, width: 22, y: y(1), height: y(0) - y(1) }),
      draw("circle", { class: "dot", cx: x(position), cy: y(curve.agreement[i]), r: 5, style: "fill: var(--c0)" }),
    ]);
    const pin = () => { state.position = position; hold(position); };
    point.addEventListener("mouseenter", () => hold(position));
    point.addEventListener("mouseleave", () => hold(state.position));
    point.addEventListener("focus", pin);
    point.addEventListener("click", pin);
    point.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const next = step && find("detail").querySelectorAll(".point")[i + step];
      if (next) { event.preventDefault(); next.focus(); }
    });
    return point;
  });
}

// How much of a choice each token was: a mark at the axis, as high as its surprisal.
function choices(original, x, y) {
  if (!byForks(original)) return [];
  return original.surprisal.flatMap((surprisal, index) => {
    const height = 18 * Math.min(1, (surprisal ?? 0) / 2);
    return height < 1 ? [] : [draw("line", { class: "choice", x1: x(index + 0.5), x2: x(index + 0.5), y1: y(0), y2: y(0) - height })];
  });
}

// A curve with a value at every position: the whole width is one control.
function slider(original, x, y) {
  const curve = own(original), length = original.tokens.length;
  const dot = draw("circle", { class: "dot", id: "dot", r: 5, style: "fill: var(--c0)" });
  const hit = draw("rect", {
    class: "hit", id: "slider", tabindex: 0, role: "slider", "aria-label": "tokens kept", "aria-valuemin": 0,
    "aria-valuemax": length, x: x(0), width: x(length) - x(0), y: y(1), height: y(0) - y(1),
  });
  dot.place = (position) => {
    dot.setAttribute("cx", x(position));
    dot.setAttribute("cy", y(curve.agreement[entryOf(curve, position)]));
    hit.setAttribute("aria-valuenow", position);
    hit.setAttribute("aria-valuetext", told(original, position));
  };
  const at = (event) => {
    const box = hit.getBoundingClientRect();
    return Math.max(0, Math.min(length, Math.round(((event.clientX - box.left) / box.width) * length)));
  };
  const pin = (position) => { state.position = Math.max(0, Math.min(length, position)); hold(state.position); };
  hit.addEventListener("mousemove", (event) => hold(at(event)));
  hit.addEventListener("mouseleave", () => hold(state.position));
  hit.addEventListener("click", (event) => pin(at(event)));
  hit.addEventListener("keydown", (event) => {
    const next = {
      ArrowRight: state.position + 1, ArrowLeft: state.position - 1, ArrowUp: state.position + 1,
      ArrowDown: state.position - 1, PageUp: state.position + 10, PageDown: state.position - 10, Home: 0, End: length,
    }[event.key];
    if (next !== undefined) { event.preventDefault(); pin(next); }
  });
  return [dot, hit];
}

// Curves at every position are given where they bend: the last entry before a position holds there.
function entryOf(curve, position) {
  const after = curve.position.findIndex((other) => other > position);
  return (after === -1 ? curve.position.length : after) - 1;
}

function told(original, position) {
  const curve = own(original), i = entryOf(curve, position);
  const kept = `${position} tokens kept`;
  if (position === original.tokens.length) return `${kept}: the whole answer, nothing resampled`;
  const unscored = curve.unscored[i] > 0 ? `, ${percent(curve.unscored[i])} unscored` : "";
  const interval = `[${percent(curve.lower[i])}, ${percent(curve.upper[i])}]`;
  if (byForks(original)) return `${kept}: ${percent(curve.agreement[i])} ${interval} of resamples agree, by ${curve.trials[i]} forks${unscored}`;
  return `${kept}: ${percent(curve.agreement[i])} ${interval} of ${curve.trials[i]} resamples agree${unscored}`;
}

function legend(original) {
  const items = original.curves.map((curve, index) => make("li", {}, [
    draw("svg", { viewBox: "0 0 32 10", "aria-hidden": "true" }, [draw("line", {
      x1: 0, x2: 32, y1: 5, y2: 5, "stroke-width": 2.5,
      style: `stroke: var(--c${index % DASHES.length})`, "stroke-dasharray": DASHES[index % DASHES.length],
    })]),
    ` ${curve.label}${curve.own ? " (this answer; band: pointwise 95 %)" : ""}`,
  ]));
  const hidden = original.others + 1 - original.curves.length;
  if (hidden > 0) items.push(make("li", { text: `and ${hidden} rarer labels` }));
  return make("ul", { class: "legend" }, items);
}

// ---- the chosen cut ----

function hold(position) {
  const original = state.chosen;
  for (const token of find("detail").querySelectorAll(".token")) {
    const index = Number(token.dataset.index);
    token.classList.toggle("dropped", index >= position && position > 0);
    token.classList.toggle("replaced", byForks(original) && index === position);
  }
  for (const point of find("detail").querySelectorAll(".point")) {
    point.classList.toggle("chosen", Number(point.dataset.position) === position);
  }
  find("cursor")?.place(position);
  find("dot")?.place(position);
  find("draws")?.replaceChildren(...draws(original, position));
}

function draws(original, position) {
  const heading = make("h3", { text: told(original, position) });
  if (byForks(original)) return [heading, ...forks(original, position)];
  const chosen = original.draws[position];
  if (!chosen) return [heading];
  const count = chosen.reduce((sum, drawn) => sum + drawn.count, 0);
  const curve = own(original);
  const of = curve.trials[entryOf(curve, position)];
  return [heading, make("p", { class: "key", text: `${count} of the ${of} resamples:` }), continuations(original, position, chosen)];
}

function continuations(original, position, chosen) {
  const tail = original.tokens.slice(Math.max(0, position - 6), position).join("");
  return make("ul", { class: "draws" }, chosen.map((drawn) => make("li", { class: drawn.label === original.label ? "same" : "other" }, [
    make("div", { class: "label", text: `→ ${drawn.label}${drawn.count > 1 ? `  × ${drawn.count}` : ""}` }),
    make("div", { class: "text" }, [make("span", { class: "tail", text: position ? `…${tail}` : "" }), drawn.text]),
  ])));
}

// ---- what forks say of a token ----

const quoted = (text) => `“${text.replace(/\n/g, "↵")}”`;
const jumped = (token) => `${signed(token.jump)} [${signed(token.lower)}, ${signed(token.upper)}]`;
const led = (labels) => labels.map(([label, count]) => `${label} × ${count}`).join(", ");

function forks(original, position) {
  const token = original.forked[position];
  if (position === original.tokens.length) return [];
  const taken = `Token ${position + 1}, ${quoted(original.tokens[position])}`;
  if (!token) return [make("p", { class: "key", text: `${taken}: no forks to show. The sampler had hardly a choice here, or its choices change the answer less than those shown.` })];
  const said = `${taken}, had probability ${token.probability.toFixed(3)}. With it ${percent(token.value)} agree, with another one ${percent(token.elsewhere)} (${token.forks} forks): jump ${jumped(token)}.`;
  return [
    make("p", { text: said }),
    make("ul", { class: "instead" }, token.instead.map((other) => make("li", {}, [
      make("b", { text: quoted(other.token) }), ` × ${other.forks} → ${led(other.labels)}`,
    ]))),
    continuations(original, position, original.draws[position] ?? []),
  ];
}

// The tokens that carry the change, largest first; a click shows their forks.
function deciding(original) {
  const positions = Object.keys(original.forked).map(Number);
  positions.sort((a, b) => Math.abs(original.forked[b].jump) - Math.abs(original.forked[a].jump));
  const shown = positions.slice(0, 8).filter((at) => Math.abs(original.forked[at].jump) >= 0.005);
  if (shown.length === 0) return [];
  const head = ["token", "taken", "probability", "jump, joint 95 %", "agree with it", "without", "forks", "instead"];
  const row = (at) => {
    const token = original.forked[at];
    const cells = [
      token.probability.toFixed(3), jumped(token), percent(token.value), percent(token.elsewhere), token.forks,
      token.instead.slice(0, 3).map((other) => `${quoted(other.token)} → ${other.labels[0][0]}`).join("; "),
    ];
    const show = make("button", { type: "button", text: quoted(original.tokens[at]), on: { click: () => { state.position = at; hold(at); } } });
    return make("tr", {}, [make("td", { text: at + 1 }), make("th", { scope: "row" }, [show]), ...cells.map((text) => make("td", { text }))]);
  };
  return [
    make("h3", { text: "The tokens that decided" }),
    make("div", { class: "scroll" }, [make("table", { class: "deciding" }, [
      make("thead", {}, [make("tr", {}, head.map((text) => make("th", { scope: "col", text })))]),
      make("tbody", {}, shown.map(row)),
    ])]),
  ];
}

// ---- the page ----

// Length of what all names begin with, up to the last mark that ends a part of a name.
function shared(names) {
  const first = names[0] ?? "";
  let length = names.length > 1 ? first.length : 0;
  while (length > 0 && !names.every((name) => name.startsWith(first.slice(0, length)))) length -= 1;
  return first.slice(0, length).search(/[-_/.:][^-_/.:]*$/) + 1;
}

function paint(theme) {
  document.documentElement.dataset.theme = theme;
  find("theme").textContent = theme === "dark" ? "Light" : "Dark";
}

function begin() {
  paint(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  find("theme").addEventListener("click", () => paint(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  for (const original of originals) {
    original.haystack = [original.id, original.label, original.truth ?? "", original.prompt, original.tokens.join("")].join(" ").toLowerCase();
  }
  state.common = shared(originals.map((original) => original.id));
  for (const id of ["search", "verdict", "order", "windowed"]) find(id).addEventListener("input", list);
  list();
  const asked = decodeURIComponent(location.hash.slice(1));
  const first = originals.find((original) => original.id === asked) ?? state.shown[0];
  if (first) choose(first, false);
}

begin();
