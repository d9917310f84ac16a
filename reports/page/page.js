// The sections of the page, from the data in it, and what happens when somebody touches them.

const data = JSON.parse(byId("everything").textContent);
const TITLES = { benchmark: "Benchmark", validation: "Validation" };
const MARKS = ["flipped", "noisy", "frozen", "missing"];
// Told apart by row, shape and colour.
const LANES = [
  { name: "flipped", symbol: "triangle-down", colour: data.colours.flipped },
  { name: "noisy", symbol: "square", colour: data.colours.both },
  { name: "frozen", symbol: "star", colour: data.colours.normal },
  { name: "missing", symbol: "x-thin", colour: SOFT },
];
const WHY = {
  "False alarms": "Normal frames with the highest scores.",
  "Misses": "Anomalous frames with the lowest scores.",
  "Highest scores": "Without labels nobody knows whether they are right.",
};
const state = { part: null, clip: 0, positions: [] };
const part = () => data.parts[state.part];
const clip = () => part().clips[state.clip];
const frameCount = ({ clips }) => clips.reduce((sum, { frame }) => sum + frame.length, 0);

/** The first clip with normal and anomalous frames: there is something to see in it. */
const telling = (name) => Math.max(0, data.parts[name].clips.findIndex(({ label }) => new Set(label).size > 1));

function choose(name, position) {
  const other = name !== state.part;
  Object.assign(state, { part: name, clip: position });
  if (other) showPart();
  showClip();
}

/** Choose the clip, and the frame, that another section speaks of. */
function jump(video, frame) {
  choose(state.part, part().clips.findIndex((one) => one.video === video));
  if (frame !== undefined) showFrame(clip().frame.indexOf(frame), true);
  byId("timeline").closest("section").scrollIntoView({ behavior: "smooth" });
}

function showPart() {
  for (const tag of document.querySelectorAll(".part")) tag.textContent = TITLES[state.part];
  byId("shading").textContent = part().figures ? "Shaded: anomalous in truth." : "The truth is not known.";
  const options = part().clips.map(({ video }, at) => element("option", { value: at }, `Clip ${video}`));
  byId("clip").replaceChildren(...options);
  showCards(); showCurve(); showShares(); showAlarm(); showWorst(); showComparison();
}

function showCards() {
  byId("cards").replaceChildren(...Object.keys(TITLES).filter((name) => data.parts[name]).map((name) => {
    const { figures, about, clips } = data.parts[name];
    const size = `${count(frameCount(data.parts[name]), "frame")}, ${count(clips.length, "clip")}`;
    const lines = !figures ? ["no labels", "", `${size}; scores alone are shown`] : [
      `AP ${fixed(figures.ap)}`,
      figures.ap_low === null ? "no interval: it takes several clips" :
        `95 % interval ${fixed(figures.ap_low)} to ${fixed(figures.ap_high)}` +
        (figures.bootstrap.descriptive ? ", descriptive: fewer than ten clips" : ""),
      `AUROC ${fixed(figures.auroc)}; ${size}, ${percent(figures.base_rate)} of the frames anomalous`,
    ];
    const attributes = { "aria-pressed": name === state.part, "data-part": name };
    return element("button", { ...attributes, onclick: () => choose(name, telling(name)) },
      element("span", { class: "soft" }, about), lineBreak(), element("strong", {}, lines[0]), lineBreak(),
      lines[1], lineBreak(), lines[2]);
  }));
}

function showClip() {
  const { frame, label, score, film } = clip();
  byId("clip").value = state.clip;
  byId("clip-about").textContent = `${state.clip + 1} of ${count(part().clips.length, "clip")}; ` +
    `${count(frame.length, "frame")}, ${label ? `${label.filter(Boolean).length} anomalous` : "truth unknown"}`;
  byId("film").hidden = !film;
  if (film) {
    byId("film").href = film.address;
    byId("film").textContent = film.outdated ? "watch the film (of other scores than these)" : "watch the film";
  }
  state.positions = drawTimeline("timeline", clip(), part().axis, LANES, data.colours);
  byId("components-missing").textContent = data.without_components;
  byId("components").style.height = data.without_components ? "0" : "";
  if (!data.without_components) drawComponents("components", clip(), part().most);
  byId("scrub").max = frame.length - 1;
  showFrame(score.indexOf(Math.max(...score)), true);
}

