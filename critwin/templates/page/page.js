// ---- one original ----

async function choose(entry, moved, at = null) {
  state.chosen = entry;
  mark();
  const original = await opened(entry);
  if (state.chosen !== entry) return; // another one was chosen meanwhile
  state.original = original;
  state.shade = 0;
  state.near = false;
  find("detail").replaceChildren(...described(original));
  shade();
  drawCurve();
  pin(clamp(at ?? beginning(original), 0, byTokens ? original.length - 1 : original.length), at === null);
  if (moved && matchMedia("(max-width: 46rem)").matches) find("detail").scrollIntoView();
}

// Where to look first: where most changes, in the first window if there is one.
function beginning(original) {
  const [window] = original.windows;
  const [most] = deciders(original).filter(({ at }) => !window || (window.start <= at && at < window.end));
  return most?.at ?? window?.start ?? 0;
}

// The places that decided, largest change first.
function deciders(original) {
  const curve = own(original);
  if (!curve) return [];
  const found = byForks(original)
    ? Object.entries(original.forked).map(([at, token]) => ({ at: Number(at), jump: token.jump }))
    : curve.p.slice(0, -1).map((value, stop) => ({ at: positionOf(original, stop), jump: (curve.p[stop + 1] - value) / 1000 }));
  if (!byForks(original)) found.pop(); // the last step ends in the original itself
  return found.sort((a, b) => Math.abs(b.jump) - Math.abs(a.jump)).slice(0, 8).filter(({ jump }) => Math.abs(jump) >= 0.02);
}

function described(original) {
  const place = state.shown.indexOf(state.chosen);
  const go = (label, text, next) => make("button", {
    type: "button", "aria-label": label, text, ...(state.shown[next] ? { on: { click: () => choose(state.shown[next], false) } } : { disabled: "" }),
  });
  return [
    make("div", { class: "title" }, [
      make("h3", { text: original.id }),
      make("span", { class: "go" }, [go("the one before", "‹", place - 1), go("the next one", "›", place < 0 ? 0 : place + 1)]),
    ]),
    ...question(original.prompt),
    chips(original),
    ...whole(original),
    ...(byTokens ? [text(original)] : []),
    ...(own(original) ? [curveBox(original)] : []),
    make("p", { id: "readout" }),
    ...(own(original) ? [legend(original), ...windowsOf(original), ...decisive(original)] : []),
    ...(byTokens ? [] : [levels(original)]),
  ];
}

function question(prompt) {
  if (!prompt) return [];
  const body = make("p", { class: "question", dir: "auto", text: prompt });
  if (prompt.length < 260) return [body];
  const first = prompt.trim().split("\n", 1)[0].slice(0, 90);
  return [make("details", { class: "asked" }, [make("summary", { dir: "auto", text: `${first} …` }), body])];
}

function chips(original) {
  const kind = original.verdict;
  const chip = (name, value, style = "") => make("span", {}, [`${name} `, make("b", { class: style }, [make("bdi", { text: value })])]);
  return make("div", { class: "chips" }, [
    ...(kind === "unknown" ? [] : [make("span", { class: kind }, [`${MARKS[kind]} `, make("b", { class: kind, text: WORDS[kind] })])]),
    chip(byTokens ? NOUN : "label", original.label), ...(original.truth === null ? [] : [chip("truth", original.truth)]),
    chip("largest jump", signed(original.jump) || "unknown"),
    chip(byTokens ? "tokens" : "steps", String(original.length)), ...(original.finish ? [chip("ended by", original.finish)] : []),
    ...(original.certain ? [chip("windows:", original.certain)] : []),
  ]);
}

