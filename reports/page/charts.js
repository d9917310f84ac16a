// What any section may draw: elements, tables, and the charts, each from the values it is given.

const SOFT = "#5a6675", LINE = "#d9dee5", INK = "#1c2430";
const CONFIG = { responsive: true, displayModeBar: false };
const byId = (id) => document.getElementById(id);

/** An element with attributes and children; text stays text, whatever it contains. */
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") made.addEventListener("click", value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const soft = (text) => element("p", { class: "soft" }, text);
const lineBreak = () => element("br", {});

/** A table with a header and rows of texts; columns in `numeric` (positions) are numbers. */
function table(header, rows, numeric = []) {
  const line = (tag, cells) => element("tr", {}, ...cells.map((cell, at) =>
    element(tag, numeric.includes(at) ? { class: "number" } : {}, cell)));
  return element("div", { class: "wide" },
    element("table", {}, line("th", header), ...rows.map((cells) => line("td", cells))));
}

/** Text for Plotly, which reads some tags and entities. */
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const written = (any) => any === undefined ? "absent" : typeof any === "string" ? any : JSON.stringify(any);
const jpeg = (base64) => `data:image/jpeg;base64,${base64}`;

/** Four decimals, with the sign before gains where `sign` is "+"; "-" for what could not be had. */
const fixed = (value, sign = "") => value === null ? "-" : (value >= 0 ? sign : "") + value.toFixed(4);

const axis = (more) => ({ fixedrange: true, zeroline: false, gridcolor: LINE, ...more });

function layout(margin, more) {
  return {
    margin, font: { family: "system-ui, sans-serif", size: 12, color: INK }, dragmode: false,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "#fff", ...more,
  };
}

/** Runs of anomalous frames as [first, last, kind]; numbers that are missing inside a run don't end it. */
function events({ frame, label, kind }) {
  const found = [];
  (label || []).forEach((one, at) => {
    if (one && at && label[at - 1] && kind[at] === kind[at - 1]) found.at(-1)[1] = frame[at];
    else if (one) found.push([frame[at], frame[at], kind[at]]);
  });
  return found;
}

/** A clip's scores over frame numbers, [low, high] being the axis of all clips; rows of `lanes` beneath.
 *  Returns the position in the clip of each drawn point, null for the breaks where numbers are missing. */
function drawTimeline(id, clip, [low, high], lanes, colours) {
  const x = [], y = [], positions = [], drawn = clip.score.map((score) => Math.min(score, high));
  clip.frame.forEach((number, at) => {
    if (at && number > clip.frame[at - 1] + 1) { x.push(number - 1); y.push(null); positions.push(null); }
    x.push(number); y.push(drawn[at]); positions.push(at);
  });
  const anomalous = clip.label ? clip.frame.map((_, at) => at).filter((at) => clip.label[at]) : [];
  const marks = lanes.map(({ name, symbol, colour }, row) => {
    // Runs of missing numbers are lines from their first to their last.
    const runs = name === "missing";
    const at = runs ? clip.missing.flatMap((run) => [...run, null]) : clip.frame.filter((_, at) => clip[name][at]);
    return { x: at, y: at.map((x) => x === null ? null : -row), yaxis: "y2", mode: runs ? "lines+markers" : "markers",
      line: { color: colour, width: 1.5 }, showlegend: false, hoverinfo: "skip",
      marker: { symbol, color: colour, size: 7, line: { color: colour, width: runs ? 1.5 : 0 } } };
  });
  const spans = events(clip), room = (high - low || 1) * 0.06;
  const spike = { showspikes: true, spikemode: "across", spikethickness: 1, spikecolor: SOFT, spikedash: "solid" };
  Plotly.react(id, [
    { x, y, name: "score", mode: "lines+markers", line: { color: colours.normal, width: 1.3 }, marker: { size: 3 },
      hoverinfo: "none" },
    { x: anomalous.map((at) => clip.frame[at]), y: anomalous.map((at) => drawn[at]), name: "anomalous in truth",
      mode: "markers", marker: { color: colours.anomalous, symbol: "triangle-up", size: 6 }, hoverinfo: "skip" },
    ...marks,
  ], layout({ l: 60, r: 8, t: 34, b: 38 }, {
    // The nearest frame, however far the pointer is from the curve, and over the rows too.
    hovermode: "x", hoversubplots: "axis", hoverdistance: -1, spikedistance: -1,
    legend: { orientation: "h", y: 1.14, x: 0 },
    xaxis: axis({ title: { text: `frame number in clip ${plain(clip.video)}` }, anchor: "y2", showgrid: false,
      range: [clip.frame[0] - 1, clip.frame.at(-1) + 1], ...spike }),
    yaxis: axis({ title: { text: "score" }, range: [low - room, high + room], domain: [0.3, 1] }),
    yaxis2: axis({ range: [-lanes.length + 0.4, 0.6], domain: [0, 0.25], tickvals: lanes.map((_, row) => -row),
      ticktext: lanes.map(({ name }) => name) }),
    shapes: spans.map(([first, last]) => ({ type: "rect", xref: "x", yref: "y domain", x0: first - 0.5,
      x1: last + 0.5, y0: 0, y1: 1, fillcolor: colours.anomalous, opacity: 0.2, line: { width: 0 }, layer: "below" })),
    annotations: spans.filter(([, , kind]) => kind).map(([first, last, kind]) => ({ x: (first + last) / 2, y: 1,
      yref: "y domain", yanchor: "top", showarrow: false, text: plain(kind), font: { color: "#8a3c00" } })),
  }), CONFIG);
  return positions;
}