/** Tell of a frame, by its position in the clip, and show the nearest stored picture; `mark` it in the curve too. */
function showFrame(position, mark) {
  const one = clip(), number = one.frame[position];
  const [stored, picture] = one.thumbnails.reduce((best, other) =>
    Math.abs(other[0] - number) < Math.abs(best[0] - number) ? other : best);
  const anomaly = () => one.kind[position] ? `anomalous: ${one.kind[position]}` : "anomalous";
  const facts = {
    Frame: number, Score: fixed(one.score[position]), Rank: `${one.rank[position]} of ${frameCount(part())}`,
    Truth: !one.label ? "unknown" : one.label[position] ? anomaly() : "normal",
    Found: marks(one, position) || "no corruption",
    ...(stored === number ? {} : { Picture: `frame ${stored}, the nearest stored` }),
  };
  Object.assign(byId("thumbnail"), { src: jpeg(picture), alt: `frame ${stored} of clip ${one.video}` });
  byId("facts").replaceChildren(...Object.entries(facts).flatMap(([name, text]) =>
    [element("dt", {}, name), element("dd", { "data-fact": name }, String(text))]));
  byId("scrub").value = position;
  if (mark) Plotly.Fx.hover("timeline", [{ curveNumber: 0, pointNumber: state.positions.indexOf(position) }], "xy");
}

const marks = (one, position) => ["flipped", "noisy", "frozen"].filter((name) => one[name][position]).join(", ");

function showCurve() {
  const { curve, figures } = part();
  byId("curve").style.height = curve ? "380px" : "0";
  if (!curve) {
    byId("curve-about").textContent = figures ? "It takes normal and anomalous frames: here all are alike." :
      "The test frames have no labels: there is nothing to measure.";
    return Plotly.purge("curve");
  }
  const limits = curve.descriptive ? "; with fewer than ten it only describes these clips." : ".";
  const band = curve.band.length ? `Band: 95 % interval over clips${limits}` :
    "An interval takes several clips.";
  byId("curve-about").textContent = "From the highest score down: what share of the anomalous frames is found " +
    `(recall), and what share of the frames up to there is anomalous (precision). ${band}`;
  drawCurve("curve", curve, data.colours);
}

function showShares() {
  const { figures, shares } = part(), known = Boolean(figures) && figures.ap !== null;
  byId("shares-about").textContent = !known ? "No AP, no shares." :
    `The shares of clips sum to the AP of ${fixed(figures.ap)}, and so do those of kinds. Outlined: what a perfect ` +
    "order would give. A click on a clip shows it above.";
  for (const scope of ["clip", "kind"]) {
    const rows = known ? shares[scope] || [] : [];
    const hover = { textposition: "none", hovertemplate: "%{text}<extra></extra>", text: rows.map((row) =>
      `${plain(row.name)}: ${fixed(row.ap_share)} of ${fixed(row.most)}, ${row.positives} anomalous frames`) };
    const outline = { color: "rgba(0,0,0,0)", line: { color: SOFT, width: 1 } };
    const full = { color: data.colours.normal };
    drawBars(`by-${scope}`, rows, `share of the AP by ${scope}`, [
      { ...hover, x: rows.map(({ most }) => most), name: "perfect order", marker: outline },
      { ...hover, x: rows.map((row) => row.ap_share), name: "reached", marker: full, width: 0.5 },
    ], scope === "clip" && jump);
  }
}

