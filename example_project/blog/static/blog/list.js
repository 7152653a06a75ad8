const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Clone the one element of a <template>. */
export function clone(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

/** Rows by primary key, newest first. Elements stay in place when their row changes, so focus and edits survive. */
export class RowList {
  constructor(element, template, fill) {
    this.element = element;
    this.template = template;
    this.fill = fill;
    this.items = new Map();
  }

  upsert(row) {
    const known = this.items.get(row.id);
    const item = known ?? this.insert(row);
    this.fill(item, row);
    known ? flash(item) : unfold(item);
  }

  remove(id) {
    const item = this.items.get(id);
    if (!item) return;
    this.items.delete(id);
    fold(item);
  }

  /** Show exactly these rows. Rows that stay are not animated, nor is the first list. */
  replace(rows) {
    const first = this.items.size === 0;
    const ids = new Set(rows.map((row) => row.id));
    for (const id of this.items.keys()) if (!ids.has(id)) this.remove(id);
    for (const row of rows) {
      const known = this.items.get(row.id);
      const item = known ?? this.insert(row);
      this.fill(item, row);
      if (!known && !first) unfold(item);
    }
  }

  clear() {
    this.items.clear();
    this.element.replaceChildren();
  }

  insert(row) {
    const item = clone(this.template);
    const next = [...this.items].filter(([id]) => id < row.id).sort(([a], [b]) => b - a)[0];
    this.element.insertBefore(item, next ? next[1] : null);
    this.items.set(row.id, item);
    return item;
  }
}

function unfold(item) {
  requestAnimationFrame(() => {
    if (calm.matches) return;
    item.animate({ height: ["0px", `${item.offsetHeight}px`], opacity: [0, 1] }, { duration: 240, easing: "ease-out" });
    flash(item);
  });
}

function fold(item) {
  item.inert = true;
  if (calm.matches) return item.remove();
  const frames = { height: [`${item.offsetHeight}px`, "0px"], opacity: [1, 0] };
  item.animate(frames, { duration: 220, easing: "ease-in" }).finished.finally(() => item.remove());
}

function flash(item) {
  if (calm.matches) return;
  const color = getComputedStyle(item).getPropertyValue("--flash");
  item.animate({ backgroundColor: [color, "transparent"] }, { duration: 1400, easing: "ease-out" });
}
