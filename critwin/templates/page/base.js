"use strict";
// Model text reaches the page as text only: every node is made by `make` or `draw`.

const find = (id) => document.getElementById(id);

function make(tag, properties = {}, children = []) {
  return filled(document.createElement(tag), properties, children);
}

function draw(tag, attributes = {}, children = []) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") node.textContent = value;
    else if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else if (value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const index = JSON.parse(find("index").textContent);
const blocks = find("blocks").textContent.trim().split("\n");  // all texts, then one per original
const byTokens = index.unit === "tokens";
const unit = byTokens ? "tokens kept" : "reverse steps taken";
const NOUN = byTokens ? "answer" : "picture";
const WORDS = { right: "right", wrong: "wrong", unscored: "unscored", unknown: "no verdict", ...index.names };
const MARKS = { right: "✓", wrong: "✗", unscored: "?", unknown: "·" };
const WINDOWS = index.judged
  ? { window: "with a window", none: "certainly without", undecided: "undecided" }
  : { window: "with a window", none: "none found" };

const state = {
  texts: null, // once opened: prompts, prompt, tokens
  shown: [], // entries of the list, in its order
  chosen: null, // an entry
  original: null, // the entry with all that is known of it
  at: 0, // the chosen token, or the chosen position where there are no tokens
  shade: 0, // which curve shades the text
  near: false, // whether the curve shows the neighbourhood of the token only
};

const percent = (share) => `${Math.round(100 * share)} %`;
const signed = (change) => (change === null ? "" : `${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(2)}`);
const quoted = (text) => `“${text.replace(/\n/g, "↵")}”`;
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

async function unpacked(block) {
  const letters = atob(block);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i += 1) bytes[i] = letters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

// ---- what is known of an original ----

async function opened(entry) {
  const detail = await unpacked(blocks[1 + entry.number]);
  const { texts } = state;
  return { ...entry, ...detail, tokens: texts.tokens[entry.number], prompt: texts.prompts[texts.prompt[entry.number]] };
}

const own = (original) => original.curves.find((curve) => curve.own);
const byForks = (original) => original.estimator === "forks";

// The number of the last stop that keeps no more than `kept`; -1 before the first.
function stopBefore(original, kept) {
  const { stops } = original;
  if (stops === null) return kept;
  let low = 0, high = stops.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (stops[middle] <= kept) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function probability(original, curve, kept) {
  const stop = stopBefore(original, kept);
  return curve === undefined || stop < 0 ? null : curve.p[stop] / 1000;
}

const positionOf = (original, stop) => (original.stops === null ? stop : original.stops[stop]);

// Where the continuations shown at a token were drawn: after the last cut before it.
function cutAt(original, at) {
  if (!byTokens || !own(original)) return at;
  const stop = stopBefore(original, at);
  return stop < 0 ? null : positionOf(original, stop);
}
