// A call as curl and as Python, ready to run.

const NEEDS_QUOTES = /[^\w@%+=:,./-]/;

/** Quote for a POSIX shell. */
const shell = (text) => (NEEDS_QUOTES.test(text) ? `'${text.replaceAll("'", "'\\''")}'` : text);

/** Quote for Python: what JSON writes is what Python reads, for strings. */
const python = (text) => JSON.stringify(text);

// In curl's -F, a name with ; or , or " is written in quotes of curl's own.
const curlFile = (name) => (/[;,"\\]/.test(name) ? `"${name.replace(/["\\]/g, "\\$&")}"` : name);

/** call: { url, file, fields, output, hasKey }; a field is [name, text or File]. */
export function curl({ url, file, fields, output, hasKey }) {
  const parts = [`curl -sS --fail-with-body ${shell(url)}`];
  if (hasKey) parts.push(`-H "X-API-Key: $CVUNET_API_KEY"`);
  for (const [name, value] of [["image", file], ...fields]) {
    const isFile = typeof value !== "string";
    const field = isFile ? `${name}=@${curlFile(value.name)}` : `${name}=${value}`;
    parts.push(`-F ${shell(field)}`);
  }
  parts.push(`-o ${shell(output)}`);
  return parts.join(" \\\n  ");
}

export function pythonCode({ url, file, fields, output, hasKey }) {
  const files = [["image", file], ...fields.filter(([, value]) => typeof value !== "string")];
  const texts = fields.filter(([, value]) => typeof value === "string");
  const lines = [
    ...(hasKey ? ["import os", ""] : []),
    "import requests",
    "",
    "response = requests.post(",
    `    ${python(url)},`,
    ...(hasKey ? ['    headers={"X-API-Key": os.environ["CVUNET_API_KEY"]},'] : []),
    "    files={",
    ...files.map(([name, { name: path }]) => `        ${python(name)}: open(${python(path)}, "rb"),`),
    "    },",
    "    data={",
    ...texts.map(([name, value]) => `        ${python(name)}: ${python(value)},`),
    "    },",
    "    timeout=90,",
    ")",
    "if not response.ok:",
    '    raise SystemExit(response.json()["detail"])',
    `with open(${python(output)}, "wb") as cutout:`,
    "    cutout.write(response.content)",
  ];
  return lines.join("\n");
}
