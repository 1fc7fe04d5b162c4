// ---- the text ----

const SPECIAL = /^<\|?[^<>\s]*\|?>$/;
const STEPS = [0.1, 0.7, 1.5, 3]; // surprisal, in nats, from which on a mark is so thick

function text(original) {
  const box = make("div", {
    id: "text", class: "answer", role: "listbox", tabindex: 0, dir: "auto",
    "aria-label": `tokens of the ${NOUN}`, "aria-orientation": "horizontal",
  });
  const cuts = new Set(original.stops === null ? [] : original.stops);
  let frame = null;
  original.tokens.forEach((token, i) => {
    const window = original.windows.find((w) => w.start <= i && i < w.end);
    if (window && frame?.window !== window) {
      const name = `window, jump ${signed(window.jump)}`;
      frame = { window, node: make("span", { class: "frame", role: "group", "aria-label": name }) };
      box.append(frame.node);
    }
    (window ? frame.node : box).append(tokenNode(original, token, i, cuts.has(i)));
  });
  let below = null; // the token under the pointer
  box.addEventListener("mouseover", (event) => { below = tokenOf(event); hover(below); });
  box.addEventListener("mouseleave", () => { below = null; hover(null); });
  box.addEventListener("click", (event) => { if (tokenOf(event) !== null) pin(tokenOf(event)); });
  box.addEventListener("keydown", step);
  return box;
}

function tokenOf(event) {
  const node = event.target.closest(".token");
  return node ? Number(node.dataset.i) : null;
}

function tokenNode(original, token, i, cut) {
  const nats = (original.surprisal[i] ?? 0) / 100;
  const thick = STEPS.filter((least) => nats >= least).length;
  const names = ["token", `s${thick}`];
  if (SPECIAL.test(token)) names.push("special");
  if (token === "" || token === "�") names.push("blank");
  if (token.includes("\n")) names.push("break");
  if (cut) names.push("cut");
  return make("span", { class: names.join(" "), id: `t${i}`, "data-i": i, role: "option", text: token });
}

// Shade every token by the probability of the chosen label with that token kept.
function shade() {
  const { original } = state, curve = original.curves[state.shade];
  const box = find("text");
  if (!box || !curve) return;
  box.style.setProperty("--shade", `var(--c${state.shade})`);
  for (const node of box.querySelectorAll(".token")) {
    node.style.setProperty("--p", probability(original, curve, Number(node.dataset.i) + 1) ?? 0);
  }
}

// Arrows go through tokens and lines, with shift through the places where something was drawn.
function step(event) {
  const { original, at } = state, last = original.tokens.length - 1;
  const drawn = event.shiftKey ? places(original) : null;
  const next = {
    ArrowRight: drawn ? drawn.find((place) => place > at) : at + 1,
    ArrowLeft: drawn ? drawn.findLast((place) => place < at) : at - 1,
    ArrowDown: line(at, 1), ArrowUp: line(at, -1),
    PageDown: at + 50, PageUp: at - 50, Home: 0, End: last,
  };
  if (event.key === "Enter") find("token").focus();
  else if (event.key === "Escape") find("list").focus();
  else if (!(event.key in next)) return;
  else if (next[event.key] !== undefined) pin(clamp(next[event.key], 0, last));
  event.preventDefault();
}

const places = (original) => [...new Set([...Object.keys(original.forked), ...Object.keys(original.draws)].map(Number))].sort((a, b) => a - b);

// The token above or below, nearest in the line.
function line(at, direction) {
  const here = find(`t${at}`).getClientRects()[0];
  if (!here) return at + direction;
  let best = at, distance = Infinity, top = null;
  for (let i = at + direction; find(`t${i}`); i += direction) {
    const box = find(`t${i}`).getClientRects()[0];
    if (!box || Math.abs(box.top - here.top) < here.height / 2) continue;
    top ??= box.top;
    if (Math.abs(box.top - top) > here.height / 2) break;
    if (Math.abs(box.left - here.left) < distance) { best = i; distance = Math.abs(box.left - here.left); }
  }
  return best;
}

// ---- the chosen place ----

// Show a place for as long as the pointer is there; null: the chosen one again.
function hover(place) {
  document.querySelector(".token.hover")?.classList.remove("hover");
  if (place !== null) find(`t${place}`)?.classList.add("hover");
  point(place ?? state.at);
}

function pin(place, quiet = false) {
  const { original } = state;
  state.at = place;
  document.querySelector(".token.pinned")?.classList.remove("pinned");
  document.querySelector(".token[aria-selected]")?.removeAttribute("aria-selected");
  const node = find(`t${place}`), box = find("text");
  if (node) {
    node.classList.add("pinned");
    node.setAttribute("aria-selected", "true");
    box.setAttribute("aria-activedescendant", node.id);
    within(box, node);
  }
  for (const level of document.querySelectorAll(".level")) {
    level.setAttribute("aria-current", String(Number(level.dataset.position) === place));
  }
  if (state.near) drawCurve();
  point(place);
  find("token").replaceChildren(...beside(original, place));
  if (!quiet) find("said").textContent = told(original, place);
  remember();
}
