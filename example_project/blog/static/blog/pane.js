import { Session } from "./api.js";
import { attempt, complain, hand, onSubmit } from "./forms.js";
import { clone, RowList } from "./list.js";
import { EventLog } from "./log.js";
import { fillComment, fillPost } from "./rows.js";

const RETRY_MILLISECONDS = 2000;

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
    this.offerAccounts(email);
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

  offerAccounts(email) {
    const select = this.find("[name=account]");
    select.append(...this.demo.accounts.map((account) => new Option(account.email)));
    select.value = email;
  }

  // The stream

  /** Seat a person, and drop everything of the previous one. */
  sit(email) {
    this.stream?.close();
    clearTimeout(this.retry);
    this.element.dataset.seat = this.demo.accounts.findIndex((account) => account.email === email);
    this.element.setAttribute("aria-label", email);
    this.find(".avatar").textContent = email[0].toUpperCase();
    Object.values(this.lists).forEach((list) => list.clear());
    this.log.clear();
    this.waiting = null;
    this.session = new Session(email, this.demo.password);
    this.open();
  }

  /** Log in and open the stream. If that fails, try again later, unless another person has sat down. */
  async open() {
    const session = this.session;
    this.show("connecting");
    try {
      await session.login();
    } catch (error) {
      if (session === this.session) this.reopenLater(error.message);
      return;
    }
    if (session === this.session) this.subscribe(session);
  }

  subscribe(session) {
    const stream = (this.stream = session.stream("posts", "comments"));
    stream.onmessage = (event) => this.receive(event);
    stream.addEventListener("connected", (event) => this.connected(event));
    stream.addEventListener("reset", (event) => this.reset(event));
    stream.addEventListener("expired", (event) => this.expired(event));
    stream.onerror = () => {
      if (stream !== this.stream) return;
      if (stream.readyState === EventSource.CLOSED) this.reopenLater("The stream was refused.");
      else this.show("reconnecting");
    };
  }

  reopenLater(message) {
    this.stream?.close();
    this.show("reconnecting");
    complain(this.log.element, message);
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.open(), RETRY_MILLISECONDS);
  }

  /** From here on no change is missed, so rows fetched now and the events are complete together. */
  connected(event) {
    this.show("live");
    this.log.add("connected", "", event.lastEventId, event.data);
    this.refetch();
  }

  reset(event) {
    this.log.add("reset", "", event.lastEventId, event.data);
    this.refetch();
  }

  expired(event) {
    this.log.add("expired", "", event.lastEventId, event.data);
    this.stream.close();
    this.open();
  }

  receive(event) {
    const change = JSON.parse(event.data);
    this.log.add(change.action, change.table, event.lastEventId, JSON.stringify(change.record));
    if (this.waiting) this.waiting.push(change);
    else this.apply(change);
  }

  apply({ action, table, record }) {
    if (action === "delete") this.lists[table].remove(record.id);
    else this.lists[table].upsert(record);
  }

  /** Fetch the rows that the policies show now. Changes that arrive meanwhile are newer: apply them afterwards. */
  async fetch() {
    const session = this.session;
    const waiting = (this.waiting = []);
    try {
      const [posts, comments, team] = await Promise.all([
        session.call("GET", "/api/collections/posts?perPage=500"),
        session.call("GET", "/api/collections/comments?perPage=500"),
        session.call("GET", "/api/memberships"),
      ]);
      if (waiting === this.waiting && session === this.session) this.display(posts, comments, team);
    } finally {
      if (waiting === this.waiting) this.release();
    }
  }

  display(posts, comments, { team, members }) {
    this.team = team;
    this.find("[name=member]").checked = members.includes(this.session.user.id);
    this.lists.posts.replace(posts.items);
    this.lists.comments.replace(comments.items);
  }

  release() {
    const changes = this.waiting;
    this.waiting = null;
    changes.forEach((change) => this.apply(change));
  }

  // What a person does. Only events change the lists.

  writePost(form) {
    const { title, published } = form.elements;
    const post = { title: title.value, published: published.checked };
    return hand(title, () => this.session.call("POST", "/api/collections/posts", post));
  }

  writeComment(form) {
    const { body } = form.elements;
    const comment = { body: body.value, team_id: this.team.id };
    return hand(body, () => this.session.call("POST", "/api/collections/comments", comment));
  }

  async setMember(member) {
    const { id } = this.session.user;
    if (member) await this.session.call("POST", "/api/memberships", { user_id: id });
    else await this.session.call("DELETE", `/api/memberships/${id}`);
    await this.fetch();
  }

  nameOf(id) {
    return this.demo.accounts.find((account) => account.id === id)?.email ?? id;
  }

  refetch() {
    return attempt(this.log.element, () => this.fetch());
  }

  show(state) {
    this.find(".status").textContent = this.find(".status").dataset.state = state;
  }
}
