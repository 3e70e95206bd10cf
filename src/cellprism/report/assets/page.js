// Draws the figures, follows the reader's colour scheme and width, sorts and filters the tables. No network, no library but plotly.
(function () {
  "use strict";
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 600px)");
  const coarse = window.matchMedia("(pointer: coarse)");

  function assign(layout, path, value) {
    const steps = path.split(".");
    const last = steps.pop();
    let place = layout;
    for (const step of steps) place = place[step] === undefined ? (place[step] = {}) : place[step];
    place[last] = value;
  }

  // A copy, with brighter twins of some colours on a dark background.
  function inScheme(value) {
    let text = JSON.stringify(value);
    if (dark.matches) for (const [colour, twin] of Object.entries(page.bright)) text = text.replaceAll(colour, twin);
    return JSON.parse(text);
  }

  function layoutOf(figure) {
    const layout = inScheme(figure.layout);
    layout.template = page.templates[dark.matches ? "dark" : "light"];
    layout.height = figure.height;
    layout.autosize = true;
    layout.showlegend = false; // the page's own legend wraps; see legend()
    layout.dragmode = coarse.matches ? false : "zoom";
    if (narrow.matches) {
      foldTitles(layout);
      for (const [path, value] of Object.entries(figure.narrow)) assign(layout, path, value);
    }
    return layout;
  }

  // A long title of a horizontal axis is wider than a narrow screen: it goes on two lines, broken near its middle.
  function foldTitles(layout) {
    for (const [name, axis] of Object.entries(layout)) {
      const text = (/^xaxis/.test(name) && axis.title && axis.title.text) || "";
      if (text.length <= 28 || text.includes("<br>")) continue;
      const breaks = Array.from(text.matchAll(/ /g), function (found) { return found.index; });
      const middle = function (i) { return Math.abs(i - text.length / 2); };
      const at = breaks.sort(function (a, b) { return middle(a) - middle(b); })[0];
      if (at) axis.title.text = text.slice(0, at) + "<br>" + text.slice(at + 1);
    }
  }

  function placeOf(figure) { return document.getElementById("plot-" + figure.id); }

  // Figures in a closed part of the appendix have no width yet; they are drawn when it is opened.
  function inSight(figure) { return !placeOf(figure).closest("details.part:not([open])"); }

  function draw(figure) {
    const place = placeOf(figure);
    const config = {
      responsive: true,
      displaylogo: false,
      modeBarButtonsToRemove: page.removed,
      modeBarButtonsToAdd: [{
        name: "download", title: "Download picture", icon: Plotly.Icons.camera,
        click: function () { download(figure); },
      }],
    };
    const data = inScheme(figure.data);
    return Plotly.react(place, data, layoutOf(figure), config).then(function () {
      if (!place.dataset.drawn && figure.id === "feature-map") place.on("plotly_click", showFeature);
      legend(figure, data, place);
      // a box of its own units, so that paper of another width scales it
      for (const svg of place.querySelectorAll("svg.main-svg"))
        svg.setAttribute("viewBox", "0 0 " + svg.getAttribute("width") + " " + svg.getAttribute("height"));
      place.dataset.drawn = "yes";
    }).catch(function (error) {
      place.textContent = "This figure could not be drawn: " + error.message;
      console.error(figure.id, error);
    });
  }

  // The picture for a paper: light, with title and legend, three times as fine as the screen.
  function download(figure) {
    const layout = Object.assign(JSON.parse(JSON.stringify(figure.layout)), {
      template: page.templates.light, width: 1000, height: figure.height + 110, paper_bgcolor: "#fff",
      showlegend: figure.layout.showlegend !== false,
      title: { text: wrapped(figure.title, 105), font: { size: 16 }, x: 0.02, xanchor: "left" },
    });
    layout.margin = Object.assign({}, layout.margin, { t: Math.max(110, (layout.margin || {}).t || 0) });
    Plotly.downloadImage({ data: figure.data, layout: layout }, { format: "png", scale: 3, width: 1000, height: layout.height, filename: "cellprism-" + figure.id });
  }

  function wrapped(text, width) {
    const safe = text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
    return safe.replace(new RegExp("(.{1," + width + "})(\\s|$)", "g"), "$1<br>").replace(/<br>$/, "");
  }

  const SHAPES = {
    circle: "M8 3a5 5 0 1 0 .01 0z", square: "M3.5 3.5h9v9h-9z", diamond: "M8 2l6 6-6 6-6-6z", pentagon: "M8 2.5l5.5 4-2 6.5h-7l-2-6.5z",
    "triangle-up": "M8 2.5l5.5 10h-11z", "triangle-down": "M8 13.5l5.5-10h-11z", star: "M8 2l1.6 4.2h4.4l-3.6 2.7 1.4 4.3L8 10.6l-3.8 2.6 1.4-4.3L2 6.2h4.4z",
    cross: "M6 2.5h4V6h3.5v4H10v3.500H6V10H2.500V6H6z", x: "M3 5l2-2 3 3 3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3z",
  };

  // One button for each named trace; it shows or hides that trace.
  function legend(figure, data, place) {
    const named = data.map(function (trace, i) { return [trace, i]; })
      .filter(function (pair) { return pair[0].name && pair[0].showlegend !== false; });
    if (figure.layout.showlegend === false || named.length < 2) return;
    const old = place.previousElementSibling;
    if (old.className === "legend") old.remove();
    const list = document.createElement("div");
    list.className = "legend";
    for (const [trace, i] of named) {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(trace.visible !== false));
      button.append(swatch(trace), plainText(trace.name));
      button.addEventListener("click", function () {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(on));
        figure.data[i].visible = on; // kept when the page draws again
        Plotly.restyle(place, { visible: on }, [i]);
      });
      list.append(button);
    }
    place.before(list);
  }

  function plainText(name) {
    return new DOMParser().parseFromString(name, "text/html").documentElement.textContent;
  }

  function swatch(trace) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const add = function (tag, values) {
      const shape = document.createElementNS(svg.namespaceURI, tag);
      for (const [name, value] of Object.entries(values)) shape.setAttribute(name, value);
      svg.append(shape);
    };
    svg.setAttribute("viewBox", "0 0 16 16");
    svg.setAttribute("aria-hidden", "true");
    const marker = trace.marker || {}, line = trace.line || {};
    const mode = trace.mode || "", colour = marker.color || line.color;
    if (trace.fillcolor) add("rect", { x: 0, y: 3, width: 16, height: 10, fill: trace.fillcolor });
    else if (mode.includes("lines")) add("path", { d: "M0 8H16", stroke: line.color, "stroke-width": Math.max(line.width || 2, 1.5), "stroke-dasharray": line.dash === "dash" ? "4 2" : "none" });
    if (trace.type === "bar") add("rect", { x: 2, y: 4, width: 12, height: 8, fill: colour });
    if (mode.includes("markers")) {
      const open = String(marker.symbol).endsWith("-open");
      const rim = (marker.line || {}).color || colour;
      add("path", { d: SHAPES[String(marker.symbol || "circle").replace("-open", "")] || SHAPES.circle, fill: open ? "none" : colour, stroke: open ? colour : rim, "stroke-width": open ? 2 : 1 });
    }
    return svg;
  }

  // One after the other, with a pause for the reader's own scrolling and typing.
  async function drawAll() {
    for (const figure of page.figures.filter(inSight)) {
      await draw(figure);
      await new Promise(function (go) { setTimeout(go, 0); });
    }
    document.body.dataset.ready = "yes";
  }

  // A permalink opens what it lies in, and is looked for again once everything above it has its height.
  function reveal() {
    const place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!place) return;
    for (let part = place.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    const box = place.closest(".tall"), nav = document.querySelector("nav");
    if (box) { // below the table's own heading, and below the contents where they lie across the top
      const above = nav.offsetWidth > nav.offsetHeight ? nav.offsetHeight : 0;
      place.style.scrollMarginTop = box.querySelector("thead").offsetHeight + above + 8 + "px";
    }
    place.scrollIntoView({ behavior: "instant" });
  }

  document.addEventListener("toggle", function (event) {
    if (!event.target.open || !event.target.matches("details.part")) return;
    for (const figure of page.figures)
      if (event.target.contains(placeOf(figure))) draw(figure);
  }, true);
  // On paper everything is open but the tables that are there to be searched, a row a feature.
  window.addEventListener("beforeprint", function () {
    for (const part of document.querySelectorAll("details.part:not(.long), details.how, details.numbers")) part.open = true;
    for (const figure of page.figures) if (!placeOf(figure).dataset.drawn) draw(figure);
  });
  window.addEventListener("hashchange", reveal);
  document.addEventListener("click", function (event) {
    const link = event.target.closest('a[href^="#"]');
    if (link && link.hash === location.hash) reveal();
  });

  // A mark of the map leads to its row in the table of features.
  function showFeature(event) {
    const number = event.points[0].customdata[0];
    const row = document.getElementById("feature-" + number);
    if (!row) return;
    const search = document.querySelector('[data-filters="feature"] input[type="search"]');
    search.value = "";
    search.dispatchEvent(new Event("input"));
    row.closest("details").open = true;
    for (const other of document.querySelectorAll("tr.found")) other.classList.remove("found");
    row.classList.add("found");
    row.scrollIntoView({ block: "center", behavior: "smooth" });
    row.focus({ preventScroll: true });
  }

  function keyOf(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value;
    const number = text === "" ? NaN : Number(text);
    return Number.isNaN(number) ? text.toLowerCase() : number;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === "number") return -1;
    if (typeof b === "number") return 1;
    return a.localeCompare(b, undefined, { numeric: true });
  }

  function sortBy(table, header) {
    const falling = header.getAttribute("aria-sort") === "ascending";
    for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const body = table.tBodies[0];
    const keyed = Array.from(body.rows, function (row) { return [keyOf(row, header.cellIndex), row]; });
    keyed.sort(function (a, b) {
      if (a[0] === "" || b[0] === "") return a[0] === b[0] ? 0 : a[0] === "" ? 1 : -1; // unknown stays last
      return falling ? compare(b[0], a[0]) : compare(a[0], b[0]);
    });
    body.append.apply(body, keyed.map(function (pair) { return pair[1]; }));
  }

  function filterable(controls) {
    const table = document.getElementById("table-" + controls.dataset.filters);
    const rows = Array.from(table.tBodies[0].rows);
    const texts = rows.map(function (row) { return row.textContent.toLowerCase(); });
    const count = controls.querySelector("output");
    function apply() {
      const words = controls.querySelector('input[type="search"]').value.toLowerCase().split(/\s+/).filter(Boolean);
      const choices = Array.from(controls.querySelectorAll("select")).filter(function (s) { return s.value; });
      let shown = 0;
      rows.forEach(function (row, i) {
        const fits = words.every(function (w) { return texts[i].includes(w); }) &&
          choices.every(function (s) { return row.dataset[s.name] === s.value; });
        row.hidden = !fits;
        if (fits) shown += 1;
      });
      count.textContent = shown === rows.length ? rows.length + " rows" : shown + " of " + rows.length + " rows";
    }
    controls.addEventListener("input", apply);
    controls.addEventListener("submit", function (event) { event.preventDefault(); });
    apply();
  }

  for (const table of document.querySelectorAll("table.sortable"))
    for (const header of table.tHead.rows[0].cells)
      header.querySelector("button").addEventListener("click", function () { sortBy(table, header); });
  for (const controls of document.querySelectorAll("[data-filters]")) filterable(controls);
  dark.addEventListener("change", drawAll);
  narrow.addEventListener("change", drawAll);
  reveal();
  drawAll().then(reveal);
})();
