/** Run an action that the server may refuse; if it does, show that beside the element. */
export async function attempt(element, action) {
  element.closest(".pane").querySelectorAll(".problem").forEach((problem) => (problem.hidden = true));
  try {
    await action();
  } catch (error) {
    complain(element, `Refused: ${error.message}`);
  }
}

/** Show what went wrong, in the pane's block that holds the element. */
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

/** Empty a field at once, so that the next text can be typed; restore the text if the server refuses it. */
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
