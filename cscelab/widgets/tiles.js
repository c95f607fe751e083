// Draws what browser_view.py describes. Decides nothing: what a tile says, shows and means comes from Python.

const ARROWS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];
const GROUP = 10; // bits or symbols of a code stand in tens

function make(tag, className, parent, attributes = {}) {
  const made = document.createElement(tag);
  made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent?.append(made);
  return made;
}

// Children are changed in place rather than made anew, so that the focus stays where it is.
function fit(parent, count, build) {
  while (parent.children.length > count) parent.lastElementChild.remove();
  while (parent.children.length < count) parent.append(build());
  return [...parent.children];
}

function put(root, selector, text) {
  const at = root.querySelector(selector);
  if (at.textContent !== text) at.textContent = text;
}

function picture(root, shown) {
  const image = root.querySelector("img");
  if (image.getAttribute("src") !== shown.image) image.src = shown.image;
  image.alt = shown.alt;
}

function newFigure(className) {
  const figure = make("figure", className);
  make("img", "", figure, { draggable: "false" });
  make("figcaption", "", figure);
  return figure;
}

function newTile() {
  const tile = make("button", "csce-tile", null, { type: "button", tabindex: "-1" });
  make("img", "", tile, { draggable: "false" });
  const line = make("span", "csce-line", tile, { "aria-hidden": "true" }); // said by the picture's alt text
  make("span", "csce-rank", line);
  make("span", "csce-mark", line);
  make("span", "csce-distance", line);
  make("span", "csce-name", tile, { "aria-hidden": "true" });
  return tile;
}

function newRow() {
  const row = make("section", "csce-row", null, { role: "group" });
  const head = make("div", "csce-head", row);
  make("span", "csce-title", head);
  make("span", "csce-summary", head);
  make("div", "csce-tiles", row);
  return row;
}

function drawRow(root, row, index) {
  root.setAttribute("aria-label", `${row.title}: ${row.summary}`);
  put(root, ".csce-title", row.title);
  put(root, ".csce-summary", row.summary);
  fit(root.querySelector(".csce-tiles"), row.tiles.length, newTile).forEach((tile, place) => {
    const shown = row.tiles[place];
    Object.assign(tile.dataset, { index, place, verdict: shown.verdict, row: shown.row });
    tile.title = `${shown.name}: click to search with it`;
    picture(tile, shown);
    put(tile, ".csce-rank", `${place + 1}`);
    put(tile, ".csce-mark", shown.mark);
    put(tile, ".csce-distance", `d=${shown.distance}`);
    put(tile, ".csce-name", shown.name);
  });
}

// Two lines of signs or symbols in tens, the query's above the result's, and a line of marks under those that differ.
function drawBits(root, query, result) {
  const groups = [];
  for (let start = 0; start < query.length; start += GROUP) {
    const group = make("div", "csce-ten");
    make("div", "csce-from", group).textContent = start + 1;
    for (const code of [query, result]) {
      const line = make("div", "csce-code", group);
      for (let bit = start; bit < Math.min(start + GROUP, query.length); bit++) {
        const differs = query[bit] !== result[bit];
        make("span", differs ? "csce-differs" : "", line).textContent = code[bit] === "-" ? "−" : code[bit];
      }
    }
    const marks = make("div", "csce-code csce-marks", group);
    for (let bit = start; bit < Math.min(start + GROUP, query.length); bit++)
      make("span", "", marks).textContent = query[bit] !== result[bit] ? "≠" : "";
    groups.push(group);
  }
  root.classList.toggle("csce-wide", [...query, ...result].some((part) => part.length > 1));
  root.replaceChildren(...groups);
}

function nearest(from, stops, down) {
  const own = from.getBoundingClientRect();
  const centre = own.left + own.width / 2;
  const ahead = stops
    .map((stop) => [stop, stop.getBoundingClientRect()])
    .filter(([, at]) => (down ? at.top >= own.bottom - 2 : at.bottom <= own.top + 2))
    .map(([stop, at]) => [stop, Math.round(Math.abs(at.top - own.top)), Math.abs(at.left + at.width / 2 - centre)]);
  ahead.sort((a, b) => a[1] - b[1] || a[2] - b[2]);
  return ahead[0]?.[0];
}

function target(from, key, query, tiles) {
  if (from === query) return key === "ArrowRight" || key === "ArrowDown" ? tiles[0] : query;
  const line = tiles.filter((tile) => tile.dataset.index === from.dataset.index);
  const place = line.indexOf(from);
  if (key === "Home") return line[0];
  if (key === "End") return line[line.length - 1];
  if (key === "ArrowLeft") return line[place - 1] ?? query;
  if (key === "ArrowRight") return line[place + 1] ?? from;
  return nearest(from, tiles, key === "ArrowDown") ?? (key === "ArrowUp" ? query : from);
}

// ipywidgets shows no tooltips over lists and fields that have a label.
function explainControls(el, tooltips) {
  for (const label of el.closest(".csce-query-browser")?.querySelectorAll(".widget-label") ?? [])
    for (const part of [label, ...label.parentElement.querySelectorAll("select, input")])
      if (tooltips[label.textContent]) part.title = tooltips[label.textContent];
}

