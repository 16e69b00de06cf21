// What the service says of itself, asked for until it answers.

import { getJson, Later, Problem, Unreachable } from "./api.js";
import { askForKey } from "./dialogs.js";
import { byId } from "./dom.js";

const AGAIN_MS = 3000;

/** GET a path, however long the service takes to come up; asks for a key where one is wanted. */
export async function insist(path) {
  for (;;) {
    try {
      const answer = await getJson(path);
      byId("offline").hidden = true;
      return answer;
    } catch (error) {
      if (error instanceof Unreachable) byId("offline").hidden = false;
      else if (error instanceof Problem && error.code === "auth_failed") {
        if (await askForKey()) continue;
      } else if (!(error instanceof Later)) throw error;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

/** The models, or null while none is loaded. */
export async function loadedModels() {
  try {
    return (await getJson("v1/models")).models;
  } catch {
    return null;
  }
}
