import { Pane } from "./pane.js";

const demo = JSON.parse(document.getElementById("demo").textContent);
const panes = demo.seats.map((email) => new Pane(demo, email));

document.getElementById("panes").append(...panes.map((pane) => pane.element));
