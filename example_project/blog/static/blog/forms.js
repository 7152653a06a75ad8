/** Do something that the server may refuse, and say so beside the element that it began with. */
export async function attempt(element, action) {
  element.closest(".pane").querySelectorAll(".problem").forEach((problem) => (problem.hidden = true));
  try {
    await action();
  } catch (error) {
    complain(element, `Refused: ${error.message}`);
  }
}

/** Say what went wrong, in the block of a pane that holds the element. */
export function complain(element, message) {
  const problem = element.closest(".block").querySelector(".problem");
  problem.textContent = message;
  problem.hidden = false;
}

export function onSubmit(form, action) {
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(form, () => action(form));
  };
}

/** Empty a field at once, so that the next text can be written; give the text back where the server refuses it. */
export async function hand(field, write) {
  const text = field.value;
  field.value = "";
  try {
    await write();
  } catch (error) {
    field.value ||= text;
    throw error;
  }
}
