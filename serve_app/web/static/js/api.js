// The HTTP calls of this page, and what can come of them: a result, a problem, later, or no server.

import { recallInTab, rememberInTab } from "./storage.js";
import { post } from "./upload.js";

// This module lies three folders below the service's own root, wherever that is mounted.
const ROOT = new URL("../../../", import.meta.url);
const KEY = "cvunet.key";

export const endpoint = (path) => new URL(path, ROOT).href;

/** The service answered with a problem (RFC 9457). */
export class Problem extends Error {
  constructor({ code = "other", detail = "", status = 0, title = "" }) {
    super(detail || title || `HTTP ${status}`);
    this.code = code;
    this.status = status;
  }
}

/** The service asks to come again: it is busy, or starting. */
export class Later extends Problem {
  constructor(problem, seconds) {
    super(problem);
    this.seconds = seconds;
  }
}

/** Nobody answered. */
export class Unreachable extends Error {}

let key = recallInTab(KEY) ?? "";

export const apiKey = () => key;

export function setApiKey(text) {
  key = text;
  rememberInTab(KEY, text);
}

export async function getJson(path, signal) {
  return (await call(path, { signal })).json();
}

/** Send one image; fields is a list of [name, text or File]; onSent as in upload.js. */
export async function requestMatting(file, fields, { signal, onSent = () => {} } = {}) {
  const body = new FormData();
  body.append("image", file, file.name);
  for (const [name, value] of fields) body.append(name, value);
  const send = (url, options) => post(url, options, onSent);
  const response = await call("v1/matting", { body, signal }, send);
  return { blob: await read(response), headers: response.headers };
}

async function call(path, options, send = fetch) {
  const headers = apiKey() ? { "X-API-Key": apiKey() } : {};
  let response;
  try {
    response = await send(endpoint(path), { ...options, headers });
  } catch (error) {
    throw lost(error);
  }
  if (response.ok) return response;
  const problem = { status: response.status, ...(await problemOf(response)) };
  const seconds = retryAfter(response.headers.get("Retry-After"));
  // A proxy's own 502 to 504 has no problem document: the service behind it is not there.
  if (!problem.code && response.status >= 502) throw new Unreachable();
  if (seconds !== null && [429, 503].includes(response.status)) throw new Later(problem, seconds);
  throw new Problem(problem);
}

async function problemOf(response) {
  if (!(response.headers.get("Content-Type") ?? "").includes("json")) return {};
  try {
    return await response.json();
  } catch {
    return {};
  }
}

async function read(response) {
  try {
    return await response.blob();
  } catch (error) {
    throw lost(error);
  }
}

// fetch and post say TypeError for every failure of the network, and AbortError where we stopped it.
const lost = (error) => (error.name === "AbortError" ? error : new Unreachable());

/** Seconds, or an HTTP date; null where there is none. At least one second, so that nobody spins. */
function retryAfter(text) {
  if (!text) return null;
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(60, Math.max(1, seconds)) : null;
}
