/** One text for each value that crosses the API, so that values can be compared, numbered and shown. */

/** Text of a value: `1n`, `"text"`, `{ ok: true, value: 3 }`. Equal values have equal texts. An object within itself is `^1`, `^2` for one further up. */
export function show(value: unknown): string {
  return textOf(value, []);
}

function textOf(value: unknown, above: readonly object[]): string {
  switch (typeof value) {
    case "bigint":
      return `${value}n`;
    case "string":
      return JSON.stringify(value);
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "function":
      return `function ${value.name || "(anonymous)"}`;
    case "object":
      return value === null ? "null" : objectText(value, above);
    default:
      return String(value);
  }
}

function objectText(value: object, above: readonly object[]): string {
  const place = above.lastIndexOf(value);
  if (place >= 0) return `^${above.length - place}`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${Array.from(value as Uint8Array).join(",")})`;
  const within = [...above, value];
  const text = (part: unknown): string => textOf(part, within);
  if (value instanceof Map)
    return `Map(${[...value].map(([key, entry]) => `${text(key)} => ${text(entry)}`).join(", ")})`;
  if (value instanceof Set) return `Set(${[...value].map(text).join(", ")})`;
  if (Array.isArray(value)) return `[${value.map(text).join(", ")}]`;
  const fields = Object.entries(value).map(([name, field]) => `${name}: ${text(field)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

/** Text of a call: `tryPush(1n)`. */
export function stepText(fn: string, args: readonly unknown[]): string {
  return `${fn}(${args.map(show).join(", ")})`;
}