function showAlarm() {
  const found = part().figures?.alarm, known = Boolean(found) && found.threshold !== null;
  const number = (value, unit) => value === null ? "-" : `${Number(value.toPrecision(3))}${unit}`;
  byId("alarm-about").textContent = !found ? "It takes labels." :
    !known ? "There are no normal frames to set a threshold by." :
    `An alarm goes off at a score of ${fixed(found.threshold)}: on the ${number(found.learned_from_hours, " hours")} of ` +
    `normal frames that nothing was learned from, this is the lowest with at most ${found.allowed_per_hour} alarms an ` +
    "hour, or the highest score where they are too few for one. Labels of these frames have no part in it.";
  byId("alarm").replaceChildren(known ? table(
    ["events found", "median delay", "false alarms an hour", "normal frames in alarm"],
    [[`${found.found} of ${found.events}`, number(found.delay, " s"), number(found.false_alarms_per_hour, ""),
      found.normal_in_alarm === null ? "-" : percent(found.normal_in_alarm)]], [0, 1, 2, 3]) : "");
}

function showWorst() {
  const maps = part().worst.some(({ frames }) => frames.some((row) => row.maps.length));
  byId("maps-about").textContent = !maps ? "" : "Beneath each frame, upright and cleaned where repair says so: where each " +
    "component of the score finds the frame unusual, dark to bright up to the largest here; the number is its " +
    "highest, 1 being about the largest that training frames show at a place.";
  byId("worst").replaceChildren(...part().worst.flatMap(({ title, frames }) => [
    element("h3", {}, title), soft(frames.length ? WHY[title] : "There are none."),
    element("div", { class: "cases" }, ...frames.map(worstFrame)),
  ]));
}

function worstFrame(row) {
  const one = part().clips.find(({ video }) => video === row.video), position = one.frame.indexOf(row.frame);
  const kind = one.kind?.[position], found = marks(one, position);
  const picture = (name) => element("img", { src: jpeg(row[name]), alt: `${name} of frame ${row.frame}` });
  return element("figure", { class: "case" },
    element("div", { class: "triple" }, ...["input", "reconstruction", "error"].filter((name) => row[name]).map((name) =>
      element("div", {}, picture(name), name))),
    element("div", { class: "maps" }, ...row.maps.map(({ name, highest, picture }) => element("div", {},
      element("img", { src: jpeg(picture), alt: `${name} of frame ${row.frame}` }), `${name} ${highest.toFixed(1)}`))),
    element("figcaption", {}, element("button", { onclick: () => jump(row.video, row.frame) }, "show above"),
      `Clip ${row.video}, frame ${row.frame}${kind ? `: ${kind}` : ""}`, lineBreak(),
      `rank ${one.rank[position]}, score ${fixed(one.score[position])}${found ? `; ${found}` : ""}`));
}

function showComparison() {
  const { against, parameters, parts } = data.comparison, found = parts[state.part], place = byId("comparison");
  byId("against").textContent = against;
  if (found.message) return place.replaceChildren(element("p", {}, `Nothing to compare with: ${found.message}`));
  const changed = Object.entries(parameters).map(([key, { a, b }]) => [key, written(a), written(b)]);
  const alike = found.ranking.same ? `The workspace ranks every frame exactly as ${against} does. ` :
    `The two orders of the frames are alike to ${fixed(found.ranking.spearman)} (Spearman's rho; 1 is the same). `;
  const header = ["", against, "workspace", "difference", "95 % interval", "p", "resampled"];
  place.replaceChildren(
    element("p", {}, alike, changed.length ? "" : "No parameter differs."),
    changed.length ? table(["parameter", against, "workspace"], changed) : "",
    element("h3", {}, "Figures"), table(header, comparedRows(found), [1, 2, 3]),
    found.resampled.blocks ? soft(data.few_clips) : "",
    element("div", { class: "pair" },
      element("div", { id: "moved-clip", class: "plot" }), element("div", { id: "moved-kind", class: "plot" })));
  for (const scope of ["clip", "kind"]) {
    const moved = found[`by_${scope}`].filter(({ difference }) => difference);
    const side = (name, color, sign) => ({ name, marker: { color }, hovertemplate: "%{x:+.4f}<extra></extra>",
      x: moved.map(({ difference }) => difference * sign > 0 ? difference : null) });
    const sides = [side("gained", data.colours.normal, 1), side("lost", data.colours.anomalous, -1)];
    drawBars(`moved-${scope}`, moved, `AP gained or lost by ${scope}`, sides, scope === "clip" && jump);
  }
}

