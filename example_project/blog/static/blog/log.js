import { clone } from "./list.js";

const ENTRIES_MAX = 200;

/** The events of one stream, newest first. */
export class EventLog {
  constructor(element) {
    this.element = element;
  }

  add(action, table, data) {
    const entry = clone("entry");
    entry.querySelector(".action").textContent = action;
    entry.querySelector(".action").dataset.action = action;
    entry.querySelector(".table").textContent = table;
    entry.querySelector("time").textContent = new Date().toLocaleTimeString([], { hour12: false });
    entry.querySelector("pre").textContent = data;
    this.element.prepend(entry);
    while (this.element.childElementCount > ENTRIES_MAX) this.element.lastElementChild.remove();
  }

  clear() {
    this.element.replaceChildren();
  }
}
