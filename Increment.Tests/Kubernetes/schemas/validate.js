// Reads a JSON array of Kubernetes objects from standard input and prints, one per line, the errors that an API server
// of Kubernetes 1.32 would report with strict validation: unknown fields and wrong types (by the OpenAPI types of the
// official client), missing and malformed fields (by the schemas of kubernetes-models).
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const models = join(import.meta.dirname, "node_modules/@kubernetes/client-node/dist/gen/models");
const modelOf = (name) => require(join(models, `${name}.js`))[name];
const plain = { string: "string", number: "number", boolean: "boolean", Date: "string" };
const problems = [];

function check(value, type, path) {
  let match;
  if (type === "any" || type === "object") return;
  if (value === null || value === undefined) return problems.push(`${path} is empty`);
  if (type === "IntOrString") return /number|string/.test(typeof value) || problems.push(`${path} is neither a number nor a string`);
  if (plain[type]) return typeof value === plain[type] || problems.push(`${path} is not a ${plain[type]}: ${JSON.stringify(value)}`);
  if ((match = /^Array<(.+)>$/.exec(type)))
    return Array.isArray(value) ? value.forEach((item, i) => check(item, match[1], `${path}[${i}]`)) : problems.push(`${path} is not a list`);
  if ((match = /^\{ \[key: string\]: (.+?);? \}$/.exec(type)))
    return Object.entries(value).forEach(([key, item]) => check(item, match[1], `${path}.${key}`));
  if (typeof value !== "object") return problems.push(`${path} is not an object: ${JSON.stringify(value)}`);
  const fields = new Map(modelOf(type).getAttributeTypeMap().map((field) => [field.baseName, field.type]));
  for (const [name, item] of Object.entries(value))
    fields.has(name) ? check(item, fields.get(name), `${path}.${name}`) : problems.push(`${path}.${name} is unknown`);
}

for (const object of JSON.parse(readFileSync(0, "utf8"))) {
  const version = object.apiVersion.split("/").at(-1);
  const path = `${object.kind} ${object.metadata.name}`;
  check(object, version[0].toUpperCase() + version.slice(1) + object.kind, path);
  try {
    new (require(`kubernetes-models/${object.apiVersion}/${object.kind}`)[object.kind])(object).validate();
  } catch (error) {
    problems.push(`${path}: ${error.message}`);
  }
}
console.log(problems.join("\n"));
