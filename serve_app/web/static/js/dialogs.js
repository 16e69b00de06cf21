// Two questions to the user. form-action is 'none' in the page's policy; a dialog's form sends nothing.

import { apiKey, setApiKey } from "./api.js";
import { byId } from "./dom.js";
import { tCount } from "./language.js";

/** Resolves to true where the user wants to lose what is there. */
export async function confirmClear(count) {
  byId("clear-detail").textContent = tCount("clear.detail", count);
  return (await answerOf(byId("clear-dialog"))) === "yes";
}

let asked = null; // the answer that everyone waits for who needs a key

/** Ask for an API key, once for all who ask; resolves to true where one was given. */
export function askForKey() {
  asked ??= readKey().finally(() => (asked = null));
  return asked;
}

async function readKey() {
  const dialog = byId("key-dialog");
  byId("key").value = "";
  byId("key-refused").hidden = apiKey() === "";
  byId("key-cancel").onclick = () => dialog.close("");
  if ((await answerOf(dialog)) !== "ok") return false;
  setApiKey(byId("key").value.trim());
  return true;
}

function answerOf(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}
