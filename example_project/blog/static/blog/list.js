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

  /** Show a live table's rows after a change, or after they have been read, where change is null. */
  show(rows, change) {
    if (!change) this.replace(rows);
    else if (change.action === "delete") this.remove(change.record.id);
    else this.upsert(change.record);
  }

  /** Rows that stay are not animated, nor is the first list. */
  replace(rows) {
    const isFirst = !this.items.size;
    for (const id of this.items.keys()) if (!rows.has(id)) this.remove(id);
    for (const [id, row] of rows) this.upsert(row, isFirst || this.items.has(id));
  }

  upsert(row, isCalm = calm.matches) {
    const known = this.items.get(row.id);
    const item = known ?? this.insert(row);
    this.fill(item, row);
    if (!isCalm) known ? flash(item) : unfold(item);
  }

  remove(id) {
    const item = this.items.get(id);
    if (!item) return;
    this.items.delete(id);
    fold(item);
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
  item.animate({ backgroundColor: ["var(--flash)", "transparent"] }, { duration: 1400, easing: "ease-out" });
}
