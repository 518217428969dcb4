/** Selects that show one of several parts; all selects of a kind change together. */
class Choice {
  constructor(kind, changed = () => {}) {
    this.kind = kind;
    this.changed = changed;
    this.selects = [...document.querySelectorAll(`[data-choose="${kind}"]`)];
    this.parts = [...document.querySelectorAll(`[data-${kind}]`)];
    for (const select of this.selects) {
      select.addEventListener("change", () => this.show(select.value));
    }
    const parents = new Set(this.parts.map((part) => part.parentElement));
    this.groups = [...parents].map((parent) =>
      this.parts.filter((part) => part.parentElement === parent),
    );
    const [first] = this.parts;
    if (first) this.show(first.dataset[kind]);
  }

  /** A group that has no such part goes on showing what it shows. */
  show(value) {
    for (const select of this.selects) {
      if ([...select.options].some((option) => option.value === value)) select.value = value;
    }
    for (const group of this.groups) {
      const same = group.find((part) => part.dataset[this.kind] === value);
      const shown = same ?? group.find((part) => !part.hidden);
      for (const part of group) part.hidden = part !== shown;
    }
    this.changed(value);
  }
}

/** A table whose headings sort it. */
class Sorting {
  constructor(table) {
    this.body = table.tBodies[0];
    this.headings = [...table.tHead.rows[0].cells];
    this.headings.forEach((heading, column) => this.arm(heading, column));
  }

  arm(heading, column) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => this.sort(column));
  }

  /** Numbers begin with the largest, words with the first; what is missing stays last. */
  sort(column) {
    const heading = this.headings[column];
    const number = heading.dataset.sort === "number";
    const before = heading.getAttribute("aria-sort");
    const first = number && column > 0 ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = before === first ? other : first;
    for (const cell of this.headings) cell.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const keys = new Map([...this.body.rows].map((row) => [row, this.key(row, column, number)]));
    const compare = (one, two) => {
      const [a, b] = [keys.get(one), keys.get(two)];
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (number ? a - b : a.localeCompare(b, "en", { numeric: true }));
    };
    this.body.append(...[...this.body.rows].sort(compare));
  }

  key(row, column, number) {
    const cell = row.cells[column];
    if (!number) return (cell.querySelector(".name") ?? cell).textContent.trim();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  }
}

/** Shows the rows of the cells that are asked for, and says how many. */
class Filters {
  constructor(table) {
    this.rows = [...table.tBodies[0].rows];
    this.with = [...document.querySelectorAll(".filters .with")];
    this.kind = find("#kind");
    this.search = find("#search");
    for (const field of [...this.with, this.kind]) field?.addEventListener("change", () => this.look());
    this.search.addEventListener("input", () => this.look());
    find("#reset").addEventListener("click", () => this.reset());
    this.look();
  }

  reset() {
    for (const field of [...this.with, this.kind, this.search]) if (field) field.value = "";
    this.look();
  }

  look() {
    for (const row of this.rows) row.hidden = !this.wanted(row);
    const shown = this.rows.filter((row) => !row.hidden).length;
    find("#shown").textContent = `${shown} of ${this.rows.length} cells shown`;
  }

  wanted(row) {
    const uses = this.with.every(
      ({ value, dataset }) => value === "" || row.dataset.uses[Number(dataset.place)] === value,
    );
    const kind = !this.kind?.value || this.kind.value === row.dataset.kind;
    const words = this.search.value.trim().toLowerCase();
    return uses && kind && row.querySelector("th").textContent.toLowerCase().includes(words);
  }
}

/** Says what a mark of a plot stands for; arrow keys lead from one to the next by speed. */
class Readout {
  constructor(figure) {
    this.name = figure.querySelector(".readout b");
    this.said = figure.querySelector(".readout span");
    const points = [...figure.querySelectorAll(".field .point")];
    const place = (point) => parseFloat(point.parentNode.getAttribute("x"));
    this.points = points.sort((one, other) => place(one) - place(other));
    this.points.forEach((point, number) => {
      point.setAttribute("tabindex", number ? -1 : 0);
      point.addEventListener("pointerenter", () => this.show(point));
      point.addEventListener("focus", () => this.show(point));
      point.addEventListener("keydown", (event) => this.move(event, number));
    });
  }

  show(point) {
    for (const other of this.points) other.classList.toggle("read", other === point);
    this.name.textContent = point.dataset.name;
    this.said.textContent = point.dataset.said;
  }

  move(event, number) {
    const last = this.points.length - 1;
    const to = {
      ArrowRight: Math.min(number + 1, last),
      ArrowDown: Math.min(number + 1, last),
      ArrowLeft: Math.max(number - 1, 0),
      ArrowUp: Math.max(number - 1, 0),
      Home: 0,
      End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.points[number].setAttribute("tabindex", -1);
    this.points[to].setAttribute("tabindex", 0);
    this.points[to].focus();
  }
}

/** One player for the videos of all blocks: it leads those of the block that is shown. */
function lead() {
  const all = [...document.querySelectorAll(".take")];
  const first = all.find((take) => take.querySelector("video"));
  if (!first) {
    for (const controls of document.querySelectorAll(".controls")) controls.hidden = true;
    new Choice("take");
    return;
  }
  const player = new Player();
  let started = false;
  const controls = find(".controls");
  new Choice("take", (value) => {
    const take = all.find((other) => other.dataset.take === value);
    const playable = Boolean(take?.querySelector("video"));
    controls.hidden = !playable;
    if (!playable) {
      if (started && player.playing) player.pause({ announced: false });
    } else if (started) player.change(take);
    else {
      started = true;
      player.start(take);
    }
  });
}

begin();
for (const element of document.querySelectorAll(".unscripted")) element.hidden = true;
const table = find("#cells");
if (table) {
  new Sorting(table);
  new Filters(table);
}
new Choice("metric");
for (const figure of document.querySelectorAll(".pareto")) new Readout(figure);
lead();