function render({ model, el }) {
  // JupyterLab's own shortcuts (arrows move between cells, Enter edits one) stay out of here.
  const root = make("div", "csce-browser", el, { "data-lm-suppress-shortcuts": "true" });
  const status = make("p", "csce-status", root, { role: "status" });
  const stage = make("div", "csce-stage", root);
  const asked = make("div", "csce-asked", stage);
  const query = make("div", "csce-query", asked, { tabindex: "-1", role: "group" });
  make("img", "", query, { draggable: "false" });
  make("div", "csce-title", query);
  make("div", "csce-name", query);
  const maps = make("div", "csce-maps", asked);
  const rows = make("div", "csce-rows", stage);
  const pair = make("section", "csce-pair", root, { "aria-label": "the chosen pair" });
  const count = make("p", "csce-count", pair, { "aria-live": "polite" });
  const bits = make("div", "csce-bits", pair, { "aria-hidden": "true" });
  const hint = make("p", "csce-hint", root);
  const tiles = () => [...rows.querySelectorAll(".csce-tile")];
  const stopAt = (event) => event.target.closest(".csce-tile, .csce-query");

  function chosenTile() {
    const [index, place] = model.get("chosen");
    const row = rows.children[Math.min(index, rows.children.length - 1)];
    const line = row ? [...row.querySelectorAll(".csce-tile")] : [];
    return line[Math.min(place, line.length - 1)];
  }

  function drawPair() {
    const tile = chosenTile();
    for (const other of tiles()) {
      other.classList.toggle("csce-chosen", other === tile);
      other.tabIndex = other === tile ? 0 : -1;
    }
    pair.hidden = !tile;
    if (!tile) return;
    const row = model.get("view").rows[tile.dataset.index];
    const shown = row.tiles[tile.dataset.place];
    const rank = Number(tile.dataset.place) + 1;
    count.textContent = `Query (upper line) and rank ${rank} of ${row.title}, ${shown.name} (lower line): ${shown.differing}.`;
    drawBits(bits, row.bits, shown.bits);
  }

  function draw() {
    const view = model.get("view");
    if (!view.query) return;
    const focused = root.contains(document.activeElement);
    picture(query, view.query);
    put(query, ".csce-title", view.query.title);
    put(query, ".csce-name", view.query.name);
    query.setAttribute("aria-label", view.query.alt);
    fit(maps, view.query.maps.length, () => newFigure("csce-map")).forEach((map, index) => {
      picture(map, view.query.maps[index]);
      put(map, "figcaption", `CAM, ${view.query.maps[index].title}`);
    });
    fit(rows, view.rows.length, newRow).forEach((row, index) => drawRow(row, view.rows[index], index));
    hint.textContent = view.hint;
    drawPair();
    if (focused && !root.contains(document.activeElement)) (chosenTile() ?? query).focus();
  }

  function choose(tile) {
    const chosen = [Number(tile.dataset.index), Number(tile.dataset.place)];
    if (tile === chosenTile()) return;
    model.set("chosen", chosen);
    model.save_changes();
  }

  stage.addEventListener("click", (event) => {
    const tile = event.target.closest(".csce-tile");
    // The second click of a double click would search with what the first one has just brought there.
    if (tile && event.detail < 2) model.send({ kind: "search", row: Number(tile.dataset.row) });
  });
  stage.addEventListener("focusin", (event) => {
    const tile = event.target.closest(".csce-tile");
    if (tile) choose(tile);
  });
  stage.addEventListener("pointermove", (event) => {
    const tile = event.target.closest(".csce-tile");
    // Chromium also reports a pointer that rests where the picture changed under it.
    if (tile && (event.movementX || event.movementY)) choose(tile);
  });
  stage.addEventListener("keydown", (event) => {
    const from = stopAt(event);
    if (!from || !ARROWS.includes(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    target(from, event.key, query, tiles())?.focus();
  });

  const say = () => put(root, ".csce-status", model.get("status"));
  model.on("change:view", draw);
  model.on("change:chosen", drawPair);
  model.on("change:status", say);
  say();
  draw();
  const placed = new ResizeObserver(() => explainControls(el, model.get("tooltips"))); // called once the widget stands in the page
  placed.observe(root);
  return () => {
    placed.disconnect();
    model.off("change:view", draw);
    model.off("change:chosen", drawPair);
    model.off("change:status", say);
  };
}

function save(content, buffers) {
  if (content.kind !== "file") return;
  const address = URL.createObjectURL(new Blob([buffers[0]], { type: content.type }));
  const link = make("a", "", document.body, { href: address, download: content.name });
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

// Jupyter closes the connection on a message over its limit: such a file is taken back before it is sent, and named.
async function guard(model) {
  if (!model.get("upload")) return;
  const upload = await model.widget_manager.get_model(model.get("upload"));
  upload.on("change:value", () => {
    const large = upload.get("value").find((file) => file.size > model.get("largest"));
    if (!large) return;
    upload.set("value", []);
    model.send({ kind: "too large", name: large.name, size: large.size });
  });
}

function initialize({ model }) {
  model.on("msg:custom", save);
  guard(model);
}

export default { initialize, render };
