// A picture with a grid of boxes: the page's side of boxes.py.

const PAUSE = 125; // ms between two boxes sent while the pointer moves
const PATIENCE = 1000; // ms after which the next box is sent though the last was not answered
const SVG = "http://www.w3.org/2000/svg";

function element(parent, name, attributes = {}, space = null) {
  const made = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.appendChild(made);
  return made;
}

function render({ model, el }) {
  const root = element(el, "div", { class: "cscelab-picker" });
  const frame = element(root, "div", {
    class: "cscelab-picker-frame",
    tabindex: "0",
    role: "application",
    "aria-roledescription": "picture with boxes to choose from",
  });
  const picture = element(frame, "img", { alt: "", draggable: "false" });
  const overlay = element(frame, "svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" }, SVG);
  const grid = element(overlay, "path", { class: "grid" }, SVG);
  const under = element(overlay, "rect", { class: "under" }, SVG);
  const chosen = element(overlay, "rect", { class: "chosen" }, SVG);
  const said = element(root, "div", { class: "cscelab-picker-said", "aria-live": "polite" });
  const help = element(root, "div", { class: "cscelab-picker-help" });
  help.textContent = "Point or use the arrow keys; click to fix, click again or Escape to let go.";

  let shown = model.get("index"); // where the outline is; the model follows
  let fixed = false;
  let sent = 0; // time of the last box sent, 0 when it was answered
  let last = 0;
  let timer = null;
  let address = null;

  function draw() {
    const [columns, rows] = [model.get("columns"), model.get("rows")];
    const [step, size] = [model.get("step"), model.get("size")];
    const row = Math.floor(shown / columns);
    const column = shown % columns;
    for (const box of [under, chosen]) {
      box.setAttribute("x", column * step);
      box.setAttribute("y", row * step);
      box.setAttribute("width", size);
      box.setAttribute("height", size);
    }
    frame.classList.toggle("fixed", fixed);
    const words = `${model.get("label")}: row ${row + 1} of ${rows}, column ${column + 1} of ${columns}`;
    said.textContent = fixed ? `${words}, fixed` : words;
    frame.setAttribute("aria-label", words);
  }

  function rule() {
    const step = model.get("step");
    const n = Math.round(1 / step);
    const lines = [];
    for (let i = 1; i < n; i += 1) lines.push(`M${i * step} 0V1M0 ${i * step}H1`);
    grid.setAttribute("d", lines.join(""));
  }

  function load() {
    const bytes = model.get("picture");
    if (address) URL.revokeObjectURL(address);
    address = bytes && bytes.byteLength ? URL.createObjectURL(new Blob([bytes], { type: "image/png" })) : null;
    if (address) picture.src = address;
  }

  function send() {
    timer = null;
    if (shown === model.get("index")) return;
    const now = performance.now();
    const wait = Math.max(last + PAUSE - now, sent ? sent + PATIENCE - now : 0);
    if (wait > 0) {
      timer = setTimeout(send, wait);
      return;
    }
    sent = last = now;
    model.set("index", shown);
    model.save_changes();
  }

  function choose(index) {
    if (index === shown) return;
    shown = index;
    draw();
    if (timer === null) send();
  }

  function underPointer(event) {
    const { left, top, width, height } = frame.getBoundingClientRect();
    const [step, size] = [model.get("step"), model.get("size")];
    const nearest = (share, n) => Math.min(n - 1, Math.max(0, Math.round((share - size / 2) / step)));
    const column = nearest((event.clientX - left) / width, model.get("columns"));
    const row = nearest((event.clientY - top) / height, model.get("rows"));
    return row * model.get("columns") + column;
  }

  frame.addEventListener("pointermove", (event) => {
    if (!fixed && event.pointerType !== "touch") choose(underPointer(event));
  });
  frame.addEventListener("click", (event) => {
    const index = underPointer(event);
    fixed = !(fixed && index === shown);
    choose(index);
    draw();
  });
  frame.addEventListener("keydown", (event) => {
    const [columns, rows] = [model.get("columns"), model.get("rows")];
    let row = Math.floor(shown / columns);
    let column = shown % columns;
    if (event.key === "ArrowLeft") column = Math.max(0, column - 1);
    else if (event.key === "ArrowRight") column = Math.min(columns - 1, column + 1);
    else if (event.key === "ArrowUp") row = Math.max(0, row - 1);
    else if (event.key === "ArrowDown") row = Math.min(rows - 1, row + 1);
    else if (event.key === "Home") column = 0;
    else if (event.key === "End") column = columns - 1;
    else if (event.key === "Enter" || event.key === " ") fixed = !fixed;
    else if (event.key === "Escape") fixed = false;
    else return;
    event.preventDefault(); // neither the page scrolls nor the notebook takes the key
    event.stopPropagation();
    if (event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End") fixed = true;
    choose(row * columns + column);
    draw();
  });

  function follow() {
    if (timer === null && !sent) shown = model.get("index"); // not while the pointer is ahead of the kernel
    draw();
  }
  function answered() {
    sent = 0;
    if (timer !== null) clearTimeout(timer);
    send();
  }
  function relaid() {
    shown = model.get("index");
    rule();
    draw();
  }
  model.on("change:index", follow);
  model.on("change:answered", answered);
  model.on("change:picture", load);
  for (const name of ["rows", "columns", "step", "size", "label"]) model.on(`change:${name}`, relaid);
  load();
  relaid();

  return () => {
    if (timer !== null) clearTimeout(timer);
    if (address) URL.revokeObjectURL(address);
    model.off(null, null, null);
  };
}

export default { render };
