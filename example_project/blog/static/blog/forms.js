/** Run an action that the server may refuse; if it does, show that in the element's block. */
export async function attempt(element, action) {
  const problem = element.closest(".block").querySelector(".problem");
  problem.hidden = true;
  try {
    await action();
  } catch (error) {
    problem.textContent = `Refused: ${error.message}`;
    problem.hidden = false;
  }
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
    await write(text);
  } catch (error) {
    field.value ||= text;
    throw error;
  }
}
