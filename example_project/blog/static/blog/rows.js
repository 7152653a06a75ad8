import { attempt, onSubmit } from "./forms.js";

/** Fill a post's list item; its author gets buttons. */
export function fillPost(pane, item, post) {
  const path = `/api/collections/posts/${post.id}`;
  const state = item.querySelector(".state");
  state.textContent = post.published ? "published" : "draft";
  state.dataset.published = post.published;
  fillRow(pane, item, post, post.title, path);
  onAction(item, "publish", post.published ? "Unpublish" : "Publish", post.title, () =>
    pane.session.call("PATCH", path, { published: !post.published }),
  );
  prepareEditor(pane, item, post, path);
}

/** Fill a comment's list item. */
export function fillComment(pane, item, comment) {
  fillRow(pane, item, comment, comment.body, `/api/collections/comments/${comment.id}`);
}

function fillRow(pane, item, row, text, path) {
  const own = row.author_id === pane.account.id;
  item.querySelector(".title").textContent = text;
  item.querySelector(".author").textContent = own ? "" : pane.nameOf(row.author_id);
  item.querySelector(".yours").hidden = item.querySelector(".actions").hidden = !own;
  onAction(item, "delete", "Delete", text, () => pane.session.call("DELETE", path));
}

function onAction(item, name, label, subject, action) {
  const button = item.querySelector(`[data-do=${name}]`);
  button.textContent = label;
  button.setAttribute("aria-label", `${label}: ${subject}`);
  button.onclick = () => attempt(button, action);
}

function prepareEditor(pane, item, post, path) {
  const editor = item.querySelector(".editor");
  const edit = item.querySelector("[data-do=edit]");
  const toggle = (open) => {
    item.classList.toggle("editing", open);
    editor.hidden = !open;
    (open ? editor.elements.title : edit).focus();
  };
  edit.setAttribute("aria-label", `Edit: ${post.title}`);
  edit.onclick = () => {
    editor.elements.title.value = post.title;
    toggle(true);
  };
  item.querySelector("[data-do=cancel]").onclick = () => toggle(false);
  editor.onkeydown = (event) => event.key === "Escape" && toggle(false);
  onSubmit(editor, async () => {
    await pane.session.call("PATCH", path, { title: editor.elements.title.value });
    toggle(false);
  });
}
