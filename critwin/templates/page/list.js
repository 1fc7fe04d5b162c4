// ---- the list ----

const CHUNK = 150; // entries made at once; more when the end of the list comes into sight

function matches(entry, words) {
  const { value: verdict } = find("verdict"), { value: window } = find("window");
  if (verdict !== "all" && entry.verdict !== verdict) return false;
  if (window !== "all" && entry.window !== window) return false;
  return words.every((word) => haystack(entry).includes(word));
}

function haystack(entry) {
  const { texts } = state;
  entry.haystack ??= [
    entry.id, entry.label, entry.truth ?? "", texts.prompts[texts.prompt[entry.number]], texts.tokens[entry.number].join(""),
  ].join(" ").toLowerCase();
  return entry.haystack;
}

function ordered(entries) {
  const keys = { jump: (e) => -(e.jump ?? -2), start: (e) => e.start ?? 2, length: (e) => -e.length };
  const key = keys[find("order").value];
  return key ? entries.sort((a, b) => key(a) - key(b)) : entries;
}

function list() {
  const words = find("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  state.shown = ordered(index.originals.filter((entry) => matches(entry, words)));
  const box = find("list");
  box.replaceChildren();
  box.scrollTop = 0;
  more();
  find("shown").textContent = state.shown.length === index.originals.length
    ? counted(state.shown.length, NOUN)
    : `${state.shown.length} of ${counted(index.originals.length, NOUN)}`;
  if (state.shown.length === 0) box.append(make("li", { class: "empty", text: "None matches." }));
  mark();
}

function more() {
  const box = find("list"), made = box.childElementCount;
  box.append(...state.shown.slice(made, made + CHUNK).map(item));
}

function item(entry) {
  const flag = { window: "▮", undecided: "▯", none: "" }[entry.window];
  const node = make("li", {
    role: "option", id: `o${entry.number}`, title: entry.id, "aria-selected": "false",
    "aria-label": `${entry.label}, ${WORDS[entry.verdict]}, ${WINDOWS[entry.window]}, jump ${signed(entry.jump)}, ${entry.id}`,
    on: { click: () => choose(entry, true) },
  }, [
    make("span", { class: `mark ${entry.verdict}`, text: MARKS[entry.verdict] }),
    make("span", { class: "name" }, [make("bdi", { text: entry.label }), make("small", { text: ` ${entry.id.slice(state.common)}` })]),
    sparkline(entry.spark),
    make("span", { class: "flag", text: flag }),
    make("span", { class: "jump", text: signed(entry.jump) }),
  ]);
  return node;
}

function sparkline(values) {
  const line = values.map((value, i) => `${(i * 44) / (values.length - 1)},${15 - 0.14 * value}`).join(" ");
  return draw("svg", { class: "spark", viewBox: "0 0 44 16", "aria-hidden": "true" }, [draw("polyline", { points: line })]);
}

function mark() {
  const box = find("list");
  box.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
  const place = state.shown.indexOf(state.chosen);
  while (place >= box.childElementCount) more();
  const node = place < 0 ? null : box.children[place];
  if (!node) { box.removeAttribute("aria-activedescendant"); return; }
  node.setAttribute("aria-selected", "true");
  box.setAttribute("aria-activedescendant", node.id);
  within(box, node);
}

// Scroll a box, and nothing else, so that a node in it can be seen: far ones into its middle.
function within(box, node) {
  const outer = box.getBoundingClientRect(), inner = node.getBoundingClientRect();
  const above = outer.top - inner.top, below = inner.bottom - outer.bottom;
  if (above <= 0 && below <= 0) return;
  if (Math.max(above, below) > 2 * inner.height) box.scrollTop += inner.top - outer.top - outer.height / 2;
  else box.scrollTop += above > 0 ? -above - 4 : below + 4;
}

function walk(event) {
  const place = state.shown.indexOf(state.chosen), last = state.shown.length - 1;
  const next = {
    ArrowDown: place + 1, ArrowUp: place - 1, PageDown: place + 10, PageUp: place - 10, Home: 0, End: last,
  }[event.key];
  if (event.key === "Enter") inside();
  else if (event.key === "Escape") find("search").focus();
  else if (next !== undefined && last >= 0) choose(state.shown[clamp(next, 0, last)], false);
  else return;
  event.preventDefault();
}

function inside() {
  (find("text") ?? find("slider"))?.focus();
}

// ---- the filters ----

function filters() {
  const options = (id, name, words) => {
    const counts = Object.keys(words).map((value) => [value, index.originals.filter((entry) => entry[name] === value).length]);
    find(id).append(
      make("option", { value: "all", text: "all" }),
      ...counts.filter(([, count]) => count).map(([value, count]) => make("option", { value, text: `${words[value]} (${count})` })),
    );
  };
  options("verdict", "verdict", WORDS);
  options("window", "window", WINDOWS);
  for (const id of ["search", "verdict", "window", "order"]) find(id).addEventListener("input", list);
  find("search").addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.target.value = ""; list(); event.preventDefault(); }
    if (event.key === "ArrowDown" || event.key === "Enter") { find("list").focus(); if (state.shown.length && !state.shown.includes(state.chosen)) choose(state.shown[0], false); event.preventDefault(); }
  });
  const box = find("list");
  box.addEventListener("keydown", walk);
  box.addEventListener("scroll", () => { if (box.scrollTop + 2 * box.clientHeight > box.scrollHeight) more(); });
}