// The labels of the curves: one of them shades the text.
function legend(original) {
  const items = original.curves.map((curve, number) => make("button", {
    type: "button", "aria-pressed": String(number === state.shade), title: byTokens ? "shade the text by this one" : null,
    on: { click: (event) => {
      state.shade = number;
      for (const button of event.currentTarget.parentNode.querySelectorAll("[aria-pressed]")) button.setAttribute("aria-pressed", String(button === event.currentTarget));
      shade();
    } },
  }, [
    draw("svg", { viewBox: "0 0 28 8", "aria-hidden": "true" }, [draw("line", { x1: 0, x2: 28, y1: 4, y2: 4, style: `stroke: var(--c${number})`, "stroke-dasharray": DASHES[number] })]),
    make("bdi", { text: curve.label }), curve.own ? " (this; 95 % band)" : "",
  ]));
  const near = make("button", {
    type: "button", class: "near", "aria-pressed": "false", text: `± ${AROUND} tokens`, title: "show the curve around the chosen token only",
    on: { click: (event) => { state.near = !state.near; event.currentTarget.setAttribute("aria-pressed", String(state.near)); drawCurve(); } },
  });
  return make("div", { class: "legend" }, byTokens && original.length > 3 * AROUND ? [...items, near] : items);
}

function decisive(original) {
  const found = deciders(original);
  if (found.length === 0 || !byTokens) return [];
  const name = (at) => {
    const stop = stopBefore(original, at);
    const end = byForks(original) || stop < 0 ? at + 1 : positionOf(original, Math.min(stop + 1, own(original).p.length - 1));
    return end === at + 1 ? quoted(original.tokens[at]) : `tokens ${at + 1}–${end}`;
  };
  return [jumps(byForks(original) ? "Tokens that decided:" : "Where most changes:", found.map(({ at, jump }) => [at, name(at), signed(jump)]))];
}

function windowsOf(original) {
  if (original.windows.length === 0) return [];
  const rows = original.windows.map((w) => [
    w.start, byTokens ? `tokens ${w.start + 1}–${w.end}` : `steps ${w.start}–${w.end}`,
    `${signed(w.jump)} [${signed(w.lower)}, ${signed(w.upper)}]${w.label === original.label ? "" : ` of ${w.label}`}`,
  ]);
  return [jumps(original.windows.length > 1 ? "Windows:" : "Window:", rows)];
}

// Places to go to, each with its name and what happens there.
function jumps(name, rows) {
  return make("div", { class: "decisive" }, [
    make("span", { class: "quiet", text: name }),
    ...rows.map(([at, place, change]) => make("button", { type: "button", on: { click: () => pin(at) } }, [make("b", { text: place }), ` ${change}`])),
  ]);
}

// ---- the page ----

// Length of what all names begin with, up to the last mark that ends a part of a name.
function shared(names) {
  const first = names[0] ?? "";
  let length = names.length > 1 ? first.length : 0;
  while (length > 0 && !names.every((name) => name.startsWith(first.slice(0, length)))) length -= 1;
  return first.slice(0, length).search(/[-_/.:][^-_/.:]*$/) + 1;
}

// The address names original and place, so that it can be sent to somebody.
function remember() {
  if (!state.ready) return;
  try {
    history.replaceState(null, "", `#${encodeURIComponent(state.chosen.id)}@${state.at}`);
  } catch { /* not allowed where the page is embedded */ }
}

function remembered() {
  const [id, at] = location.hash.slice(1).split("@");
  let name = id;
  try { name = decodeURIComponent(id); } catch { /* not one of ours */ }
  const entry = index.originals.find((original) => original.id === name);
  return entry && [entry, /^\d+$/.test(at) ? Number(at) : null];
}

function keys() {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) { find("search").focus(); event.preventDefault(); }
  });
  find("token").addEventListener("keydown", (event) => {
    if (event.key === "Escape") { inside(); event.preventDefault(); }
  });
}

async function begin() {
  if (typeof DecompressionStream === "undefined") { find("old").hidden = false; find("panes").hidden = true; return; }
  index.originals.forEach((entry, number) => { entry.number = number; });
  state.common = shared(index.originals.map((entry) => entry.id));
  state.texts = await unpacked(blocks[0]);
  filters();
  list();
  keys();
  const asked = remembered();
  if (asked) await choose(asked[0], false, asked[1]);
  else if (state.shown.length) await choose(state.shown[0], false);
  state.ready = true;
  document.documentElement.dataset.ready = "true";
}

begin();
