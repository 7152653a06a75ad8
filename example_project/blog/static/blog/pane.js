import { Realtime } from "../ayb_realtime/client.js";
import { Session } from "./api.js";
import { attempt, hand, onSubmit } from "./forms.js";
import { clone, RowList } from "./list.js";
import { EventLog } from "./log.js";
import { fillComment, fillPost } from "./rows.js";

/** One person: who sits here, their stream, and what they see through it. */
export class Pane {
  constructor(demo, email) {
    this.demo = demo;
    this.element = clone("pane");
    this.lists = {
      posts: new RowList(this.find("[data-list=posts]"), "post", (item, row) => fillPost(this, item, row)),
      comments: new RowList(this.find("[data-list=comments]"), "comment", (item, row) => fillComment(this, item, row)),
    };
    this.log = new EventLog(this.find(".log"));
    this.listen();
    this.find("[name=account]").append(...demo.accounts.map((account) => new Option(account.email)));
    this.sit(email);
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  listen() {
    this.find("[name=account]").onchange = (event) => this.sit(event.target.value);
    this.find("[name=member]").onchange = ({ target }) => attempt(target, () => this.setMember(target.checked));
    this.find("[data-do=refetch]").onclick = () => this.refetch();
    this.find("[data-do=clear]").onclick = () => this.log.clear();
    onSubmit(this.find("[data-form=post]"), (form) => this.writePost(form));
    onSubmit(this.find("[data-form=comment]"), (form) => this.writeComment(form));
  }

  // The stream

  /** Seat a person, and drop everything of the previous one. One stream feeds both lists and the log. */
  sit(email) {
    this.realtime?.close();
    const seat = this.demo.accounts.findIndex((account) => account.email === email);
    this.account = this.demo.accounts[seat];
    this.find("[name=account]").value = email;
    this.element.dataset.seat = seat;
    this.element.setAttribute("aria-label", email);
    this.find(".avatar").textContent = email[0].toUpperCase();
    Object.values(this.lists).forEach((list) => list.clear());
    this.log.clear();
    this.session = new Session(email, this.demo.password);
    this.open(this.session);
  }

  open(session) {
    const realtime = (this.realtime = new Realtime({ token: () => session.token() }));
    realtime.onstatus = (status, message) => this.show(status, message);
    this.show(realtime.status);
    realtime.subscribe(Object.keys(this.lists), (event) => this.receive(event));
    this.live = Object.keys(this.lists).map((table) => ({ table, rows: realtime.live(table) }));
    this.follow();
  }

  follow() {
    for (const one of this.live) one.end = one.rows.subscribe((rows, change) => this.lists[one.table].show(rows, change));
  }

  /** Read the rows again. A change of the team sends no events, but it changes which comments the policies show. */
  refetch() {
    for (const { end } of this.live) end();
    this.follow();
    return this.readTeam();
  }

  receive(event) {
    this.log.add(event.action, event.table ?? "", event.record ? JSON.stringify(event.record) : event.reason);
    if (event.action === "reset") this.readTeam();
  }

  readTeam() {
    const { session } = this;
    const member = this.find("[name=member]");
    return attempt(member, async () => {
      const { members } = await session.call("GET", "/api/memberships");
      if (session === this.session) member.checked = members.includes(this.account.id);
    });
  }

  show(status, message = "") {
    this.find(".status").textContent = this.find(".status").dataset.state = status;
    if (message) this.log.add(status, "", message);
  }

  // What a person does. Only the stream changes the lists.

  writePost(form) {
    const { title, published } = form.elements;
    const post = { title: title.value, published: published.checked };
    return hand(title, () => this.session.call("POST", "/api/collections/posts", post));
  }

  writeComment(form) {
    const { body } = form.elements;
    const { session } = this;
    return hand(body, async (text) => {
      const { team } = await session.call("GET", "/api/memberships");
      await session.call("POST", "/api/collections/comments", { body: text, team_id: team.id });
    });
  }

  async setMember(member) {
    const { id } = this.account;
    if (member) await this.session.call("POST", "/api/memberships", { user_id: id });
    else await this.session.call("DELETE", `/api/memberships/${id}`);
    await this.refetch();
  }

  nameOf(id) {
    return this.demo.accounts.find((account) => account.id === id)?.email ?? id;
  }
}