/** A row for every figure and every way to resample it. */
function comparedRows(found) {
  const units = Object.entries(found.resampled);
  return Object.entries(data.names).flatMap(([name, title]) => units.map(([unit, drawn], at) => {
    const { low, high, p } = drawn[name], { a, b, difference } = found[name];
    const values = at ? ["", "", "", ""] : [title, fixed(a), fixed(b), fixed(difference, "+")];
    const length = drawn.length ? ` of ${drawn.length} frames` : "";
    return [...values, low === null ? "-" : `${fixed(low, "+")} to ${fixed(high, "+")}`,
      drawn.descriptive || p === null ? "-" : p.toPrecision(2),
      `${drawn.units} ${unit}${length}${drawn.descriptive ? ", descriptive" : ""}`];
  }));
}

function showProvenance() {
  const { commit, parameters, stale, data: splits, found, training, model } = data.provenance;
  const pairs = (values) => Object.entries(values).map(([key, any]) => [key, written(any)]);
  const from = commit ? committed(commit) : "No Git repository";
  byId("origin").textContent = `${from}. Data source: ${parameters["data.source"]}.`;
  if (stale.length) byId("warnings").append(element("p", { class: "warning" }, "Changed in params.yaml after these " +
    `scores were made: ${stale.join(", ")}. Run dvc repro, and make the report again.`));
  byId("network-about").hidden = !data.size;
  byId("size").textContent = `${data.size} x ${data.size}`;
  byId("data").replaceChildren(table(["split", "clips", "frames", "imputed", ...MARKS],
    Object.entries(splits).map(([split, { clips, frames, imputed }]) =>
      [split, clips, frames, imputed, ...MARKS.map((mark) => found[split]?.[mark] ?? "-")].map(String)),
    [1, 2, 3, 4, 5, 6, 7]));
  const figures = Object.entries(training).filter(([, any]) => typeof any === "number");
  const trained = figures.map(([key, any]) => `${key} ${Number(Number(any).toPrecision(4))}`);
  byId("model").replaceChildren(table(["made of", ""], pairs(model)), soft(trained.length ? `Trained: ${trained.join(", ")}` : "No network was needed."));
  byId("parameters").replaceChildren(...pairs(parameters).map(([key, text]) =>
    element("div", {}, element("span", { class: "soft" }, key), element("span", {}, text))));
}

function showLeaderboard() {
  if (!data.leaderboard) return;
  const { lines, picture } = data.leaderboard, place = byId("leaderboard");
  const about = { src: `data:image/png;base64,${picture}`, alt: "validation AP against leaderboard score" };
  place.append(element("img", about), ...lines.map((line) => soft(line)));
  place.hidden = false;
}

function committed({ name, date, subject, changed }) {
  const more = changed.length > 3 ? ` and ${changed.length - 3} more` : "";
  return `Commit ${name} of ${date}, "${subject}"; ` +
    (changed.length ? `changed since: ${changed.slice(0, 3).join(", ")}${more}` : "the workspace is as committed");
}

for (const [name, colour] of Object.entries(data.colours)) {
  document.documentElement.style.setProperty(`--${name}`, colour);
}
const step = (by) => choose(state.part, (state.clip + by + part().clips.length) % part().clips.length);
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("clip").addEventListener("change", (event) => choose(state.part, Number(event.target.value)));
byId("scrub").addEventListener("input", (event) => showFrame(Number(event.target.value), true));
showProvenance();
showLeaderboard();
const first = Object.keys(TITLES).find((name) => data.parts[name]);
choose(first, telling(first));
for (const event of ["plotly_hover", "plotly_click"]) {
  byId("timeline").on(event, ({ points }) => {
    const point = points.find(({ curveNumber }) => curveNumber === 0);
    const position = point && state.positions[point.pointNumber];
    if (position !== null && position !== undefined) showFrame(position, false);
  });
}