/** How unusual each component finds the frames of a clip, on top of each other, each up to `most`. */
function drawComponents(id, { video, frame, components }, most) {
  const names = Object.keys(components);
  // From dark to bright, and in the order of the legend from the bottom up: colour is not all that tells them apart.
  const shade = (at) => `hsl(${250 - 200 * at / Math.max(1, names.length - 1)} 55% ${30 + 42 * at / names.length}%)`;
  Plotly.react(id, names.map((name, at) => ({
    x: frame, y: components[name].map((value) => Math.min(most, Math.max(0, value))), name, stackgroup: "all",
    mode: "lines", line: { width: 0.5, color: shade(at) }, fillcolor: shade(at), hovertemplate: "%{y:.1f}" })),
  layout({ l: 60, r: 8, t: 34, b: 38 }, {
    hovermode: "x unified", legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    xaxis: axis({ title: { text: `frame number in clip ${plain(video)}` }, showgrid: false,
      range: [frame[0] - 1, frame.at(-1) + 1] }),
    yaxis: axis({ title: { text: "deviations" }, rangemode: "tozero" }),
  }), CONFIG);
}

/** Precision over recall with its band, beside that of a random order. */
function drawCurve(id, curve, colours) {
  const band = { mode: "lines", line: { width: 0, color: colours.normal }, hoverinfo: "skip" };
  const side = (title, range) => axis({ title: { text: title }, range });
  Plotly.react(id, [
    { ...band, x: curve.band, y: curve.low, showlegend: false },
    { ...band, x: curve.band, y: curve.high, fill: "tonexty", fillcolor: `${colours.normal}33`, name: "95 % interval" },
    { x: curve.recall, y: curve.precision, mode: "lines", line: { color: colours.normal, width: 2, shape: "vh" },
      name: "precision", hovertemplate: "recall %{x:.2f}, precision %{y:.2f}<extra></extra>" },
    { x: [0, 1], y: [curve.base_rate, curve.base_rate], mode: "lines", line: { color: SOFT, dash: "dash", width: 1.3 },
      name: "random order", hoverinfo: "skip" },
  ], layout({ l: 52, r: 12, t: 46, b: 42 }, {
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    xaxis: side("recall", [0, 1.01]), yaxis: side("precision", [0, 1.02]),
  }), CONFIG);
}

/** Bars for named rows, the first on top; `traces` hold a value a row. A click on a bar chooses its row. */
function drawBars(id, rows, title, traces, onChoose) {
  const plot = byId(id), y = rows.map((_, at) => at);
  plot.style.height = rows.length ? `${74 + 24 * rows.length}px` : "0";
  if (!rows.length) return Plotly.purge(id);
  Plotly.react(id, traces.map((trace) => ({ type: "bar", orientation: "h", y, ...trace })),
    layout({ l: 60, r: 12, t: 26, b: 40 }, {
      legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0 }, barmode: "overlay",
      xaxis: axis({ title: { text: title }, exponentformat: "none", nticks: 6, zeroline: true, zerolinecolor: INK }),
      yaxis: axis({ tickvals: y, ticktext: rows.map(({ name }) => plain(name)), range: [rows.length - 0.4, -0.6],
        automargin: true }),
    }), CONFIG);
  plot.removeAllListeners("plotly_click");
  if (onChoose) plot.on("plotly_click", ({ points }) => onChoose(rows[points[0].y].name));
}
