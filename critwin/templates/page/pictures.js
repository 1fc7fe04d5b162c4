// ---- pictures over the noise levels ----

const timeOf = (original, position) => `t = ${(1 - position / original.length).toFixed(2)}`;

function picture(source, name) {
  return make("img", { src: source, alt: name, loading: "lazy" });
}

function levels(original) {
  const found = original.pictures?.levels ?? [];
  return make("div", { id: "levels", class: "levels" }, found.map((level) => {
    const stop = own(original) ? stopBefore(original, level.position) : -1;
    const share = stop < 0 ? "" : `${percent(own(original).p[stop] / 1000)} agree`;
    const when = timeOf(original, level.position);
    return make("button", {
      type: "button", class: "level", "data-position": level.position,
      "aria-label": `${level.position} steps taken, ${share}`,
      on: { click: () => pin(level.position), mouseenter: () => hover(level.position), mouseleave: () => hover(null) },
    }, [
      make("span", { class: "when", text: when }),
      ...(level.observed ? [picture(level.observed, `what is left at ${when}`)] : []),
      make("span", { class: "drawn" }, level.drawn.slice(0, 3).map(([label, source]) => make("span", { class: label === original.label ? "same" : "other" }, [
        picture(source, `denoised to ${label}`), make("small", {}, [make("bdi", { text: label })]),
      ]))),
      make("span", { class: "quiet", text: share }),
    ]);
  }));
}

function whole(original) {
  const source = original.pictures?.whole;
  return source ? [make("div", { class: "whole" }, [picture(source, `the ${NOUN}: ${original.label}`)])] : [];
}

function levelBeside(original, at) {
  const level = original.pictures?.levels.find((one) => one.position === at);
  const stop = own(original) ? stopBefore(original, at) : -1;
  const led = stop < 0 ? [] : labels(original, [stop], ["from here"]);
  const head = make("h3", { text: `${timeOf(original, at)}, ${at} of ${original.length} steps taken` });
  if (!level) return [head, make("p", { class: "quiet", text: "No pictures were kept at this level." }), ...led];
  return [
    head,
    ...(level.observed ? [make("h4", { text: "What was left" }), make("div", { class: "large" }, [picture(level.observed, "what was left")])] : []),
    make("h4", { text: "What it was denoised to from there" }),
    make("div", { class: "large drawn" }, level.drawn.map(([label, source]) => make("figure", { class: label === original.label ? "same" : "other" }, [
      picture(source, `denoised to ${label}`), make("figcaption", {}, [make("bdi", { text: label })]),
    ]))),
    ...led,
  ];
}
