// ---- what else could have come at the chosen place ----

function beside(original, at) {
  if (!byTokens) return levelBeside(original, at);
  const forked = original.forked[at];
  const head = make("h3", {}, [`Token ${at + 1} of ${original.length}: `, make("b", { class: "taken", text: quoted(original.tokens[at]) })]);
  const parts = forked ? fork(original, at, forked) : unforked(original, at);
  const cut = cutAt(original, at);
  return [head, ...parts, ...(cut === null ? [] : endings(original, cut)), ...around(original, at)];
}

function fork(original, at, forked) {
  const bar = (name, share) => make("div", { class: "bar" }, [
    make("span", { text: name }), make("i", { class: "track" }, [make("i", { style: `width: ${100 * share}%` })]), make("span", { text: percent(share) }),
  ]);
  const { instead } = forked;
  const rest = forked.forks - instead.reduce((sum, other) => sum + other.forks, 0);
  return [
    make("p", { class: "quiet", text: `The model wrote it with probability ${forked.probability.toFixed(3)}. It changes agreement by ${signed(forked.jump)} [${signed(forked.lower)}, ${signed(forked.upper)}].` }),
    bar("agree with it", forked.value), bar("with another", forked.elsewhere),
    make("h4", { text: "What else could have come, and where it led" }),
    make("ul", { class: "instead" }, instead.map((other) => alternative(original, other, forked.forks))),
    make("p", { class: "quiet", text: `of ${counted(forked.forks, "fork")}${rest > 0 ? `; ${rest} more to rarer tokens` : ""}` }),
  ];
}

function alternative(original, other, forks) {
  const rest = other.forks - other.labels.reduce((sum, [, count]) => sum + count, 0);
  return make("li", {}, [
    make("b", { class: "other-token", text: quoted(other.token) }),
    make("span", { class: "share", text: percent(other.forks / forks) }),
    make("span", { class: "led" }, [
      ...other.labels.map(([label, count]) => make("span", { class: label === original.label ? "chip same" : "chip" }, [
        "→ ", make("bdi", { text: label }), count > 1 ? ` ×${count}` : "",
      ])),
      ...(rest > 0 ? [make("span", { class: "chip", text: `${rest} more` })] : []),
    ]),
  ]);
}

function unforked(original, at) {
  const nats = original.surprisal[at];
  if (!own(original)) return [make("p", { class: "quiet", text: `No curve was measured for this ${NOUN}.` })];
  if (!byForks(original)) return [];
  const chance = nats === undefined || nats === null ? null : Math.exp(-nats / 100);
  const why = chance !== null && chance > 0.95
    ? `The model had hardly a choice here: it gave this token with probability ${chance.toFixed(3)}.`
    : "No fork was drawn at this token; its neighbours stand for it.";
  return [make("p", { class: "quiet", text: why })];
}

// Continuations from a cut, those that end in another label first.
function endings(original, cut) {
  const drawn = original.draws[cut];
  if (!drawn) return byForks(original) || !own(original) ? [] : [make("p", { class: "quiet", text: `Continuations are shown at the places where most changes (shift and an arrow key go there).` })];
  const other = drawn.filter((one) => one.label !== original.label);
  const same = drawn.filter((one) => one.label === original.label);
  const from = byForks(original) ? "" : `, from the cut after ${cut} tokens`;
  return [
    ...(other.length ? [make("h4", { text: `Continuations that changed the ${NOUN}${from}` }), continuations(original, cut, other)] : []),
    ...(same.length ? [make("h4", { text: `Continuations that kept it${from}` }), continuations(original, cut, same)] : []),
  ];
}

function continuations(original, cut, drawn) {
  const tail = original.tokens.slice(Math.max(0, cut - 6), cut).join("");
  return make("ul", { class: "draws" }, drawn.map(({ label, first, text, count }) => {
    const split = first && text.startsWith(first) ? first.length : 0;
    return make("li", { class: label === original.label ? "same" : "other" }, [
      make("div", { class: "label" }, ["→ ", make("bdi", { text: label }), count > 1 ? ` ×${count}` : ""]),
      make("div", { class: "text", dir: "auto" }, [
        make("span", { class: "tail", text: cut ? `…${tail}` : "" }), make("b", { text: text.slice(0, split) }), text.slice(split),
      ]),
    ]);
  }));
}

// Where endings lead before a token and with it, or at the last cut where there is none between.
function around(original, at) {
  if (!own(original)) return [];
  const before = stopBefore(original, at), after = stopBefore(original, at + 1);
  if (before < 0) return [];
  return after === before ? labels(original, [before], ["at the cut"]) : labels(original, [before, after], ["before", "with it"]);
}

function labels(original, stops, heads) {
  const cell = (curve, stop) => make("td", { text: percent(curve.p[stop] / 1000) });
  const hidden = original.others + 1 - original.curves.length;
  return [
    make("h4", { text: "Where endings lead" }),
    make("table", { class: "leads" }, [
      make("thead", {}, [make("tr", {}, ["", ...heads].map((text) => make("th", { scope: "col", text })))]),
      make("tbody", {}, original.curves.map((curve) => make("tr", {}, [
        make("th", { scope: "row" }, [make("bdi", { text: curve.label }), curve.own ? " (this)" : ""]), ...stops.map((stop) => cell(curve, stop)),
      ]))),
    ]),
    ...(hidden > 0 ? [make("p", { class: "quiet", text: `and ${counted(hidden, "rarer label")}` })] : []),
  ];
}
